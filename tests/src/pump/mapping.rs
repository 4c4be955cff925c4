//! An event source mapping: one consumer of a stream.
//!
//! In: what the source holds, the time, and how deliveries ended. Out: deliveries that are due, and what was given up.
//! One delivery at a time per shard. A child is begun when its parents are done. Where a batch ends is drawn anew for
//! every delivery, so that a retry is never cut as the attempt before.

use std::collections::BTreeMap;

use tidemill_ports::{Change, Error};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, ShardId};

use super::source::{Shard, Source};
use crate::generator::Random;

/// Longest pause before a failed delivery is tried again.
const PAUSE_MICROS_MAX: i64 = 5_000_000;

/// How a mapping is set up.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Records of a delivery at most.
    pub batch_max: usize,
    /// How long records may wait for more to come.
    pub window_micros: i64,
    /// Attempts after the first before a delivery is given up; `None`: no end.
    pub retries_max: Option<u32>,
    /// Time since its first record was noticed after which a delivery is given up; `None`: no end.
    pub age_micros_max: Option<i64>,
    /// Whether a delivery that failed as a whole is halved.
    pub bisects: bool,
}

impl Mode {
    /// As AWS has it unless told otherwise: small batches at once, tried for ever.
    pub fn patient() -> Mode {
        Mode { batch_max: 100, window_micros: 0, retries_max: None, age_micros_max: None, bisects: false }
    }
}

/// How a delivery ended, as the mapping sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of it is done.
    Done,
    /// Everything before this position is done: a report of batch item failures.
    FailedFrom(Position),
    /// An error, a timeout, or an answer that was lost.
    Failed,
}

/// First and last position of a stretch of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The shard.
    pub shard: ShardId,
    /// Its lane.
    pub lane: ShardId,
    /// The first position, or the one behind the last that was done when nobody can tell.
    pub first: Position,
    /// The last position.
    pub last: Position,
}

/// What a handler is to be called with.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where it comes from.
    pub range: Range,
    /// The records.
    pub records: Vec<Change>,
}

/// One consumer of a stream.
#[derive(Debug)]
pub struct Mapping {
    mode: Mode,
    shards: BTreeMap<ShardId, Reading>,
    /// Deliveries that were given up: the on-failure records.
    pub given_up: Vec<Range>,
    /// Stretches that were gone from the stream before they were read.
    pub lost: Vec<Range>,
}

/// How far a shard is read.
#[derive(Debug, Default)]
struct Reading {
    through: Position,
    is_done: bool,
    is_out: bool,
    attempts: u32,
    noticed: Option<Timestamp>,
    not_before: Option<Timestamp>,
    /// Where halves end, the next one last.
    cuts: Vec<Position>,
}

impl Mapping {
    /// A mapping that starts with the oldest record of every shard.
    pub fn new(mode: Mode) -> Mapping {
        Mapping { mode, shards: BTreeMap::new(), given_up: Vec::new(), lost: Vec::new() }
    }

    /// The deliveries that are due, one at most of each shard; they count as under way until [`Mapping::ended`].
    ///
    /// # Errors
    /// The source's.
    pub async fn due<S: Source>(
        &mut self,
        source: &S,
        now: Timestamp,
        random: &mut Random,
    ) -> Result<Vec<Delivery>, Error> {
        let mut due = Vec::new();
        for shard in source.shards().await? {
            if self.is_ready(&shard, now) {
                due.extend(self.next(source, &shard, now, random).await?);
            }
        }
        Ok(due)
    }

    fn is_ready(&self, shard: &Shard, now: Timestamp) -> bool {
        let done = |parent: &ShardId| self.shards.get(parent).is_some_and(|reading| reading.is_done);
        let free = self.shards.get(&shard.id).is_none_or(|reading| {
            !reading.is_out && !reading.is_done && reading.not_before.is_none_or(|time| time <= now)
        });
        free && shard.parents.iter().all(done)
    }

