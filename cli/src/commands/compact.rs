//! `tidemill compact`: the pages of days that are over, rewritten now instead of within the hour a server takes.

use std::time::Duration;

use axum::http::Method;
use clap::Args;
use tokio::time::Instant;

use crate::client::Request;
use crate::commands::days::Days;
use crate::failure::Failure;
use crate::json::Json;
use crate::render::number::{count, counted, seconds};
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Rewrite the pages of days that are over: sorted, without what was corrected or withdrawn, in few files
#[derive(Debug, Args)]
pub struct Compact {
    #[command(flatten)]
    days: Days,
    /// Also days where it gains little: few rows in few pages
    #[arg(long)]
    all: bool,
}

/// What it came to.
#[derive(Default)]
struct Sum {
    days: u64,
    left: u64,
    /// Rows, pages and bytes before.
    before: [u64; 3],
    /// The same after.
    after: [u64; 3],
}

impl Compact {
    /// Compacts day by day.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (client, terminal) = (session.client().await?, &session.terminal);
        client.drain_feed(terminal).await?;
        let (began, mut sum) = (Instant::now(), Sum::default());
        let answer = client.ask_json(&self.days.of(Request::get("/v1/events/days"))).await?;
        for day in answer.items_at("days") {
            let (source, date) = (day.text_at("source"), day.text_at("day"));
            let request = Request::send(Method::POST, "/v1/compact", "", "").with("source", source).with("day", date);
            let request = if self.all { request.with("all", "true") } else { request };
            let began = Instant::now();
            let answer = client.ask_json(&request).await?;
            sum.add(terminal, (source, date), &answer, began.elapsed())?;
        }
        sum.tell(terminal, began.elapsed())
    }
}

impl Sum {
    fn add(
        &mut self,
        terminal: &Terminal,
        (source, date): (&str, &str),
        answer: &Json,
        took: Duration,
    ) -> Result<(), Failure> {
        let Some(compacted) = answer.get("compacted") else {
            self.left += 1;
            if let Some(left) = answer.get("left").filter(|left| !["TM0152", "TM0154"].contains(&left.text_at("code")))
            {
                let (code, reason) = (left.text_at("code"), left.text_at("reason"));
                terminal.warn(&format!("{source} {date} is left as it is: {reason} ({code})"));
            }
            return Ok(());
        };
        let at = |keys: [&str; 3]| keys.map(|key| compacted.whole_at(key));
        let (before, after) = (at(["rows_before", "pages_before", "bytes_before"]), at(["rows", "pages", "bytes"]));
        self.days += 1;
        for place in 0..3 {
            self.before[place] += before[place];
            self.after[place] += after[place];
        }
        if terminal.json {
            return Ok(());
        }
        terminal.print(&format!("{source} {date}: {} in {}", change(before, after), seconds(took)))
    }

    fn tell(&self, terminal: &Terminal, took: Duration) -> Result<(), Failure> {
        if terminal.json {
            let named =
                |[rows, pages, bytes]: [u64; 3]| format!("{{\"rows\":{rows},\"pages\":{pages},\"bytes\":{bytes}}}");
            let (before, after) = (named(self.before), named(self.after));
            let (days, left, millis) = (self.days, self.left, took.as_millis());
            return terminal.print(&format!(
                "{{\"days\":{days},\"left\":{left},\"before\":{before},\"after\":{after},\"millis\":{millis}}}"
            ));
        }
        let left = match self.left {
            0 => String::new(),
            left => format!("; {} left as they are", counted(left, "day")),
        };
        let mark = terminal.mark(Mark::Green, "compacted:");
        let what = match self.days {
            0 => "nothing to gain".to_owned(),
            days => format!("{}, {} in {}", counted(days, "day"), change(self.before, self.after), seconds(took)),
        };
        terminal.say(&format!("{mark} {what}{left}"));
        Ok(())
    }
}

/// `1,000 rows, 12 pages → 1, 3.4 MiB → 1.2 MiB`, with the rows that are gone.
fn change(before: [u64; 3], after: [u64; 3]) -> String {
    let rows = match before[0] - after[0].min(before[0]) {
        0 => counted(after[0], "row"),
        gone => format!("{} ({} superseded or withdrawn)", counted(after[0], "row"), count(gone)),
    };
    let pages = format!("{} → {}", counted(before[1], "page"), count(after[1]));
    format!("{rows}, {pages}, {} → {}", size(before[2]), size(after[2]))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", count(bytes.div_ceil(1024))),
        _ => {
            let tenths = bytes * 10 / (1024 * 1024);
            format!("{}.{} MiB", count(tenths / 10), tenths % 10)
        }
    }
}
