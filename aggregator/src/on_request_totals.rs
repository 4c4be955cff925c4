//! The engine's short way: a running day from its running totals; and the comparison of a scanned day with them.
//!
//! In: a request for running days of an incremental insight. Out: published snapshots, or "read the pages instead"
//! where the totals do not cover a day. Totals cover a day when they have counted every change any page of it brought.

use std::collections::BTreeMap;

use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::manifest::PageSet;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::keys::{Key, Tenant};
use tidemill_schemas::window::{Through, Window};

use crate::additive::{AdditiveCell, CellKey, day_cells};
use crate::fold::FoldError;
use crate::metric::DayCells;
use crate::on_request::{Failure, Work, may_use_totals};
use crate::on_request_commit::{self, Computed};
use crate::spill_store::scratch;
use crate::states;
use crate::total_store::{Total, TotalStore, TotalsOf};

impl Work {
    /// The totals of this work's insight.
    pub(crate) fn totals<'t>(&'t self, tenant: &'t Tenant) -> TotalsOf<'t> {
        TotalsOf { tenant, insight: &self.request.insight, fingerprint: &self.request.fingerprint }
    }
}

/// Publishes the requested days from the running totals; `false` when the pages have to be read instead.
pub(crate) async fn try_totals(context: &Context, work: &Work) -> Result<bool, Failure> {
    if !may_use_totals(work) {
        return Ok(false);
    }
    let tenant = work.tenant();
    let store = TotalStore::new(context);
    // The clock before the progress: what is acknowledged in between does not count.
    let now = context.clock.now();
    let through = store.progress().await?;
    let watermark = EventStore::new(context).watermark(now, &through).await?;
    let zone = &work.held.applied.definition.timezone;
    let window = zone.days(work.request.first, work.request.last);
    let (first, last) = utc_span(window);
    let pages = PageStore::new(context);
    let sources = pages.sources_of(&tenant, work.source()).await?;
    let set = pages.pages(&tenant, &sources, first, last).await?;
    if !covers(&store, work, &tenant, &set, first, last).await? {
        return Ok(false);
    }
    let mut computed = Vec::new();
    for date in calendar::dates(work.request.first, work.request.last) {
        let totals = store.day(&work.totals(&tenant), date).await?;
        let Ok(cells) = cells_of(work, totals.iter().map(|(_, total, _)| total)) else {
            // Totals that don't add up are no answer; the pages are.
            return Ok(false);
        };
        computed.push(Computed::of(work, date, &cells)?);
    }
    on_request_commit::publish(context, work, computed, &through, watermark).await?;
    Ok(true)
}

fn utc_span(window: Window) -> (Date, Date) {
    let first = calendar::utc_date(window.start);
    (first, calendar::utc_date(window.end.plus_micros(-1)))
}

/// Whether the totals have counted every change that brought a page of these UTC days.
async fn covers(
    store: &TotalStore<'_>,
    work: &Work,
    tenant: &Tenant,
    set: &PageSet,
    first: Date,
    last: Date,
) -> Result<bool, Error> {
    let since = store.coverage(&work.totals(tenant)).await?;
    let progress = store.progress().await?;
    let mut pages = set.days.range(first..=last).flat_map(|(_, pages)| pages);
    Ok(pages.all(|page| {
        since.get(&page.shard).is_some_and(|since| page.after >= *since) && progress.of(&page.shard) >= page.through
    }))
}

fn cells_of<'t>(work: &Work, totals: impl Iterator<Item = &'t Total>) -> Result<DayCells, FoldError> {
    day_cells(&work.plan, totals.map(|total| (total.key.clone(), total.cell.clone())))
}

/// What comparing a scanned day with its running totals showed.
pub(crate) enum Compared {
    /// The totals do not cover the day: the pages alone speak.
    NotCovered,
    /// The totals include changes behind the pages: they say nothing about them.
    MovedOn,
    /// Equal.
    Equal,
    /// Unequal; the totals were put right.
    Drifted,
}

/// Compares a scanned day, by the hash of its states, with its running totals, and puts these right where they differ.
pub(crate) async fn compare(
    context: &Context,
    work: &Work,
    set: &PageSet,
    date: Date,
    scanned_states: &str,
    scanned: impl Fn() -> Result<Vec<(CellKey, AdditiveCell)>, Failure>,
) -> Result<Compared, Failure> {
    let tenant = work.tenant();
    let store = TotalStore::new(context);
    let (first, last) = utc_span(work.held.applied.definition.timezone.day(date));
    if !covers(&store, work, &tenant, set, first, last).await? {
        return Ok(Compared::NotCovered);
    }
    let totals = store.day(&work.totals(&tenant), date).await?;
    // A total that includes changes behind the pages says nothing about the pages.
    if !totals.iter().all(|(_, total, _)| set.through.covers(&total.through)) {
        return Ok(Compared::MovedOn);
    }
    // Totals that don't add up differ from every page.
    if let Ok(cells) = cells_of(work, totals.iter().map(|(_, total, _)| total)) {
        let states = states::to_content(&cells, scratch()).map_err(|why| Failure::Again(why.to_string()))?;
        if states.hash() == scanned_states {
            return Ok(Compared::Equal);
        }
    }
    tracing::error!(insight = work.request.insight, %date, "running totals differ from the pages; replaced");
    heal(&store, work, date, &set.through, totals, scanned()?).await?;
    Ok(Compared::Drifted)
}

/// Replaces a day's totals by what the pages say.
async fn heal(
    store: &TotalStore<'_>,
    work: &Work,
    date: Date,
    through: &Through,
    totals: Vec<(Key, Total, u64)>,
    scanned: Vec<(CellKey, AdditiveCell)>,
) -> Result<(), Failure> {
    let tenant = work.tenant();
    let of = work.totals(&tenant);
    let mut right: BTreeMap<Key, _> = BTreeMap::new();
    for (cell_key, cell) in scanned {
        right.insert(of.key(date, &cell_key)?, (cell_key, cell));
    }
    let mut writes = Vec::new();
    for (key, total, rank) in totals {
        let (cell_key, cell) = right.remove(&key).unwrap_or_else(|| (total.key, AdditiveCell::zero(&work.plan)));
        writes.push((key, Total { key: cell_key, through: through.clone(), cell }, Some(rank)));
    }
    for (key, (cell_key, cell)) in right {
        writes.push((key, Total { key: cell_key, through: through.clone(), cell }, None));
    }
    for outcome in store.put_each(writes).await? {
        match outcome {
            // It moved on while we looked; the next comparison sees it as it is then.
            Ok(()) | Err(Error::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}
