//! `tidemill show`: an insight's definition and its latest numbers.

use clap::Args;

use crate::client::{Request, url};
use crate::failure::Failure;
use crate::json::Json;
use crate::render::rows::Rows;
use crate::render::{footer, table};
use crate::session::Session;
use crate::terminal::Mark;

/// Show an insight's definition and its latest numbers
#[derive(Debug, Args)]
pub struct Show {
    /// The insight's name
    insight: String,
}

impl Show {
    /// Shows it.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let client = session.client().await?;
        client.drain(terminal).await?;
        let path = format!("/v1/insights/{}", url::segment(&self.insight));
        let response = client.ask(&Request::get(&path)).await?;
        if terminal.json {
            return terminal.print(String::from_utf8_lossy(&response.body).trim_end());
        }
        let insight = response.json()?;
        terminal.print(insight.text_at("text").trim_end())?;
        let facts = [("strategy", "strategy"), ("fingerprint", "fingerprint"), ("applied", "applied_at")];
        let known = facts.iter().filter(|(_, key)| !insight.text_at(key).is_empty());
        let facts: Vec<String> = known.map(|(name, key)| format!("{name} {}", insight.text_at(key))).collect();
        terminal.print(&terminal.mark(Mark::Dim, &format!("# {}", facts.join(" · "))))?;
        for line in partial(insight.items_at("partial")) {
            terminal.print(&terminal.mark(Mark::Yellow, &line))?;
        }
        if let Some(state) = insight.get("catching_up").filter(|state| **state != Json::Null) {
            let (done, total) = (state.whole_at("days_done"), state.whole_at("days_total"));
            terminal.print(&terminal.mark(
                Mark::Yellow,
                &format!(
                    "# catching up: {done} of {total} days (backfill {}); until then {} answers",
                    state.text_at("backfill"),
                    state.text_at("answering_fingerprint")
                ),
            ))?;
        }
        let digest = client.ask_json(&Request::get(format!("{path}/digest"))).await?;
        let rows = Rows::of(digest.items_at("rows"));
        if rows.cells.is_empty() {
            let backfill = format!("tidemill backfill {}", self.insight);
            return terminal.print(&format!("\nno numbers yet; compute its history with `{backfill}`"));
        }
        terminal.print(&format!("\n{}", table::of_rows(&rows, digest.text_at("every"), terminal.columns())))?;
        for line in footer::lines(&digest) {
            terminal.print(&terminal.mark(Mark::Dim, &format!(" {line}")))?;
        }
        Ok(())
    }
}

/// Periods that were published without some of their days, a line each.
fn partial(periods: &[Json]) -> Vec<String> {
    let line = |period: &Json| {
        let days: Vec<String> = period.items_at("missing").iter().map(Json::shown).collect();
        format!("# partial: the {} of {} lacks {}", period.text_at("period"), period.text_at("first"), days.join(", "))
    };
    periods.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_period_is_named_with_its_days() {
        let json = br#"[{"period":"month","first":"2026-03-01","missing":["2026-03-03","2026-03-17"]}]"#;
        let lines = partial(Json::parse(json).expect("it is JSON").items());
        assert_eq!(lines, ["# partial: the month of 2026-03-01 lacks 2026-03-03, 2026-03-17"]);
    }
}
