//! The gate of a source, and what an import that wants to pass it has to do next.
//!
//! In: a gate as it is stored, and the time. Out: the next step, as a value. Where checks are free an import closes a gate
//! at once, because every send checks it. Where they cost, sends check only a gate that is *announced*; so the import
//! announces it first, and closes it when no send is left that may have read it before.

use serde::{Deserialize, Serialize};
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

use crate::import_store::RunRef;

/// How long a request may take from reading the clock to being durable, in microseconds. Watermarks rely on it.
pub const REQUEST_MICROS_MAX: i64 = 60 * MICROS_PER_SECOND;
/// How long one call of a table may take, from the clock that was read before it to its effect, in microseconds. Adapters
/// give up earlier, with all attempts of their own.
pub const CALL_MICROS_MAX: i64 = 30 * MICROS_PER_SECOND;
/// How long a gate is announced before it is closed, in microseconds: a send that read the gate before begins no call
/// after the first part of it, and none of its calls has an effect after the second.
pub const ANNOUNCED_MICROS_MIN: i64 = REQUEST_MICROS_MAX + CALL_MICROS_MAX;
/// How long a gate may be announced in vain, in microseconds: then the next send opens it, and pays for checks no more.
pub const ANNOUNCED_MICROS_MAX: i64 = 60 * 60 * MICROS_PER_SECOND;

/// A source's gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// [`crate::import_store::IMPORTS_FORMAT`].
    pub format: u32,
    /// When it was written.
    pub at: Timestamp,
    /// Until when sends wait for an import; `None`: open.
    pub closing_until: Option<Timestamp>,
    /// That an import wants to close it; never of a closed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,
    /// The identity index as of this rank.
    pub runs: Vec<RunRef>,
}

/// How far an announcement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Announced {
    /// It was sent. When it arrived nobody knows: its writer's clock was read before.
    Sent,
    /// It was there at this time, by the clock of one who had read it.
    Seen(Timestamp),
}

/// What an import that wants to close a gate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Raises the gate to this.
    Raise(Announced),
    /// Comes again in so many seconds.
    Wait(u32),
    /// Closes it.
    Close,
}

impl Gate {
    /// Whether the announcement was in vain.
    pub(crate) fn is_abandoned(&self, now: Timestamp) -> bool {
        let since = match self.announced {
            None => return false,
            Some(Announced::Sent) => self.at,
            Some(Announced::Seen(since)) => since,
        };
        since.plus_micros(ANNOUNCED_MICROS_MAX) <= now
    }
}

/// The next step of an import that read a gate, not a closed one, and then the clock.
pub(crate) fn next_step(gate: Option<&Gate>, checks_cost: bool, now: Timestamp) -> Step {
    if !checks_cost {
        return Step::Close;
    }
    match gate.and_then(|gate| gate.announced) {
        None => Step::Raise(Announced::Sent),
        Some(Announced::Sent) => Step::Raise(Announced::Seen(now)),
        Some(Announced::Seen(since)) => {
            // An abandoned one may be closed as well: if somebody opened it, its rank is another.
            let left = since.plus_micros(ANNOUNCED_MICROS_MIN).micros().saturating_sub(now.micros());
            match u32::try_from(left.max(0).unsigned_abs().div_ceil(MICROS_PER_SECOND.unsigned_abs())) {
                Ok(0) => Step::Close,
                Ok(seconds) => Step::Wait(seconds),
                // A clock of another age: the wait is over when this one says so.
                Err(_) => Step::Wait(u32::MAX),
            }
        }
    }
}

#[cfg(test)]
mod tests;
