//! `Schedule`: named firings, once at an instant or at a fixed rate — EventBridge Scheduler's semantics: at least
//! once, at or after the time, precision of a minute.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

use crate::Error;

/// When a schedule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Once, and is gone then.
    At(Timestamp),
    /// Every so many minutes (≥ 1) from when it was first put with this rate.
    EveryMinutes(u32),
}

impl When {
    /// The firing that is due at `now`, for what was put at `anchor` and has fired last for `fired`. Of several that
    /// were missed only the latest is due: a refresh that was missed is done by the next one.
    pub fn due(self, anchor: Timestamp, fired: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let latest = match self {
            When::At(time) => time,
            When::EveryMinutes(minutes) => {
                let rate = rate_micros(minutes);
                let firings = now.micros().saturating_sub(anchor.micros()).div_euclid(rate);
                if firings < 1 {
                    return None;
                }
                anchor.plus_micros(firings.saturating_mul(rate))
            }
        };
        (latest <= now && fired.is_none_or(|fired| fired < latest)).then_some(latest)
    }

    /// The first firing after `fired`, or after `anchor` when there was none yet; `None` when it never fires again.
    pub fn next(self, anchor: Timestamp, fired: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            When::At(time) => fired.is_none_or(|fired| fired < time).then_some(time),
            When::EveryMinutes(minutes) => Some(fired.unwrap_or(anchor).plus_micros(rate_micros(minutes))),
        }
    }

    /// Refuses a rate of no minutes.
    pub fn check(self) -> Result<(), Error> {
        match self {
            When::EveryMinutes(0) => Err(Error::Invalid("schedule rate is 0 minutes: at least 1".to_owned())),
            _ => Ok(()),
        }
    }
}

fn rate_micros(minutes: u32) -> i64 {
    i64::from(minutes.max(1)) * 60 * MICROS_PER_SECOND
}

/// A named firing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique; putting it again replaces it.
    pub name: String,
    /// When.
    pub when: When,
    /// Handed to the handler with the scheduled time.
    pub payload: Bytes,
}

/// A scheduler.
#[async_trait]
pub trait Schedule: Send + Sync {
    /// Adds or replaces. Putting a rate again that is already there keeps its beat, so that arming twice never
    /// postpones a firing.
    async fn put(&self, entry: Entry) -> Result<(), Error>;
    /// Removes; removing what is absent is fine.
    async fn remove(&self, name: &str) -> Result<(), Error>;
    /// Everything scheduled, by name.
    async fn list(&self) -> Result<Vec<Entry>, Error>;
}

#[cfg(test)]
mod tests;
