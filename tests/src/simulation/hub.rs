//! Where every port call goes through: its fate, its time, its place in the trace.
//!
//! The hub is shared by all ports of a world and locked for a moment at a time. It draws from a seed of its own, so that
//! what it draws depends on the calls alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_ports::{Clock, Error};
use xxhash_rust::xxh3::Xxh3;

use super::chaos::Chaos;
use super::executor::{Place, actor, let_go};
use crate::generator::Random;
use crate::memory::VirtualClock;

/// What was done to a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Port calls.
    pub calls: u64,
    /// Calls that failed before or after their effect.
    pub call_faults: u64,
    /// Invocations that died.
    pub crashes: u64,
    /// Invocations that went on after they had been given up.
    pub zombies: u64,
    /// Answers, firings and sends that were lost or came twice.
    pub repeats: u64,
    /// Shards that rolled or split, jumps of the clock.
    pub upheavals: u64,
    /// Snapshots whose promise was checked when they were published.
    pub published: u64,
    /// Dead letters that were put back, backfills that were resumed.
    pub redriven: u64,
}

impl Stats {
    /// Everything that went wrong.
    pub fn faults(&self) -> u64 {
        self.call_faults + self.crashes + self.zombies + self.repeats + self.upheavals
    }

    /// Adds another world's.
    pub fn add(&mut self, other: &Stats) {
        self.calls += other.calls;
        self.call_faults += other.call_faults;
        self.crashes += other.crashes;
        self.zombies += other.zombies;
        self.repeats += other.repeats;
        self.upheavals += other.upheavals;
        self.published += other.published;
        self.redriven += other.redriven;
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Works,
    FailsBefore,
    FailsAfter,
}

/// The hub.
pub struct Hub {
    clock: Arc<VirtualClock>,
    inner: Mutex<Inner>,
}

struct Inner {
    random: Random,
    chaos: Chaos,
    stats: Stats,
    trace: Xxh3,
    /// A line per call, for people.
    log: Option<Vec<String>>,
    names: Vec<(u64, String)>,
    /// Promises that were broken.
    broken: Vec<String>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hub")
    }
}

impl Hub {
    pub(super) fn new(seed: u64, chaos: Chaos, clock: Arc<VirtualClock>, is_logged: bool) -> Hub {
        let inner = Inner {
            random: Random::of(seed ^ 0x4855_4221),
            chaos,
            stats: Stats::default(),
            trace: Xxh3::new(),
            log: is_logged.then(Vec::new),
            names: Vec::new(),
            broken: Vec::new(),
        };
        Hub { clock, inner: Mutex::new(inner) }
    }

    fn held(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calm(&self) {
        self.held().chaos.calm();
    }

    pub(super) fn stats(&self) -> Stats {
        self.held().stats
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.held().stats);
    }

    pub(super) fn hash(&self) -> u64 {
        self.held().trace.digest()
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.held().log.take().unwrap_or_default()
    }

    /// Notes a promise that was broken.
    pub(super) fn breaks(&self, what: String) {
        self.note("!!", || what.clone());
        self.held().broken.push(what);
    }

    pub(super) fn broken(&self) -> Vec<String> {
        self.held().broken.clone()
    }

    /// What a task is called in the log.
    pub(super) fn name(&self, id: u64, name: impl FnOnce() -> String) {
        let mut inner = self.held();
        if inner.log.is_some() {
            let name = name();
            inner.names.push((id, name));
        }
    }

    /// Something that is no port call: a crash, a delivery, a jump of the clock.
    pub(super) fn note(&self, what: &str, told: impl Fn() -> String) {
        let now = self.clock.now();
        let mut inner = self.held();
        inner.trace.update(what.as_bytes());
        inner.trace.update(&now.micros().to_le_bytes());
        if let Some(log) = &mut inner.log {
            log.push(format!("{now} {:28} {what} {}", "", told()));
        }
    }

    /// Before a call: others may come first. Its fate.
    pub(super) async fn before(&self, place: Place) -> Fate {
        let_go(place).await;
        let mut inner = self.held();
        inner.stats.calls += 1;
        let (before, after) = (inner.chaos.before, if place == Place::Write { inner.chaos.after } else { 0 });
        let latency = inner.chaos.latency_micros_max;
        let fate = match inner.random.below(1_000) {
            drawn if drawn < before => Fate::FailsBefore,
            drawn if drawn < before + after => Fate::FailsAfter,
            _ => Fate::Works,
        };
        if fate != Fate::Works {
            inner.stats.call_faults += 1;
        }
        let micros = inner.random.between(1, latency);
        drop(inner);
        self.clock.advance_micros(micros);
        fate
    }

    /// A draw of a port's own.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.held().random.below(end)
    }

    /// After a call: its place in the trace; others may come before its caller goes on.
    pub(super) async fn after(&self, call: &'static str, key: &[u8], outcome: &str) {
        self.trace(call, key, outcome);
        let_go(Place::Call).await;
    }

    pub(super) fn trace(&self, call: &'static str, key: &[u8], outcome: &str) {
        let (now, who) = (self.clock.now(), actor());
        let mut inner = self.held();
        inner.trace.update(call.as_bytes());
        inner.trace.update(key);
        inner.trace.update(outcome.as_bytes());
        inner.trace.update(&who.to_le_bytes());
        inner.trace.update(&now.micros().to_le_bytes());
        if inner.log.is_some() {
            let name = inner.names.iter().rev().find(|(id, _)| *id == who).map_or("nobody", |(_, name)| name.as_str());
            let line = format!("{now} {:28} {call:14} {} {outcome}", format!("{name}#{who}"), readable(key));
            inner.log.iter_mut().for_each(|log| log.push(line.clone()));
        }
    }
}

/// A key for people: its text, with everything else as a dot.
fn readable(key: &[u8]) -> String {
    let mut out = String::new();
    for byte in key {
        match byte {
            b' '..=b'~' => out.push(char::from(*byte)),
            _ if !out.ends_with('.') => out.push('.'),
            _ => {}
        }
    }
    out
}

/// An error as the trace has it.
pub(super) fn outcome<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(Error::Conflict(_)) => "conflict",
        Err(Error::Unavailable(_)) => "unavailable",
        Err(Error::Unknown(_)) => "unknown",
        Err(Error::Invalid(_)) => "INVALID",
    }
}
