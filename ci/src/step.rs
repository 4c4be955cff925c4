//! Steps: a name, something to run, and how it went.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The feature with which the command has everything it can have; all steps build it so, once.
pub const WHOLE: &str = "tidemill-cli/aws";

/// One step.
pub struct Step {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it checks, in a few words.
    pub about: &'static str,
    /// Runs it; an error is the reason it failed.
    pub run: fn(&Place) -> Result<(), String>,
}

/// How a step went.
pub struct Outcome {
    name: &'static str,
    took: Duration,
    /// Why it failed; `None` when it passed.
    pub failure: Option<String>,
}

impl Step {
    /// Runs the step under its header.
    pub fn go(&self, place: &Place) -> Outcome {
        println!("\n== {}: {}", self.name, self.about);
        let start = now();
        let failure = (self.run)(place).err();
        let outcome = Outcome { name: self.name, took: start.elapsed(), failure };
        println!("{outcome}");
        outcome
    }
}

#[expect(clippy::disallowed_methods, reason = "only to tell how long a step took; nothing depends on it")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        match &self.failure {
            None => write!(f, "passed  {:16}{seconds:7.1} s", self.name),
            Some(why) => write!(f, "FAILED  {:16}{seconds:7.1} s  {why}", self.name),
        }
    }
}

/// Where things are.
pub struct Place {
    /// The repository.
    pub root: PathBuf,
    /// The folder this program was built into, and every other binary with it: `target/debug`.
    pub binaries: PathBuf,
    /// What is installed for the tests: `target/ci`.
    pub installed: PathBuf,
    /// A scratch folder of this run alone.
    pub scratch: PathBuf,
}

impl Place {
    /// Looks around.
    ///
    /// # Errors
    /// When this program cannot tell where it lies.
    pub fn find() -> Result<Place, String> {
        let own = std::env::current_exe().map_err(|why| format!("cannot find myself: {why}"))?;
        let binaries = own.parent().ok_or("this program lies in no folder")?.to_owned();
        let target = binaries.parent().ok_or("this program was not built by cargo")?.to_owned();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("this crate lies in no repository")?.to_owned();
        let scratch = std::env::temp_dir().join(format!("tidemill-ci-{}", std::process::id()));
        Ok(Place { root, binaries, installed: target.join("ci"), scratch })
    }

    /// Removes the scratch folder. What is left behind by a failure is for looking at.
    pub fn remove_scratch(&self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// Runs cargo in the repository.
///
/// # Errors
/// When it fails.
pub fn cargo(place: &Place, arguments: &[&str]) -> Result<(), String> {
    cargo_with(place, arguments, &[])
}

/// Runs cargo in the repository, with variables besides.
///
/// # Errors
/// When it fails.
pub fn cargo_with(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).args(arguments).envs(variables.iter().copied()).current_dir(&place.root))
}

/// Runs a command with its output shown.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", shown(command))),
        Err(why) => Err(format!("{}: {why}", shown(command))),
    }
}

/// Runs a command and takes what it writes.
///
/// # Errors
/// When it cannot be started or fails.
pub fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|why| format!("{}: {why}", shown(command)))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{}: {}\n{}", shown(command), output.status, String::from_utf8_lossy(&output.stderr)))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
