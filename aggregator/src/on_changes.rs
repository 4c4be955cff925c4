//! `on_changes`: changes of a feed shard → running totals.
//!
//! In: changes in order, perhaps some that are in already, cut anew or not. Out: every total includes each of them
//! once. A changed or withdrawn event takes its old image out and puts its new one in, each on the day of its own event
//! time. Runs once at a time per shard; a second one running by mistake does no harm.

use std::collections::{BTreeMap, BTreeSet};

use arrow::record_batch::RecordBatch;
use tidemill_ingest::event_store::{self, ImageChange};
use tidemill_ingest::image::Image;
use tidemill_ingest::page::{changes_to_batch, images_to_batch};
use tidemill_ports::{Change, Context, Error, Outcome};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::Column;
use tidemill_schemas::keys::{Key, Tenant};
use tidemill_schemas::strategy::{Strategy, strategy};
use tidemill_schemas::window::Position;

use crate::activity_store::ActivityStore;
use crate::additive::{AdditiveCell, CellKey, deltas};
use crate::chunk::{Chunk, Place};
use crate::definition_store::{DefinitionStore, Held};
use crate::plan::Plan;
use crate::total_store::{HeldChunk, TotalStore, TotalsOf};

/// Totals read and written together: those of as many insights as fit, and of one at least.
const TOTALS_TOGETHER_MAX: usize = 20_000;

/// Adds a delivery to the running totals of every incremental insight.
pub async fn on_changes(context: &Context, shard: &str, changes: &[Change]) -> Outcome {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Outcome::Done };
    match add_all(context, shard, changes, last.position).await {
        Ok(()) => Outcome::Done,
        Err(Error::Invalid(why)) => Outcome::Park(why),
        Err(error) => {
            tracing::warn!(shard, %error, "adding to totals will be tried again");
            Outcome::RetryFrom(first.position)
        }
    }
}

async fn add_all(context: &Context, shard: &str, changes: &[Change], last: Position) -> Result<(), Error> {
    let mut by_tenant: BTreeMap<&[u8], Vec<ImageChange<'_>>> = BTreeMap::new();
    for change in changes {
        if let Some(change) = event_store::images(change)? {
            by_tenant.entry(change.tenant).or_insert_with(|| Vec::with_capacity(changes.len())).push(change);
        }
    }
    let totals = TotalStore::new(context);
    let progress = totals.progress().await?.of(shard);
    for (tenant, changes) in &by_tenant {
        let tenant = &event_store::tenant_of(tenant)?;
        let definitions = DefinitionStore::new(context).list(tenant).await?;
        let incremental = definitions.iter().filter(|held| strategy(&held.applied.definition) == Strategy::Incremental);
        let mut insights = Vec::new();
        for held in incremental {
            let of = of(tenant, held);
            totals.begin_coverage(&of, shard, progress).await?;
            insights.push(Insight { of, plan: Plan::new(&held.applied.definition) });
        }
        let delivery = Delivery::new(shard, changes, &insights)?;
        let mut adding = Adding { totals, insights: &insights, delivery: &delivery, left: Vec::new() };
        for insight in 0..insights.len() {
            adding.begin(insight).await?;
            if adding.left.len() >= TOTALS_TOGETHER_MAX {
                adding.finish().await?;
            }
        }
        adding.finish().await?;
        ActivityStore::new(context).touch(tenant, &definitions).await?;
    }
    totals.advance(shard, last).await
}

fn of<'t>(tenant: &'t Tenant, held: &'t Held) -> TotalsOf<'t> {
    TotalsOf { tenant, insight: &held.applied.definition.name, fingerprint: &held.applied.fingerprint }
}

/// An insight whose totals are kept.
struct Insight<'t> {
    of: TotalsOf<'t>,
    plan: Plan,
}

/// One tenant's changes of a delivery, as columns.
struct Delivery<'d> {
    shard: &'d str,
    changes: &'d [ImageChange<'d>],
    /// What any of the insights reads.
    wanted: BTreeSet<Column>,
    images: Images,
    first: Position,
    last: Position,
}

/// Old and new images of changes, as columns.
struct Images {
    old: RecordBatch,
    new: RecordBatch,
}

/// What changes add to each total.
type Deltas = BTreeMap<(Date, CellKey), AdditiveCell>;

