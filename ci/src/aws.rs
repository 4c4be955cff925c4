//! The adapters of AWS against an emulator on this machine: ministack, pinned, installed into `target/`.
//!
//! The emulator ends with its standard input, so that it never outlives this program, however that ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::python::{install_into, interpreter_of};
use crate::step::{Place, cargo_with};

/// Where the emulator is installed.
const ENVIRONMENT: &str = "venv-aws";

/// Runs the laws of the ports, and everything else that needs an emulator.
///
/// # Errors
/// When it cannot be served, or a test fails.
pub fn run(place: &Place) -> Result<(), String> {
    install_into(place, ENVIRONMENT, "tests/aws/requirements.txt")?;
    let emulator = Emulator::serve(place)?;
    // One at a time: they share the emulator's clock.
    let arguments = ["test", "--workspace", "--test", "all", "--", "--ignored", "aws::", "--test-threads", "1"];
    cargo_with(place, &arguments, &emulator.variables())
}

/// A served emulator; it ends when this is dropped.
pub struct Emulator {
    server: Child,
    /// Where it listens.
    pub endpoint: String,
    /// What puts its clock forward.
    pub clock: String,
}

impl Emulator {
    /// Serves one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(place: &Place) -> Result<Emulator, String> {
        let script = place.root.join("tests/aws/emulator.py");
        let mut python = Command::new(interpreter_of(place, ENVIRONMENT));
        python.arg(&script).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        // What it keeps on disk goes where everything of this run goes.
        python.current_dir(&place.scratch).env("TMPDIR", &place.scratch);
        let server = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let server = server.map_err(|why| format!("{}: {why}", script.display()))?;
        let mut emulator = Emulator { server, endpoint: String::new(), clock: String::new() };
        let mut out = BufReader::new(emulator.server.stdout.take().ok_or("the emulator has no output")?);
        for line in [&mut emulator.endpoint, &mut emulator.clock] {
            out.read_line(line).map_err(|why| format!("the emulator: {why}"))?;
            *line = line.trim().to_owned();
        }
        if emulator.clock.is_empty() {
            return Err(format!("{} ended before it served anything", script.display()));
        }
        Ok(emulator)
    }

    /// What tests and commands find it by.
    pub fn variables(&self) -> [(&'static str, &str); 6] {
        [
            ("TIDEMILL_EMULATOR", &self.endpoint),
            ("TIDEMILL_EMULATOR_CLOCK", &self.clock),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
