//! A table that counts.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use super::{Call, Counter};
use crate::{Change, Effect, Error, Item, Query, Slice, Table, Write};

/// Bytes of one unit of reading.
const READ_UNIT_BYTES: usize = 4 * 1024;
/// Bytes of one unit of writing.
const WRITE_UNIT_BYTES: usize = 1024;
/// Bytes of the names of an item's attributes: `p`, `s`, `r` and `b`.
const NAMES_BYTES: usize = 4;
/// Items one call reads.
const READ_TOGETHER_MAX: usize = 100;
/// Writes or groups under way at once.
const WRITTEN_TOGETHER_MAX: usize = 32;

/// A table whose calls are counted.
pub struct CountedTable {
    inner: Arc<dyn Table>,
    counter: Arc<Counter>,
}

impl CountedTable {
    /// Wraps a table.
    pub fn new(inner: Arc<dyn Table>, counter: Arc<Counter>) -> CountedTable {
        CountedTable { inner, counter }
    }

    /// `place`: which of those that are read together.
    fn note_item(&self, key: &Key, item: Option<&Item>, place: usize) {
        let bytes = item.map_or(0, |item| item_bytes(key.partition.len() + key.sort.len(), item));
        let (units, first) = (units(bytes, READ_UNIT_BYTES), place.is_multiple_of(READ_TOGETHER_MAX));
        self.counter.note_together(Call::TableGet, kind(&key.partition), units, bytes, first);
    }

    /// `place`: which of those that are written together.
    fn note_writes(&self, group: &[Write], place: usize) {
        let alone = group.len() == 1;
        for (at, write) in group.iter().enumerate() {
            let (call, bytes) = match &write.effect {
                Effect::Check => (Call::TableCheck, 0),
                Effect::Delete => (if alone { Call::TablePut } else { Call::TableGroup }, 0),
                Effect::Put(item) => {
                    let bytes = item_bytes(write.key.partition.len() + write.key.sort.len(), item);
                    (if alone { Call::TablePut } else { Call::TableGroup }, bytes)
                }
            };
            let times = if call == Call::TablePut { 1 } else { 2 };
            let (units, first) =
                (units(bytes, WRITE_UNIT_BYTES), at == 0 && place.is_multiple_of(WRITTEN_TOGETHER_MAX));
            self.counter.note_together(call, kind(&write.key.partition), times * units, bytes, first);
        }
    }
}

/// Bytes DynamoDB counts for an item: names and values of its attributes.
fn item_bytes(key_bytes: usize, item: &Item) -> usize {
    NAMES_BYTES + key_bytes + number_bytes(item.rank) + item.body.len()
}

/// A number takes a byte per two digits, zeros at its ends left out, and one more.
fn number_bytes(number: u64) -> usize {
    let digits = number.to_string();
    digits.trim_end_matches('0').len().div_ceil(2) + 1
}

fn units(bytes: usize, of: usize) -> u64 {
    bytes.div_ceil(of).max(1) as u64
}

/// The kind of item a partition holds: its first word.
fn kind(partition: &[u8]) -> &str {
    let word = partition.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(word).unwrap_or("?")
}

#[async_trait]
impl Table for CountedTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        let answer = self.inner.get(key).await;
        self.note_item(key, answer.as_ref().ok().and_then(Option::as_ref), 0);
        answer
    }

    async fn query(&self, query: &Query) -> Result<Slice, Error> {
        let answer = self.inner.query(query).await;
        let items = answer.iter().flat_map(|slice| &slice.items);
        let bytes = items.map(|(sort, item)| item_bytes(query.partition.len() + sort.len(), item)).sum();
        self.counter.note(Call::TableQuery, kind(&query.partition), units(bytes, READ_UNIT_BYTES), bytes);
        answer
    }

    async fn write(&self, group: Vec<Write>) -> Result<(), Error> {
        self.note_writes(&group, 0);
        self.inner.write(group).await
    }

    async fn write_each(&self, writes: Vec<Write>) -> Vec<Result<(), Error>> {
        writes.iter().enumerate().for_each(|(place, write)| self.note_writes(std::slice::from_ref(write), place));
        self.inner.write_each(writes).await
    }

    async fn write_groups(&self, groups: Vec<Vec<Write>>) -> Vec<Result<(), Error>> {
        groups.iter().enumerate().for_each(|(place, group)| self.note_writes(group, place));
        self.inner.write_groups(groups).await
    }

    fn checks_cost(&self) -> bool {
        self.inner.checks_cost()
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        let answer = self.inner.get_each(keys).await;
        for (at, key) in keys.iter().enumerate() {
            let item = answer.as_ref().ok().and_then(|items| items.get(at)?.as_ref());
            self.note_item(key, item, at);
        }
        answer
    }

    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        self.counter.note(Call::Feed, "shards", 1, 0);
        self.inner.shards().await
    }

    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        let answer = self.inner.changes(shard, after, limit).await;
        self.counter.note(Call::Feed, "changes", 1, 0);
        answer
    }
}
