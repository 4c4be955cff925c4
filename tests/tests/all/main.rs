//! The one integration binary: every behaviour at its boundary.

mod actors;
mod aws;
mod backfill;
mod clean;
mod compaction;
mod conformance;
mod day;
mod doors;
mod forms;
mod gates;
mod golden;
mod hostile;
mod idle;
mod imports;
mod local;
mod oracle;
mod periods;
mod pump;
mod refresh;
mod relations;
mod runner;
mod simulation;
mod system;
mod tidy;
mod years;
