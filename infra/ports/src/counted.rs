//! Counted ports: wrappers that count every call by kind, with the units AWS bills for it.
//!
//! In: a context. Out: the same context, and what was asked of it. Nothing is changed on the way: no answer, no order, no
//! error. A call counts whether it succeeds or not, as it is billed. Units are those of DynamoDB on demand (reads of
//! 4 KB, strongly consistent; writes of 1 KB, in a group twice, a check in a group two), of SQS (64 KB of a request), and
//! one for every other call. What cannot be known here is taken for what it most often is: an item that is replaced or
//! removed was as large as the one that replaces it, or one unit.

mod blobs;
mod queue;
mod schedule;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Context;

pub use blobs::CountedBlobs;
pub use queue::CountedQueue;
pub use schedule::CountedSchedule;
pub use table::CountedTable;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// An item of a table by its key, alone or among many.
    TableGet,
    /// A slice of a partition.
    TableQuery,
    /// A write that stands alone.
    TablePut,
    /// A write in a group.
    TableGroup,
    /// A check in a group.
    TableCheck,
    /// A look at the feed, or at its shards.
    Feed,
    /// Messages sent.
    QueueSend,
    /// Messages received.
    QueueReceive,
    /// Messages removed.
    QueueDelete,
    /// A look at the dead letters.
    QueueDead,
    /// A schedule put.
    SchedulePut,
    /// A schedule removed.
    ScheduleRemove,
    /// Schedules listed.
    ScheduleList,
    /// An object, or a part of one, written or copied.
    BlobPut,
    /// An object, or a part of one, read.
    BlobGet,
    /// Objects listed.
    BlobList,
    /// An object removed.
    BlobDelete,
}

/// How often, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls; of many items in one call, each.
    pub calls: u64,
    /// What is billed.
    pub units: u64,
    /// Bytes of what was written or came back.
    pub bytes: u64,
    /// Times somebody waited for an answer: items that are asked for together share one.
    pub trips: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.calls += other.calls;
        self.units += other.units;
        self.bytes += other.bytes;
        self.trips += other.trips;
    }
}

/// Calls by kind, and by what they were about: the kind of item or object, by the first word of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<(Call, String), Tally>);

impl Counts {
    /// All calls of a kind.
    pub fn of(&self, call: Call) -> Tally {
        let mut sum = Tally::default();
        self.0.iter().filter(|((kind, _), _)| *kind == call).for_each(|(_, tally)| sum.add(*tally));
        sum
    }

    /// All calls.
    pub fn calls(&self) -> u64 {
        self.0.values().map(|tally| tally.calls).sum()
    }

    /// Adds others.
    pub fn add(&mut self, others: &Counts) {
        for (at, tally) in &others.0 {
            self.0.entry(at.clone()).or_default().add(*tally);
        }
    }

    fn note(&mut self, call: Call, about: &str, tally: Tally) {
        match self.0.get_mut(&(call, about.to_owned())) {
            Some(held) => held.add(tally),
            None => drop(self.0.insert((call, about.to_owned()), tally)),
        }
    }
}

/// What counts; shared by the wrappers of one context.
#[derive(Debug, Default)]
pub struct Counter(Mutex<Counts>);

impl Counter {
    /// One that has counted nothing.
    pub fn new() -> Arc<Counter> {
        Arc::default()
    }

    /// Every port of a context, counted.
    pub fn around(self: &Arc<Counter>, context: &Context) -> Context {
        Context {
            clock: Arc::clone(&context.clock),
            events: Arc::new(CountedTable::new(Arc::clone(&context.events), Arc::clone(self))),
            items: Arc::new(CountedTable::new(Arc::clone(&context.items), Arc::clone(self))),
            blobs: Arc::new(CountedBlobs::new(Arc::clone(&context.blobs), Arc::clone(self))),
            requests: Arc::new(CountedQueue::new(Arc::clone(&context.requests), Arc::clone(self))),
            schedule: Arc::new(CountedSchedule::new(Arc::clone(&context.schedule), Arc::clone(self))),
            fold_bytes_max: context.fold_bytes_max,
            deadline: context.deadline,
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.held().clone()
    }

    /// What was counted since this was asked last.
    pub fn take(&self) -> Counts {
        std::mem::take(&mut *self.held())
    }

    fn held(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call that somebody waits for.
    fn note(&self, call: Call, about: &str, units: u64, bytes: usize) {
        self.held().note(call, about, Tally { calls: 1, units, bytes: bytes as u64, trips: 1 });
    }

    /// Notes a call of many made together; `first`: somebody waits for these.
    fn note_together(&self, call: Call, about: &str, units: u64, bytes: usize, first: bool) {
        self.held().note(call, about, Tally { calls: 1, units, bytes: bytes as u64, trips: first.into() });
    }
}

#[cfg(test)]
mod tests;
