//! The rows of a range from stored days and longer periods, and how complete they are.

use std::collections::BTreeMap;

use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::finish;
use tidemill_aggregator::metric::DayCells;
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::range::{PeriodRows, Range};
use tidemill_aggregator::snapshot_store::{Series, Snapshot, SnapshotStore};
use tidemill_aggregator::spill_store::scratch;
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_rollups::cover::{self, RolledUp};
use tidemill_rollups::preflight::{Found, look};
use tidemill_schemas::calendar::{self, Date, Period, WeekStart, Zone};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::snapshot::{BlobRange, Completeness};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Through;

use super::ask::Ask;
use crate::problem::Problem;

/// Days named in a reason before the rest is only counted.
const DAYS_NAMED_MAX: usize = 3;

/// The rows of a range.
pub struct Days {
    /// One per period.
    pub rows: Vec<PeriodRows>,
    /// How complete they are.
    pub completeness: Completeness,
}

/// The local day of the newest event an insight could read.
pub async fn newest(context: &Context, tenant: &Tenant, held: &Held) -> Result<Option<Date>, Error> {
    let pages = PageStore::new(context);
    let definition = &held.applied.definition;
    let mut newest: Option<Date> = None;
    for source in pages.sources_of(tenant, held.applied.definition.source.as_deref()).await? {
        if let Some((_, last)) = pages.span(tenant, &source).await? {
            newest = newest.max(Some(last));
        }
    }
    // The last UTC day may reach into two local ones; without looking at its events, take the one with a snapshot.
    let Some(utc_day) = newest else { return Ok(None) };
    let window = Zone::utc().day(utc_day);
    let touched = (definition.timezone.date_of(window.start), definition.timezone.date_of(window.end.plus_micros(-1)));
    let series = series(tenant, held);
    let stored = SnapshotStore::new(context).range(&series, touched.0, touched.1).await?;
    let with_events = stored.iter().rev().find(|(_, snapshot)| snapshot.digest.events > 0).map(|(date, _)| *date);
    Ok(Some(with_events.unwrap_or(touched.0)))
}

pub(super) fn series<'s>(tenant: &'s Tenant, held: &'s Held) -> Series<'s> {
    let insight = &held.applied.definition.name;
    Series { tenant, insight, fingerprint: &held.applied.fingerprint, period: Period::Day }
}

impl Days {
    /// The rows of `ask`, from as few stored snapshots as there are.
    pub async fn load(context: &Context, tenant: &Tenant, held: &Held, ask: &Ask) -> Result<Days, Problem> {
        // The clock before the chain heads, and both before what they are compared with.
        let now = context.clock.now();
        let pages = PageStore::new(context);
        let sealed = EventStore::new(context).watermark(now, &pages.heads().await?).await?;
        let (first, last) = utc_span(ask);
        let changes = pages.changes(tenant, held.applied.definition.source.as_deref(), first, last).await?;
        let store = SnapshotStore::new(context);
        let days = store.range(&series(tenant, held), ask.first, ask.last).await?;
        let completeness = completeness(held, ask, &days, &changes, sealed);
        let rows = rows(&store, tenant, held, ask, &days).await?;
        Ok(Days { rows, completeness })
    }
}

pub(super) fn utc_span(ask: &Ask) -> (Date, Date) {
    (calendar::utc_date(ask.window.start), calendar::utc_date(ask.window.end.plus_micros(-1)))
}

/// A row (set of rows) per period. Days without a snapshot count as empty: whether that is true, completeness says.
async fn rows(
    store: &SnapshotStore<'_>,
    tenant: &Tenant,
    held: &Held,
    ask: &Ask,
    days: &BTreeMap<Date, Snapshot>,
) -> Result<Vec<PeriodRows>, Problem> {
    let definition = &held.applied.definition;
    let (plan, week_start) = (Plan::new(definition), definition.week_start);
    let kinds = cover::kinds(ask.every);
    let mut rolled_up = RolledUp::default();
    for &period in kinds {
        let of_period = Series { period, ..series(tenant, held) };
        let stored = store.range(&of_period, ask.first, ask.last).await?;
        rolled_up.add(period, week_start, (ask.first, ask.last), stored, days);
    }
    let mut parts = Vec::new();
    for (start, span) in periods(ask, week_start) {
        parts.push((start, rolled_up.cover(kinds, week_start, span, days)));
    }
    if ask.by.is_empty() && parts.iter().all(|(_, cover)| cover.len() <= 1) {
        return parts.into_iter().map(|(start, cover)| plain(&plan, start, cover.first())).collect();
    }
    let spill = scratch();
    let mut range = Range::new(&plan, &ask.by, spill.clone());
    for (start, cover) in parts {
        let ranges: Vec<BlobRange> = cover.iter().filter_map(|part| part.header.states.clone()).collect();
        let contents = store.contents(&ranges, &spill).await?;
        range.add(start, &contents).map_err(|why| Problem::parameter(why.to_string()))?;
    }
    range.rows(plan.top).map_err(|why| Problem::parameter(why.to_string()))
}

