//! Insights over actors: which days' states answer, and how complete they are.

use std::collections::BTreeMap;

use tidemill_aggregator::actors::{self, Answer, Bucket, Question};
use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::fold::FoldError;
use tidemill_aggregator::snapshot_store::{Series, Snapshot, SnapshotStore};
use tidemill_aggregator::spill_store::scratch;
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::Context;
use tidemill_rollups::cover::{self, RolledUp};
use tidemill_rollups::preflight::{Found, look};
use tidemill_schemas::calendar::{self, Date, Zone};
use tidemill_schemas::definition::Body;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::snapshot::{BlobRange, Completeness};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Through;

use super::ask::Ask;
use super::days::{completeness, count, periods, series};
use crate::problem::Problem;

/// The rows of an insight over actors, and how complete they are.
pub async fn answer(
    context: &Context,
    tenant: &Tenant,
    held: &Held,
    ask: &Ask,
) -> Result<(Answer, Completeness), Problem> {
    // The clock before the chain heads, and both before what they are compared with.
    let now = context.clock.now();
    let pages = PageStore::new(context);
    let sealed = EventStore::new(context).watermark(now, &pages.heads().await?).await?;
    let definition = &held.applied.definition;
    let (zone, week_start) = (&definition.timezone, definition.week_start);
    let (from, to) = actors::reach(definition, ask.first, ask.last);
    let first = from.unwrap_or(Date::constant(1, 1, 2)).max(Date::constant(1, 1, 2));
    let last = to.min(Date::constant(9999, 12, 29));
    let window = zone.days(first, last);
    let utc = (calendar::utc_date(window.start), calendar::utc_date(window.end.plus_micros(-1)));
    let changes = pages.changes(tenant, definition.source.as_deref(), utc.0, utc.1).await?;
    let store = SnapshotStore::new(context);
    let days = store.range(&series(tenant, held), first, last).await?;
    let (beside, in_through) = beside(zone, ask, (first, last), &days, &changes, sealed);
    let asked: BTreeMap<Date, Snapshot> =
        days.range(ask.first..=ask.last).map(|(date, snapshot)| (*date, snapshot.clone())).collect();
    let mut completeness = completeness(held, ask, &asked, &changes, sealed);
    if let Some(earliest) = beside.first() {
        let (days, are) = count(&beside);
        let from = format!("{:04}-{:02}", earliest.year(), earliest.month());
        let name = &definition.name;
        completeness.partial = true;
        completeness.verified = false;
        completeness.reasons.push(format!(
            "{days} beside the range, which it takes too, {are} not computed yet; run `tidemill backfill {name} --from {from}`"
        ));
        completeness.missing.extend(beside);
        completeness.missing.sort_unstable();
    }
    let inputs = if keeps_periods(&definition.body) {
        let kinds = cover::kinds(None);
        let mut rolled_up = RolledUp::default();
        for &period in kinds {
            let of_period = Series { period, ..series(tenant, held) };
            rolled_up.add(period, week_start, (first, last), store.range(&of_period, first, last).await?, &days);
        }
        // Days without events need no look: from the first to the last there is.
        match days.keys().next().zip(days.keys().next_back()) {
            Some((first, last)) => states(rolled_up.cover(kinds, week_start, (*first, *last), &days)),
            None => Vec::new(),
        }
    } else {
        states(days.values())
    };
    let spill = scratch();
    let contents = store.contents(&inputs, &spill).await?;
    let buckets = periods(ask, week_start)
        .into_iter()
        .map(|(start, (first, last))| Bucket { start, window: zone.days(first, last) });
    let (definition, by, buckets) = (definition.clone(), ask.by.clone(), buckets.collect());
    let (first, last, transitions) = (ask.first, ask.last, ask.transitions);
    let answered = tokio::task::spawn_blocking(move || {
        let question = Question {
            definition: &definition,
            by: &by,
            buckets,
            first,
            last,
            complete_through: in_through,
            transitions,
        };
        actors::answer(&question, &contents, &spill)
    });
    let answered = answered.await.map_err(|why| Problem::internal(&why))?;
    let answer = answered.map_err(|why| match &why {
        FoldError::TooMuch { .. } => Problem::parameter(why.to_string()),
        _ => Problem::internal(&why),
    })?;
    completeness.reasons.extend(answer.notes.iter().cloned());
    Ok((answer, completeness))
}

/// Whether the states of longer periods are kept: those of buckets are, those of single events would only repeat the
/// days'.
fn keeps_periods(body: &Body) -> bool {
    matches!(body, Body::Cohort(_) | Body::Drivers(_))
}

fn states<'a>(snapshots: impl IntoIterator<Item = &'a Snapshot>) -> Vec<BlobRange> {
    let with_events = snapshots.into_iter().filter(|snapshot| snapshot.digest.events > 0);
    with_events.filter_map(|snapshot| snapshot.header.states.clone()).collect()
}

/// The days around the range that should be there and are not, and the instant before which everything is in.
fn beside(
    zone: &Zone,
    ask: &Ask,
    (first, last): (Date, Date),
    days: &BTreeMap<Date, Snapshot>,
    changes: &BTreeMap<Date, Through>,
    sealed: Timestamp,
) -> (Vec<Date>, Timestamp) {
    let mut touched: Vec<Date> = changes
        .keys()
        .flat_map(|utc| {
            let window = Zone::utc().day(*utc);
            calendar::dates(zone.date_of(window.start), zone.date_of(window.end.plus_micros(-1)))
        })
        .filter(|date| (first..=last).contains(date))
        .collect();
    touched.sort_unstable();
    touched.dedup();
    let mut in_through = sealed;
    for (date, snapshot) in days {
        if snapshot.header.watermark < zone.day(*date).end {
            in_through = in_through.min(snapshot.header.watermark);
        }
    }
    let header = |date: &Date| days.get(date).map(|snapshot| &snapshot.header);
    let missing: Vec<Date> =
        touched.into_iter().filter(|date| look(zone, *date, header(date), changes) == Found::Missing).collect();
    for date in &missing {
        // What is missing long before says nothing of what is in since; what is asked for ends there.
        if *date >= ask.first {
            in_through = in_through.min(zone.day(*date).start);
        }
    }
    let beside = missing.into_iter().filter(|date| !(ask.first..=ask.last).contains(date)).collect();
    (beside, in_through)
}
