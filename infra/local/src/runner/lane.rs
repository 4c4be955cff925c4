//! One consumer of one feed shard: read behind the cursor, deliver, move the cursor.

use std::sync::{Arc, Mutex};

use tidemill_ports::{Change, Error, Outcome, Table};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, ShardId};
use tokio::sync::watch;

use super::{
    Consumer, DELIVERY_CHANGES_MAX, LaneStatus, SEAL_AT_CHANGES, SEAL_CHANGES_MAX, SEAL_DELAY_SECONDS, Shared,
    TRIM_CHANGES_MIN, backoff_micros, guarded, held,
};

/// A lane.
pub(super) struct Lane {
    pub(super) consumer: Consumer,
    shard: ShardId,
    /// Held during a delivery, so there is one at a time.
    turn: tokio::sync::Mutex<Turn>,
    /// What others may look at meanwhile.
    seen: Mutex<Seen>,
}

/// What the next delivery begins with.
#[derive(Default)]
struct Turn {
    retry_at: Option<Timestamp>,
    /// When the oldest change not yet delivered was first noticed. A change carries no time of its own, so after a
    /// start it counts from there.
    oldest_noticed: Option<Timestamp>,
}

struct Seen {
    cursor: Position,
    attempts: u32,
    blocked: Option<String>,
}

/// What a step came to.
pub(super) enum Step {
    /// Nothing waits.
    Idle,
    /// Something waits for this time.
    Later(Timestamp),
    /// The cursor moved.
    Moved,
    /// A delivery made no progress, for this reason.
    Stuck(String),
}

impl Lane {
    pub(super) fn new(consumer: Consumer, shard: ShardId, cursor: Position) -> Lane {
        let seen = Mutex::new(Seen { cursor, attempts: 0, blocked: None });
        Lane { consumer, shard, turn: tokio::sync::Mutex::default(), seen }
    }

    /// What it is called in logs and failures.
    pub(super) fn label(&self) -> String {
        format!("{} of {}", self.consumer.name(), self.shard)
    }

    /// The last position done.
    fn cursor(&self) -> Position {
        held(&self.seen).cursor
    }

    /// Changes not done yet.
    pub(super) fn behind(&self, shared: &Shared) -> Result<u64, Error> {
        let head = shared.store.events.head(&self.shard)?;
        Ok(u64::try_from(head.0.saturating_sub(self.cursor().0)).unwrap_or(u64::MAX))
    }

    pub(super) fn status(&self, shared: &Shared) -> Result<LaneStatus, Error> {
        let behind = self.behind(shared)?;
        let seen = held(&self.seen);
        Ok(LaneStatus {
            consumer: self.consumer,
            shard: self.shard.clone(),
            behind,
            attempts: seen.attempts,
            blocked: seen.blocked.clone(),
        })
    }

    /// Delivers in the background until told to stop.
    pub(super) async fn serve(self: Arc<Self>, shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
        let mut bell = shared.store.events.changed();
        while !*stopping.borrow_and_update() {
            bell.borrow_and_update();
            match self.step(&shared, false).await {
                Step::Idle => shared.rest(None, &mut bell, &mut stopping).await,
                Step::Later(time) => shared.rest(Some(time), &mut bell, &mut stopping).await,
                Step::Moved | Step::Stuck(_) => {}
            }
        }
    }

    /// One delivery, if there is anything to deliver. In haste neither the age of changes nor a pause after a failure
    /// is waited for.
    pub(super) async fn step(&self, shared: &Shared, haste: bool) -> Step {
        let mut turn = self.turn.lock().await;
        let step = match self.behind(shared) {
            Ok(0) => {
                turn.oldest_noticed = None;
                return Step::Idle;
            }
            Ok(behind) => {
                if let Some(time) = self.not_before(&mut turn, behind, shared.now()).filter(|_| !haste) {
                    return Step::Later(time);
                }
                self.deliver(shared).await.unwrap_or_else(|error| Step::Stuck(error.to_string()))
            }
            Err(error) => Step::Stuck(error.to_string()),
        };
        let now = shared.now();
        match &step {
            Step::Stuck(reason) => turn.retry_at = Some(now.plus_micros(backoff_micros(self.note_stuck(reason)))),
            _ => *turn = Turn { retry_at: None, oldest_noticed: Some(now) },
        }
        shared.note_step();
        step
    }

