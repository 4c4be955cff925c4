//! The event-source pump: what AWS does between a stream, a queue or a schedule and a handler, as badly as its contract
//! allows.
//!
//! In: a source (anything with shards that can be read behind a position), how a mapping is set up, and how each
//! delivery ended. Out: the deliveries that are due. Order per shard, parents before their children, at least once,
//! batches cut anew on every retry, partial answers, bisection, bounded retries with a record of what was given up. It
//! never calls a handler, and has no time but the one it is told: whoever drives it does, one after the other or
//! interleaved.

mod mapping;
mod queue;
mod source;
mod straight;

pub use mapping::{Answer, Delivery, Mapping, Mode, Range};
pub use queue::{Settled, settle};
pub use source::{Shard, Source, TableLanes, TableShards};
pub use straight::{Straight, deliver_all};
