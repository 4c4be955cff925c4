//! Definition files: where they lie, and what they say.
//!
//! In: a project's `insights/` folder or a path. Out: the files' texts, and the diagnostics of reading them without a
//! server. Reading a definition's meaning is `tidemill_schemas::definition`'s work.

use std::path::{Path, PathBuf};

use tidemill_schemas::definition;
use tidemill_schemas::definition::diagnostic::Severity;

use crate::failure::Failure;
use crate::json::quoted;

/// Bytes of one definition file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Definition files of a project.
const FILES_MAX: usize = 2_000;
/// Folders below the definitions' folder.
const FOLDERS_DEPTH_MAX: usize = 8;

/// A definition file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionFile {
    /// Its path as it is shown.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What is wrong with a definition, or could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// An error; otherwise a warning.
    pub is_error: bool,
    /// The diagnostic as it is printed.
    pub rendered: String,
}

/// Reads every `.yaml` and `.yml` file at or below `path`, in order of their paths.
pub fn read(path: &Path) -> Result<Vec<DefinitionFile>, Failure> {
    if !path.exists() {
        return Err(Failure::input("TM0902", format!("there is no {}", path.display()))
            .help("definitions are YAML files in the project's insights folder"));
    }
    let mut paths = Vec::new();
    if path.is_dir() {
        gather(path, 0, &mut paths)?
    } else {
        paths.push(path.to_path_buf())
    }
    paths.sort();
    paths.iter().map(|path| read_one(path)).collect()
}

fn gather(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let fail = |error| Failure::file(folder, &error);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() && depth < FOLDERS_DEPTH_MAX {
            gather(&path, depth + 1, paths)?;
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(Failure::input("TM0913", format!("more than {FILES_MAX} definition files")));
        }
    }
    Ok(())
}

fn read_one(path: &Path) -> Result<DefinitionFile, Failure> {
    let fail = |error| Failure::file(path, &error);
    if std::fs::metadata(path).map_err(fail)?.len() > FILE_BYTES_MAX {
        return Err(Failure::input("TM0913", format!("{} is larger than 4 MiB", path.display())));
    }
    let bytes = std::fs::read(path).map_err(fail)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::input("TM0913", format!("{} is not UTF-8 text", path.display())))?;
    let shown = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    let shown = shown.unwrap_or_else(|| path.to_path_buf()).display().to_string();
    Ok(DefinitionFile { path: shown.trim_start_matches("./").to_owned(), text })
}

/// The body of `POST /v1/plan`.
pub fn plan_body(files: &[DefinitionFile]) -> String {
    let file = |file: &DefinitionFile| format!("{{\"path\":{},\"text\":{}}}", quoted(&file.path), quoted(&file.text));
    format!("{{\"files\":[{}]}}", files.iter().map(file).collect::<Vec<_>>().join(","))
}

/// What reading the files says, without a server: the insights' names and the findings.
pub fn check(files: &[DefinitionFile]) -> (Vec<String>, Vec<Finding>) {
    let (mut names, mut findings) = (Vec::new(), Vec::new());
    for file in files {
        match definition::parse(&file.path, &file.text) {
            Ok(parsed) => names.extend(parsed.into_iter().map(|parsed| parsed.definition.name)),
            Err(found) => findings.extend(
                found
                    .iter()
                    .map(|found| Finding { is_error: found.severity == Severity::Error, rendered: found.to_string() }),
            ),
        }
    }
    (names, findings)
}

/// The JSON Schema of definition files.
pub fn json_schema() -> String {
    format!("{:#}", definition::json_schema())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_order_and_others_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("a")).expect("a folder");
        for name in ["b.yaml", "a/z.yml", "notes.md"] {
            std::fs::write(folder.path().join(name), name).expect("written");
        }
        let texts: Vec<String> = read(folder.path()).expect("read").into_iter().map(|file| file.text).collect();
        assert_eq!(texts, ["a/z.yml", "b.yaml"]);
        assert_eq!(read(&folder.path().join("b.yaml")).expect("read").len(), 1);
        assert_eq!(read(&folder.path().join("none")).expect_err("absent").code, "TM0902");
    }

    #[test]
    fn a_plan_body_is_json() {
        let files = [DefinitionFile { path: "a \"b\".yaml".to_owned(), text: "x: 'y'\n".to_owned() }];
        assert_eq!(plan_body(&files), r#"{"files":[{"path":"a \"b\".yaml","text":"x: 'y'\n"}]}"#);
    }
}
