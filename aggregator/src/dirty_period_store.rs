//! Marks on closed periods one of whose days changed.
//!
//! In: days about to be published. Out: writes that belong into the same group, so that no change goes unmarked; later
//! the marks, and their removal. A mark's rank tells it from the next one, so that clearing an old mark never clears a
//! new one. Setting one again is harmless.

use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::{self, Key, SnapshotPart, Tenant};
use xxhash_rust::xxh3::xxh3_64;

use crate::snapshot_store::Series;

/// A closed period to be folded again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DirtyPeriod {
    /// The insight.
    pub insight: String,
    /// The fingerprint of the days that changed.
    pub fingerprint: String,
    /// The kind of period.
    pub period: Period,
    /// Its first day.
    pub first: Date,
}

/// A mark and how to remove it.
#[derive(Clone, Debug)]
pub struct PeriodMark {
    /// The period.
    pub dirty: DirtyPeriod,
    key: Key,
    rank: u64,
}

/// The marks of a context.
#[derive(Clone, Copy)]
pub struct DirtyPeriodStore<'a> {
    context: &'a Context,
}

/// The mark on a period, because of a change that `cause` names: another change, another cause.
///
/// # Errors
/// None is known to be reachable.
pub fn mark(series: &Series<'_>, period: Period, first: Date, cause: &[u8]) -> Result<Write, Error> {
    let dirty =
        DirtyPeriod { insight: series.insight.to_owned(), fingerprint: series.fingerprint.to_owned(), period, first };
    let body = serde_json::to_vec(&dirty).map_err(|why| Error::Invalid(format!("period mark: {why}")))?;
    let item = Item { rank: xxh3_64(cause), body: body.into() };
    let key = keys::dirty_period(series.tenant, series.insight, series.fingerprint, period, first);
    Ok(Write { key, condition: Condition::None, effect: Effect::Put(item) })
}

/// "Nobody has rolled this period up": whoever does it later sees what is published now.
pub fn not_rolled_up(series: &Series<'_>, period: Period, first: Date) -> Write {
    let key = Series { period, ..series.clone() }.key(first, SnapshotPart::Header);
    Write { key, condition: Condition::Absent, effect: Effect::Check }
}

impl<'a> DirtyPeriodStore<'a> {
    /// The store over `context`.
    pub fn new(context: &'a Context) -> DirtyPeriodStore<'a> {
        DirtyPeriodStore { context }
    }

    /// Marks, at most `limit`.
    ///
    /// # Errors
    /// The port's.
    pub async fn list(&self, tenant: &Tenant, limit: usize) -> Result<Vec<PeriodMark>, Error> {
        let mut marks = Vec::new();
        let mut query = Query { partition: keys::dirty_periods_partition(tenant), ..Query::default() };
        loop {
            query.limit = limit - marks.len();
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in slice.items {
                let dirty = serde_json::from_slice(&item.body);
                let dirty = dirty.map_err(|why| Error::Invalid(format!("period mark unreadable: {why}")))?;
                let key = Key { partition: query.partition.clone(), sort };
                marks.push(PeriodMark { dirty, key, rank: item.rank });
            }
            match slice.next {
                Some(next) if marks.len() < limit => query.after = Some(next),
                _ => return Ok(marks),
            }
        }
    }

    /// Clears marks; one that was set anew in the meantime stays.
    ///
    /// # Errors
    /// The port's.
    pub async fn clear(&self, marks: Vec<PeriodMark>) -> Result<(), Error> {
        let clear =
            |mark: PeriodMark| Write { key: mark.key, condition: Condition::RankIs(mark.rank), effect: Effect::Delete };
        let outcomes = self.context.items.write_each(marks.into_iter().map(clear).collect()).await;
        outcomes.into_iter().filter(|outcome| !matches!(outcome, Err(Error::Conflict(_)))).collect()
    }
}
