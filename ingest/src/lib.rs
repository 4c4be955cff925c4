//! From producers to pages: requests into the event store, its change feed into Parquet.
//!
//! `on_events` takes a request's body and answers once it is durable, `on_records` an envelope of Kinesis records; `on_seal` turns the feed's changes into pages and
//! commits them to the manifest; `on_compact` rewrites the pages of days that are over. Codecs, page building and file
//! conversion are pure; only `on_*` and `*_store` touch ports. This crate knows nothing of insights.

pub mod codec;
pub mod compaction;
mod compaction_store;
pub mod event_store;
pub mod gate;
pub mod identity;
pub mod image;
pub mod import;
pub mod import_store;
pub mod manifest;
pub mod on_compact;
pub mod on_events;
pub mod on_import;
mod on_import_commit;
mod on_import_finish;
mod on_import_lines;
mod on_import_read;
mod on_import_sample;
mod on_import_survey;
mod on_import_write;
pub mod on_records;
pub mod on_seal;
pub mod page;
pub mod page_file_store;
pub mod page_store;
pub mod quarantine_store;
pub mod scratch_store;
pub mod sift;
mod varint;

#[cfg(test)]
mod arbitrary;
