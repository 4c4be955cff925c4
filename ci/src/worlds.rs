//! The referee over generated worlds: what the generator thinks of, through the command, beside DuckDB.

use std::process::Command;

use crate::python::interpreter;
use crate::step::{Place, run as run_shown};

/// Worlds compared, unless the environment says otherwise.
const WORLDS: u32 = 4;

/// Compares the answers of generated worlds with DuckDB's over their pages; `TIDEMILL_WORLDS=n` takes n worlds.
///
/// # Errors
/// When a number differs.
pub fn run(place: &Place) -> Result<(), String> {
    let worlds = match std::env::var("TIDEMILL_WORLDS") {
        Ok(text) => text.parse().map_err(|_| format!("TIDEMILL_WORLDS must be a whole number, not {text}"))?,
        Err(_) => WORLDS,
    };
    let mut referee = Command::new(interpreter(place));
    referee.arg(place.root.join("tests/referee/worlds.py")).arg("--binaries").arg(&place.binaries);
    run_shown(referee.arg("--seeds").arg(format!("0:{worlds}")))
}
