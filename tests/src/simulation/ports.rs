//! The ports as the system sees them: memory behind the hub, so that others come before and after every effect.
//!
//! A table's many writes are as many effects, each with a fate of its own; a query may come in smaller slices than it
//! need. [`Broken`] takes one protocol away from the system, to show that the simulation would notice.

mod blobs;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_ports::{
    Change, Condition, Context, Effect, Entry, Error, Item, Message, Query, Queue, Schedule, Slice, Table, Write,
};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use super::executor::Place;
use super::hub::{Fate, Hub, outcome};
use super::witness::Witness;
use crate::memory::{MemoryQueue, MemorySchedule, MemoryTable, MemoryWorld};

/// A protocol taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Running totals are written whatever came between.
    TotalsUnconditional,
    /// Running totals do not know what they include.
    TotalsForget,
    /// The chain of pages is continued by whoever comes.
    ChainUnfenced,
    /// Events are written whatever is there.
    EventsUnconditional,
    /// Snapshots are published although the definition has changed meanwhile.
    DefinitionUnchecked,
    /// Snapshots are published over ones that stand on more.
    SnapshotsUnconditional,
    /// The watermark does not look at what waits in the feed.
    WatermarkBlind,
    /// A repeated delivery of the feed is not done again, although its answer was an error.
    RetriesSkipped,
}

impl Broken {
    /// Every one of them.
    pub const ALL: [Broken; 8] = [
        Broken::TotalsUnconditional,
        Broken::TotalsForget,
        Broken::ChainUnfenced,
        Broken::EventsUnconditional,
        Broken::DefinitionUnchecked,
        Broken::SnapshotsUnconditional,
        Broken::WatermarkBlind,
        Broken::RetriesSkipped,
    ];
}

/// The ports of a world behind a hub.
pub(super) fn around(ports: &MemoryWorld, hub: &Arc<Hub>, witness: &Arc<Witness>, broken: Option<Broken>) -> Context {
    let table = |inner: &Arc<MemoryTable>, name| SimTable {
        inner: Arc::clone(inner),
        hub: Arc::clone(hub),
        witness: Arc::clone(witness),
        name,
        broken,
    };
    Context {
        events: Arc::new(table(&ports.events, ["get e", "query e", "write e", "feed e"])),
        items: Arc::new(table(&ports.items, ["get i", "query i", "write i", "feed i"])),
        blobs: Arc::new(blobs::SimBlobs::new(Arc::clone(&ports.blobs) as _, Arc::clone(hub))),
        requests: Arc::new(SimQueue { inner: Arc::clone(&ports.requests), hub: Arc::clone(hub) }),
        schedule: Arc::new(SimSchedule { inner: Arc::clone(&ports.schedule), hub: Arc::clone(hub) }),
        ..ports.context()
    }
}

fn before() -> Error {
    Error::Unavailable("a planned fault, before any effect".to_owned())
}

fn after() -> Error {
    Error::Unknown("a planned fault, after the effect".to_owned())
}

/// One call; only a write can fail after its effect.
async fn call<T>(
    hub: &Hub,
    place: Place,
    name: &'static str,
    key: &[u8],
    effect: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let result = match hub.before(place).await {
        Fate::Works => effect.await,
        Fate::FailsBefore => Err(before()),
        Fate::FailsAfter => effect.await.and(Err(after())),
    };
    hub.after(name, key, outcome(&result)).await;
    result
}

struct SimTable {
    inner: Arc<MemoryTable>,
    hub: Arc<Hub>,
    witness: Arc<Witness>,
    name: [&'static str; 4],
    broken: Option<Broken>,
}

fn text(key: &Key) -> Vec<u8> {
    [key.partition.as_slice(), b"/", key.sort.as_slice()].concat()
}

impl SimTable {
    /// The group a broken build would write.
    fn weakened(&self, mut group: Vec<Write>) -> Vec<Write> {
        let Some(broken) = self.broken else { return group };
        let of = |write: &Write, kind: &str| write.key.partition.starts_with(kind.as_bytes());
        for write in &mut group {
            let weak = match broken {
                Broken::TotalsUnconditional => of(write, "totals\0"),
                Broken::ChainUnfenced => of(write, "chain\0") || of(write, "chain_head\0"),
                Broken::EventsUnconditional => of(write, "event\0"),
                Broken::SnapshotsUnconditional => of(write, "snapshot\0"),
                Broken::DefinitionUnchecked => of(write, "insight\0") && write.effect == Effect::Check,
                Broken::TotalsForget | Broken::WatermarkBlind | Broken::RetriesSkipped => false,
            };
            if weak {
                write.condition = Condition::None;
            }
        }
        group
    }

