//! `tidemill demo`: a project with real events and its numbers, in one command.

use std::path::{Path, PathBuf};

use clap::Args;
use flate2::read::MultiGzDecoder;

use crate::client::{Client, server_file};
use crate::commands::plan::Planned;
use crate::commands::query::{Format, Query};
use crate::commands::{apply, backfill, init, send, up};
use crate::definitions;
use crate::failure::Failure;
use crate::project::{PROJECT_FILE_NAME, Project};
use crate::render::number::count;
use crate::sending::Input;
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Where the demo lives, below the current folder.
const FOLDER: &str = "tidemill-demo";
/// Events the demo may be asked to send.
const EVENTS_MAX: u64 = 5_000_000;
/// The events: see `cli/demo/README.md`.
const EVENTS: &[u8] = include_bytes!("../../demo/git-events-small.ndjson.gz");
/// The definitions.
const INSIGHTS: [(&str, &str); 5] = [
    ("commits.yaml", include_str!("../../demo/insights/commits.yaml")),
    ("churn.yaml", include_str!("../../demo/insights/churn.yaml")),
    ("change_size.yaml", include_str!("../../demo/insights/change_size.yaml")),
    ("people.yaml", include_str!("../../demo/insights/people.yaml")),
    ("releases.yaml", include_str!("../../demo/insights/releases.yaml")),
];

/// Try it: a project with real events, its numbers, and a server
#[derive(Debug, Args)]
pub struct Demo {
    /// Leave after printing the numbers
    #[arg(long)]
    exit: bool,

    /// How many events to send [default: all 12,017]; beyond them the history is repeated under new ids
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=EVENTS_MAX))]
    events: Option<u64>,

    /// Where to listen afterwards
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7600")]
    listen: String,
}

/// A table the demo prints.
struct Shown {
    title: &'static str,
    insight: &'static str,
    every: Option<&'static str>,
    from: &'static str,
    to: &'static str,
    by: &'static [&'static str],
}

/// The history ends in August 2026, so the ranges are named rather than counted back from today.
const SHOWN: [Shown; 3] = [
    Shown {
        title: "Commits by month (days as they are in Los Angeles)",
        insight: "commits",
        every: Some("month"),
        from: "2025-09",
        to: "2026-09",
        by: &[],
    },
    Shown {
        title: "Where the lines changed in 2026",
        insight: "churn",
        every: None,
        from: "2026-01",
        to: "2026-09",
        by: &["dir"],
    },
    Shown {
        title: "How large changes are, by quarter",
        insight: "change_size",
        every: Some("quarter"),
        from: "2025-07",
        to: "2026-07",
        by: &[],
    },
];

impl Demo {
    /// Makes the project, fills it, prints its numbers, and serves it.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let address = up::address(&self.listen)?;
        up::may_serve(address, false)?;
        let folder = PathBuf::from(FOLDER);
        let project = make(terminal, &folder)?;
        let client = Client::open("local", Some(&project)).await?;

        headline(terminal, "Definitions");
        let files = definitions::read(&project.insights())?;
        let planned = Planned::ask(&client, &files).await?;
        crate::commands::check::show(session, &planned.findings);
        planned.checked()?;
        for change in planned.changes() {
            apply::put(&client, terminal, change.text_at("insight"), change.text_at("text")).await?;
        }
        if planned.changes().next().is_none() {
            terminal.say("  in effect already");
        }

        headline(terminal, "Events");
        let input = Input::Bytes("git-events-small.ndjson.gz", events(self.events)?);
        send::deliver_to(terminal, &client, vec![input], None, project.settings.send_in_flight).await?;

        headline(terminal, "History");
        let body = r#"{"insights":null}"#;
        backfill::start(terminal, &client, body.to_owned(), false).await?;

        for shown in &SHOWN {
            terminal.print(&format!("\n{}", terminal.mark(Mark::Bold, shown.title)))?;
            terminal.print(&terminal.mark(Mark::Dim, &format!("$ {}", shown.command())))?;
            shown.query().answer(&client).await?.print_table(terminal)?;
        }
        next_steps(terminal);
        if self.exit {
            return Ok(());
        }
        terminal.say("");
        if let Some(url) = server_file::alive(&project).await {
            terminal.say(&format!("the demo is being served already, at {url}"));
            return Ok(());
        }
        let listener = up::bind(address).await?;
        match client.into_local() {
            Some(local) => up::serve(terminal, &project, local, listener).await,
            None => Ok(()),
        }
    }
}

