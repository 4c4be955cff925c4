//! The outside world as traits, in the outside's own terms, each with at least two implementations.
//!
//! Handlers and stores see these and nothing else of storage, time or AWS. Blobs are [`object_store::ObjectStore`].
//! Errors say what to do next. No trait here knows what an event or an insight is.

mod clock;
mod context;
pub mod counted;
mod error;
pub mod limits;
mod outcome;
mod queue;
mod schedule;
mod table;

pub use clock::{Clock, SystemClock};
pub use context::{Context, FOLD_BYTES_DEFAULT};
pub use error::Error;
pub use outcome::Outcome;
pub use queue::{DELAY_SECONDS_MAX, DELIVERIES_MAX, MESSAGE_BYTES_MAX, Message, QUEUE_BATCH_MAX, Queue};
pub use schedule::{Entry, Schedule, When};
pub use table::{
    Change, Condition, Effect, GROUP_BYTES_MAX, GROUP_WRITES_MAX, ITEM_BYTES_MAX, Item, Query, SLICE_BYTES_MAX, Slice,
    Table, Write,
};