    async fn group(&self, group: Vec<Write>) -> Result<(), Error> {
        let group = self.weakened(group);
        let key = group.first().map(|write| text(&write.key)).unwrap_or_default();
        let effect = async {
            self.inner.write(group.clone()).await?;
            self.witness.saw(&group);
            Ok(())
        };
        call(&self.hub, Place::Write, self.name[2], &key, effect).await
    }
}

#[async_trait]
impl Table for SimTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        call(&self.hub, Place::Call, self.name[0], &text(key), self.inner.get(key)).await
    }

    async fn query(&self, query: &Query) -> Result<Slice, Error> {
        let shorter = Query {
            limit: match (query.limit, self.hub.below(4)) {
                (0, 0) => 1 + self.hub.below(5) as usize,
                (limit, _) => limit,
            },
            ..query.clone()
        };
        call(&self.hub, Place::Call, self.name[1], &query.partition, self.inner.query(&shorter)).await
    }

    async fn write(&self, group: Vec<Write>) -> Result<(), Error> {
        self.group(group).await
    }

    async fn write_each(&self, writes: Vec<Write>) -> Vec<Result<(), Error>> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for one in writes {
            if one.effect == Effect::Check {
                outcomes.extend(self.inner.write_each(vec![one]).await);
            } else {
                outcomes.push(self.group(vec![one]).await);
            }
        }
        outcomes
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        let mut items = Vec::with_capacity(keys.len());
        for some in keys.chunks(3) {
            let key = some.first().map(text).unwrap_or_default();
            items.extend(call(&self.hub, Place::Call, self.name[0], &key, self.inner.get_each(some)).await?);
        }
        Ok(items)
    }

    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        if self.broken == Some(Broken::WatermarkBlind) {
            return Ok(Vec::new());
        }
        call(&self.hub, Place::Call, self.name[3], b"shards", self.inner.shards()).await
    }

    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        call(&self.hub, Place::Call, self.name[3], shard.as_bytes(), self.inner.changes(shard, after, limit)).await
    }
}

struct SimQueue {
    inner: Arc<MemoryQueue>,
    hub: Arc<Hub>,
}

#[async_trait]
impl Queue for SimQueue {
    async fn send(&self, bodies: Vec<Bytes>, delay_seconds: u32) -> Result<(), Error> {
        let key = bodies.first().cloned().unwrap_or_default();
        call(&self.hub, Place::Write, "send", &key, self.inner.send(bodies, delay_seconds)).await
    }

    async fn receive(&self, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error> {
        call(&self.hub, Place::Write, "receive", b"", self.inner.receive(limit, hide_seconds)).await
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        call(&self.hub, Place::Write, "delete", b"", self.inner.delete(receipts)).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<Bytes>, Error> {
        call(&self.hub, Place::Call, "dead letters", b"", self.inner.dead_letters(limit)).await
    }
}

struct SimSchedule {
    inner: Arc<MemorySchedule>,
    hub: Arc<Hub>,
}

#[async_trait]
impl Schedule for SimSchedule {
    async fn put(&self, entry: Entry) -> Result<(), Error> {
        let key = entry.name.clone();
        call(&self.hub, Place::Write, "schedule", key.as_bytes(), self.inner.put(entry)).await
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        call(&self.hub, Place::Write, "unschedule", name.as_bytes(), self.inner.remove(name)).await
    }

    async fn list(&self) -> Result<Vec<Entry>, Error> {
        call(&self.hub, Place::Call, "schedules", b"", self.inner.list()).await
    }
}
