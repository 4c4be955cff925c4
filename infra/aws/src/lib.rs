//! The ports on AWS, one file each: types are mapped, errors are mapped, and nothing else happens here.
//!
//! | port | service |
//! |---|---|
//! | `Table` | DynamoDB, the feed by its Streams |
//! | `Queue` | SQS |
//! | `Schedule` | EventBridge Scheduler |
//! | blobs | S3 as truth, S3 Express One Zone as fast copy, by `object_store` |
//!
//! Keys, conditions and the order of writes are decided above the ports. What depends on how AWS works, and on nothing
//! of ours, is here: which stream shards follow each other ([`lanes`]), and which failures may have had an effect
//! ([`error`]). [`stack`] makes and removes deployments.

pub mod blobs;
pub mod connection;
pub mod error;
pub mod lanes;
pub mod queue;
pub mod schedule;
pub mod settings;
pub mod stack;
pub mod table;

pub use connection::{Connection, Stores};
pub use settings::Settings;
