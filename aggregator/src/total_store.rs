//! The total store: running totals of an (insight, fingerprint, event-time day), in [chunks](crate::chunk).
//!
//! Each chunk holds its values **and the feed position they include, per shard**, so a delivery that comes again is
//! recognised by the item itself: no dedupe table, no batch token. In: what a delivery adds to each total. Out: a day's
//! totals. This store never adds to an item it has not read.

use std::collections::BTreeMap;

use serde::Serialize;
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::{self, Decoder, Key, Tenant};
use tidemill_schemas::window::{Position, Through};

use crate::chunk::{Chunk, Place, Written};

/// The name of the consumer whose progress the totals stand at.
const CONSUMER: &str = "totals";

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
    /// Where the chunk of a place is kept that lies behind so many splits.
    pub fn key(&self, day: Date, place: &Place, splits: usize) -> Key {
        keys::totals(self.tenant, self.insight, self.fingerprint, day, place.name(splits))
    }
}

/// A chunk as it is kept.
#[derive(Clone, Debug)]
pub struct HeldChunk {
    /// Where.
    pub key: Key,
    /// How many splits it lies behind.
    pub splits: usize,
    /// What.
    pub chunk: Chunk,
    /// The item's rank, as it was read; `None`: there was none.
    pub rank: Option<u64>,
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

    /// The chunks at `keys`; `None` where there is none yet.
    ///
    /// # Errors
    /// The port's.
    pub async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<(Chunk, u64)>>, Error> {
        let items = self.context.items.get_each(keys).await?;
        items.into_iter().map(|item| item.map(|item| Ok((decode(&item)?, item.rank))).transpose()).collect()
    }

    /// Writes chunks, each if it is still at the rank that was read, and splits what has grown too large. One outcome
    /// each.
    pub async fn put_each(&self, chunks: Vec<HeldChunk>) -> Result<Vec<Result<(), Error>>, Error> {
        let (mut alone, mut groups) = (Vec::new(), Vec::new());
        let mut is_alone = Vec::with_capacity(chunks.len());
        for held in chunks {
            let mut group = writes_of(held)?;
            is_alone.push(group.len() == 1);
            match group.len() {
                1 => alone.append(&mut group),
                _ => groups.push(group),
            }
        }
        let mut alone = self.context.items.write_each(alone).await.into_iter();
        let mut groups = self.context.items.write_groups(groups).await.into_iter();
        let told = |outcome: Option<Result<(), Error>>| {
            outcome.unwrap_or_else(|| Err(Error::Unknown("the table told nothing of a write".to_owned())))
        };
        Ok(is_alone.into_iter().map(|is_alone| told(if is_alone { alone.next() } else { groups.next() })).collect())
    }

    /// Every chunk of a day, the marks of those that were split included, and cells that came back to nothing.
    ///
    /// # Errors
    /// The port's.
    pub async fn day(&self, of: &TotalsOf<'_>, day: Date) -> Result<Vec<HeldChunk>, Error> {
        let partition = keys::totals_partition(of.tenant, of.insight, of.fingerprint, day);
        let mut query = Query { partition, ..Query::default() };
        let mut chunks = Vec::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in slice.items {
                let name = Decoder::new(&sort).bytes();
                let splits = name.ok_or_else(|| Error::Invalid("totals key unreadable".to_owned()))?.len();
                let key = Key { partition: query.partition.clone(), sort };
                chunks.push(HeldChunk { key, splits, chunk: decode(&item)?, rank: Some(item.rank) });
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(chunks),
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

/// The write of a chunk, or the group that splits it.
fn writes_of(held: HeldChunk) -> Result<Vec<Write>, Error> {
    let HeldChunk { key, splits, chunk, rank } = held;
    let (body, parts) = match chunk.written(splits).map_err(Error::Invalid)? {
        Written::Whole(body) => (body, Vec::new()),
        Written::Split(mark, parts) => (mark, parts),
    };
    let condition = rank.map_or(Condition::Absent, Condition::RankIs);
    let item = Item { rank: rank.map_or(1, |rank| rank + 1), body: body.into() };
    let mut name = Decoder::new(&key.sort).bytes().ok_or_else(|| Error::Invalid("totals key unreadable".to_owned()))?;
    name.push(0);
    let mut writes = vec![Write { key: key.clone(), condition, effect: Effect::Put(item) }];
    for (digit, body) in parts {
        if let Some(last) = name.last_mut() {
            *last = digit;
        }
        let key = Key { partition: key.partition.clone(), sort: keys::Encoder::default().bytes(&name).end() };
        let effect = Effect::Put(Item { rank: 1, body: body.into() });
        writes.push(Write { key, condition: Condition::Absent, effect });
    }
    Ok(writes)
}

fn decode(item: &Item) -> Result<Chunk, Error> {
    Chunk::decode(&item.body).map_err(Error::Invalid)
}

fn json<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("totals item unreadable: {why}")))
}
