//! The engine's short way: a running day from its running totals; and the comparison of a scanned day with them.
//!
//! In: a request for running days of an incremental insight. Out: published snapshots, or "read the pages instead"
//! where the totals do not cover a day. Totals cover a day when they have counted every change any page of it brought.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::manifest::PageSet;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::window::{Through, Window};

use crate::additive::{AdditiveCell, CellKey, day_cells};
use crate::chunk::{Chunk, Place};
use crate::fold::FoldError;
use crate::metric::DayCells;
use crate::on_request::{Failure, Work, may_use_totals};
use crate::on_request_commit::{self, Computed};
use crate::spill_store::scratch;
use crate::states;
use crate::total_store::{HeldChunk, TotalStore, TotalsOf};

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
    let zone = &work.held.applied.definition.timezone;
    let window = zone.days(work.request.first, work.request.last);
    if window.end <= now {
        // A request that comes after its day is over must not take back what the rollup compared.
        return Ok(false);
    }
    let mut through = store.progress().await?;
    let watermark = EventStore::new(context).watermark(now, &through).await?;
    let (first, last) = utc_span(window);
    let pages = PageStore::new(context);
    let sources = pages.sources_of(&tenant, work.source()).await?;
    let set = pages.pages(&tenant, &sources, first, last).await?;
    if !covers(&store, work, &tenant, &set, first, last).await? {
        return Ok(false);
    }
    // A shard the totals do not count, an import's for one, has no page of these days: all of it is in.
    for (shard, position) in &set.through.0 {
        if !through.0.contains_key(shard) {
            through.advance(shard, *position);
        }
    }
    let mut computed = Vec::new();
    for date in calendar::dates(work.request.first, work.request.last) {
        let totals = store.day(&work.totals(&tenant), date).await?;
        let Ok(cells) = cells_of(work, &totals) else {
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

fn cells_of(work: &Work, totals: &[HeldChunk]) -> Result<DayCells, FoldError> {
    let cells = totals.iter().flat_map(|held| &held.chunk.cells);
    day_cells(&work.plan, cells.map(|(key, cell)| (key.clone(), cell.clone())))
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
    if !totals.iter().all(|held| set.through.covers(&held.chunk.through)) {
        return Ok(Compared::MovedOn);
    }
    // Totals that don't add up differ from every page.
    if let Ok(cells) = cells_of(work, &totals) {
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
    totals: Vec<HeldChunk>,
    scanned: Vec<(CellKey, AdditiveCell)>,
) -> Result<(), Failure> {
    let tenant = work.tenant();
    let of = work.totals(&tenant);
    let (mut marks, mut right) = (BTreeSet::new(), BTreeMap::new());
    for mut held in totals {
        if held.chunk.is_split {
            marks.insert(held.key);
            continue;
        }
        // What is no longer there stays as nothing: the chunk includes that it went.
        held.chunk.cells.values_mut().for_each(|cell| *cell = AdditiveCell::zero(&work.plan));
        held.chunk.through = through.clone();
        right.insert(held.key.clone(), held);
    }
    for (cell_key, cell) in scanned {
        let place = Place::of(&cell_key).map_err(Failure::Never)?;
        let mut splits = 0;
        while marks.contains(&of.key(date, &place, splits)) {
            splits += 1;
        }
        let key = of.key(date, &place, splits);
        let new = || HeldChunk {
            key: key.clone(),
            splits,
            chunk: Chunk { through: through.clone(), ..Chunk::default() },
            rank: None,
        };
        right.entry(key.clone()).or_insert_with(new).chunk.cells.insert(cell_key, cell);
    }
    for outcome in store.put_each(right.into_values().collect()).await? {
        match outcome {
            // It moved on while we looked; the next comparison sees it as it is then.
            Ok(()) | Err(Error::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}
