//! Records to events, changes to pages: everything between a producer's bytes and the files the engine reads.
//!
//! In: request bodies, files, the event store's change feed. Out: checked events, Parquet pages. The codecs, the page
//! builder and the importers are pure: they never touch a port, a clock or a file.

pub mod codec;
pub mod import;
pub mod page;

#[cfg(test)]
mod arbitrary;
