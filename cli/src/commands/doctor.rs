//! `tidemill doctor`: what is wrong, if anything, with the project, this machine and the server.

use axum::http::Method;
use clap::Args;
use tidemill_ports::{Clock, SystemClock};

use crate::client::Request;
use crate::definitions;
use crate::failure::{Exit, Failure};
use crate::json::{Json, quoted};
use crate::project::Project;
use crate::render::number::{count, counted};
use crate::render::tree;
use crate::session::Session;
use crate::terminal::Mark;

/// Free bytes below which the disk is worth a warning.
const DISK_FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;
/// Keys of a server's status that are worth a warning when they are not zero.
const WORRIES: [&str; 7] = ["dead_letters", "drift", "quarantined", "gaps", "blocked", "failed", "partial_rollups"];

/// Look for what is wrong with the project or its server
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also remove what nothing has referred to for a day
    #[arg(long)]
    pub clean: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    Worry,
    Wrong,
}

/// One line of the report.
struct Finding {
    verdict: Verdict,
    what: String,
    said: String,
}

fn found(verdict: Verdict, what: &str, said: impl Into<String>) -> Finding {
    Finding { verdict, what: what.to_owned(), said: said.into() }
}

impl Doctor {
    /// Checks everything; exit code 1 when something is wrong.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut findings = Vec::new();
        match session.project() {
            Ok(project) => {
                findings.push(found(Verdict::Fine, "project", project.root.display().to_string()));
                findings.push(definitions_read(&project));
                findings.push(clock(&project));
                findings.extend(disk(&project));
            }
            Err(failure) if session.target == "local" => {
                findings.push(found(Verdict::Wrong, "project", failure.lines().join("; ")));
            }
            Err(_) => {}
        }
        if findings.iter().all(|finding| finding.what != "project" || finding.verdict == Verdict::Fine) {
            match server(session, self.clean).await {
                Ok(more) => findings.extend(more),
                Err(failure) => findings.push(found(Verdict::Wrong, "store", failure.lines().join("; "))),
            }
        }
        report(session, &findings)
    }
}

/// What the server, or the router in this process, says of itself.
async fn server(session: &Session, clean: bool) -> Result<Vec<Finding>, Failure> {
    let client = session.client().await?;
    let mut findings = vec![match client.address() {
        Some(address) => {
            client.ask(&Request::get("/healthz")).await?;
            found(Verdict::Fine, "server", format!("{address} answers"))
        }
        None => found(Verdict::Fine, "store", "opens; no server runs on this project"),
    }];
    if clean {
        let cleaned = client.ask_json(&Request::send(Method::POST, "/v1/clean", "", "")).await?;
        let removed = counted(cleaned.whole_at("removed"), "blob");
        let (kib, kept) = (count(cleaned.whole_at("removed_bytes").div_ceil(1024)), count(cleaned.whole_at("kept")));
        findings.push(found(Verdict::Fine, "clean", format!("{removed} removed ({kib} KiB), {kept} kept")));
    }
    let status = client.ask_json(&Request::get("/v1/status")).await?;
    for (key, value) in status.entries() {
        let is_worry = WORRIES.contains(&key.as_str())
            && !matches!(value, Json::Null | Json::Bool(false))
            && value.whole() != Some(0)
            && (value.is_scalar() || !value.items().is_empty() || !value.entries().is_empty());
        let verdict = if is_worry { Verdict::Worry } else { Verdict::Fine };
        let said = match value {
            Json::Number(text) => crate::render::number::grouped(text),
            value if value.is_scalar() => value.shown(),
            value => tree::lines(value).join("; ").split_whitespace().collect::<Vec<_>>().join(" "),
        };
        findings.push(found(verdict, &key.replace('_', " "), if said.is_empty() { "none".to_owned() } else { said }));
    }
    Ok(findings)
}

fn definitions_read(project: &Project) -> Finding {
    match definitions::read(&project.insights()) {
        Ok(files) => {
            let (_, findings) = definitions::check(&files);
            let errors = findings.iter().filter(|finding| finding.is_error).count();
            let read = counted(files.len() as u64, "file");
            if errors > 0 {
                let said = format!("{} in {read}; see `tidemill check`", counted(errors as u64, "error"));
                return found(Verdict::Wrong, "definitions", said);
            }
            found(Verdict::Fine, "definitions", read)
        }
        Err(failure) => found(Verdict::Worry, "definitions", failure.message),
    }
}

/// A clock that is far off puts today's events into another day.
fn clock(project: &Project) -> Finding {
    let now = SystemClock.now();
    let written =
        std::fs::metadata(project.root.join(crate::project::PROJECT_FILE_NAME)).and_then(|about| about.modified());
    let written = written.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let is_behind = written.is_some_and(|written| i128::from(now.micros()) + 300_000_000 < written.as_micros() as i128);
    if is_behind {
        return found(Verdict::Wrong, "clock", format!("it is {now}, and tidemill.toml was written later than that"));
    }
    found(Verdict::Fine, "clock", now.to_string())
}

/// Free space, as `df` says; nothing where there is no `df`.
fn disk(project: &Project) -> Option<Finding> {
    let output = std::process::Command::new("df").arg("-Pk").arg(&project.root).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let free = text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()?.checked_mul(1024)?;
    let verdict = if free < DISK_FREE_BYTES_MIN { Verdict::Worry } else { Verdict::Fine };
    Some(found(verdict, "disk", format!("{} MiB free", count(free / (1024 * 1024)))))
}

fn report(session: &Session, findings: &[Finding]) -> Result<(), Failure> {
    let terminal = &session.terminal;
    let worst = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count() as u64;
    if terminal.json {
        let entry = |finding: &Finding| {
            let verdict = format!("{:?}", finding.verdict).to_lowercase();
            format!(
                "{{\"check\":{},\"verdict\":\"{verdict}\",\"said\":{}}}",
                quoted(&finding.what),
                quoted(&finding.said)
            )
        };
        let entries: Vec<String> = findings.iter().map(entry).collect();
        terminal.print(&format!("{{\"checks\":[{}]}}", entries.join(",")))?;
    } else {
        let widest = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
        for finding in findings {
            let mark = match finding.verdict {
                Verdict::Fine => terminal.mark(Mark::Green, "ok  "),
                Verdict::Worry => terminal.mark(Mark::Yellow, "warn"),
                Verdict::Wrong => terminal.mark(Mark::Red, "bad "),
            };
            terminal.print(&format!("{mark}  {:<widest$}  {}", finding.what, finding.said))?;
        }
    }
    match worst(Verdict::Wrong) {
        0 => Ok(()),
        wrong => {
            terminal.say(&format!("{} found", counted(wrong, "problem")));
            Err(Failure::silent(Exit::Failed))
        }
    }
}