    async fn next<S: Source>(
        &mut self,
        source: &S,
        shard: &Shard,
        now: Timestamp,
        random: &mut Random,
    ) -> Result<Option<Delivery>, Error> {
        let reading = self.shards.entry(shard.id.clone()).or_default();
        let range = |first, last| Range { shard: shard.id.clone(), lane: shard.lane.clone(), first, last };
        let mut found = source.read(&shard.id, reading.through, self.mode.batch_max).await?;
        if let Some(lost) = found.lost_through {
            self.lost.push(range(Position(reading.through.0 + 1), lost));
            *reading = Reading { through: lost, ..Reading::default() };
        }
        let Some(first) = found.changes.first().map(|change| change.position) else {
            reading.is_done = found.ended;
            reading.noticed = None;
            return Ok(None);
        };
        let noticed = *reading.noticed.get_or_insert(now);
        let ripe = noticed.plus_micros(self.mode.window_micros);
        if found.changes.len() < self.mode.batch_max && now < ripe && reading.attempts == 0 {
            reading.not_before = Some(ripe);
            return Ok(None);
        }
        let length =
            if random.chance(50) { found.changes.len() } else { 1 + random.below(found.changes.len() as u64) as usize };
        found.changes.truncate(length);
        while let Some(end) = reading.cuts.last().copied() {
            if end >= first {
                found.changes.retain(|change| change.position <= end);
                break;
            }
            reading.cuts.pop();
        }
        let last = found.changes.last().map_or(first, |change| change.position);
        let too_old = self.mode.age_micros_max.is_some_and(|most| now.micros() - noticed.micros() > most);
        let too_often = self.mode.retries_max.is_some_and(|most| reading.attempts > most);
        if too_old || too_often {
            self.given_up.push(range(first, last));
            *reading = Reading { through: last, ..Reading::default() };
            return Ok(None);
        }
        reading.is_out = true;
        Ok(Some(Delivery { range: range(first, last), records: found.changes }))
    }

    /// Notes how a delivery of `count` records ended. What an earlier delivery of the same stretch says comes too late
    /// and changes nothing, as the mapping has gone on without it.
    pub fn ended(&mut self, range: &Range, count: usize, answer: Answer, now: Timestamp, random: &mut Random) {
        let Some(reading) = self.shards.get_mut(&range.shard) else { return };
        reading.is_out = false;
        let through = match answer {
            Answer::Done => range.last,
            // Everything before it is done, but never more than was delivered.
            Answer::FailedFrom(from) => Position(from.0.saturating_sub(1)).min(range.last),
            Answer::Failed => Position(0),
        };
        if through >= range.first {
            reading.through = reading.through.max(through);
            (reading.attempts, reading.noticed, reading.not_before) = (0, None, None);
        }
        if answer == Answer::Done {
            return;
        }
        reading.not_before = Some(now.plus_micros(random.between(0, PAUSE_MICROS_MAX)));
        if self.mode.bisects && answer == Answer::Failed && count > 1 {
            // Positions may leave gaps: the middle of the stretch halves it well enough, and never ends before its first.
            reading.cuts.push(Position(range.first.0.midpoint(range.last.0).min(range.last.0 - 1)));
        } else {
            reading.attempts += 1;
        }
    }

    /// When something may become due that is not now; `None`: only when the source changes or a delivery ends.
    pub fn next_time(&self) -> Option<Timestamp> {
        self.shards.values().filter(|reading| !reading.is_out).filter_map(|reading| reading.not_before).min()
    }

    /// How far a shard is done.
    pub fn through(&self, shard: &str) -> Position {
        self.shards.get(shard).map(|reading| reading.through).unwrap_or_default()
    }

    /// Whether every shard is read to its end and nothing is under way.
    ///
    /// # Errors
    /// The source's.
    pub async fn is_idle<S: Source>(&self, source: &S) -> Result<bool, Error> {
        for shard in source.shards().await? {
            let is_out = self.shards.get(&shard.id).is_some_and(|reading| reading.is_out);
            if is_out || !source.read(&shard.id, self.through(&shard.id), 1).await?.changes.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
