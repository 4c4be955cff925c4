//! The one integration binary: every behaviour at its boundary.

mod conformance;
mod local;
mod oracle;
mod runner;
mod tidy;
