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
