//! The command, apart from whatever the environment of the tests says.

use std::path::Path;
use std::process::{Command, Stdio};

/// The command in a folder.
pub fn tidemill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null());
    for variable in ["TIDEMILL_KEY", "TIDEMILL_PROJECT", "TIDEMILL_TARGET"] {
        command.env_remove(variable);
    }
    command
}
