//! A table with faults.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_ports::{Change, Error, Item, Query, Slice, Table, Write};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use super::{Fate, Faults, after, before};

/// A table that may fail.
pub struct FaultyTable {
    inner: Arc<dyn Table>,
    faults: Arc<Faults>,
}

impl FaultyTable {
    /// Wraps a table.
    pub fn new(inner: Arc<dyn Table>, faults: Arc<Faults>) -> FaultyTable {
        FaultyTable { inner, faults }
    }
}

#[async_trait]
impl Table for FaultyTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        self.faults.read(self.inner.get(key)).await
    }

    async fn query(&self, query: &Query) -> Result<Slice, Error> {
        self.faults.read(self.inner.query(query)).await
    }

    async fn write(&self, group: Vec<Write>) -> Result<(), Error> {
        self.faults.write(self.inner.write(group)).await
    }

    /// Each write has a fate of its own; the others are sent on together, in their order.
    async fn write_each(&self, writes: Vec<Write>) -> Vec<Result<(), Error>> {
        self.faults.count_call();
        let fates: Vec<Fate> = writes.iter().map(|_| self.faults.fate()).collect();
        let sent = writes.into_iter().zip(&fates).filter(|(_, fate)| **fate != Fate::FailsBefore);
        let mut answers = self.inner.write_each(sent.map(|(write, _)| write).collect()).await.into_iter();
        let mut answer = |fate: &Fate| match fate {
            Fate::FailsBefore => Err(before()),
            Fate::Works => answers.next().expect("an answer to each write"),
            Fate::FailsAfter => answers.next().expect("an answer to each write").and(Err(after())),
        };
        fates.iter().map(&mut answer).collect()
    }

    fn checks_cost(&self) -> bool {
        self.inner.checks_cost()
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        self.faults.read(self.inner.get_each(keys)).await
    }

    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        self.faults.read(self.inner.shards()).await
    }

    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        self.faults.read(self.inner.changes(shard, after, limit)).await
    }
}
