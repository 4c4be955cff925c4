//! The one integration binary: every behaviour at its boundary.

mod conformance;
mod local;
mod runner;
