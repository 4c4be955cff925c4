//! Generated Parquet history through the command, as a stranger would bring it.
//!
//! Imported twice, exported, imported into another project: the numbers stay the same, and DuckDB's views over the
//! pages agree.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::demo::{tidemill, views_of};
use crate::step::{Place, output, run as run_shown};

/// Events of the history.
const ROWS: &str = "40000";
/// Its first day, and the one behind its last.
const RANGE: (&str, &str) = ("2024-02-20", "2024-03-11");
/// Its days.
const DAYS: &str = "20";

const INSIGHT: &str = "insight: traffic
type: standard
from: '*'
metrics:
  events: count(*)
  actors: count(distinct actor)
  revenue: sum(amount)
  typical: quantile(duration_ms, 0.5)
  mobile: percent(device = 'ios')
timezone: America/New_York
";

/// Runs all of it.
///
/// # Errors
/// When a step fails or a number differs.
pub fn run(place: &Place) -> Result<(), String> {
    fs::create_dir_all(&place.scratch).map_err(|why| format!("{}: {why}", place.scratch.display()))?;
    let files = place.scratch.join("history");
    generate(place, &files, ROWS)?;
    let (first, second) = (place.scratch.join("first"), place.scratch.join("second"));
    let command = || Command::new(tidemill(place));
    let told = numbers(&command, &first, &glob(&files), "ndjson")?;
    let again = tell(&command, &first, &["import", &glob(&files), "--json"])?;
    if !again.contains("\"accepted\":0") || !again.contains(&format!("\"duplicates\":{ROWS}")) {
        return Err(format!("importing again said {again}"));
    }
    let exported = place.scratch.join("exported");
    tell(&command, &first, &["export", "events", "-o", "parquet", "--folder", &exported.display().to_string()])?;
    if numbers(&command, &second, &glob(&exported), "ndjson")? != told {
        return Err("what was exported has other numbers than what was imported".to_owned());
    }
    views_of(place, &first, RANGE)
}

/// Generates a history into a folder.
///
/// # Errors
/// When that fails.
pub fn generate(place: &Place, files: &Path, rows: &str) -> Result<(), String> {
    let generate = place.binaries.join(format!("generate{}", std::env::consts::EXE_SUFFIX));
    let mut generate = Command::new(generate);
    run_shown(generate.args(["--rows", rows, "--days", DAYS, "--from", RANGE.0, "--out"]).arg(files))
}

/// Every Parquet file of a folder.
pub fn glob(folder: &Path) -> String {
    format!("{}/**/*.parquet", folder.display())
}

/// Makes a project of the files a pattern names; its numbers.
///
/// # Errors
/// When a command fails.
pub fn numbers(command: &dyn Fn() -> Command, project: &Path, pattern: &str, format: &str) -> Result<String, String> {
    run_shown(command().arg("init").arg(project))?;
    let insights = project.join("insights");
    fs::write(insights.join("traffic.yaml"), INSIGHT).map_err(|why| format!("{}: {why}", insights.display()))?;
    tell(command, project, &["import", pattern])?;
    tell(command, project, &["apply", "--yes"])?;
    tell(command, project, &["backfill", "--all"])?;
    tell(command, project, &["query", "traffic", "--every", "day", "--from", RANGE.0, "--to", RANGE.1, "-o", format])
}

fn tell(command: &dyn Fn() -> Command, project: &Path, arguments: &[&str]) -> Result<String, String> {
    println!("$ tidemill {}", arguments.join(" "));
    let told = output(command().arg("--project").arg(project).args(arguments))?;
    String::from_utf8(told).map_err(|why| why.to_string())
}
