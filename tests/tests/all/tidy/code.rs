//! Files: their size, their docs, their names, and what must not be left in them.

use super::repository::{complain, files};

/// Lines of one file of code.
const FILE_LINES_MAX: usize = 500;

/// Words the glossary bans from names.
const BANNED: [&str; 14] = [
    "manager", "managers", "helper", "helpers", "util", "utils", "job", "jobs", "dto", "v2", "data", "info", "misc",
    "common",
];

#[test]
fn files_stay_small() {
    let too_long = |file: &super::repository::File| {
        let lines = file.text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines; split it below {FILE_LINES_MAX}", file.path))
    };
    complain(files(&[".rs", ".py", ".ts", ".sh"]).iter().filter_map(too_long).collect());
}

#[test]
fn every_module_says_what_it_is() {
    let mute = |file: &super::repository::File| {
        (!file.text.starts_with("//!")).then(|| format!("{}: must start with `//!` docs", file.path))
    };
    let scripts = files(&[".py"]).into_iter().filter(|file| !file.text.starts_with("\"\"\""));
    let scripts = scripts.map(|file| format!("{}: must start with a docstring", file.path));
    // A unit test's module is told by its name and its sibling.
    let modules = files(&[".rs"]).into_iter().filter(|file| file.name() != "tests.rs");
    complain(modules.filter_map(|file| mute(&file)).chain(scripts).collect());
}

#[test]
fn names_keep_to_the_glossary() {
    let mut complaints = Vec::new();
    for file in files(&[".rs", ".py", ".ts"]) {
        let stem = file.name().split('.').next().unwrap_or_default();
        if let Some(word) = banned(stem) {
            complaints.push(format!("{}: `{word}` in a file's name; the glossary has better words", file.path));
        }
        for (number, line) in file.lines() {
            if let Some(word) = public_name(line).and_then(banned) {
                complaints.push(format!("{}:{number}: `{word}` in a public name; see docs/glossary.md", file.path));
            }
        }
    }
    complain(complaints);
}

/// The name a line makes public, if it does.
fn public_name(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let kinds = ["struct ", "enum ", "trait ", "type ", "const ", "static ", "mod ", "fn ", "async ", "const fn "];
    if !kinds.iter().any(|kind| rest.starts_with(kind)) {
        return None;
    }
    let name = rest
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .find(|word| !["struct", "enum", "trait", "type", "const", "static", "mod", "fn", "async"].contains(word))?;
    (!name.is_empty()).then_some(name)
}

/// The first banned word of a name in snake, camel or shouting case.
fn banned(name: &str) -> Option<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for letter in name.chars() {
        if letter == '_' || letter == '-' || (letter.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut()?.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.into_iter().find(|word| BANNED.contains(&word.as_str()))
}

#[test]
fn banned_words_are_found_in_any_case() {
    assert_eq!(banned("page_manager").as_deref(), Some("manager"));
    assert_eq!(banned("EventDto").as_deref(), Some("dto"));
    assert_eq!(banned("JOB_SECONDS_MAX").as_deref(), Some("job"));
    assert_eq!(banned("metadata_informed"), None);
    assert_eq!(public_name("    pub async fn run_job(&self)"), Some("run_job"));
    assert_eq!(public_name("pub use page::Data;"), None);
    assert_eq!(public_name("pub info: String,"), None);
}

#[test]
fn nothing_is_left_undone() {
    // Put together here, so that this file does not find itself.
    let left = [["to", "do!("].concat(), ["unimpl", "emented!("].concat(), ["#[ign", "ore"].concat()];
    // What needs an emulator is run by a step of `cargo ci` that serves one.
    let served = ["#[ign", "ore = \"needs an emulator\"]"].concat();
    let mut complaints = Vec::new();
    for file in files(&[".rs"]) {
        for (number, line) in file.lines().filter(|(_, line)| !line.contains(&served)) {
            for word in left.iter().filter(|word| line.contains(word.as_str())) {
                complaints.push(format!("{}:{number}: `{word}…`", file.path));
            }
        }
    }
    complain(complaints);
}

#[test]
fn no_path_of_one_machine() {
    let paths = [["/wo", "rk/"].concat(), ["/ho", "me/"].concat(), ["/fa", "rm/"].concat(), ["/ro", "ot/"].concat()];
    let mut complaints = Vec::new();
    for file in files(&[]) {
        for (number, line) in file.lines() {
            // A path starts at a word's start: `$XDG/home/x` and `https://x/work/` are none of one machine.
            let starts = |at: usize| line[..at].chars().next_back().is_none_or(|c| " \"'`(=:,<[".contains(c));
            for path in paths.iter().filter(|path| line.match_indices(path.as_str()).any(|(at, _)| starts(at))) {
                complaints.push(format!("{}:{number}: `{path}`", file.path));
            }
        }
    }
    complain(complaints);
}
