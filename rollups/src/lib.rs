//! The day and its repair; history.
//!
//! `on_period` asks for closed days at the daily rollup, `on_repair` for days that changed after they had closed, and a
//! backfill for history, wave by wave: all of them through the same requests to the engine. `on_apply` puts definitions
//! into effect, `on_switch` lets an edited one answer once it has caught up. What to ask for is decided by pure code;
//! only `on_*` and `*_store` touch ports. This crate never computes a number.

pub mod backfill;
pub mod backfill_store;
pub mod estimate;
pub mod lineage;
pub mod on_apply;
pub mod on_backfill;
pub mod on_delivery;
pub mod on_period;
pub mod on_repair;
pub mod on_switch;
pub mod on_wave;
pub mod price;
pub mod progress;
pub mod repair;
pub mod wave;
