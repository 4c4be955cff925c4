//! The one integration binary: every behaviour at its boundary.

mod conformance;
mod day;
mod doors;
mod golden;
mod local;
mod oracle;
mod periods;
mod runner;
mod system;
mod tidy;
mod years;
