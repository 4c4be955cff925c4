//! `tidemill send`: events from files or stdin.

use std::path::PathBuf;

use clap::Args;

use crate::client::Client;
use crate::convert;
use crate::failure::{Exit, Failure};
use crate::sending::{self, Input, Summary};
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Requests in flight where no project says.
const IN_FLIGHT_DEFAULT: u32 = 4;

/// Send events: NDJSON or JSON files, gzipped or not; `-` is stdin
#[derive(Debug, Args)]
pub struct Send {
    /// Files of events, one JSON object per line (or one JSON array); `-` is stdin
    #[arg(required = true, value_name = "FILE|-")]
    files: Vec<PathBuf>,

    /// The source of events that name none [default: `source` of tidemill.toml, else the key's]
    #[arg(long)]
    source: Option<String>,
}

impl Send {
    /// Sends them; exit code 2 when some were rejected.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        if let Some(table) = self.files.iter().find(|path| convert::is_table(path)) {
            return Err(Failure::input("TM0914", format!("{} is a table, not JSON events", table.display()))
                .help("`tidemill import` reads CSV and Parquet"));
        }
        if let Some(missing) = self.files.iter().find(|path| path.as_os_str() != "-" && !path.exists()) {
            return Err(Failure::input("TM0902", format!("there is no file {}", missing.display())));
        }
        let input = |path: PathBuf| if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path) };
        deliver(session, self.files.into_iter().map(input).collect(), self.source).await
    }
}

/// Sends the inputs, brings pages and totals up to date where there is no server, and says what became of the events.
pub async fn deliver(session: &Session, inputs: Vec<Input>, source: Option<String>) -> Result<(), Failure> {
    let client = session.client().await?;
    let source = self::source(session, source);
    let in_flight = session.project().map_or(IN_FLIGHT_DEFAULT, |project| project.settings.send_in_flight);
    deliver_to(&session.terminal, &client, inputs, source, in_flight).await
}

/// The source of events that name none: the one given, else the project's; `None` leaves it to the server.
pub fn source(session: &Session, given: Option<String>) -> Option<String> {
    given.or_else(|| session.project().ok().and_then(|project| project.settings.source))
}

/// The same through a client that is open already.
pub async fn deliver_to(
    terminal: &Terminal,
    client: &Client,
    inputs: Vec<Input>,
    source: Option<String>,
    in_flight: u32,
) -> Result<(), Failure> {
    let started = tokio::time::Instant::now();
    let summary = send_all(terminal, client, inputs, source, in_flight).await?;
    client.drain_feed(terminal).await?;
    report(terminal, &summary, started.elapsed())
}

/// Only sends the inputs; for a command that says itself what became of them.
pub async fn hand_over(
    session: &Session,
    client: &Client,
    inputs: Vec<Input>,
    source: Option<String>,
) -> Result<Summary, Failure> {
    let source = self::source(session, source);
    let in_flight = session.project().map_or(IN_FLIGHT_DEFAULT, |project| project.settings.send_in_flight);
    send_all(&session.terminal, client, inputs, source, in_flight).await
}

async fn send_all(
    terminal: &Terminal,
    client: &Client,
    inputs: Vec<Input>,
    source: Option<String>,
    in_flight: u32,
) -> Result<Summary, Failure> {
    let total: u64 = inputs.iter().map(Input::bytes).sum();
    let bar = if total == 0 { terminal.spinner("sending") } else { terminal.bar(total, "sending", true) };
    let sent = sending::send(client.caller(), inputs, source, in_flight as usize, &bar).await;
    bar.finish_and_clear();
    sent
}

fn report(terminal: &Terminal, summary: &Summary, elapsed: std::time::Duration) -> Result<(), Failure> {
    if terminal.json {
        terminal.print(&summary.json())?;
    } else {
        let took = crate::render::number::seconds(elapsed);
        let mark = if summary.rejected.is_empty() { Mark::Green } else { Mark::Yellow };
        terminal.say(&format!("{} {} in {took}", terminal.mark(mark, "sent:"), summary.line()));
    }
    if summary.rejected.is_empty() {
        return Ok(());
    }
    summary.rejected_lines().iter().for_each(|line| terminal.warn(line));
    if summary.rejected_count() > summary.unsent {
        terminal.say("what the server rejected is kept: `tidemill quarantine ls`");
    }
    Err(Failure::silent(Exit::BadInput))
}
