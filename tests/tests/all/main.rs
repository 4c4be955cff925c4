//! The one integration binary: every behaviour at its boundary.

mod backfill;
mod conformance;
mod day;
mod doors;
mod golden;
mod local;
mod oracle;
mod runner;
mod system;
mod tidy;
