//! Tables that let others go first: before a call has its effect, and before its answer is heard.
//!
//! In: a table, and who waits how long. Out: the same table, slower. Everything runs on one thread; who goes on when is
//! drawn from a seed. Time passes in between, by a task of its own, but never more than [`CALL_MICROS_MAX`] while a plain
//! write is under way: that much is promised of every adapter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidemill_ingest::gate::CALL_MICROS_MAX;
use tidemill_ports::{Change, Clock, Context, Error, Item, Query, Slice, Table, Write};
use tidemill_schemas::keys::Key;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::{Position, ShardId};

use crate::generator::Random;
use crate::memory::VirtualClock;

/// How long somebody's calls take, in turns of the others.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Most calls take up to so many.
    pub turns_max: u64,
    /// So many of a hundred take longer.
    pub slow_percent: u64,
    /// Up to so many.
    pub slow_turns_max: u64,
}

/// Whose turn it is, and what time.
pub struct Turns {
    random: Mutex<Random>,
    clock: Arc<VirtualClock>,
    /// When the plain writes under way began, by number.
    under_way: Mutex<BTreeMap<u64, Timestamp>>,
}

impl Turns {
    /// Turns drawn from a seed, over a clock.
    pub fn of(seed: u64, clock: Arc<VirtualClock>) -> Arc<Turns> {
        Arc::new(Turns { random: Mutex::new(Random::of(seed)), clock, under_way: Mutex::default() })
    }

    /// A context whose tables take turns.
    pub fn around(self: &Arc<Turns>, context: &Context, pace: Pace) -> Context {
        let slow = |inner: &Arc<dyn Table>| -> Arc<dyn Table> {
            Arc::new(SlowTable { inner: Arc::clone(inner), turns: Arc::clone(self), pace })
        };
        Context { events: slow(&context.events), items: slow(&context.items), ..context.clone() }
    }

    /// Lets time pass by leaps of up to `leap_seconds_max`, one in so many turns, until `is_over`.
    pub async fn pass(&self, turns: u64, leap_seconds_max: u64, is_over: impl Fn() -> bool) {
        while !is_over() {
            tokio::task::yield_now().await;
            let leap = {
                let mut random = held(&self.random);
                if random.below(turns) == 0 { 1 + random.below(leap_seconds_max) as i64 } else { 0 }
            };
            let wanted = self.clock.now().plus_micros(leap * MICROS_PER_SECOND);
            let oldest = held(&self.under_way).values().min().copied();
            let most = oldest.map_or(wanted, |began| began.plus_micros(CALL_MICROS_MAX));
            self.clock.set(wanted.min(most).max(self.clock.now()));
        }
    }

    /// Lets the others go first.
    pub async fn pause(&self, pace: Pace) {
        let turns = {
            let mut random = held(&self.random);
            let most = if random.chance(pace.slow_percent) { pace.slow_turns_max } else { pace.turns_max };
            random.below(most + 1)
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    fn begin(&self) -> u64 {
        let mut under_way = held(&self.under_way);
        let number = under_way.last_key_value().map_or(0, |(last, _)| last + 1);
        under_way.insert(number, self.clock.now());
        number
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct SlowTable {
    inner: Arc<dyn Table>,
    turns: Arc<Turns>,
    pace: Pace,
}

impl SlowTable {
    async fn slowly<T>(&self, call: impl Future<Output = T>) -> T {
        self.turns.pause(self.pace).await;
        let answer = call.await;
        self.turns.pause(self.pace).await;
        answer
    }
}

#[async_trait]
impl Table for SlowTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        self.slowly(self.inner.get(key)).await
    }

    async fn query(&self, query: &Query) -> Result<Slice, Error> {
        self.slowly(self.inner.query(query)).await
    }

    async fn write(&self, group: Vec<Write>) -> Result<(), Error> {
        self.slowly(self.inner.write(group)).await
    }

    async fn write_each(&self, writes: Vec<Write>) -> Vec<Result<(), Error>> {
        let number = self.turns.begin();
        self.turns.pause(self.pace).await;
        let outcomes = self.inner.write_each(writes).await;
        held(&self.turns.under_way).remove(&number);
        self.turns.pause(self.pace).await;
        outcomes
    }

    async fn write_groups(&self, groups: Vec<Vec<Write>>) -> Vec<Result<(), Error>> {
        self.slowly(self.inner.write_groups(groups)).await
    }

    fn checks_cost(&self) -> bool {
        self.inner.checks_cost()
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        self.slowly(self.inner.get_each(keys)).await
    }

    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        self.inner.shards().await
    }

    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        self.inner.changes(shard, after, limit).await
    }
}
