//! The stack's templates: synthesised, held against their assertions and against what is committed, and linted.
//!
//! Packages come from the lock file into `target/`, where the app is copied to: nothing is written into the repository.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::ministack::{self, ENVIRONMENT};
use crate::python::interpreter_of;
use crate::step::{Place, run};

/// What the app is made of.
const PARTS: [&str; 6] = ["package.json", "package-lock.json", "tsconfig.json", "src", "test", "templates"];

/// Runs all of it.
///
/// # Errors
/// When there is no Node 20, a package cannot be had, or a check fails.
pub fn run_all(place: &Place) -> Result<(), String> {
    ministack::install(place)?;
    let app = place.installed.join("cdk");
    copy_parts(&place.root.join("infra/cdk"), &app)?;
    install(&app)?;
    run(npm(&app).args(["run", "build", "--silent"]))?;
    // Its first test is that synth gives what is committed.
    run(npm(&app).args(["test", "--silent"]))?;
    let lint = interpreter_of(place, ENVIRONMENT).with_file_name("cfn-lint");
    let templates = ["tidemill.json", "artifacts.json"].map(|name| place.root.join("infra/cdk/templates").join(name));
    run(Command::new(lint).args(templates))
}

/// Copies the app as it is now; files that are gone there are gone here.
fn copy_parts(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|why| format!("{}: {why}", to.display()))?;
    for part in ["build", "src", "test", "templates"] {
        // It may never have been there.
        let _ = fs::remove_dir_all(to.join(part));
    }
    PARTS.iter().try_for_each(|part| copy(&from.join(part), &to.join(part)))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let told = |why: std::io::Error| format!("{}: {why}", from.display());
    if !from.is_dir() {
        return fs::copy(from, to).map(drop).map_err(told);
    }
    fs::create_dir_all(to).map_err(told)?;
    for entry in fs::read_dir(from).map_err(told)? {
        let entry = entry.map_err(told)?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Installs what the lock file pins, unless it is installed already.
fn install(app: &Path) -> Result<(), String> {
    let told = |why: std::io::Error| format!("{}: {why}", app.display());
    let wanted = fs::read_to_string(app.join("package-lock.json")).map_err(told)?;
    let stamp = app.join("installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("installed already");
        return Ok(());
    }
    run(npm(app).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    fs::write(&stamp, wanted).map_err(told)
}

fn npm(app: &Path) -> Command {
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(app);
    npm
}
