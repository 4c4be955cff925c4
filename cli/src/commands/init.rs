//! `tidemill init`: a project in a folder. Never overwrites a file.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;
use crate::project::PROJECT_FILE_NAME;
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// The `tidemill.toml` of a new project: every key with its default, unit and limit.
pub const PROJECT_FILE: &str = r#"# A tidemill project. Every key is optional; the values shown are the defaults.
# The environment wins: TIDEMILL_LISTEN, TIDEMILL_STORE, … A server's key is read from TIDEMILL_KEY.

# Where `tidemill up` listens: address:port. An address that others can reach takes a key: `tidemill keys add`.
# listen = "127.0.0.1:7600"

# Folder of the definitions, one or more YAML documents per file.
# insights = "insights"

# Folder of the embedded stores. Back it up while no server runs.
# store = ".tidemill"

# Source of events that name none, 1 to 128 bytes; left out, that of the key they are sent with, if it has one.
# source = "default"

# Requests that `send` and `import` keep in flight, 1 to 16.
# send_in_flight = 4
"#;

/// The first definition of a new project.
pub const FIRST_INSIGHT: &str = r#"# An insight is defined once and kept for ever. `tidemill check` reads this file, `tidemill apply` puts it into effect.
insight: activity # its name, in URLs and commands
type: standard # metrics over events
title: What happens
from: "*" # an event name, a list of names, or '*' for all
# where: status = 'paid' and amount > 0   # SQL over the event's properties
metrics:
  events: count(*)
  actors: count(distinct actor) # exact
  # revenue: sum(amount)
  # mobile_share: percent(device = 'mobile')
  # slow: quantile(load_ms, 0.95) filter (where name = 'page_loaded')
by: [name] # up to three properties to break the numbers down by
timezone: UTC # an IANA zone: a day is local midnight to midnight
refresh: 5m # 1m 5m 15m 30m 1h 6h 12h
"#;

const IGNORED: &str = "# tidemill's embedded stores\n.tidemill/\n";

/// Make a project: tidemill.toml and a first definition
#[derive(Debug, Args)]
pub struct Init {
    /// The folder; made when it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

impl Init {
    /// Makes the project and says what to do next.
    pub fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let is_new = !self.folder.join(PROJECT_FILE_NAME).exists();
        for (path, text) in [(PROJECT_FILE_NAME, PROJECT_FILE), (".gitignore", IGNORED)] {
            write_new(terminal, &self.folder.join(path), text)?;
        }
        if !has_definitions(&self.folder.join("insights")) {
            write_new(terminal, &self.folder.join("insights/activity.yaml"), FIRST_INSIGHT)?;
        }
        if !is_new {
            terminal.say("it is a tidemill project already");
        }
        let step = |command: &str, what: &str| {
            terminal.say(&format!("  {} {}", terminal.mark(Mark::Bold, &format!("{command:<40}")), what));
        };
        terminal.say("\nNext:");
        if self.folder != Path::new(".") {
            step(&format!("cd {}", self.folder.display()), "");
        }
        step("tidemill apply", "put insights/*.yaml into effect");
        step("tidemill send events.ndjson", "one {\"id\",\"name\",\"time\",…} per line");
        step("tidemill query activity --last 7d", "read the numbers");
        step("tidemill up", "serve the API");
        Ok(())
    }
}

fn has_definitions(folder: &Path) -> bool {
    crate::definitions::read(folder).is_ok_and(|files| !files.is_empty())
}

/// Writes a file that is not there yet.
pub fn write_new(terminal: &Terminal, path: &Path, text: &str) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::file(path, &error);
    let shown = path.strip_prefix(".").unwrap_or(path).display();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => std::io::Write::write_all(&mut file, text.as_bytes()).map_err(fail)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            terminal.say(&format!("  kept     {shown}"));
            return Ok(());
        }
        Err(error) => return Err(fail(error)),
    }
    terminal.say(&format!("  {}  {shown}", terminal.mark(Mark::Green, "created")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session { terminal: Terminal::new(false, true), folder: None, target: "local".to_owned() }
    }

    #[test]
    fn a_project_is_made_once_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let init = || Init { folder: folder.path().to_path_buf() }.run(&session());
        init().expect("made");
        let definition = folder.path().join("insights/activity.yaml");
        std::fs::write(&definition, "mine").expect("written");
        init().expect("made again");
        assert_eq!(std::fs::read_to_string(definition).expect("read"), "mine");
        assert!(crate::project::Project::find(Some(folder.path())).is_ok());
    }

    #[test]
    fn a_folder_with_definitions_gets_no_example() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("insights")).expect("made");
        std::fs::write(folder.path().join("insights/mine.yaml"), "insight: mine").expect("written");
        Init { folder: folder.path().to_path_buf() }.run(&session()).expect("made");
        assert!(!folder.path().join("insights/activity.yaml").exists());
    }
}
