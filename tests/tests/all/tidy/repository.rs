//! The repository as text: every file that could be checked in.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours: build output, projects made by the demo, installed packages.
const SKIPPED: [&str; 6] = ["target", ".git", ".tidemill", "tidemill-demo", "node_modules", "__pycache__"];

/// A text file: its path from the root, with `/`, and its text.
pub struct File {
    /// Path from the repository's root.
    pub path: String,
    /// Content.
    pub text: String,
}

impl File {
    /// The file's name without its folder.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Lines with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Whether it is a unit test of a sibling, or lives among the integration tests.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.name() == "tests.rs" || self.path.contains("/tests/")
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file with one of these endings (`.rs`), in order of path. Files that are not UTF-8 are left out.
pub fn files(endings: &[&str]) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending)) {
                let relative = path.strip_prefix(&root).expect("found below the root");
                let relative = relative.to_string_lossy().replace('\\', "/");
                if let Ok(text) = fs::read_to_string(&path) {
                    found.push(File { path: relative, text });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with every complaint at once.
pub fn complain(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