impl Images {
    fn of(changes: &[ImageChange<'_>], wanted: &BTreeSet<Column>) -> Result<Images, Error> {
        // A removal by age takes nothing away: pages keep the event.
        let counted = || changes.iter().filter(|change| change.new.is_some());
        let live = |image: &&Image<'_>| !image.deleted;
        let old = counted().filter_map(|change| change.old.as_deref()).filter(live);
        let new = counted().filter_map(|change| change.new.as_ref()).filter(live);
        Ok(Images { old: batch(&old.collect::<Vec<_>>(), wanted)?, new: batch(&new.collect::<Vec<_>>(), wanted)? })
    }

    /// What these changes add to each total. The error is in words, and concerns this insight only.
    fn deltas(&self, plan: &Plan) -> Result<Deltas, String> {
        let mut all = deltas(plan, &self.new, None, 1).map_err(|why| why.to_string())?;
        if self.old.num_rows() > 0 {
            for (at, cell) in deltas(plan, &self.old, None, -1).map_err(|why| why.to_string())? {
                let held = all.entry(at).or_insert_with(|| AdditiveCell::zero(plan));
                held.add(&cell).ok_or("a count leaves 64 bits")?;
            }
        }
        Ok(all)
    }
}

/// Images as columns.
fn batch(images: &[&Image<'_>], wanted: &BTreeSet<Column>) -> Result<RecordBatch, Error> {
    let invalid = |why: &dyn std::fmt::Display| Error::Invalid(why.to_string());
    if let Some(batch) = images_to_batch(images, wanted).map_err(|why| invalid(&why))? {
        return Ok(batch);
    }
    // Numbers too unlike for one column: whole events find room for them.
    let events = images.iter().map(|image| image.event()).collect::<Result<Vec<Event>, _>>();
    let events = events.map_err(|why| invalid(&why))?;
    changes_to_batch(&events.iter().collect::<Vec<_>>()).map_err(|why| invalid(&why))
}

impl<'d> Delivery<'d> {
    fn new(shard: &'d str, changes: &'d [ImageChange<'d>], insights: &[Insight<'_>]) -> Result<Delivery<'d>, Error> {
        let position = |change: Option<&ImageChange<'_>>| change.map(|change| change.position).unwrap_or_default();
        let (first, last) = (position(changes.first()), position(changes.last()));
        // The time decides the day, whether an expression reads it or not.
        let columns = insights.iter().flat_map(|insight| insight.plan.columns()).cloned();
        let wanted: BTreeSet<Column> = columns.chain([Column::Time]).collect();
        Ok(Delivery { shard, changes, images: Images::of(changes, &wanted)?, wanted, first, last })
    }
}

/// A cell that is to include the delivery.
struct Pending {
    /// Which insight's.
    insight: usize,
    at: (Date, CellKey),
    place: Place,
    /// Splits it is known to lie behind.
    splits: usize,
    cell: AdditiveCell,
}

/// Cells of one chunk that are to include the delivery.
struct Together {
    insight: usize,
    key: Key,
    splits: usize,
    cells: Vec<Pending>,
}

/// The adding of a delivery to the totals of several insights.
struct Adding<'a> {
    totals: TotalStore<'a>,
    insights: &'a [Insight<'a>],
    delivery: &'a Delivery<'a>,
    left: Vec<Pending>,
}

/// What the part of a delivery behind a position adds, by insight and position: deliveries that were cut anew.
type Rests = BTreeMap<(usize, Position), Deltas>;

