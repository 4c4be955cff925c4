//! How fast: tidemill beside DuckDB, ClickHouse, Polars and DataFusion, on the same pages in one run.
//!
//! [`throughput`] makes events by seed, imports them through the HTTP router, and asks every engine the same questions:
//! cell by cell in fresh processes, interleaved and repeated, answers compared before a time is shown. Nothing here is
//! shipped, and nothing that is shipped imports it.

pub mod answer;
pub mod cell;
pub mod chart;
pub mod engine;
pub mod events;
pub mod floor;
pub mod peer;
pub mod plain;
pub mod project;
pub mod question;
pub mod report;
pub mod throughput;
pub mod wired;
