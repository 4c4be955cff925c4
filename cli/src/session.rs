//! One run of the command: the terminal, and where the project and the server are.

use std::path::PathBuf;

use crate::client::Client;
use crate::failure::Failure;
use crate::project::Project;
use crate::terminal::Terminal;

/// What every command is given.
pub struct Session {
    /// The streams.
    pub terminal: Terminal,
    /// `--project`.
    pub folder: Option<PathBuf>,
    /// `--target`.
    pub target: String,
}

impl Session {
    /// The project asked for, or the one here.
    pub fn project(&self) -> Result<Project, Failure> {
        Project::find(self.folder.as_deref())
    }

    /// A client to the target; a URL needs no project.
    pub async fn client(&self) -> Result<Client, Failure> {
        if self.target == "local" {
            return Client::open("local", Some(&self.project()?)).await;
        }
        Client::open(&self.target, None).await
    }
}
