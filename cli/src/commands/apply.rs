//! `tidemill apply`: plans, asks, and puts each changed definition into effect.

use axum::http::Method;
use clap::Args;

use crate::client::{Client, Request, url};
use crate::commands::{check, plan};
use crate::failure::Failure;
use crate::json::Json;
use crate::render::number::counted;
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Put the project's definitions into effect
#[derive(Debug, Args)]
pub struct Apply {
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

impl Apply {
    /// Plans, asks, applies.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let (client, planned) = plan::ask(session).await?;
        check::show(session, &planned.findings);
        planned.checked()?;
        if !terminal.json {
            terminal.print(&planned.table(terminal))?;
        }
        let kept = plan::not_in_files(&client, &planned).await?;
        if !kept.is_empty() {
            terminal.say(&format!("not in files (kept): {}", kept.join(", ")));
        }
        let changes: Vec<&Json> = planned.changes().collect();
        if changes.is_empty() {
            terminal.say("nothing to change");
        } else if !self.yes {
            confirm(terminal, changes.len())?;
        }
        let mut applied = Vec::new();
        for change in changes {
            applied.push(put(&client, terminal, change.text_at("insight"), change.text_at("text")).await?);
        }
        if terminal.json {
            let applied: Vec<String> = applied.iter().map(Json::to_string).collect();
            terminal.print(&format!("{{\"applied\":[{}]}}", applied.join(",")))?;
        }
        Ok(())
    }
}

fn confirm(terminal: &Terminal, changes: usize) -> Result<(), Failure> {
    if !terminal.can_ask() {
        return Err(Failure::input("TM0917", "apply asks before it changes anything, and there is nobody to ask")
            .help("add --yes"));
    }
    if !terminal.ask(&format!("Apply {}?", counted(changes as u64, "change"))) {
        return Err(Failure::failed("TM0917", "nothing was changed"));
    }
    Ok(())
}

/// Puts one definition into effect.
pub async fn put(client: &Client, terminal: &Terminal, name: &str, text: &str) -> Result<Json, Failure> {
    let path = format!("/v1/insights/{}", url::segment(name));
    let request = Request::send(Method::PUT, path, "application/yaml", text.to_owned());
    let answer = client.ask_json(&request).await?;
    let (change, strategy) = (answer.text_at("change"), answer.text_at("strategy"));
    terminal.say(&format!("  {} {name} {change} ({strategy})", terminal.mark(Mark::Green, "✓")));
    if let Some(backfill) = answer.get("catching_up").and_then(Json::text) {
        terminal.say(&format!(
            "    its history is computed aside (backfill {backfill}); the definition before answers until that is done"
        ));
    }
    for warning in answer.items_at("warnings") {
        let rendered = warning.get("rendered").and_then(Json::text).map_or_else(|| warning.shown(), str::to_owned);
        // What the definition's text gives rise to was shown when it was checked.
        if rendered.starts_with("warning[") {
            continue;
        }
        terminal.warn(&format!("{} {}", terminal.mark(Mark::Yellow, "warning"), rendered.trim_end()));
    }
    Ok(answer)
}