/// The periods of a range, the first and the last cut to it: the date each is known by, its first and last day.
pub(super) fn periods(ask: &Ask, week_start: WeekStart) -> Vec<(Date, (Date, Date))> {
    let Some(every) = ask.every else { return vec![(ask.first, (ask.first, ask.last))] };
    let mut periods = Vec::new();
    let mut at = ask.first;
    while at <= ask.last {
        let last = every.last(at, week_start).min(ask.last);
        periods.push((every.first(at, week_start), (at, last)));
        at = calendar::next(last);
    }
    periods
}

/// A period straight from its digest.
fn plain(plan: &Plan, start: Date, snapshot: Option<&&Snapshot>) -> Result<PeriodRows, Problem> {
    let total = match snapshot {
        Some(snapshot) => snapshot.digest.clone(),
        None => finish::digest(plan, &DayCells::empty(plan)).map_err(|why| Problem::internal(&why))?,
    };
    Ok(PeriodRows { start, total, rows: Vec::new() })
}

pub(super) fn completeness(
    held: &Held,
    ask: &Ask,
    snapshots: &BTreeMap<Date, Snapshot>,
    changes: &BTreeMap<Date, Through>,
    sealed: Timestamp,
) -> Completeness {
    let zone = &held.applied.definition.timezone;
    let (mut missing, mut stale, mut unverified) = (Vec::new(), Vec::new(), false);
    // What is in until when: the earliest gap decides.
    let mut complete_through = ask.window.end;
    let mut as_of = Timestamp::MIN;
    for date in calendar::dates(ask.first, ask.last) {
        let window = zone.day(date);
        let header = snapshots.get(&date).map(|snapshot| &snapshot.header);
        match look(zone, date, header, changes) {
            Found::Stale => stale.push(date),
            Found::Missing => missing.push(date),
            Found::UpToDate | Found::Nothing => {}
        }
        unverified |= header.is_some_and(|header| header.verified != Some(true));
        let through = match header {
            Some(header) => header.watermark,
            None if missing.last() == Some(&date) => window.start,
            None => sealed,
        };
        as_of = as_of.max(through.min(window.end));
        if through < window.end {
            complete_through = complete_through.min(through.max(ask.window.start));
        }
    }
    let mut completeness = Completeness {
        as_of: Some(as_of.max(ask.window.start)),
        complete_through: Some(complete_through),
        partial: !missing.is_empty(),
        verified: missing.is_empty() && stale.is_empty() && !unverified && complete_through == ask.window.end,
        ..Completeness::default()
    };
    reasons(&mut completeness.reasons, held, ask, &missing, &stale, complete_through);
    completeness.missing = missing;
    for snapshot in snapshots.values() {
        completeness.late += snapshot.digest.late;
        for (metric, rows) in &snapshot.digest.skipped {
            *completeness.skipped.entry(metric.clone()).or_default() += rows;
        }
    }
    completeness
}

fn reasons(reasons: &mut Vec<String>, held: &Held, ask: &Ask, missing: &[Date], stale: &[Date], through: Timestamp) {
    let definition = &held.applied.definition;
    if let Some(first) = missing.first() {
        let (days, are) = count(missing);
        let from = format!("{:04}-{:02}", first.year(), first.month());
        reasons
            .push(format!("{days} {are} not computed yet; run `tidemill backfill {} --from {from}`", definition.name));
    }
    if !stale.is_empty() {
        let (days, are) = count(stale);
        reasons.push(format!("{days} {are} about to be computed again: events came since"));
    }
    if missing.is_empty() && stale.is_empty() && through < ask.window.end {
        reasons.push(format!("the range is still running: complete through {}", definition.timezone.rfc3339(through)));
    }
}

/// `2026-08-01, 2026-08-02 and 5 more days`, and the verb that goes with it.
pub(super) fn count(days: &[Date]) -> (String, &'static str) {
    let named = days.iter().take(DAYS_NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match days.len() {
        1 => (named, "is"),
        len if len <= DAYS_NAMED_MAX => (named, "are"),
        len => (format!("{named} and {} more days", len - DAYS_NAMED_MAX), "are"),
    }
}
