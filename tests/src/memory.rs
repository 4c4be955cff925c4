//! Ports in memory: a second, independent implementation of each, as naive as can be. Blobs are
//! `object_store::memory::InMemory`.

mod clock;
mod feed;
mod queue;
mod schedule;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::memory::InMemory;
use tidemill_ports::Context;
use tidemill_schemas::time::Timestamp;

pub use clock::VirtualClock;
pub use feed::{FeedPortion, FeedShard};
pub use queue::MemoryQueue;
pub use schedule::MemorySchedule;
pub use table::MemoryTable;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole world in memory.
#[derive(Clone)]
pub struct MemoryWorld {
    /// Its time.
    pub clock: Arc<VirtualClock>,
    /// The table with the feed.
    pub events: Arc<MemoryTable>,
    /// The table without.
    pub items: Arc<MemoryTable>,
    /// Blobs.
    pub blobs: Arc<InMemory>,
    /// Requests.
    pub requests: Arc<MemoryQueue>,
    /// Schedules.
    pub schedule: Arc<MemorySchedule>,
}

impl MemoryWorld {
    /// An empty world at `now`, whose feed has so many shards.
    pub fn new(now: Timestamp, shards: u16) -> MemoryWorld {
        MemoryWorld::with(now, shards, false)
    }

    /// The same; `checks_cost`: its tables say that checks do.
    pub fn with(now: Timestamp, shards: u16, checks_cost: bool) -> MemoryWorld {
        let clock = Arc::new(VirtualClock::at(now));
        MemoryWorld {
            events: Arc::new(MemoryTable::with(shards, checks_cost)),
            items: Arc::new(MemoryTable::with(0, checks_cost)),
            blobs: Arc::new(InMemory::new()),
            requests: Arc::new(MemoryQueue::new(Arc::clone(&clock) as _)),
            schedule: Arc::new(MemorySchedule::new(Arc::clone(&clock) as _)),
            clock,
        }
    }

    /// The ports.
    pub fn context(&self) -> Context {
        Context {
            clock: Arc::clone(&self.clock) as _,
            events: Arc::clone(&self.events) as _,
            items: Arc::clone(&self.items) as _,
            blobs: Arc::clone(&self.blobs) as _,
            requests: Arc::clone(&self.requests) as _,
            schedule: Arc::clone(&self.schedule) as _,
            fold_bytes_max: tidemill_ports::FOLD_BYTES_DEFAULT,
            deadline: None,
        }
    }
}
