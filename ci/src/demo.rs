//! The demo, and the referee over everything it computed.
//!
//! The demo runs once, from an empty folder, as a stranger would run it. Its answers are asked for through the command
//! line, for every insight and period, and handed to `tests/referee/compare.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::interpreter;
use crate::step::{Place, output, run as run_shown};

/// The demo's events as they were sent.
const SAMPLE: &str = "cli/demo/git-events-small.ndjson.gz";
/// A range that holds all of them, as local dates: the first day, and the one after the last.
const RANGE: (&str, &str) = ("2017-01-01", "2027-01-01");
/// Periods asked for; `none` is the whole range as one.
const PERIODS: [&str; 4] = ["day", "week", "month", "none"];

/// Runs the demo from an empty folder, by the README's own words: `cargo run` has to mean the command.
///
/// # Errors
/// When it fails.
pub fn run(place: &Place) -> Result<(), String> {
    fs::create_dir_all(&place.scratch).map_err(|why| format!("{}: {why}", place.scratch.display()))?;
    let mut demo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    demo.args(["run", "--quiet", "--manifest-path"]).arg(place.root.join("Cargo.toml"));
    run_shown(demo.args(["--", "demo", "--exit"]).current_dir(&place.scratch))
}

/// Compares the demo's answers with DuckDB's over its pages.
///
/// # Errors
/// When a number differs.
pub fn referee_pages(place: &Place) -> Result<(), String> {
    let stored = project(place).join(".tidemill");
    let pages = folder_of_pages(&stored).ok_or_else(|| format!("{}: no pages", stored.display()))?;
    referee(place, &pages)
}

/// Compares the demo's answers with DuckDB's over the events that were sent.
///
/// # Errors
/// When a number differs.
pub fn referee_events(place: &Place) -> Result<(), String> {
    referee(place, &place.root.join(SAMPLE))
}

/// Runs the views of `tidemill sql` in DuckDB and compares them with the demo's answers.
///
/// # Errors
/// When a number differs.
pub fn views(place: &Place) -> Result<(), String> {
    views_of(place, &project(place), RANGE)
}

/// The same of any project.
///
/// # Errors
/// When a number differs.
pub fn views_of(place: &Place, project: &Path, range: (&str, &str)) -> Result<(), String> {
    let run = |arguments: &[&str]| output(Command::new(tidemill(place)).arg("--project").arg(project).args(arguments));
    let keep = |name: &str, bytes: Vec<u8>| {
        let path = place.scratch.join(name);
        fs::write(&path, bytes).map_err(|why| format!("{}: {why}", path.display())).map(|()| path)
    };
    let views = keep("views.sql", run(&["sql"])?)?;
    let listed = String::from_utf8(run(&["ls", "--json"])?).map_err(|why| why.to_string())?;
    let insights = names(&listed);
    if insights.is_empty() {
        return Err("`tidemill ls` names no insight, so there is nothing to compare".to_owned());
    }
    let mut failures = Vec::new();
    for insight in insights {
        let answer = run(&["query", &insight, "--every", "day", "--from", range.0, "--to", range.1, "-o", "json"])?;
        let answer = keep(&format!("{insight}-views.json"), answer)?;
        let mut referee = Command::new(interpreter(place));
        referee.arg(place.root.join("tests/referee/views.py")).arg(&views).arg(&insight);
        failures.extend(run_shown(referee.args([range.0, range.1]).arg(answer)).err());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

/// The values of `"insight"` in JSON; enough for names of insights, which need no escapes.
fn names(json: &str) -> Vec<String> {
    let compact: String = json.split_whitespace().collect();
    compact.split("\"insight\":\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

pub(crate) fn tidemill(place: &Place) -> PathBuf {
    place.binaries.join(format!("tidemill{}", std::env::consts::EXE_SUFFIX))
}

fn project(place: &Place) -> PathBuf {
    place.scratch.join("tidemill-demo")
}

fn referee(place: &Place, events: &Path) -> Result<(), String> {
    let folder = project(place).join("insights");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(|why| format!("{}: {why}; run the step `demo` too", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let mut failures = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
        for insight in insights(&text) {
            for every in PERIODS {
                for grouped in [false, true] {
                    println!("{insight} every {every}{}", if grouped { " by group" } else { "" });
                    failures.extend(compare(place, events, &file, &insight, every, grouped).err());
                }
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("{} comparisons failed: {}", failures.len(), failures.join("; ")))
    }
}

/// The names of the insights in a file of definitions.
pub fn insights(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.strip_prefix("insight:"));
    let bare = |name: &str| name.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned();
    names.map(bare).collect()
}

fn compare(
    place: &Place,
    events: &Path,
    definition: &Path,
    insight: &str,
    every: &str,
    grouped: bool,
) -> Result<(), String> {
    let answer = place.scratch.join(format!("{insight}-{every}.json"));
    let mut query = Command::new(tidemill(place));
    query
        .arg("--project")
        .arg(project(place))
        .args(["query", insight, "--from", RANGE.0, "--to", RANGE.1, "-o", "json"]);
    if every != "none" {
        query.args(["--every", every]);
    }
    if grouped {
        query.args(["--by", "*"]);
    }
    let body = output(&mut query)?;
    fs::write(&answer, body).map_err(|why| format!("{}: {why}", answer.display()))?;
    let mut referee = Command::new(interpreter(place));
    referee.arg(place.root.join("tests/referee/compare.py")).arg("--events").arg(events);
    referee.arg("--definition").arg(definition).args(["--insight", insight, "--every", every]);
    if !grouped {
        referee.args(["--by", ""]);
    }
    run_shown(referee.args(["--from", RANGE.0, "--to", RANGE.1]).arg(answer))
}

/// The folder that holds `src=…` folders, somewhere below `folder`.
fn folder_of_pages(folder: &Path) -> Option<PathBuf> {
    let mut below: Vec<PathBuf> = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    below.sort();
    let is_pages = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("src="));
    if below.iter().any(is_pages) {
        return Some(folder.to_owned());
    }
    below.iter().filter(|path| path.is_dir()).find_map(|path| folder_of_pages(path))
}
