//! From events to snapshots: running totals, and recomputes that stream pages.
//!
//! Pure code compiles a definition to a plan, folds Arrow batches into mergeable states and finishes them into numbers.
//! Around it, `on_changes` keeps running totals, `on_tick` dispatches requests and `on_request`, the engine, answers
//! them. Only `on_*` and `*_store` touch ports. This crate never reads an event that is not committed, except to count
//! it in a running total.

pub mod activity_store;
pub mod actors;
pub mod additive;
mod base;
pub mod blob_name;
pub mod chunk;
mod columns;
pub mod content;
pub mod definition_store;
pub mod dirty_period_store;
pub mod dispatch;
pub mod eval;
pub mod finish;
pub mod fold;
mod group;
mod key_frame;
pub mod metric;
pub mod on_changes;
pub mod on_clean;
pub mod on_rehearse;
pub mod on_request;
mod on_request_commit;
mod on_request_crew;
mod on_request_read;
mod on_request_scan;
mod on_request_totals;
pub mod on_tick;
mod pass;
pub mod periods;
pub mod plan;
pub mod range;
pub mod relations;
pub mod request_store;
pub mod snapshot_store;
pub mod spill;
pub mod spill_store;
pub mod states;
pub mod total_store;

#[cfg(test)]
mod testing;
