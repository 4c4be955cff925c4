//! The stored days of a range, and how complete they are.

use std::collections::BTreeMap;

use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::metric::DayCells;
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::snapshot_store::{Series, Snapshot, SnapshotStore};
use tidemill_aggregator::states;
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::manifest::PageDay;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{self, Date, Period, Zone};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::snapshot::Completeness;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Through;

use super::ask::Ask;
use crate::problem::Problem;

/// Days named in a reason before the rest is only counted.
const DAYS_NAMED_MAX: usize = 3;

/// The stored days of a range.
pub struct Days {
    /// By date; a day without a snapshot is not listed.
    pub snapshots: BTreeMap<Date, Snapshot>,
    /// Their states, decoded; empty unless asked for.
    pub cells: BTreeMap<Date, DayCells>,
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

fn series<'s>(tenant: &'s Tenant, held: &'s Held) -> Series<'s> {
    let insight = &held.applied.definition.name;
    Series { tenant, insight, fingerprint: &held.applied.fingerprint, period: Period::Day }
}

impl Days {
    /// Loads the days of `ask`, with their states where digests don't answer it.
    pub async fn load(context: &Context, tenant: &Tenant, held: &Held, ask: &Ask) -> Result<Days, Problem> {
        // The clock before the chain heads, and both before what they are compared with.
        let now = context.clock.now();
        let pages = PageStore::new(context);
        let sealed = EventStore::new(context).watermark(now, &pages.heads().await?).await?;
        let mut changed: BTreeMap<Date, Through> = BTreeMap::new();
        let (first, last) = utc_span(ask);
        for source in pages.sources_of(tenant, held.applied.definition.source.as_deref()).await? {
            for (day, PageDay { through, .. }) in pages.page_days(tenant, &source, first, last).await? {
                let held = changed.entry(day).or_default();
                through.0.iter().for_each(|(shard, position)| held.advance(shard, *position));
            }
        }
        let store = SnapshotStore::new(context);
        let snapshots = store.range(&series(tenant, held), ask.first, ask.last).await?;
        let completeness = completeness(held, ask, &snapshots, &changed, sealed);
        let cells = if needs_states(ask) { cells(&store, held, &snapshots).await? } else { BTreeMap::new() };
        Ok(Days { snapshots, cells, completeness })
    }
}

/// Whether merged states are needed: for anything but plain days.
pub fn needs_states(ask: &Ask) -> bool {
    !ask.by.is_empty() || (ask.every != Some(Period::Day) && ask.first != ask.last)
}

fn utc_span(ask: &Ask) -> (Date, Date) {
    (calendar::utc_date(ask.window.start), calendar::utc_date(ask.window.end.plus_micros(-1)))
}

async fn cells(
    store: &SnapshotStore<'_>,
    held: &Held,
    snapshots: &BTreeMap<Date, Snapshot>,
) -> Result<BTreeMap<Date, DayCells>, Problem> {
    let with: Vec<(Date, _)> =
        snapshots.iter().filter_map(|(date, snapshot)| Some((*date, snapshot.header.states.clone()?))).collect();
    let ranges: Vec<_> = with.iter().map(|(_, range)| range.clone()).collect();
    let blobs = store.blobs(&ranges).await?;
    let plan = Plan::new(&held.applied.definition);
    let mut cells: BTreeMap<Date, DayCells> = snapshots.keys().map(|date| (*date, DayCells::empty(&plan))).collect();
    for ((date, _), bytes) in with.iter().zip(&blobs) {
        cells.insert(*date, states::decode(bytes).map_err(|why| Problem::internal(&why))?);
    }
    Ok(cells)
}

fn completeness(
    held: &Held,
    ask: &Ask,
    snapshots: &BTreeMap<Date, Snapshot>,
    changed: &BTreeMap<Date, Through>,
    sealed: Timestamp,
) -> Completeness {
    let zone = &held.applied.definition.timezone;
    let (mut missing, mut stale, mut unverified) = (Vec::new(), Vec::new(), false);
    // What is in until when: the earliest gap decides.
    let mut complete_through = ask.window.end;
    let mut as_of = Timestamp::MIN;
    for date in calendar::dates(ask.first, ask.last) {
        let window = zone.day(date);
        let touched = || calendar::utc_dates(window).filter_map(|day| changed.get(&day));
        let through = match snapshots.get(&date) {
            Some(snapshot) => {
                if !touched().all(|through| snapshot.header.through.covers(through)) {
                    stale.push(date);
                }
                unverified |= snapshot.header.verified != Some(true);
                snapshot.header.watermark
            }
            None if touched().next().is_some() => {
                missing.push(date);
                window.start
            }
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
fn count(days: &[Date]) -> (String, &'static str) {
    let named = days.iter().take(DAYS_NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match days.len() {
        1 => (named, "is"),
        len if len <= DAYS_NAMED_MAX => (named, "are"),
        len => (format!("{named} and {} more days", len - DAYS_NAMED_MAX), "are"),
    }
}
