//! Python packages, pinned, in virtual environments below `target/`: the referee's, and others' by name.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::step::{Place, run};

/// The interpreter of the referee's environment.
pub fn interpreter(place: &Place) -> PathBuf {
    interpreter_of(place, "venv")
}

/// The interpreter of an environment.
pub fn interpreter_of(place: &Place, environment: &str) -> PathBuf {
    let environment = place.installed.join(environment);
    if cfg!(windows) { environment.join("Scripts/python.exe") } else { environment.join("bin/python") }
}

/// Installs what `tests/referee/requirements.txt` pins, unless it is installed already.
///
/// # Errors
/// When there is no Python 3, or the packages cannot be had.
pub fn install(place: &Place) -> Result<(), String> {
    install_into(place, "venv", "tests/referee/requirements.txt")
}

/// Installs what a file of the repository pins into an environment of its own, unless it is installed already.
///
/// # Errors
/// When there is no Python 3, or the packages cannot be had.
pub fn install_into(place: &Place, environment: &str, requirements: &str) -> Result<(), String> {
    let requirements = place.root.join(requirements);
    let wanted = fs::read_to_string(&requirements).map_err(|why| format!("{}: {why}", requirements.display()))?;
    let folder = place.installed.join(environment);
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("installed already");
        return Ok(());
    }
    let python = if cfg!(windows) { "python" } else { "python3" };
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "-r"];
    run(Command::new(interpreter_of(place, environment)).args(pip).arg(&requirements))?;
    fs::write(&stamp, wanted).map_err(|why| format!("{}: {why}", stamp.display()))
}

/// Shows that the referee lets a right answer pass and no wrong one.
///
/// # Errors
/// When it errs.
pub fn referee_check(place: &Place) -> Result<(), String> {
    run(Command::new(interpreter(place)).arg(place.root.join("tests/referee/check.py")))
}
