//! A table of nested maps.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use tidemill_ports::{Change, Effect, Error, Item, Query, SLICE_BYTES_MAX, Slice, Table, Write, limits};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use super::feed::{Feed, FeedPortion, FeedShard};
use super::held;

/// A table.
#[derive(Debug)]
pub struct MemoryTable {
    checks_cost: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Item>>,
    feed: Feed,
}

impl MemoryTable {
    /// An empty table whose feed has so many shards; 0: no feed.
    pub fn new(shards: u16) -> MemoryTable {
        MemoryTable::with(shards, false)
    }

    /// The same; `checks_cost`: it says that checks do.
    pub fn with(shards: u16, checks_cost: bool) -> MemoryTable {
        MemoryTable { checks_cost, inner: Mutex::new(Inner { partitions: BTreeMap::new(), feed: Feed::new(shards) }) }
    }

    /// From now on positions leave gaps.
    pub fn make_sparse(&self) {
        held(&self.inner).feed.sparse = true;
    }

    /// The stretches of its lanes a stream would show.
    pub fn feed_shards(&self) -> Vec<FeedShard> {
        held(&self.inner).feed.shards()
    }

    /// Reads such a stretch.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of that name.
    pub fn read_shard(&self, shard: &str, after: Position, limit: usize) -> Result<FeedPortion, Error> {
        held(&self.inner).feed.read(shard, after, limit).ok_or_else(|| no_shard(shard))
    }

    /// Closes the open shard of a lane (by its number); the next one follows it.
    pub fn roll(&self, lane: usize) {
        held(&self.inner).feed.roll(lane);
    }

    /// Closes the open shard of a lane; two follow it, one of them with a lane of its own.
    pub fn split(&self, lane: usize) {
        held(&self.inner).feed.split(lane);
    }

    /// The last position of each lane.
    pub fn heads(&self) -> Vec<Position> {
        held(&self.inner).feed.heads()
    }

    /// Where the feed has the first change that gave an item at least this rank.
    pub fn first_change(&self, key: &Key, rank: u64) -> Option<(ShardId, Position)> {
        held(&self.inner).feed.first_change(key, rank)
    }

    /// Forgets the changes of a lane up to `through`, as a stream does after a day.
    pub fn trim(&self, lane: usize, through: Position) {
        held(&self.inner).feed.trim(lane, through);
    }
}

fn no_shard(shard: &str) -> Error {
    Error::Invalid(format!("shard {shard:?} is none of this table: ask for its shards"))
}

impl Inner {
    fn stored(&self, key: &Key) -> Option<&Item> {
        self.partitions.get(&key.partition)?.get(&key.sort)
    }

    fn check(&self, write: &Write) -> Result<(), Error> {
        let rank = self.stored(&write.key).map(|item| item.rank);
        if write.condition.holds(rank) {
            return Ok(());
        }
        Err(Error::Conflict(format!("expected {:?}, found rank {rank:?}", write.condition)))
    }

    fn effect(&mut self, write: &Write) {
        let old = self.stored(&write.key).cloned();
        let new = match &write.effect {
            Effect::Check => return,
            Effect::Put(item) => Some(item.clone()),
            Effect::Delete => None,
        };
        if old == new {
            return;
        }
        let partition = self.partitions.entry(write.key.partition.clone()).or_default();
        match &new {
            Some(item) => partition.insert(write.key.sort.clone(), item.clone()),
            None => partition.remove(&write.key.sort),
        };
        self.feed.add(&write.key, old, new);
    }
}

#[async_trait]
impl Table for MemoryTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        limits::key(key)?;
        Ok(held(&self.inner).stored(key).cloned())
    }

    async fn query(&self, query: &Query) -> Result<Slice, Error> {
        limits::query(query)?;
        let inner = held(&self.inner);
        let mut rows: Vec<(&Vec<u8>, &Item)> = inner.partitions.get(&query.partition).into_iter().flatten().collect();
        rows.retain(|(sort, _)| query.from.as_ref().is_none_or(|from| *sort >= from));
        rows.retain(|(sort, _)| query.to.as_ref().is_none_or(|to| *sort < to));
        if query.backwards {
            rows.reverse();
            rows.retain(|(sort, _)| query.after.as_ref().is_none_or(|after| *sort < after));
        } else {
            rows.retain(|(sort, _)| query.after.as_ref().is_none_or(|after| *sort > after));
        }
        let mut slice = Slice::default();
        let mut bytes = 0;
        for (sort, item) in rows {
            bytes += limits::item_bytes(&query.partition, sort, item);
            let full = query.limit > 0 && slice.items.len() == query.limit;
            if full || (bytes > SLICE_BYTES_MAX && !slice.items.is_empty()) {
                slice.next = slice.items.last().map(|(sort, _)| sort.clone());
                break;
            }
            slice.items.push((sort.clone(), item.clone()));
        }
        Ok(slice)
    }

    async fn write(&self, group: Vec<Write>) -> Result<(), Error> {
        limits::group(&group)?;
        let mut inner = held(&self.inner);
        group.iter().try_for_each(|write| inner.check(write))?;
        group.iter().for_each(|write| inner.effect(write));
        Ok(())
    }

    async fn write_each(&self, writes: Vec<Write>) -> Vec<Result<(), Error>> {
        let mut inner = held(&self.inner);
        let mut one = |write: &Write| {
            limits::write_each(write)?;
            inner.check(write)?;
            inner.effect(write);
            Ok(())
        };
        writes.iter().map(&mut one).collect()
    }

    fn checks_cost(&self) -> bool {
        self.checks_cost
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        keys.iter().try_for_each(limits::key)?;
        let inner = held(&self.inner);
        Ok(keys.iter().map(|key| inner.stored(key).cloned()).collect())
    }

    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        Ok(held(&self.inner).feed.names())
    }

    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        held(&self.inner).feed.changes(shard, after, limit).ok_or_else(|| no_shard(shard))
    }
}