impl Adding<'_> {
    /// Takes an insight's totals up; gives them up when they cannot hold what the delivery adds.
    async fn begin(&mut self, insight: usize) -> Result<(), Error> {
        let Insight { plan, .. } = &self.insights[insight];
        match self.delivery.images.deltas(plan) {
            Ok(deltas) => {
                for (at, cell) in deltas {
                    let place = Place::of(&at.1).map_err(Error::Invalid)?;
                    self.left.push(Pending { insight, at, place, splits: 0, cell });
                }
                Ok(())
            }
            Err(why) => self.give_up(insight, &why).await,
        }
    }

    /// One insight's trouble is not the others': its totals no longer count, its pages still do.
    async fn give_up(&mut self, insight: usize, why: &str) -> Result<(), Error> {
        let of = &self.insights[insight].of;
        tracing::error!(insight = of.insight, why, "running totals given up; days are read from pages");
        self.left.retain(|pending| pending.insight != insight);
        self.totals.end_coverage(of, self.delivery.shard).await
    }

    /// What is left, by the chunk it is to be found in.
    fn together(&mut self) -> Vec<Together> {
        let mut chunks: BTreeMap<Key, Together> = BTreeMap::new();
        for pending in std::mem::take(&mut self.left) {
            let Pending { insight, splits, .. } = pending;
            let key = self.insights[insight].of.key(pending.at.0, &pending.place, splits);
            let chunk = chunks.entry(key.clone());
            chunk.or_insert_with(|| Together { insight, key, splits, cells: Vec::new() }).cells.push(pending);
        }
        chunks.into_values().collect()
    }

    /// Adds until every total includes the delivery.
    async fn finish(&mut self) -> Result<(), Error> {
        let mut rests = Rests::new();
        while !self.left.is_empty() {
            let chunks = self.together();
            let keys: Vec<Key> = chunks.iter().map(|together| together.key.clone()).collect();
            let stored = self.totals.get_each(&keys).await?;
            let (mut changed, mut written, mut given_up) = (Vec::new(), Vec::new(), BTreeMap::new());
            for (mut together, stored) in chunks.into_iter().zip(stored) {
                let (mut chunk, rank) = match stored {
                    Some((chunk, rank)) => (chunk, Some(rank)),
                    None => (Chunk::default(), None),
                };
                if chunk.is_split {
                    together.cells.iter_mut().for_each(|pending| pending.splits = together.splits + 1);
                    self.left.append(&mut together.cells);
                    continue;
                }
                let Insight { plan, .. } = &self.insights[together.insight];
                match chunk_with(&mut chunk, plan, self.delivery, &together.cells, &mut rests) {
                    Ok(true) => {
                        let (key, splits) = (together.key.clone(), together.splits);
                        changed.push(HeldChunk { key, splits, chunk, rank });
                        written.push(together);
                    }
                    Ok(false) => {}
                    Err(Stop::Insight(why)) => drop(given_up.insert(together.insight, why)),
                    Err(Stop::Port(error)) => return Err(error),
                }
            }
            for (mut together, outcome) in written.into_iter().zip(self.totals.put_each(changed).await?) {
                match outcome {
                    Ok(()) => {}
                    // Someone came between, or the write may have happened: the item itself will tell.
                    Err(Error::Conflict(_) | Error::Unknown(_)) => self.left.append(&mut together.cells),
                    Err(other) => return Err(other),
                }
            }
            for (insight, why) in given_up {
                self.give_up(insight, &why).await?;
            }
        }
        Ok(())
    }
}

/// Why a total was not added to.
enum Stop {
    /// It concerns everything.
    Port(Error),
    /// The insight's own trouble.
    Insight(String),
}

/// Adds to `chunk` what of the delivery it does not include yet; whether there was anything.
fn chunk_with(
    chunk: &mut Chunk,
    plan: &Plan,
    delivery: &Delivery<'_>,
    cells: &[Pending],
    rests: &mut Rests,
) -> Result<bool, Stop> {
    let included = chunk.through.of(delivery.shard);
    if included >= delivery.last {
        return Ok(false);
    }
    for pending in cells {
        let cell = if included < delivery.first {
            Some(&pending.cell)
        } else {
            // The delivery was cut anew: some of it is in. Count the rest alone, once for all totals that stand there.
            let rest = match rests.entry((pending.insight, included)) {
                std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    let from = delivery.changes.partition_point(|change| change.position <= included);
                    let images = Images::of(&delivery.changes[from..], &delivery.wanted).map_err(Stop::Port)?;
                    place.insert(images.deltas(plan).map_err(Stop::Insight)?)
                }
            };
            rest.get(&pending.at)
        };
        if let Some(cell) = cell {
            let held = chunk.cells.entry(pending.at.1.clone()).or_insert_with(|| AdditiveCell::zero(plan));
            held.add(cell).ok_or_else(|| Stop::Insight("a running count leaves 64 bits".to_owned()))?;
        }
    }
    chunk.through.advance(delivery.shard, delivery.last);
    Ok(true)
}
