//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, Ordering};

use tidemill_ports::Clock;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

/// A clock set by hand.
#[derive(Debug)]
pub struct VirtualClock(AtomicI64);

impl VirtualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> VirtualClock {
        VirtualClock(AtomicI64::new(now.micros()))
    }

    /// Sets it, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }

    /// Moves it forwards by so many microseconds.
    pub fn advance_micros(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Moves it forwards by so many seconds.
    pub fn advance(&self, seconds: i64) {
        self.advance_micros(seconds * MICROS_PER_SECOND);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
