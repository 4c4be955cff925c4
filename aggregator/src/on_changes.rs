//! `on_changes`: changes of a feed shard → running totals.
//!
//! In: changes in order, perhaps some that are in already, cut anew or not. Out: every total includes each of them
//! once. A changed or withdrawn event takes its old image out and puts its new one in, each on the day of its own event
//! time. Runs once at a time per shard; a second one running by mistake does no harm.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use tidemill_ingest::event_store::{self, EventChange};
use tidemill_ingest::page::changes_to_batch;
use tidemill_ports::{Change, Context, Error, Outcome};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{Key, Tenant};
use tidemill_schemas::strategy::{Strategy, strategy};
use tidemill_schemas::window::{Position, Through};

use crate::activity_store::ActivityStore;
use crate::additive::{AdditiveCell, CellKey, deltas};
use crate::definition_store::{DefinitionStore, Held};
use crate::plan::Plan;
use crate::total_store::{Total, TotalStore, TotalsOf};

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
    let mut by_tenant: BTreeMap<Tenant, Vec<EventChange>> = BTreeMap::new();
    for change in changes {
        if let Some(change) = event_store::change(change)? {
            by_tenant.entry(change.tenant.clone()).or_default().push(change);
        }
    }
    let totals = TotalStore::new(context);
    let progress = totals.progress().await?.of(shard);
    for (tenant, changes) in &by_tenant {
        let definitions = DefinitionStore::new(context).list(tenant).await?;
        let delivery = Delivery::new(shard, changes)?;
        for held in definitions.iter().filter(|held| strategy(&held.applied.definition) == Strategy::Incremental) {
            let of = of(tenant, held);
            totals.begin_coverage(&of, shard, progress).await?;
            match add_one(&totals, &of, &Plan::new(&held.applied.definition), &delivery).await {
                Ok(()) => {}
                Err(Stop::Port(error)) => return Err(error),
                Err(Stop::Insight(why)) => {
                    // One insight's trouble is not the others': its totals no longer count, its pages still do.
                    tracing::error!(insight = of.insight, why, "running totals given up; days are read from pages");
                    totals.end_coverage(&of, shard).await?;
                }
            }
        }
        ActivityStore::new(context).touch(tenant, &definitions).await?;
    }
    totals.advance(shard, last).await
}

fn of<'t>(tenant: &'t Tenant, held: &'t Held) -> TotalsOf<'t> {
    TotalsOf { tenant, insight: &held.applied.definition.name, fingerprint: &held.applied.fingerprint }
}

/// One tenant's changes of a delivery, as columns.
struct Delivery<'d> {
    shard: &'d str,
    changes: &'d [EventChange],
    images: Images,
    first: Position,
    last: Position,
}

/// Old and new images of changes, as columns.
struct Images {
    old: RecordBatch,
    new: RecordBatch,
}

impl Images {
    fn of(changes: &[EventChange]) -> Result<Images, Error> {
        let live = |event: &Option<Event>| event.as_ref().is_some_and(|event| !event.deleted);
        // A removal by age takes nothing away: pages keep the event.
        let counted = || changes.iter().filter(|change| change.images.new.is_some());
        let old = counted().filter(|change| live(&change.images.old)).filter_map(|change| change.images.old.as_ref());
        let new = counted().filter(|change| live(&change.images.new)).filter_map(|change| change.images.new.as_ref());
        let batch = |events: Vec<&Event>| changes_to_batch(&events).map_err(|why| Error::Invalid(why.to_string()));
        Ok(Images { old: batch(old.collect())?, new: batch(new.collect())? })
    }

    /// What these changes add to each total. The error is in words, and concerns this insight only.
    fn deltas(&self, plan: &Plan) -> Result<BTreeMap<(Date, CellKey), AdditiveCell>, String> {
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

impl<'d> Delivery<'d> {
    fn new(shard: &'d str, changes: &'d [EventChange]) -> Result<Delivery<'d>, Error> {
        let position = |change: Option<&EventChange>| change.map(|change| change.position).unwrap_or_default();
        let (first, last) = (position(changes.first()), position(changes.last()));
        Ok(Delivery { shard, changes, images: Images::of(changes)?, first, last })
    }
}

/// Why a delivery was not added.
enum Stop {
    /// A store's error: it concerns everything.
    Port(Error),
    /// The insight's own trouble.
    Insight(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Port(error)
    }
}

/// Adds a delivery to one insight's totals, until every one of them includes it.
async fn add_one(totals: &TotalStore<'_>, of: &TotalsOf<'_>, plan: &Plan, delivery: &Delivery<'_>) -> Result<(), Stop> {
    let mut left: Vec<(Key, (Date, CellKey), AdditiveCell)> = Vec::new();
    for ((day, group), cell) in delivery.images.deltas(plan).map_err(Stop::Insight)? {
        left.push((of.key(day, &group)?, (day, group), cell));
    }
    while !left.is_empty() {
        let keys: Vec<Key> = left.iter().map(|(key, ..)| key.clone()).collect();
        let stored = totals.get_each(&keys).await?;
        let mut changed = Vec::new();
        let mut pending = Vec::new();
        for ((key, at, cell), stored) in left.into_iter().zip(stored) {
            let (mut total, rank) = match stored {
                Some((total, rank)) => (total, Some(rank)),
                None => {
                    let (key, through) = (at.1.clone(), Through::default());
                    (Total { key, through, cell: AdditiveCell::zero(plan) }, None)
                }
            };
            if !total_with(&mut total, plan, delivery, &at, &cell)? {
                continue;
            }
            changed.push((key.clone(), total, rank));
            pending.push((key, at, cell));
        }
        let outcomes = totals.put_each(changed).await?;
        left = Vec::new();
        for (pending, outcome) in pending.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => {}
                // Someone came between, or the write may have happened: the item itself will tell.
                Err(Error::Conflict(_) | Error::Unknown(_)) => left.push(pending),
                Err(other) => return Err(other.into()),
            }
        }
    }
    Ok(())
}

/// Adds to `total` what of the delivery it does not include yet; whether there was anything.
fn total_with(
    total: &mut Total,
    plan: &Plan,
    delivery: &Delivery<'_>,
    at: &(Date, CellKey),
    cell: &AdditiveCell,
) -> Result<bool, Stop> {
    let included = total.through.of(delivery.shard);
    if included >= delivery.last {
        return Ok(false);
    }
    let add = |total: &mut Total, cell: &AdditiveCell| {
        total.cell.add(cell).ok_or_else(|| Stop::Insight("a running count leaves 64 bits".to_owned()))
    };
    if included < delivery.first {
        add(total, cell)?;
    } else {
        // The delivery was cut anew: some of it is in. Count the rest alone.
        let from = delivery.changes.partition_point(|change| change.position <= included);
        let rest = Images::of(&delivery.changes[from..])?.deltas(plan).map_err(Stop::Insight)?;
        if let Some(cell) = rest.get(at) {
            add(total, cell)?;
        }
    }
    total.through.advance(delivery.shard, delivery.last);
    Ok(true)
}
