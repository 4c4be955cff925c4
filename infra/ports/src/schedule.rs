//! `Schedule`: named firings, once at an instant or at a fixed rate — EventBridge Scheduler's semantics: at least
//! once, at or after the time, precision of a minute.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_schemas::time::Timestamp;

use crate::Error;

/// When a schedule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Once, and is gone then.
    At(Timestamp),
    /// Every so many minutes (≥ 1) from when it was put.
    EveryMinutes(u32),
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
    /// Adds or replaces.
    async fn put(&self, entry: Entry) -> Result<(), Error>;
    /// Removes; removing what is absent is fine.
    async fn remove(&self, name: &str) -> Result<(), Error>;
    /// Everything scheduled, by name.
    async fn list(&self) -> Result<Vec<Entry>, Error>;
}
