//! Faults: wrappers that make any port fail before it does anything, or after it did everything.
//!
//! A failure before is [`Error::Unavailable`], a failure after is [`Error::Unknown`]; with rates of 0 a wrapper is
//! transparent. The same seed and calls give the same faults. Every call is counted, so that an idle world can be
//! shown to make none.

mod blobs;
mod queue;
mod schedule;
mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tidemill_ports::{Context, Error};

pub use blobs::FaultyBlobs;
pub use queue::FaultyQueue;
pub use schedule::FaultySchedule;
pub use table::FaultyTable;

/// When to fail; shared by the wrappers of one world.
#[derive(Debug)]
pub struct Faults {
    before_per_million: AtomicU64,
    after_per_million: AtomicU64,
    state: Mutex<u64>,
    calls: AtomicU64,
    /// The one call that fails, counted from 1, and whether after its effect.
    only: Mutex<Option<(u64, bool)>>,
    /// From which call on everything fails, and whether that call still has its effect.
    death: Mutex<Option<(u64, bool)>>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    FailsBefore,
    FailsAfter,
}

impl Faults {
    /// Fails so many of a million calls before, and so many after their effect.
    pub fn new(seed: u64, before_per_million: u32, after_per_million: u32) -> Arc<Faults> {
        Arc::new(Faults {
            before_per_million: AtomicU64::new(before_per_million.into()),
            after_per_million: AtomicU64::new(after_per_million.into()),
            state: Mutex::new(seed),
            calls: AtomicU64::new(0),
            only: Mutex::new(None),
            death: Mutex::new(None),
        })
    }

    /// Never fails.
    pub fn none() -> Arc<Faults> {
        Faults::new(0, 0, 0)
    }

    /// Of the calls from now on, the `call`th fails once, before or after its effect.
    pub fn fail_once(&self, call: u64, is_after: bool) {
        *self.only.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.calls() + call, is_after));
    }

    /// Whoever calls dies at its nth call from now, counted from 0: from then on nothing has an effect. `after`: that
    /// one call still has.
    pub fn die_at(&self, nth: u64, after: bool) {
        *self.death.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.calls() + 1 + nth, after));
    }

    /// Takes the death back.
    pub fn live_again(&self) {
        *self.death.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on nothing fails.
    pub fn stop(&self) {
        self.before_per_million.store(0, Ordering::SeqCst);
        self.after_per_million.store(0, Ordering::SeqCst);
    }

    /// Port calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Every port of a context, with these faults.
    pub fn around(self: &Arc<Faults>, context: &Context) -> Context {
        Context {
            clock: Arc::clone(&context.clock),
            events: Arc::new(FaultyTable::new(Arc::clone(&context.events), Arc::clone(self))),
            items: Arc::new(FaultyTable::new(Arc::clone(&context.items), Arc::clone(self))),
            blobs: Arc::new(FaultyBlobs::new(Arc::clone(&context.blobs), Arc::clone(self))),
            requests: Arc::new(FaultyQueue::new(Arc::clone(&context.requests), Arc::clone(self))),
            schedule: Arc::new(FaultySchedule::new(Arc::clone(&context.schedule), Arc::clone(self))),
            fold_bytes_max: context.fold_bytes_max,
            deadline: context.deadline,
        }
    }

    fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    fn fate(&self) -> Fate {
        match *self.only.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((call, false)) if call == self.calls() => return Fate::FailsBefore,
            Some((call, true)) if call == self.calls() => return Fate::FailsAfter,
            _ => {}
        }
        if let Some((at, after)) = *self.death.lock().unwrap_or_else(PoisonError::into_inner) {
            match self.calls().cmp(&at) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal if after => return Fate::FailsAfter,
                _ => return Fate::FailsBefore,
            }
        }
        let before = self.before_per_million.load(Ordering::SeqCst);
        let after = self.after_per_million.load(Ordering::SeqCst);
        if before + after == 0 {
            return Fate::Works;
        }
        match self.draw() % 1_000_000 {
            drawn if drawn < before => Fate::FailsBefore,
            drawn if drawn < before + after => Fate::FailsAfter,
            _ => Fate::Works,
        }
    }

    /// The next number of a Weyl sequence, scrambled.
    fn draw(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        xxhash_rust::xxh3::xxh3_64(&state.to_le_bytes())
    }

    /// One call that reads: it fails as a whole or not at all.
    async fn read<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.count_call();
        match self.fate() {
            Fate::Works => call.await,
            Fate::FailsBefore | Fate::FailsAfter => Err(before()),
        }
    }

    /// One call that writes.
    async fn write<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.count_call();
        match self.fate() {
            Fate::Works => call.await,
            Fate::FailsBefore => Err(before()),
            Fate::FailsAfter => {
                call.await?;
                Err(after())
            }
        }
    }
}

fn before() -> Error {
    Error::Unavailable("a planned fault, before any effect".to_owned())
}

fn after() -> Error {
    Error::Unknown("a planned fault, after the effect".to_owned())
}
