//! Documents: they are short, their links lead somewhere, their commands exist.

use std::collections::BTreeSet;
use std::path::Path;

use super::repository::{File, complain, files, root};

/// Lines of the README.
const README_LINES_MAX: usize = 150;
/// Lines of a decision.
const DECISION_LINES_MAX: usize = 40;

#[test]
fn documents_are_short() {
    let mut complaints = Vec::new();
    for file in files(&[".md"]) {
        let lines = file.text.lines().count();
        let most = match file.path.as_str() {
            "README.md" => README_LINES_MAX,
            path if path.starts_with("docs/decisions/") => DECISION_LINES_MAX,
            _ => continue,
        };
        if lines > most {
            complaints.push(format!("{}: {lines} lines, at most {most}", file.path));
        }
    }
    complain(complaints);
}

#[test]
fn decisions_are_numbered_and_complete() {
    let mut complaints = Vec::new();
    let decisions: Vec<File> = files(&[".md"]).into_iter().filter(|f| f.path.starts_with("docs/decisions/")).collect();
    assert!(!decisions.is_empty(), "docs/decisions/ is empty");
    for (at, file) in decisions.iter().enumerate() {
        let number = format!("{:04}-", at + 1);
        if !file.name().starts_with(&number) {
            complaints.push(format!("{}: the next number is {number}", file.path));
        }
        for part in ["## Context", "## Choice", "## Price", "## Rejected"] {
            if !file.text.contains(part) {
                complaints.push(format!("{}: `{part}` is missing", file.path));
            }
        }
    }
    complain(complaints);
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = Vec::new();
    for file in files(&[".md"]) {
        let folder = Path::new(&file.path).parent().map(|folder| root().join(folder)).unwrap_or_default();
        for (number, line) in file.lines() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = link.split('#').next().unwrap_or_default();
                if link.contains("://") || link.starts_with("mailto:") || path.is_empty() {
                    continue;
                }
                if !folder.join(path).exists() {
                    complaints.push(format!("{}:{number}: `{link}` does not exist", file.path));
                }
            }
        }
    }
    complain(complaints);
}

#[test]
fn the_readme_s_commands_exist() {
    let known = commands();
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let mut complaints = Vec::new();
    let mut fenced = false;
    for (at, line) in readme.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced && let Some(why) = unknown(line, &known) {
            complaints.push(format!("README.md:{}: {why}", at + 1));
        }
    }
    complain(complaints);
}

/// The subcommands of `tidemill`: one file each.
fn commands() -> BTreeSet<String> {
    let files = files(&[".rs"]);
    let names = files.iter().filter_map(|file| file.path.strip_prefix("cli/src/commands/")?.strip_suffix(".rs"));
    names.filter(|name| !name.contains('/') && *name != "mod").map(|name| name.replace('_', "-")).collect()
}

/// Why a line of a code block is no command of ours or cargo's; `None` for commands that exist and other lines.
fn unknown(line: &str, known: &BTreeSet<String>) -> Option<String> {
    let line = line.trim_start().trim_start_matches("$ ");
    let mut words = line.split_whitespace();
    let rest: Vec<&str> = match words.next()? {
        "tidemill" => words.collect(),
        "cargo" => {
            let subcommand = words.next().unwrap_or_default();
            if !["run", "ci", "test", "build", "install", "bench", "doc"].contains(&subcommand) {
                return Some(format!("`cargo {subcommand}` is no command of this repository"));
            }
            if subcommand != "run" {
                return None;
            }
            words.skip_while(|word| *word != "--").skip(1).collect()
        }
        _ => return None,
    };
    let subcommand = rest.iter().find(|word| !word.starts_with('-'))?;
    (!known.is_empty() && !known.contains(*subcommand)).then(|| format!("`tidemill {subcommand}` is no subcommand"))
}

#[test]
fn unknown_commands_are_found() {
    let known = BTreeSet::from(["demo".to_owned(), "query".to_owned()]);
    assert_eq!(unknown("cargo run --release -- demo --exit", &known), None);
    assert_eq!(unknown("$ tidemill -q query revenue", &known), None);
    assert_eq!(unknown("echo tidemill nothing", &known), None);
    assert_eq!(unknown("tidemill dmeo", &known), Some("`tidemill dmeo` is no subcommand".to_owned()));
    assert_eq!(unknown("cargo xtask", &known), Some("`cargo xtask` is no command of this repository".to_owned()));
}

#[test]
fn laws_named_in_the_assumptions_exist() {
    let laws: String = files(&[".rs"])
        .into_iter()
        .filter(|file| file.path.starts_with("tests/src/conformance/"))
        .map(|file| file.text)
        .collect();
    let text = std::fs::read_to_string(root().join("docs/assumptions.md")).expect("the assumptions are written down");
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for law in line.split("law `").skip(1).filter_map(|rest| rest.split('`').next()) {
            if !laws.is_empty() && !laws.contains(&format!("fn {law}(")) {
                complaints.push(format!("docs/assumptions.md:{}: no law is called `{law}`", at + 1));
            }
        }
    }
    complain(complaints);
}
