//! The referee's Python packages, pinned, in a virtual environment below `target/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::step::{Place, run};

/// The environment's interpreter.
pub fn interpreter(place: &Place) -> PathBuf {
    let environment = place.installed.join("venv");
    if cfg!(windows) { environment.join("Scripts/python.exe") } else { environment.join("bin/python") }
}

/// Installs what `tests/referee/requirements.txt` pins, unless it is installed already.
///
/// # Errors
/// When there is no Python 3, or the packages cannot be had.
pub fn install(place: &Place) -> Result<(), String> {
    let requirements = place.root.join("tests/referee/requirements.txt");
    let wanted = fs::read_to_string(&requirements).map_err(|why| format!("{}: {why}", requirements.display()))?;
    let stamp = place.installed.join("venv/installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("installed already");
        return Ok(());
    }
    let python = if cfg!(windows) { "python" } else { "python3" };
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(place.installed.join("venv")))?;
    run(Command::new(interpreter(place)).args(["-m", "pip", "install", "--quiet", "-r"]).arg(&requirements))?;
    fs::write(&stamp, wanted).map_err(|why| format!("{}: {why}", stamp.display()))
}

/// Shows that the referee lets a right answer pass and no wrong one.
///
/// # Errors
/// When it errs.
pub fn referee_check(place: &Place) -> Result<(), String> {
    run(Command::new(interpreter(place)).arg(place.root.join("tests/referee/check.py")))
}
