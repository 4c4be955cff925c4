//! The one integration binary: every behaviour at its boundary.

mod conformance;
mod day;
mod doors;
mod golden;
mod hostile;
mod imports;
mod local;
mod oracle;
mod runner;
mod system;
mod tidy;
