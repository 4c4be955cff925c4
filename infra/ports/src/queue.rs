//! `Queue`: durable messages, delivered at least once, hidden while someone works on them — SQS's semantics.

use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;

/// Bytes of one message.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Messages one call sends or receives.
pub const QUEUE_BATCH_MAX: usize = 10;
/// Longest delay of a message, in seconds.
pub const DELAY_SECONDS_MAX: u32 = 15 * 60;
/// Deliveries of a message before it goes to the dead letters.
pub const DELIVERIES_MAX: u32 = 5;

/// A delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The content.
    pub body: Bytes,
    /// Names this delivery; a later delivery of the same message has another.
    pub receipt: String,
    /// Deliveries so far, this one included.
    pub deliveries: u32,
}

/// A queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends up to [`QUEUE_BATCH_MAX`] messages, visible after `delay_seconds`. All are sent when it returns `Ok`.
    async fn send(&self, bodies: Vec<Bytes>, delay_seconds: u32) -> Result<(), Error>;

    /// Up to `limit` (≤ [`QUEUE_BATCH_MAX`]) visible messages, hidden for `hide_seconds` from now. A message that was
    /// delivered [`DELIVERIES_MAX`] times goes to the dead letters instead.
    async fn receive(&self, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error>;

    /// Removes delivered messages. A receipt that was superseded by a later delivery removes nothing.
    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error>;

    /// Messages that were delivered too often, oldest first, up to `limit`.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<Bytes>, Error>;
}
