//! Peers: the engines of `peers.py`, in an environment of their own below `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cell::Cell;
use crate::question::{Question, Span};

/// Every peer, by its name in `peers.py`.
pub const PEERS: [&str; 4] = ["duckdb", "polars", "chdb", "datafusion"];

/// The versions installed.
const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// An interpreter with the peers installed.
#[derive(Clone, Debug)]
pub struct Peers {
    interpreter: PathBuf,
    script: PathBuf,
}

impl Peers {
    /// Installs what `requirements.txt` pins into `target/ci/peers`, unless it is installed already.
    ///
    /// # Errors
    /// In words: there is no Python 3, or the packages cannot be had.
    pub fn install(target: &Path) -> Result<Peers, String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = target.join("ci").join("peers");
        let bin = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
        let peers = Peers { interpreter: folder.join(bin), script: source.join("peers.py") };
        let stamp = folder.join("installed.txt");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
            return Ok(peers);
        }
        eprintln!("installing {}", REQUIREMENTS.split_whitespace().collect::<Vec<_>>().join(", "));
        let python = if cfg!(windows) { "python" } else { "python3" };
        ran(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
        let requirements = source.join("requirements.txt");
        ran(Command::new(&peers.interpreter).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))?;
        std::fs::write(&stamp, REQUIREMENTS).map_err(|why| format!("{}: {why}", stamp.display()))?;
        Ok(peers)
    }

    /// The version of a peer, as pinned.
    pub fn version(peer: &str) -> &'static str {
        let pinned = REQUIREMENTS.lines().filter_map(|line| line.split_once("=="));
        pinned.into_iter().find_map(|(name, version)| (name == peer).then_some(version)).unwrap_or_default()
    }

    /// Runs a question once and then `warm` times more, in a process of its own.
    ///
    /// # Errors
    /// In words, with what the peer said.
    pub fn cell(
        &self,
        peer: &str,
        pages: &Path,
        question: Question,
        span: Span,
        (threads, warm): (usize, u32),
    ) -> Result<Cell, String> {
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.script).arg("--pages").arg(pages).args(["--engine", peer, "--question", question.name]);
        command.args(["--threads", &threads.to_string(), "--warm", &warm.to_string()]);
        for (key, date) in
            [("--first", span.first), ("--day", span.day()), ("--before", span.before()), ("--last", span.last)]
        {
            command.args([key, &date.to_string()]);
        }
        cell_of(command.env("POLARS_MAX_THREADS", threads.to_string()))
    }
}

/// Runs a process that tells its cell in the last line it prints.
///
/// # Errors
/// In words, with what it said.
pub fn cell_of(command: &mut Command) -> Result<Cell, String> {
    let output = command.output().map_err(|why| format!("{}: {why}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = errors.lines().rev().take(3).collect();
        format!("{}: {}", output.status, tail.into_iter().rev().collect::<Vec<_>>().join(" / "))
    })
}

fn ran(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", command.get_program().display())),
        Err(why) => Err(format!("{}: {why}", command.get_program().display())),
    }
}
