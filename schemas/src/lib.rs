//! The pure vocabulary of tidemill: events, definitions, windows, keys, pages and snapshots.
//!
//! Every other crate speaks in these types. This crate never does I/O, never asks for the time, and knows nothing of
//! AWS, HTTP or storage engines.

pub mod calendar;
pub mod decimal;
pub mod definition;
pub mod event;
pub mod expression;
pub mod fingerprint;
pub mod keys;
pub mod metric;
pub mod page;
pub mod request;
pub mod snapshot;
pub mod strategy;
pub mod time;
pub mod value;
pub mod window;
