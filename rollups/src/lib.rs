//! Periods and their repair; history.
//!
//! `on_period` asks for closed periods when their rollup fires, `on_repair` for what changed after it had closed, and a
//! backfill for history: all of them through the same requests. `on_merge` takes them from the queue, hands days to the
//! engine and folds longer periods from their days. What to ask for is decided by pure code; only `on_*` and `*_store`
//! touch ports. This crate never reads an event.

pub mod backfill;
pub mod backfill_store;
pub mod cover;
pub mod merge;
pub mod on_backfill;
pub mod on_merge;
pub mod on_period;
pub mod on_repair;
pub mod preflight;
pub mod repair;
pub mod rollup_store;

#[cfg(test)]
mod testing;
