//! The total store: running totals, one item per (insight, fingerprint, event-time day, group).
//!
//! Each item holds its values **and the feed position they include, per shard**, so a delivery that comes again is
//! recognised by the item itself: no dedupe table, no batch token. In: what a delivery adds to each total. Out: a day's
//! totals. This store never adds to an item it has not read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::{self, Key, Tenant};
use tidemill_schemas::window::{Position, Through};
use xxhash_rust::xxh3::xxh3_128;

use crate::additive::{AdditiveCell, CellKey};

/// The version of a total's stored body, its first byte.
pub const TOTAL_FORMAT: u8 = 1;
/// The name of the consumer whose progress the totals stand at.
const CONSUMER: &str = "totals";

/// A running total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Which cell of the day.
    pub key: CellKey,
    /// What is included, per feed shard.
    pub through: Through,
    /// The values.
    pub cell: AdditiveCell,
}

/// Totals of one insight under one fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct TotalsOf<'t> {
    /// Whose.
    pub tenant: &'t Tenant,
    /// The insight.
    pub insight: &'t str,
    /// The definition's fingerprint.
    pub fingerprint: &'t str,
}

impl TotalsOf<'_> {
    /// Where a cell of a day is kept. Cells are named by hash: a group's values may be longer than a key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the group cannot be encoded.
    pub fn key(&self, day: Date, cell: &CellKey) -> Result<Key, Error> {
        let encoded = postcard::to_stdvec(cell).map_err(|why| Error::Invalid(format!("group: {why}")))?;
        let name = xxh3_128(&encoded).to_be_bytes();
        Ok(keys::total(self.tenant, self.insight, self.fingerprint, day, &name))
    }
}

/// The total store of a context.
#[derive(Clone, Copy)]
pub struct TotalStore<'a> {
    context: &'a Context,
}

impl<'a> TotalStore<'a> {
    /// The store over `context`'s items.
    pub fn new(context: &'a Context) -> TotalStore<'a> {
        TotalStore { context }
    }

    /// The totals at `keys` with their ranks; `None` where there is none yet.
    ///
    /// # Errors
    /// The port's.
    pub async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<(Total, u64)>>, Error> {
        let items = self.context.items.get_each(keys).await?;
        items.into_iter().map(|item| item.map(|item| Ok((decode(&item)?, item.rank))).transpose()).collect()
    }

    /// Writes totals, each if it is still at the rank that was read. One outcome each.
    pub async fn put_each(&self, totals: Vec<(Key, Total, Option<u64>)>) -> Result<Vec<Result<(), Error>>, Error> {
        let mut writes = Vec::with_capacity(totals.len());
        for (key, total, read) in totals {
            let condition = read.map_or(Condition::Absent, Condition::RankIs);
            let body = postcard::to_extend(&total, vec![TOTAL_FORMAT]);
            let body = body.map_err(|why| Error::Invalid(format!("total: {why}")))?;
            let item = Item { rank: read.map_or(1, |rank| rank + 1), body: body.into() };
            writes.push(Write { key, condition, effect: Effect::Put(item) });
        }
        Ok(self.context.items.write_each(writes).await)
    }

    /// Every total of a day, with where it is kept and its rank; those that came back to nothing included.
    ///
    /// # Errors
    /// The port's.
    pub async fn day(&self, of: &TotalsOf<'_>, day: Date) -> Result<Vec<(Key, Total, u64)>, Error> {
        let partition = keys::totals_partition(of.tenant, of.insight, of.fingerprint, day);
        let mut query = Query { partition, ..Query::default() };
        let mut totals = Vec::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in slice.items {
                let total = decode(&item)?;
                totals.push((Key { partition: query.partition.clone(), sort }, total, item.rank));
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(totals),
            }
        }
    }

    /// The positions up to which every change has been added to every total that was known then.
    ///
    /// # Errors
    /// The port's.
    pub async fn progress(&self) -> Result<Through, Error> {
        let mut query = Query { partition: keys::progress_partition(CONSUMER), ..Query::default() };
        let mut through = Through::default();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (_, item) in &slice.items {
                let (shard, position): (String, Position) = json(item)?;
                through.advance(&shard, position);
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(through),
            }
        }
    }

    /// Notes that every change of a shard up to `position` is in.
    ///
    /// # Errors
    /// The port's.
    pub async fn advance(&self, shard: &str, position: Position) -> Result<(), Error> {
        let key = keys::progress(CONSUMER, shard);
        loop {
            let item = self.context.items.get(&key).await?;
            if let Some(item) = &item
                && json::<(String, Position)>(item)?.1 >= position
            {
                return Ok(());
            }
            match self.put_json(key.clone(), item.as_ref(), &(shard, position)).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
    }

    /// From which position on, per shard, the totals of an insight count every change. A shard that is not listed has
    /// not been counted at all.
    ///
    /// # Errors
    /// The port's.
    pub async fn coverage(&self, of: &TotalsOf<'_>) -> Result<BTreeMap<String, Position>, Error> {
        let key = keys::coverage(of.tenant, of.insight, of.fingerprint);
        self.context.items.get(&key).await?.map_or_else(|| Ok(BTreeMap::new()), |item| json(&item))
    }

    /// Notes that from here on the totals count `shard`, unless that is noted already.
    ///
    /// # Errors
    /// The port's.
    pub async fn begin_coverage(&self, of: &TotalsOf<'_>, shard: &str, after: Position) -> Result<(), Error> {
        let key = keys::coverage(of.tenant, of.insight, of.fingerprint);
        loop {
            let item = self.context.items.get(&key).await?;
            let mut since: BTreeMap<String, Position> = item.as_ref().map_or_else(|| Ok(BTreeMap::new()), json)?;
            if since.contains_key(shard) {
                return Ok(());
            }
            since.insert(shard.to_owned(), after);
            match self.put_json(key.clone(), item.as_ref(), &since).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
    }

    /// Notes that the totals of an insight no longer count `shard`: they could not be added to.
    ///
    /// # Errors
    /// The port's.
    pub async fn end_coverage(&self, of: &TotalsOf<'_>, shard: &str) -> Result<(), Error> {
        let key = keys::coverage(of.tenant, of.insight, of.fingerprint);
        loop {
            let item = self.context.items.get(&key).await?;
            let mut since: BTreeMap<String, Position> = item.as_ref().map_or_else(|| Ok(BTreeMap::new()), json)?;
            // No page begins behind the last position there can be.
            if since.insert(shard.to_owned(), Position(u128::MAX)) == Some(Position(u128::MAX)) {
                return Ok(());
            }
            match self.put_json(key.clone(), item.as_ref(), &since).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
    }

    async fn put_json(&self, key: Key, read: Option<&Item>, value: &impl Serialize) -> Result<(), Error> {
        let body = serde_json::to_vec(value).map_err(|why| Error::Invalid(format!("totals: {why}")))?;
        let condition = read.map_or(Condition::Absent, |item| Condition::RankIs(item.rank));
        let item = Item { rank: read.map_or(1, |item| item.rank + 1), body: body.into() };
        self.context.items.write(vec![Write { key, condition, effect: Effect::Put(item) }]).await
    }
}

fn decode(item: &Item) -> Result<Total, Error> {
    match item.body.split_first() {
        Some((&TOTAL_FORMAT, body)) => {
            postcard::from_bytes(body).map_err(|why| Error::Invalid(format!("stored total unreadable: {why}")))
        }
        _ => Err(Error::Invalid("stored total of unknown version".to_owned())),
    }
}

fn json<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("totals item unreadable: {why}")))
}
