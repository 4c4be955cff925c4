//! Deliveries: the feed, firings and requests, as badly as their contracts allow.

use tidemill_aggregator::on_changes::on_changes;
use tidemill_ingest::on_seal::on_seal;
use tidemill_ports::{Change, Message, Outcome, Queue, Table};
use tidemill_rollups::on_delivery::on_delivery;
use tidemill_rollups::on_firing::on_firing;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, ShardId};

use super::{Consumer, World};
use crate::generator::Random;

/// Seconds a received message is hidden for; settling never takes a moment of the world's time.
const HIDE_SECONDS: u32 = 1;
/// Rounds of settling before something must be going in circles.
const ROUNDS_MAX: u32 = 1_000;

impl World {
    /// Delivers all there is: the feed to both consumers, what is due, the queue, and what these bring.
    ///
    /// # Panics
    /// When something can never be done, or is never done.
    pub async fn settle(&mut self, random: &mut Random) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "settling goes in circles");
            let mut moved = self.settle_feed(random).await;
            moved |= self.settle_firings(random).await;
            moved |= self.settle_requests(random).await;
            if !moved {
                return;
            }
            if self.compacts && random.chance(20) {
                self.compact_some(random).await;
            }
        }
    }

    /// Delivers the feed of every shard to both consumers, each at its own pace; whether there was any.
    ///
    /// # Panics
    /// When a delivery is parked.
    pub async fn settle_feed(&mut self, random: &mut Random) -> bool {
        let mut moved = false;
        let mut attempts = 0;
        loop {
            let mut open = Vec::new();
            for shard in self.ports.events.shards().await.expect("memory has shards") {
                for consumer in [Consumer::Changes, Consumer::Seal] {
                    let cursor = self.cursor(consumer, &shard);
                    let all = self.ports.events.changes(&shard, Position(0), usize::MAX).await.expect("memory reads");
                    if all.last().is_some_and(|last| last.position > cursor) {
                        open.push((consumer, shard.clone(), all));
                    }
                }
            }
            if open.is_empty() {
                return moved;
            }
            let (consumer, shard, all) = open.swap_remove(random.below(open.len() as u64) as usize);
            self.lose_patience(attempts);
            let got_on = self.deliver(random, consumer, &shard, &all).await;
            attempts = if got_on { 0 } else { attempts + 1 };
            moved = true;
        }
    }

    fn cursor(&self, consumer: Consumer, shard: &ShardId) -> Position {
        self.cursors.get(&(consumer, shard.clone())).copied().unwrap_or_default()
    }

    /// One delivery; whether the consumer got on.
    async fn deliver(&mut self, random: &mut Random, consumer: Consumer, shard: &ShardId, all: &[Change]) -> bool {
        let cursor = self.cursor(consumer, shard);
        let done = all.partition_point(|change| change.position <= cursor);
        let left = all.len() - done;
        let overlap = if random.chance(25) { random.below(done.min(40) as u64 + 1) as usize } else { 0 };
        let length = if random.chance(50) { left } else { 1 + random.below(left as u64) as usize };
        let cut = &all[done - overlap..done + length];
        let outcome = match consumer {
            Consumer::Changes => on_changes(&self.context, shard, cut).await,
            Consumer::Seal => on_seal(&self.context, shard, cut).await,
        };
        let through = match outcome {
            // The end of a delivery may get lost: it comes again.
            Outcome::Done if random.chance(15) => return true,
            Outcome::Done => cut.last().map(|change| change.position).unwrap_or_default(),
            Outcome::RetryFrom(from) => Position(from.0 - 1),
            Outcome::Park(why) => panic!("{consumer:?} parked: {why}"),
        };
        let got_on = through > cursor;
        if got_on {
            self.cursors.insert((consumer, shard.clone()), through);
        }
        got_on
    }

    /// Fires what is due, now and then twice; whether there was any.
    pub async fn settle_firings(&mut self, random: &mut Random) -> bool {
        let mut moved = false;
        for attempt in 0.. {
            let due = self.ports.schedule.due(self.now());
            if due.is_empty() {
                break;
            }
            self.lose_patience(attempt);
            for (entry, scheduled) in due {
                match on_firing(&self.context, &entry.name, &entry.payload, scheduled).await {
                    Outcome::Done => {}
                    Outcome::RetryFrom(_) => continue,
                    Outcome::Park(why) => panic!("{} parked: {why}", entry.name),
                }
                moved = true;
                self.firings.push((entry.name.clone(), scheduled));
                if !random.chance(10) {
                    self.ports.schedule.done(&entry.name, scheduled);
                }
            }
        }
        moved
    }

    /// Lets time pass to `until`, from one firing or delayed request to the next. Of the firings that are due, `lost_percent`
    /// never reach their handler.
    ///
    /// # Panics
    /// As [`World::settle`].
    pub async fn live_until(&mut self, until: Timestamp, random: &mut Random, lost_percent: u64) {
        self.settle(random).await;
        loop {
            let next = [self.ports.schedule.next(), self.ports.requests.next_visible()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.ports.clock.set(next.max(self.now()));
            for (entry, scheduled) in self.ports.schedule.due(self.now()) {
                if random.chance(lost_percent) {
                    self.ports.schedule.done(&entry.name, scheduled);
                }
            }
            self.settle(random).await;
        }
        self.ports.clock.set(until);
        self.settle(random).await;
    }

    /// Works the queue until it is empty, in any order, some of it twice; whether there was any.
    pub async fn settle_requests(&mut self, random: &mut Random) -> bool {
        let mut waiting: Vec<Message> = Vec::new();
        loop {
            let taken = self.ports.requests.receive(10, HIDE_SECONDS).await.expect("memory receives");
            if taken.is_empty() {
                break;
            }
            self.ports
                .requests
                .delete(taken.iter().map(|message| message.receipt.clone()).collect())
                .await
                .expect("deletes");
            waiting.extend(taken);
        }
        let moved = !waiting.is_empty();
        let again: Vec<Message> = waiting.iter().filter(|_| random.chance(10)).cloned().collect();
        waiting.extend(again);
        random.shuffle(&mut waiting);
        let mut attempt = 0;
        while !waiting.is_empty() {
            self.lose_patience(attempt);
            attempt += 1;
            let count = (1 + random.below(10) as usize).min(waiting.len());
            let batch: Vec<Message> = waiting.drain(..count).collect();
            let outcomes = on_delivery(&self.context, self.repair_attempts, &batch).await;
            assert_eq!(outcomes.len(), batch.len());
            for (message, outcome) in batch.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Done => attempt = 0,
                    Outcome::RetryFrom(_) => waiting.push(message),
                    Outcome::Park(why) => panic!("request parked: {why}"),
                }
            }
        }
        moved
    }
}
