//! The benchmark, quickly: that it runs, and that every engine gives the same answers on the same pages.
//!
//! It installs the engines it compares with into `target/` by itself.

use std::process::Command;

use crate::step::{Place, run as run_shown};

/// Runs it with few events.
///
/// # Errors
/// When it does not run, or answers differ.
pub fn run(place: &Place) -> Result<(), String> {
    let throughput = place.binaries.join(format!("throughput{}", std::env::consts::EXE_SUFFIX));
    run_shown(Command::new(throughput).arg("--quick"))
}