impl Shown {
    fn query(&self) -> Query {
        Query {
            insight: self.insight.to_owned(),
            every: self.every.map(str::to_owned),
            last: None,
            from: Some(self.from.to_owned()),
            to: Some(self.to.to_owned()),
            by: self.by.iter().map(|column| (*column).to_owned()).collect(),
            filter: None,
            show: None,
            fail_on_partial: false,
            fingerprint: None,
            output: Format::Table,
        }
    }

    /// The same by hand.
    fn command(&self) -> String {
        let every = self.every.map_or(String::new(), |every| format!(" --every {every}"));
        let by = if self.by.is_empty() { String::new() } else { format!(" --by {}", self.by.join(",")) };
        format!("tidemill query {}{every} --from {} --to {}{by}", self.insight, self.from, self.to)
    }
}

/// Makes the project, or takes the one that is there.
fn make(terminal: &Terminal, folder: &Path) -> Result<Project, Failure> {
    if folder.join(PROJECT_FILE_NAME).exists() {
        terminal.say(&format!("using the project in ./{FOLDER}"));
    } else {
        headline(terminal, "A project");
        init::write_new(terminal, &folder.join(PROJECT_FILE_NAME), init::PROJECT_FILE)?;
        for (name, text) in INSIGHTS {
            init::write_new(terminal, &folder.join("insights").join(name), text)?;
        }
    }
    Project::open(folder)
}

/// The events to send: the embedded ones as they are, fewer, or more.
fn events(wanted: Option<u64>) -> Result<Vec<u8>, Failure> {
    let Some(wanted) = wanted else { return Ok(EVENTS.to_vec()) };
    let mut text = String::new();
    std::io::Read::read_to_string(&mut MultiGzDecoder::new(EVENTS), &mut text)
        .map_err(|error| Failure::failed("TM0914", format!("the demo's events: {error}")))?;
    let mut out = Vec::new();
    let mut left = wanted;
    for copy in 0u64.. {
        for line in text.lines() {
            if left == 0 {
                return Ok(out);
            }
            left -= 1;
            match line.strip_prefix("{\"id\":\"").filter(|_| copy > 0) {
                Some(rest) => out.extend_from_slice(format!("{{\"id\":\"{copy}~{rest}\n").as_bytes()),
                None => out.extend_from_slice(format!("{line}\n").as_bytes()),
            }
        }
    }
    Ok(out)
}

fn headline(terminal: &Terminal, text: &str) {
    terminal.say(&format!("\n{}", terminal.mark(Mark::Bold, text)));
}

fn next_steps(terminal: &Terminal) {
    let step = |command: &str, what: &str| terminal.say(&format!("  {command:<52} {what}"));
    headline(terminal, "Next");
    step(&format!("cd {FOLDER} && ls insights"), "the definitions behind these numbers");
    step("tidemill ls", "every insight");
    step("tidemill explain churn", "how one is computed, and why");
    step("tidemill query people --every week --last 20w", "other numbers");
    step("tidemill query churn --from 2026-01 --by dir,ext -o csv", "or as a file");
    terminal.say(&format!("  ({} events of two public git histories; people are hashed)", count(12_017)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_and_more_events_with_ids_of_their_own() {
        let ids = |bytes: &[u8]| -> Vec<String> {
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| crate::json::Json::parse(line).expect("JSON").text_at("id").to_owned()).collect()
        };
        assert_eq!(ids(&events(Some(5)).expect("events")).len(), 5);
        let mut many = ids(&events(Some(30_000)).expect("events"));
        assert_eq!(many.len(), 30_000);
        many.sort();
        many.dedup();
        assert_eq!(many.len(), 30_000);
        assert_eq!(events(None).expect("events"), EVENTS);
    }

    #[test]
    fn the_demos_project_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("demo");
        let terminal = Terminal::new(false, true);
        make(&terminal, &folder).expect("made");
        assert_eq!(definitions::read(&folder.join("insights")).expect("read").len(), INSIGHTS.len());
        make(&terminal, &folder).expect("taken as it is");
    }
}
