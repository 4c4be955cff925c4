//! Watching a backfill to its end.

use std::time::Duration;

use crate::client::{Client, Request, url};
use crate::commands::backfill::told;
use crate::failure::{Exit, Failure};
use crate::json::Json;
use crate::render::number::{count, counted, seconds};
use crate::terminal::{Mark, Terminal};

/// Milliseconds between two looks at a running backfill.
const POLL_MILLIS: u64 = 200;
/// Failures that are shown.
const FAILURES_SHOWN_MAX: usize = 10;

/// Watches it; without a server, does its work meanwhile.
pub async fn watch(terminal: &Terminal, client: &Client, id: &str) -> Result<(), Failure> {
    let began = tokio::time::Instant::now();
    let bar = terminal.steps();
    let request = Request::get(format!("/v1/backfills/{}", url::segment(id)));
    let look = async || -> Result<Json, Failure> {
        let status = client.ask_json(&request).await?;
        bar.set_length(status.whole_at("days_total") + status.whole_at("periods_total"));
        bar.set_position(status.whole_at("days_done") + status.whole_at("periods_done"));
        bar.set_prefix(format!("{}s", status.text_at("phase")));
        bar.set_message(told::pace(&status));
        Ok(status)
    };
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
        while look().await?.text_at("state") == "running" {
            tokio::time::sleep(Duration::from_millis(POLL_MILLIS)).await;
        }
    }
    let status = look().await?;
    bar.finish_and_clear();
    finish(terminal, &status, began.elapsed())
}

fn finish(terminal: &Terminal, status: &Json, elapsed: Duration) -> Result<(), Failure> {
    if terminal.json {
        terminal.print(&status.to_string())?;
    }
    let (done, state) = (status.whole_at("days_done"), status.text_at("state"));
    if state == "done" {
        let took = seconds(elapsed);
        let rate = count((done as u128 * 1_000 / elapsed.as_millis().max(1)).try_into().unwrap_or(u64::MAX));
        let mark = terminal.mark(Mark::Green, "computed");
        let periods = status.whole_at("periods_done");
        let periods = if periods == 0 { String::new() } else { format!(" and {}", counted(periods, "longer period")) };
        terminal.say(&format!("{mark} {}{periods} in {took} ({rate} days a second)", counted(done, "day")));
        return Ok(());
    }
    for failure in status.items_at("failures").iter().take(FAILURES_SHOWN_MAX) {
        terminal.warn(&format!("  {}", told::failure(failure)));
    }
    let total = counted(status.whole_at("days_total"), "day");
    let id = status.text_at("id");
    let mut failure = Failure::failed("TM0920", format!("backfill {id} is {state}: {} of {total} done", count(done)));
    failure = failure.help(format!("go on with `tidemill backfill resume {id}`"));
    failure.exit = Exit::Failed;
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_backfill_says_how_to_go_on() {
        let json = br#"{"id":"b1","state":"failed","days_total":10,"days_done":7,
            "failures":[{"insight":"x","first":"2026-01-01","last":"2026-01-03","message":"too many groups"}]}"#;
        let status = Json::parse(json).expect("JSON");
        let failure = finish(&Terminal::new(false, true), &status, Duration::from_secs(1)).expect_err("failed");
        assert_eq!(failure.message, "backfill b1 is failed: 7 of 10 days done");
        assert_eq!(failure.help.as_deref(), Some("go on with `tidemill backfill resume b1`"));
    }
}
