//! Simulated worlds: everything that can go wrong, from seeds.

use std::process::Command;

use crate::step::{Place, run as run_shown};

/// Worlds simulated, unless the environment says otherwise.
const SEEDS: u32 = 150;

/// Runs simulated worlds; `TIDEMILL_SEEDS=n` runs n of them.
///
/// # Errors
/// When one of them broke a promise (its seed is printed), or a protocol that is taken away is not missed.
pub fn run(place: &Place) -> Result<(), String> {
    let seeds = match std::env::var("TIDEMILL_SEEDS") {
        Ok(text) => text.parse().map_err(|_| format!("TIDEMILL_SEEDS must be a whole number, not {text}"))?,
        Err(_) => SEEDS,
    };
    let sim = || Command::new(place.binaries.join("sim"));
    run_shown(sim().arg("--seeds").arg(format!("0..{seeds}")))?;
    run_shown(sim().arg("--canaries"))
}
