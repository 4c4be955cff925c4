//! `tidemill backfill`: history, computed in requests that can be watched and resumed.

use std::time::Duration;

use axum::http::Method;
use clap::{Args, Subcommand};

use crate::client::{Client, Request, url};
use crate::failure::{Exit, Failure};
use crate::json::{Json, quoted};
use crate::render::number::{count, counted, seconds};
use crate::render::tree;
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Milliseconds between two looks at a running backfill.
const POLL_MILLIS: u64 = 200;
/// Failures that are shown.
const FAILURES_SHOWN_MAX: usize = 10;

/// Compute history, or look after a running backfill
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Backfill {
    /// The insight's name
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    insight: Option<String>,

    /// Every insight
    #[arg(long)]
    all: bool,

    /// The first month [default: as far back as there are events]
    #[arg(long, value_name = "YYYY-MM")]
    from: Option<String>,

    /// The last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<String>,

    /// This many months back from now
    #[arg(long, value_name = "N", conflicts_with = "from")]
    months: Option<u32>,

    /// Only say what would be computed
    #[arg(long)]
    dry_run: bool,

    #[command(subcommand)]
    running: Option<Running>,
}

/// Look after a backfill.
#[derive(Debug, Subcommand)]
enum Running {
    /// How far it is
    Status {
        /// Its id [default: the latest]
        id: Option<String>,
    },
    /// Go on with one that was interrupted
    Resume {
        /// Its id [default: the latest]
        id: Option<String>,
    },
}

impl Backfill {
    /// Starts a backfill and watches it, or looks after one.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let client = session.client().await?;
        match &self.running {
            Some(running) => running.run(&session.terminal, &client).await,
            None => start(&session.terminal, &client, self.body(), self.dry_run).await,
        }
    }

    fn body(&self) -> String {
        let text = |value: &Option<String>| value.as_deref().map_or("null".to_owned(), quoted);
        let insights = self.insight.as_deref().map_or("null".to_owned(), |insight| format!("[{}]", quoted(insight)));
        let number = |value: Option<u32>| value.map_or("null".to_owned(), |value| value.to_string());
        format!(
            "{{\"insights\":{insights},\"from\":{},\"to\":{},\"months\":{},\"dry_run\":{}}}",
            text(&self.from),
            text(&self.to),
            number(self.months),
            self.dry_run
        )
    }
}

impl Running {
    async fn run(&self, terminal: &Terminal, client: &Client) -> Result<(), Failure> {
        let (Running::Status { id } | Running::Resume { id }) = self;
        let id = match id {
            Some(id) => id.clone(),
            None => latest(client).await?,
        };
        let path = format!("/v1/backfills/{}", url::segment(&id));
        match self {
            Running::Status { .. } => {
                let status = client.ask_json(&Request::get(path)).await?;
                print(terminal, &status)
            }
            Running::Resume { .. } => {
                let request = Request { method: Method::POST, ..Request::get(format!("{path}/resume")) };
                client.ask(&request).await?;
                watch(terminal, client, &id).await
            }
        }
    }
}

async fn latest(client: &Client) -> Result<String, Failure> {
    let list = client.ask_json(&Request::get("/v1/backfills")).await?;
    let latest = list.items_at("backfills").first().map(|backfill| backfill.text_at("id").to_owned());
    latest.ok_or_else(|| {
        Failure::input("TM0919", "there is no backfill").help("start one with `tidemill backfill --all`")
    })
}

fn print(terminal: &Terminal, json: &Json) -> Result<(), Failure> {
    if terminal.json {
        return terminal.print(&json.to_string());
    }
    tree::lines(json).iter().try_for_each(|line| terminal.print(line))
}

/// Starts a backfill with this body and watches it to its end.
pub async fn start(terminal: &Terminal, client: &Client, body: String, is_dry: bool) -> Result<(), Failure> {
    client.drain_feed(terminal).await?;
    let started = client.ask_json(&Request::send(Method::POST, "/v1/backfills", "application/json", body)).await?;
    if is_dry {
        return print(terminal, &started);
    }
    let (days, insights) = (started.whole_at("days"), started.get("insights"));
    let insights = insights.and_then(|list| list.whole().or(Some(list.items().len() as u64))).unwrap_or(0);
    terminal.say(&format!("computing {} of {}", counted(days, "day"), counted(insights, "insight")));
    watch(terminal, client, started.text_at("id")).await
}

