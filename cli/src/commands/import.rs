//! `tidemill import`: history from NDJSON, CSV and Parquet files, and from Parquet in buckets.

use std::path::{Path, PathBuf};

use clap::Args;
use tidemill_schemas::calendar::Zone;

use crate::bucket;
use crate::commands::send;
use crate::convert::{self, Columns};
use crate::failure::{Exit, Failure};
use crate::importing::{self, Asked, Imported, Source};
use crate::render::number::count;
use crate::sending::{self, Input};
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Files one import may name.
const FILES_MAX: usize = 100_000;
/// Folders followed below a `**`.
const FOLDERS_DEPTH_MAX: usize = 32;

/// Import history: NDJSON, CSV or Parquet files
#[derive(Debug, Args)]
pub struct Import {
    /// Files, or patterns with `*`, `?` and `**` (in quotes, or the shell resolves them); in builds with the feature
    /// `s3` also `s3://bucket/prefix/*.parquet`
    #[arg(required = true, value_name = "GLOB")]
    files: Vec<String>,

    /// Which columns make an event: id=order_id,time=created_at,name='order_completed' (quotes: a constant; id=#row:
    /// the file's path as given here and the row's number)
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    map: Option<String>,

    /// The source of events that name none [default: `source` of tidemill.toml, else the key's]
    #[arg(long)]
    source: Option<String>,

    /// The zone of times without an offset
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
}

impl Import {
    /// Imports them; exit code 2 when some rows were rejected or files refused.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let columns = Columns {
            mapping: self.map.as_deref().map(convert::mapping).transpose()?.unwrap_or_default(),
            source: send::source(session, self.source.clone()),
            zone: self.tz.as_deref().map_or(Ok(Zone::utc()), zone)?,
        };
        let (mut inputs, mut files) = (Vec::new(), Vec::new());
        for pattern in &self.files {
            if pattern.starts_with(bucket::SCHEME) {
                files.extend(bucket::list(pattern).await?.into_iter().map(Source::object));
                continue;
            }
            for path in expand(pattern)? {
                if convert::is_parquet(&path) {
                    files.push(Source::file(path, "parquet"));
                } else if convert::is_table(&path) {
                    inputs.push(Input::Table(path, columns.clone()));
                } else if sending::source::is_lines(&path) {
                    files.push(Source::file(path, "ndjson"));
                } else {
                    inputs.push(Input::File(path));
                }
            }
        }
        if files.is_empty() {
            return send::deliver(session, inputs, self.source).await;
        }
        let started = tokio::time::Instant::now();
        let client = session.client().await?;
        let asked = Asked { map: self.map, source: columns.source.clone(), zone: columns.zone };
        let mut imported = importing::import(&client.caller(), &session.terminal, &files, &asked).await?;
        if !inputs.is_empty() {
            let sent = send::hand_over(session, &client, inputs, self.source).await;
            imported.summary.merge(sent?);
        }
        client.drain_feed(&session.terminal).await?;
        report(&session.terminal, &imported, started.elapsed())
    }
}

fn report(terminal: &Terminal, imported: &Imported, elapsed: std::time::Duration) -> Result<(), Failure> {
    let summary = &imported.summary;
    if terminal.json {
        terminal.print(&imported.json())?;
    } else {
        let clean = summary.rejected_count() == 0 && imported.refused.is_empty();
        let mark = terminal.mark(if clean { Mark::Green } else { Mark::Yellow }, "imported:");
        let corrected = match imported.corrected {
            0 => String::new(),
            corrected => format!(" ({} of them corrections)", count(corrected)),
        };
        let took = crate::render::number::seconds(elapsed);
        terminal.say(&format!("{mark} {}{corrected} in {took}", summary.line()));
    }
    imported.refused.iter().for_each(|line| terminal.warn(&format!("refused: {line}")));
    summary.rejected_lines().iter().for_each(|line| terminal.warn(line));
    if summary.rejected_count() > summary.unsent {
        terminal.say("what was rejected is kept: `tidemill quarantine ls`");
    }
    if summary.rejected_count() > 0 || !imported.refused.is_empty() {
        return Err(Failure::silent(Exit::BadInput));
    }
    Ok(())
}

fn zone(name: &str) -> Result<Zone, Failure> {
    Zone::named(name).ok_or_else(|| {
        let near = crate::settings::nearest(name, Zone::names());
        let help =
            near.map_or("use an IANA name like Europe/Paris".to_owned(), |near| format!("did you mean `{near}`?"));
        Failure::input("TM0916", format!("--tz: there is no time zone `{name}`")).help(help)
    })
}

/// The files a pattern names, in order.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new(pattern);
    if path.exists() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut parts = pattern.split('/').peekable();
    let mut root = PathBuf::from(if pattern.starts_with('/') { "/" } else { "" });
    while let Some(part) = parts.next_if(|part| !part.contains(['*', '?'])) {
        root.push(part);
    }
    let parts: Vec<&str> = parts.collect();
    if !parts.is_empty() {
        walk(&root, &parts, 0, &mut found)?;
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(Failure::input("TM0902", format!("no file matches {pattern}")));
    }
    Ok(found)
}

fn walk(folder: &Path, parts: &[&str], depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    let read = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // A folder that cannot be read holds nothing that matches.
    let Ok(entries) = std::fs::read_dir(read) else { return Ok(()) };
    if *part == "**" {
        walk(folder, rest, depth, found)?;
    }
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
        let name = name.to_string_lossy();
        if *part == "**" {
            if path.is_dir() && depth < FOLDERS_DEPTH_MAX {
                walk(&path, parts, depth + 1, found)?;
            }
        } else if matches(part.as_bytes(), name.as_bytes()) && !name.starts_with('.') {
            if rest.is_empty() && path.is_file() {
                found.push(path);
            } else if !rest.is_empty() {
                walk(&path, rest, depth + 1, found)?;
            }
        }
        if found.len() > FILES_MAX {
            return Err(Failure::input("TM0902", format!("more than {FILES_MAX} files match")));
        }
    }
    Ok(())
}

/// `*`: any run of bytes; `?`: any one byte.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut back) = ((0, 0), None);
    loop {
        match (pattern.get(at.0), name.get(at.1)) {
            (Some(b'*'), _) => {
                back = Some(at);
                at.0 += 1;
            }
            (Some(b'?'), Some(_)) => at = (at.0 + 1, at.1 + 1),
            (Some(wanted), Some(byte)) if wanted == byte => at = (at.0 + 1, at.1 + 1),
            (None, None) => return true,
            _ => match &mut back {
                Some(star) if star.1 < name.len() => {
                    star.1 += 1;
                    at = (star.0 + 1, star.1);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match() {
        for (pattern, name, is_match) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?.csv", "a.csv", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), is_match, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_are_expanded() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("x/y")).expect("made");
        for name in ["a.csv", "x/b.csv", "x/y/c.csv", "x/y/d.parquet"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = expand(&format!("{}/{pattern}", folder.path().display())).expect("found");
            found.iter().map(|path| path.file_name().expect("named").to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names("*.csv"), ["a.csv"]);
        assert_eq!(names("**/*.csv"), ["a.csv", "b.csv", "c.csv"]);
        assert_eq!(names("x/?/*"), ["c.csv", "d.parquet"]);
        assert_eq!(names("a.csv"), ["a.csv"]);
        assert!(expand("no/such/*.csv").is_err());
    }
}
