//! The day and its repair; history.
//!
//! `on_period` asks for closed days at the daily rollup, `on_repair` for days that changed after they had closed, and a
//! backfill for history: all of them through the same requests to the engine. What to ask for is decided by pure code;
//! only `on_*` and `*_store` touch ports. This crate never computes a number.

pub mod backfill;
pub mod backfill_store;
pub mod on_backfill;
pub mod on_period;
pub mod on_repair;
pub mod repair;
