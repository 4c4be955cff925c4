//! AWS on this machine, while a step needs it. It ends with its standard input, so that it never outlives this program,
//! however that ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::python::{install_into, interpreter_of};
use crate::step::Place;

/// Where it is installed, with what else the steps about AWS need of Python.
pub const ENVIRONMENT: &str = "venv-aws";

/// Installs it, unless it is installed already.
///
/// # Errors
/// When there is no Python 3, or the packages cannot be had.
pub fn install(place: &Place) -> Result<(), String> {
    install_into(place, ENVIRONMENT, "tests/aws/requirements.txt")
}

/// A served account.
pub struct Ministack {
    server: Child,
    /// Where it answers.
    pub endpoint: String,
    /// What puts its clock forward.
    clock: String,
}

impl Ministack {
    /// Serves one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(place: &Place) -> Result<Ministack, String> {
        let script = place.root.join("tests/aws/emulator.py");
        let mut python = Command::new(interpreter_of(place, ENVIRONMENT));
        without_variables(python.arg(&script));
        let server = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let server = server.map_err(|why| format!("{}: {why}", script.display()))?;
        let mut ministack = Ministack { server, endpoint: String::new(), clock: String::new() };
        let mut out = BufReader::new(ministack.server.stdout.take().ok_or("ministack has no output")?);
        for line in [&mut ministack.endpoint, &mut ministack.clock] {
            out.read_line(line).map_err(|why| format!("ministack: {why}"))?;
            *line = line.trim().to_owned();
        }
        if ministack.clock.is_empty() {
            return Err(format!("{} ended before it served anything", script.display()));
        }
        Ok(ministack)
    }

    /// What tests find it by.
    pub fn variables(&self) -> [(&'static str, &str); 2] {
        [("TIDEMILL_EMULATOR", &self.endpoint), ("TIDEMILL_EMULATOR_CLOCK", &self.clock)]
    }

    /// Points a command at the account, and at no other.
    pub fn point(&self, command: &mut Command) {
        without_variables(command);
        command.env("AWS_ENDPOINT_URL", &self.endpoint);
        command.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Takes away what the environment says of AWS and of proxies.
pub fn without_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
}
