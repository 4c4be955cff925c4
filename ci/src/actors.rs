//! Insights over actors, through the command, beside ClickHouse in-process, on random small cases.

use std::process::Command;

use crate::python::{install_into, interpreter_of};
use crate::step::{Place, run as run_shown};

/// Cases compared, unless the environment says otherwise.
const CASES: u32 = 4_000;

/// Compares funnels, patterns, cohorts and correlations; `TIDEMILL_CASES=n` takes n cases.
///
/// # Errors
/// When a number differs.
pub fn run(place: &Place) -> Result<(), String> {
    let cases = match std::env::var("TIDEMILL_CASES") {
        Ok(text) => text.parse().map_err(|_| format!("TIDEMILL_CASES must be a whole number, not {text}"))?,
        Err(_) => CASES,
    };
    // The benchmark compares with the same ClickHouse.
    install_into(place, "peers", "benches/requirements.txt")?;
    let mut referee = Command::new(interpreter_of(place, "peers"));
    referee.arg(place.root.join("tests/referee/actors.py")).arg("--binaries").arg(&place.binaries);
    referee.arg("--cases").arg(cases.to_string());
    let history = place.root.join("cli/demo/git-events-small.ndjson.gz");
    run_shown(referee.arg("--history").arg(history))
}
