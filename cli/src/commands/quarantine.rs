//! `tidemill quarantine ls`: events that were rejected, each with its reason.

use clap::{Args, Subcommand};

use crate::client::Request;
use crate::failure::Failure;
use crate::json::Json;
use crate::render::table;
use crate::session::Session;

/// Characters of a body that a table shows.
const BODY_CHARS_SHOWN_MAX: usize = 60;

/// Look at events that were rejected
#[derive(Debug, Args)]
pub struct Quarantine {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them, the oldest first
    Ls {
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

impl Quarantine {
    /// Lists them.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let What::Ls { limit } = self.what;
        let terminal = &session.terminal;
        let request = Request::get("/v1/quarantine").with("limit", limit.to_string());
        let response = session.client().await?.ask(&request).await?;
        if terminal.json {
            return terminal.print(String::from_utf8_lossy(&response.body).trim_end());
        }
        let answer = response.json()?;
        // Whatever the list is called: there is only one.
        let listed = answer.entries().iter().map(|(_, value)| value.items()).find(|items| !items.is_empty());
        let Some(items) = listed else {
            terminal.say("nothing was rejected");
            return Ok(());
        };
        let header = ["received", "id", "code", "why", "bytes", "body"].map(str::to_owned);
        let lines: Vec<Vec<String>> = items.iter().map(line).collect();
        let right = [false, false, false, false, true, false];
        terminal.print(&table::of_texts(&header, &lines, &right, terminal.columns()))?;
        if answer.get("next").is_some_and(|next| *next != Json::Null) {
            terminal.say("there are more: raise --limit");
        }
        Ok(())
    }
}

/// One rejected event in a table; `--json` has all of its body.
fn line(item: &Json) -> Vec<String> {
    let body = item.text_at("body");
    let start: String = body.chars().take(BODY_CHARS_SHOWN_MAX).collect();
    let more = if start.len() < body.len() { "…" } else { "" };
    let shown = |key: &str| item.get(key).map(Json::shown).unwrap_or_default();
    let mut line = ["received", "id", "code", "message", "bytes"].map(shown).to_vec();
    line.push(if start.is_empty() { shown("object") } else { start + more });
    line
}