    /// The time to wait for before `behind` changes are delivered, if it is still to come.
    fn not_before(&self, turn: &mut Turn, behind: u64, now: Timestamp) -> Option<Timestamp> {
        let noticed = *turn.oldest_noticed.get_or_insert(now);
        let ripe = match self.consumer {
            Consumer::Seal if behind < SEAL_AT_CHANGES => Some(noticed.plus_seconds(i64::from(SEAL_DELAY_SECONDS))),
            _ => None,
        };
        ripe.max(turn.retry_at).filter(|time| now < *time)
    }

    async fn deliver(&self, shared: &Shared) -> Result<Step, Error> {
        let cursor = self.cursor();
        let limit = match self.consumer {
            Consumer::Changes => DELIVERY_CHANGES_MAX,
            Consumer::Seal => SEAL_CHANGES_MAX,
        };
        let changes = shared.store.events.changes(&self.shard, cursor, limit).await?;
        let Some(last) = changes.last().map(|change| change.position) else {
            return Err(Error::Unavailable(format!("the feed of {} has a gap behind {}", self.shard, cursor.0)));
        };
        let outcome = match guarded(self.call(shared, changes)).await {
            Ok(outcome) => outcome,
            Err(reason) => Outcome::Park(reason),
        };
        let through = match outcome {
            Outcome::Done => last,
            // Everything before it is done, but never more than was delivered.
            Outcome::RetryFrom(from) => Position(from.0.saturating_sub(1)).min(last),
            Outcome::Park(reason) => return Ok(Step::Stuck(reason)),
        };
        if through <= cursor {
            return Ok(Step::Stuck("the handler asked for the delivery again".to_owned()));
        }
        shared.store.cursors.advance(self.consumer.name(), &self.shard, through).await?;
        *held(&self.seen) = Seen { cursor: through, attempts: 0, blocked: None };
        self.trim(shared).await;
        Ok(Step::Moved)
    }

    async fn call(&self, shared: &Shared, changes: Vec<Change>) -> Outcome {
        match self.consumer {
            Consumer::Changes => shared.handlers.on_changes(&self.shard, changes).await,
            Consumer::Seal => shared.handlers.on_seal(&self.shard, changes).await,
        }
    }

    /// Counts an attempt; how many there were in a row.
    fn note_stuck(&self, reason: &str) -> u32 {
        let mut seen = held(&self.seen);
        seen.attempts = seen.attempts.saturating_add(1);
        if seen.blocked.as_deref() != Some(reason) {
            tracing::warn!(lane = %self.label(), reason, "a delivery made no progress; trying again with growing pauses");
            seen.blocked = Some(reason.to_owned());
        }
        seen.attempts
    }

    /// Forgets changes that every consumer has passed: when nobody waits for more, or when there are many.
    async fn trim(&self, shared: &Shared) {
        let lanes = shared.lanes.iter().filter(|lane| lane.shard == self.shard);
        let Some(passed) = lanes.map(|lane| lane.cursor()).min() else { return };
        let passed = u64::try_from(passed.0).unwrap_or(u64::MAX);
        let trimmed = held(&shared.trimmed).get(&self.shard).copied().unwrap_or(0);
        let head = shared.store.events.head(&self.shard).map_or(u128::MAX, |head| head.0);
        let many = passed.saturating_sub(trimmed) >= TRIM_CHANGES_MIN;
        if !(many || passed > trimmed && u128::from(passed) == head) {
            return;
        }
        match shared.store.events.trim(&self.shard, Position(u128::from(passed))).await {
            Ok(()) => {
                held(&shared.trimmed).insert(self.shard.clone(), passed);
            }
            // The next one takes it along.
            Err(error) => tracing::warn!(shard = %self.shard, %error, "the change feed was not trimmed"),
        }
    }
}
