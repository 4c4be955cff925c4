//! Projects: a folder with `tidemill.toml`.
//!
//! In: `--project` or the current folder. Out: the [`Project`] found there or above, or a failure that says how to
//! make one.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::settings::Settings;

/// The file that makes a folder a project.
pub const PROJECT_FILE_NAME: &str = "tidemill.toml";
/// Folders looked through upwards.
const PROJECT_PARENTS_MAX: usize = 64;
/// Bytes of `tidemill.toml`.
const PROJECT_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// What its `tidemill.toml` says.
    pub settings: Settings,
}

impl Project {
    /// The project in `folder`, or, when `folder` is not given, in the current folder or the nearest one above.
    pub fn find(folder: Option<&Path>) -> Result<Project, Failure> {
        if let Some(folder) = folder {
            let folder = if folder.ends_with(PROJECT_FILE_NAME) { folder.parent().unwrap_or(folder) } else { folder };
            if !folder.join(PROJECT_FILE_NAME).is_file() {
                return Err(none_in(folder, "there is no tidemill project in"));
            }
            return Project::open(folder);
        }
        let here = std::env::current_dir().map_err(|error| Failure::file(Path::new("."), &error))?;
        let found = here.ancestors().take(PROJECT_PARENTS_MAX).find(|at| at.join(PROJECT_FILE_NAME).is_file());
        match found {
            Some(root) => Project::open(root),
            None => Err(none_in(&here, "no tidemill.toml here or in a folder above:")),
        }
    }

    /// The project whose `tidemill.toml` lies in `root`.
    pub fn open(root: &Path) -> Result<Project, Failure> {
        let path = root.join(PROJECT_FILE_NAME);
        let size = std::fs::metadata(&path).map_err(|error| Failure::file(&path, &error))?.len();
        if size > PROJECT_FILE_BYTES_MAX {
            return Err(Failure::input("TM0906", format!("{} is larger than 1 MiB", path.display())));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::file(&path, &error))?;
        let settings = Settings::read(&path.display().to_string(), &text, &|key| std::env::var(key).ok())?;
        Ok(Project { root: root.to_path_buf(), settings })
    }

    /// The folder of the definitions.
    pub fn insights(&self) -> PathBuf {
        self.root.join(&self.settings.insights)
    }

    /// The folder of the embedded stores.
    pub fn store(&self) -> PathBuf {
        self.root.join(&self.settings.store)
    }
}

fn none_in(folder: &Path, what: &str) -> Failure {
    Failure::input("TM0901", format!("{what} {}", folder.display()))
        .help("make one with `tidemill init`, name one with --project DIR, or try `tidemill demo`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_found_from_below() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(PROJECT_FILE_NAME), "source = \"shop\"").expect("written");
        let project = Project::find(Some(folder.path())).expect("found");
        assert_eq!(project.settings.source.as_deref(), Some("shop"));
        assert_eq!(project.insights(), folder.path().join("insights"));
        assert!(Project::find(Some(&folder.path().join(PROJECT_FILE_NAME))).is_ok());
    }

    #[test]
    fn no_project_says_how_to_make_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = Project::find(Some(folder.path())).expect_err("none");
        assert_eq!(failure.code, "TM0901");
        assert!(failure.help.expect("help").contains("tidemill init"));
    }
}
