//! What goes wrong by itself: shards that end, clocks that jump, tasks that die or go on later.

use std::sync::Arc;

use futures::FutureExt;
use tidemill_ports::Table;
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::Position;

use super::super::executor::Place;
use super::super::start::{self, Flight};
use super::Life;

/// Seconds between two looks at where the lanes of the feed stand.
const FORGET_LOOK_SECONDS: i64 = 600;
/// How much more often something goes wrong before a write.
const BEFORE_WRITES: u64 = 8;
/// Lanes of a feed at most.
const LANES_MAX: usize = 4;

impl Life {
    /// The feed forgets what is older than a day.
    fn forget(&mut self) {
        let now = self.now();
        if self.heads.last().is_none_or(|(at, _)| at.plus_seconds(FORGET_LOOK_SECONDS) <= now) {
            self.heads.push((now, self.ports.events.heads()));
        }
        let is_old = |(at, _): &&(Timestamp, Vec<Position>)| at.plus_micros(MICROS_PER_DAY) < now;
        if let Some((_, heads)) = self.heads.iter().rev().find(is_old) {
            heads.iter().enumerate().for_each(|(lane, through)| self.ports.events.trim(lane, *through));
        }
        self.heads.retain(|(at, _)| at.plus_micros(2 * MICROS_PER_DAY) > now);
    }

    /// What goes wrong by itself.
    pub(super) fn upset(&mut self) {
        self.forget();
        if self.random.below(1_000) < self.chaos.reshard {
            let table = if self.random.chance(30) { &self.log } else { &self.ports.events };
            let lanes = table.shards().now_or_never().expect("memory is at once").expect("memory has shards").len();
            let lane = self.random.below(lanes as u64) as usize;
            let splits = lanes < LANES_MAX && self.random.chance(30);
            if splits {
                table.split(lane)
            } else {
                table.roll(lane)
            }
            self.hub.count(|stats| stats.upheavals += 1);
            self.hub.note("shard", || format!("{} of lane {lane}", if splits { "split" } else { "end" }));
        }
        if self.random.below(2_000) < self.chaos.jump {
            let seconds =
                if self.random.chance(50) { -self.random.between(1, 20) } else { self.random.between(1, 3_600) };
            self.ports.clock.advance(seconds);
            self.hub.count(|stats| stats.upheavals += 1);
            self.hub.note("clock", || format!("jumps by {seconds} s"));
        }
        if self.chaos.compacts && self.random.below(200) == 0 {
            let (context, draw) = (Arc::clone(&self.context), self.random.bits());
            self.fly(Flight::Orphan, || "compaction".to_owned(), start::compaction(context, draw));
        }
    }

    /// What goes wrong with a task that has just moved. Before a write it goes wrong more often: what was read until
    /// then is what the write assumes.
    pub(super) fn mishap(&mut self, id: u64, place: Place) {
        let drawn = self.random.below(if place == Place::Write { 10_000 / BEFORE_WRITES } else { 10_000 });
        if drawn >= self.chaos.crash + self.chaos.zombie {
            return;
        }
        let Some(flight) = self.flights.get(&id).cloned() else { return };
        if drawn < self.chaos.crash {
            self.executor.kill(id);
            self.flights.remove(&id);
            self.hub.count(|stats| stats.crashes += 1);
            self.hub.note("crash", || format!("{flight:?}"));
        } else {
            let micros = match self.random.below(3) {
                0 => self.random.between(1, 2 * MICROS_PER_SECOND),
                1 => self.random.between(1, 300 * MICROS_PER_SECOND),
                _ => self.random.between(1, MICROS_PER_DAY / 2),
            };
            self.executor.sleep(id, self.now().plus_micros(micros));
            self.flights.insert(id, Flight::Orphan);
            self.hub.count(|stats| stats.zombies += 1);
            self.hub.note("zombie", || format!("{flight:?} for {micros} µs"));
        }
        self.failed(flight);
    }
}
