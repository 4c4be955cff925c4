//! What runs on AWS, against an emulator: the ports' laws on their adapters, and the whole system beside itself.

use crate::demo::tidemill;
use crate::ministack::{ENVIRONMENT, Ministack, install};
use crate::python::interpreter_of;
use crate::step::{Place, WHOLE, cargo, cargo_with, run as run_shown};

/// Runs the laws of the ports.
///
/// # Errors
/// When the emulator does not start, or a law is broken.
pub fn laws(place: &Place) -> Result<(), String> {
    install(place)?;
    let emulator = Ministack::serve(place)?;
    // One at a time: they share the emulator's clock.
    let arguments = [
        "test",
        "--workspace",
        "--features",
        WHOLE,
        "--test",
        "all",
        "--",
        "--ignored",
        "aws::",
        "--test-threads",
        "1",
    ];
    cargo_with(place, &arguments, &emulator.variables())
}

/// Deploys, sends 20,000 events by every door, and compares every answer with those of one process.
///
/// # Errors
/// When anything differs.
pub fn system(place: &Place) -> Result<(), String> {
    install(place)?;
    let programs = ["build", "--workspace", "--bin", "tidemill", "--bin", "bootstrap"];
    cargo(place, &[&programs[..], &["--features", WHOLE]].concat())?;
    let emulator = Ministack::serve(place)?;
    let bootstrap = place.binaries.join("bootstrap");
    let mut system = std::process::Command::new(interpreter_of(place, ENVIRONMENT));
    emulator.point(&mut system);
    system.arg(place.root.join("tests/aws/system.py")).arg(tidemill(place)).arg(&bootstrap);
    run_shown(system.arg(place.scratch.join("system")))?;
    let mut starts = std::process::Command::new(interpreter_of(place, ENVIRONMENT));
    run_shown(starts.arg(place.root.join("tests/aws/runtime.py")).arg(&bootstrap).args(["--starts", "3"]))
}
