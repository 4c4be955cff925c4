//! AWS on this machine, while a step needs it. It ends with its standard input, so that it never outlives this program,
//! however that ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::python::interpreter_of;
use crate::step::Place;

/// A served account.
pub struct Ministack {
    server: Child,
    /// Where it answers.
    pub endpoint: String,
}

impl Ministack {
    /// Serves one, with the Python of an environment that has ministack.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(place: &Place, environment: &str) -> Result<Ministack, String> {
        let script = place.root.join("tests/deploy/serving.py");
        let mut python = Command::new(interpreter_of(place, environment));
        without_variables(python.arg(&script));
        let server = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let server = server.map_err(|why| format!("{}: {why}", script.display()))?;
        let mut ministack = Ministack { server, endpoint: String::new() };
        let out = ministack.server.stdout.take().ok_or("ministack has no output")?;
        BufReader::new(out).read_line(&mut ministack.endpoint).map_err(|why| format!("ministack: {why}"))?;
        ministack.endpoint = ministack.endpoint.trim().to_owned();
        if ministack.endpoint.is_empty() {
            return Err(format!("{} ended before it served anything", script.display()));
        }
        Ok(ministack)
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
