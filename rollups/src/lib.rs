//! Periods and their repair; history.
//!
//! `on_period` asks for closed periods when their rollup fires, `on_repair` for what changed after it had closed, and a
//! backfill for history, wave by wave: all of them through the same requests. `on_delivery` takes them from the queue,
//! `on_merge` hands days to the engine and folds longer periods from their days. `on_apply` puts definitions into
//! effect, `on_switch` lets an edited one answer once it has caught up. What to ask for is decided by pure code; only
//! `on_*` and `*_store` touch ports. This crate never reads an event.

pub mod backfill;
pub mod backfill_store;
pub mod cover;
pub mod estimate;
pub mod lineage;
pub mod merge;
pub mod on_apply;
pub mod on_backfill;
pub mod on_delivery;
pub mod on_firing;
pub mod on_merge;
pub mod on_period;
pub mod on_repair;
pub mod on_switch;
pub mod on_upkeep;
pub mod on_wave;
pub mod preflight;
pub mod price;
pub mod progress;
pub mod repair;
pub mod rollup_store;
pub mod wave;

#[cfg(test)]
mod testing;
