//! `tidemill plan`: what `apply` would change, and what that costs. Changes nothing.

use clap::Args;

use crate::client::{Client, Request};
use crate::commands::backfill::told;
use crate::commands::check;
use crate::definitions::{self, DefinitionFile, Finding};
use crate::failure::{Exit, Failure};
use crate::json::Json;
use crate::render::number::{count, counted};
use crate::render::table;
use crate::session::Session;
use crate::terminal::Terminal;

/// Show what `apply` would change
#[derive(Debug, Args)]
pub struct Plan {}

/// A server's plan for the project's definitions.
#[derive(Clone, Debug)]
pub struct Planned {
    /// `{insight,file,change,strategy,reason,fingerprint,previous_fingerprint,stale_days,stale_periods,recompute,text}` each.
    pub insights: Vec<Json>,
    /// What is wrong, or could be.
    pub findings: Vec<Finding>,
    /// The answer as it came.
    pub body: Vec<u8>,
}

impl Planned {
    /// Asks for a plan.
    pub async fn ask(client: &Client, files: &[DefinitionFile]) -> Result<Planned, Failure> {
        let body = definitions::plan_body(files);
        let request = Request::send(axum::http::Method::POST, "/v1/plan", "application/json", body);
        let response = client.ask(&request).await?;
        let answer = response.json()?;
        let finding = |diagnostic: &Json| Finding {
            is_error: diagnostic.text_at("severity") != "warning",
            rendered: match diagnostic.text_at("rendered") {
                "" => diagnostic.text_at("message").to_owned(),
                rendered => rendered.to_owned(),
            },
        };
        Ok(Planned {
            insights: answer.items_at("insights").to_vec(),
            findings: answer.items_at("diagnostics").iter().map(finding).collect(),
            body: response.body.to_vec(),
        })
    }

    /// The insights that would be created or updated.
    pub fn changes(&self) -> impl Iterator<Item = &Json> {
        self.insights.iter().filter(|change| matches!(change.text_at("change"), "create" | "update"))
    }

    /// Fails when the definitions have errors.
    pub fn checked(&self) -> Result<(), Failure> {
        if self.findings.iter().any(|finding| finding.is_error) {
            return Err(Failure::silent(Exit::BadInput));
        }
        Ok(())
    }

    /// The plan as a table.
    pub fn table(&self, terminal: &Terminal) -> String {
        let header =
            ["", "insight", "change", "strategy", "days", "periods", "takes", "on AWS", "why"].map(str::to_owned);
        let line = |change: &Json| {
            let sign = match change.text_at("change") {
                "create" => "+",
                "update" => "~",
                "remove" => "-",
                _ => "=",
            };
            let stale = change.get("stale_days").and_then(Json::whole);
            let periods = change.get("stale_periods").and_then(Json::whole);
            let some = |number: Option<u64>| number.filter(|number| *number > 0).map(count).unwrap_or_default();
            let (takes, costs) = told::short(change.get("recompute"));
            vec![
                sign.to_owned(),
                change.text_at("insight").to_owned(),
                change.text_at("change").to_owned(),
                change.text_at("strategy").to_owned(),
                some(stale),
                some(periods),
                takes,
                costs,
                change.text_at("reason").to_owned(),
            ]
        };
        let lines: Vec<Vec<String>> = self.insights.iter().map(line).collect();
        table::of_texts(
            &header,
            &lines,
            &[false, false, false, false, true, true, true, true, false],
            terminal.columns(),
        )
    }
}

impl Plan {
    /// Asks for the plan and prints it.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let (client, planned) = ask(session).await?;
        if session.terminal.json {
            session.terminal.print(String::from_utf8_lossy(&planned.body).trim_end())?;
            return planned.checked();
        }
        check::show(session, &planned.findings);
        planned.checked()?;
        session.terminal.print(&planned.table(&session.terminal))?;
        let kept = not_in_files(&client, &planned).await?;
        if !kept.is_empty() {
            session.terminal.print(&format!("not in files (kept): {}", kept.join(", ")))?;
        }
        match planned.changes().count() {
            0 => session.terminal.say("nothing to change"),
            changes => {
                session.terminal.say(&format!("{}; apply with `tidemill apply`", counted(changes as u64, "change")))
            }
        }
        Ok(())
    }
}

/// The plan for the project's definitions.
pub async fn ask(session: &Session) -> Result<(Client, Planned), Failure> {
    let files = definitions::read(&session.project()?.insights())?;
    if files.is_empty() {
        return Err(Failure::input("TM0913", "the project has no definitions").help("write one: insights/<name>.yaml"));
    }
    let client = session.client().await?;
    client.drain_feed(&session.terminal).await?;
    let planned = Planned::ask(&client, &files).await?;
    Ok((client, planned))
}

/// Insights in the store that no file defines: they are kept until somebody removes them.
pub async fn not_in_files(client: &Client, planned: &Planned) -> Result<Vec<String>, Failure> {
    let list = client.ask_json(&Request::get("/v1/insights")).await?;
    let names = list.items_at("insights").iter().map(|insight| insight.text_at("insight"));
    let planned = |name: &str| planned.insights.iter().any(|change| change.text_at("insight") == name);
    Ok(names.filter(|name| !planned(name)).map(str::to_owned).collect())
}