/// Watches a backfill; without a server, does its work meanwhile.
async fn watch(terminal: &Terminal, client: &Client, id: &str) -> Result<(), Failure> {
    let began = tokio::time::Instant::now();
    let bar = terminal.bar(0, "days", false);
    let request = Request::get(format!("/v1/backfills/{}", url::segment(id)));
    let look = async || -> Result<Json, Failure> {
        let status = client.ask_json(&request).await?;
        bar.set_length(status.whole_at("days_total"));
        bar.set_position(status.whole_at("days_done"));
        Ok(status)
    };
    let is_running = |status: &Json| status.text_at("state") == "running";
    if let Some(local) = client.local() {
        let mut quiet = |_progress| {};
        let drain = local.drain(&mut quiet);
        let mut drain = std::pin::pin!(drain);
        loop {
            tokio::select! {
                drained = &mut drain => break drained?,
                () = tokio::time::sleep(Duration::from_millis(POLL_MILLIS)) => { look().await?; }
            }
        }
    } else {
        while is_running(&look().await?) {
            tokio::time::sleep(Duration::from_millis(POLL_MILLIS)).await;
        }
    }
    let status = look().await?;
    bar.finish_and_clear();
    finish(terminal, &status, began.elapsed(), is_running(&status))
}

fn finish(terminal: &Terminal, status: &Json, elapsed: Duration, is_running: bool) -> Result<(), Failure> {
    if terminal.json {
        terminal.print(&status.to_string())?;
    }
    let (done, state) = (status.whole_at("days_done"), status.text_at("state"));
    let took = seconds(elapsed);
    let rate = count((done as u128 * 1_000 / elapsed.as_millis().max(1)).try_into().unwrap_or(u64::MAX));
    let failures = status.items_at("failures");
    if state == "done" && failures.is_empty() {
        let mark = terminal.mark(Mark::Green, "computed");
        terminal.say(&format!("{mark} {} in {took} ({rate} a second)", counted(done, "day")));
        return Ok(());
    }
    for failure in failures.iter().take(FAILURES_SHOWN_MAX) {
        let (first, last) = (failure.text_at("first"), failure.text_at("last"));
        let days = if first == last { first.to_owned() } else { format!("{first} to {last}") };
        terminal.warn(&format!("  {} {days}: {}", failure.text_at("insight"), failure.text_at("message")));
    }
    let total = counted(status.whole_at("days_total"), "day");
    let id = status.text_at("id");
    let mut failure = Failure::failed("TM0920", format!("backfill {id} is {state}: {} of {total} done", count(done)));
    if is_running || state == "failed" {
        failure = failure.help(format!("go on with `tidemill backfill resume {id}`"));
    }
    failure.exit = Exit::Failed;
    Err(failure)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        backfill: Backfill,
    }

    fn parsed(words: &[&str]) -> Option<Backfill> {
        Line::try_parse_from([&["x"], words].concat()).ok().map(|line| line.backfill)
    }

    #[test]
    fn flags_become_the_body() {
        let body = |words: &[&str]| parsed(words).expect("valid").body();
        assert_eq!(body(&["--all"]), r#"{"insights":null,"from":null,"to":null,"months":null,"dry_run":false}"#);
        assert_eq!(
            body(&["revenue", "--from", "2026-01", "--dry-run"]),
            r#"{"insights":["revenue"],"from":"2026-01","to":null,"months":null,"dry_run":true}"#
        );
    }

    #[test]
    fn an_insight_or_all_and_subcommands() {
        assert!(parsed(&[]).is_none());
        assert!(parsed(&["x", "--all"]).is_none());
        assert!(parsed(&["status"]).expect("valid").running.is_some());
        assert!(parsed(&["resume", "b1"]).expect("valid").running.is_some());
    }

    #[test]
    fn a_failed_backfill_says_how_to_go_on() {
        let json = br#"{"id":"b1","state":"failed","days_total":10,"days_done":7,
            "failures":[{"insight":"x","first":"2026-01-01","last":"2026-01-03","message":"too many groups"}]}"#;
        let status = Json::parse(json).expect("JSON");
        let failure = finish(&Terminal::new(false, true), &status, Duration::from_secs(1), false).expect_err("failed");
        assert_eq!(failure.message, "backfill b1 is failed: 7 of 10 days done");
        assert_eq!(failure.help.as_deref(), Some("go on with `tidemill backfill resume b1`"));
    }
}
