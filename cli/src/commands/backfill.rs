//! `tidemill backfill`: history, computed in requests that can be watched and resumed.

pub mod told;
mod watch;

use axum::http::Method;
use clap::{Args, Subcommand};

use crate::client::{Client, Request, url};
use crate::failure::Failure;
use crate::json::quoted;
use crate::render::number::counted;
use crate::session::Session;
use crate::terminal::Terminal;

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

    /// Units in flight at most: a unit is a month of up to ten insights [default: 4; at most 64]
    #[arg(long, value_name = "N")]
    budget: Option<u32>,

    /// Compute one day, keep nothing of it, and say what the whole would take
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
    /// Go on with one that was cancelled, and run once more what failed
    Resume {
        /// Its id [default: the latest]
        id: Option<String>,
        /// Units in flight at most from here on
        #[arg(long, value_name = "N")]
        budget: Option<u32>,
    },
    /// Begin nothing new; what is in flight may end
    Cancel {
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
            "{{\"insights\":{insights},\"from\":{},\"to\":{},\"months\":{},\"budget\":{},\"dry_run\":{}}}",
            text(&self.from),
            text(&self.to),
            number(self.months),
            number(self.budget),
            self.dry_run
        )
    }
}

impl Running {
    async fn run(&self, terminal: &Terminal, client: &Client) -> Result<(), Failure> {
        let (Running::Status { id } | Running::Resume { id, .. } | Running::Cancel { id }) = self;
        let id = match id {
            Some(id) => id.clone(),
            None => latest(client).await?,
        };
        let path = format!("/v1/backfills/{}", url::segment(&id));
        match self {
            Running::Status { .. } => {
                let status = client.ask_json(&Request::get(path)).await?;
                told::print(terminal, &status, &told::status(&status))
            }
            Running::Resume { budget, .. } => {
                let mut request = Request { method: Method::POST, ..Request::get(format!("{path}/resume")) };
                if let Some(budget) = budget {
                    request = request.with("budget", budget.to_string());
                }
                client.ask(&request).await?;
                watch::watch(terminal, client, &id).await
            }
            Running::Cancel { .. } => {
                let request = Request { method: Method::DELETE, ..Request::get(path) };
                let status = client.ask_json(&request).await?;
                told::print(terminal, &status, &told::status(&status))
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

/// Starts a backfill with this body and watches it to its end.
pub async fn start(terminal: &Terminal, client: &Client, body: String, is_dry: bool) -> Result<(), Failure> {
    client.drain_feed(terminal).await?;
    let started = client.ask_json(&Request::send(Method::POST, "/v1/backfills", "application/json", body)).await?;
    if is_dry {
        return told::print(terminal, &started, &told::estimate(&started));
    }
    let (days, insights) = (started.whole_at("days"), started.whole_at("insights"));
    terminal.say(&format!("computing {} of {}", counted(days, "day"), counted(insights, "insight")));
    watch::watch(terminal, client, started.text_at("id")).await
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
        assert_eq!(
            body(&["--all"]),
            r#"{"insights":null,"from":null,"to":null,"months":null,"budget":null,"dry_run":false}"#
        );
        assert_eq!(
            body(&["revenue", "--from", "2026-01", "--budget", "2", "--dry-run"]),
            r#"{"insights":["revenue"],"from":"2026-01","to":null,"months":null,"budget":2,"dry_run":true}"#
        );
    }

    #[test]
    fn an_insight_or_all_and_subcommands() {
        assert!(parsed(&[]).is_none());
        assert!(parsed(&["x", "--all"]).is_none());
        assert!(parsed(&["status"]).expect("valid").running.is_some());
        assert!(parsed(&["resume", "b1"]).expect("valid").running.is_some());
        assert!(parsed(&["cancel"]).expect("valid").running.is_some());
    }
}
