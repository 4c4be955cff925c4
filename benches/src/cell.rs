//! A cell: one engine, one question, one process. What it took, and what it answered.

use std::time::Instant;

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

use crate::answer::Table;

/// What a run took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of all threads on a processor, user and system.
    pub cpu: f64,
}

/// What a process says of itself, as a line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Opening and the first run.
    pub cold: Usage,
    /// The runs after it.
    pub warm: Vec<Usage>,
    /// The most memory the process ever held; `None` where the system does not say.
    pub peak_kilobytes: Option<u64>,
    /// The answer.
    pub tables: Vec<Table>,
}

/// A moment to measure from.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    wall: Instant,
    cpu: ProcessTime,
}

impl Started {
    /// Now.
    #[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
    pub fn now() -> Started {
        Started { wall: Instant::now(), cpu: ProcessTime::now() }
    }

    /// What has been used since.
    pub fn usage(&self) -> Usage {
        Usage { wall: self.wall.elapsed().as_secs_f64(), cpu: self.cpu.elapsed().as_secs_f64() }
    }
}

/// Runs something and tells what it took.
pub fn timed<T>(run: impl FnOnce() -> T) -> (T, Usage) {
    let started = Started::now();
    let made = run();
    (made, started.usage())
}

/// The most memory this process ever held; `None` where the system does not say.
pub fn peak_kilobytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
