//! `.tidemill/server.json`: where the server of a project listens. Written by `up`, removed when it ends; a file that
//! is left over from a crash is ignored, because nothing answers there.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::project::Project;

/// Milliseconds a server may take to say that it is there.
const ALIVE_MILLIS_MAX: u64 = 1_500;

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct ServerFile {
    url: String,
    pid: u32,
}

/// Removes the file when the server ends.
#[derive(Debug)]
pub struct Announced(PathBuf);

impl Drop for Announced {
    fn drop(&mut self) {
        // A file that stays behind is harmless: it is only believed when somebody answers.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn path(project: &Project) -> PathBuf {
    project.store().join("server.json")
}

/// Writes where this process listens.
pub fn announce(project: &Project, url: &str) -> Result<Announced, Failure> {
    let path = path(project);
    let text = serde_json::to_string(&ServerFile { url: url.to_owned(), pid: std::process::id() });
    let text = text.map_err(|error| Failure::failed("TM0911", error.to_string()))?;
    let fail = |error| Failure::file(&path, &error);
    std::fs::create_dir_all(project.store()).map_err(fail)?;
    std::fs::write(&path, text).map_err(fail)?;
    Ok(Announced(path))
}

/// The URL of the project's server, when one answers.
pub async fn alive(project: &Project) -> Option<String> {
    let text = std::fs::read_to_string(path(project)).ok()?;
    let file: ServerFile = serde_json::from_str(&text).ok()?;
    let http = reqwest::Client::builder().timeout(Duration::from_millis(ALIVE_MILLIS_MAX)).build().ok()?;
    let answer = http.get(format!("{}/healthz", file.url)).send().await.ok()?;
    answer.status().is_success().then_some(file.url)
}
