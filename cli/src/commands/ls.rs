//! `tidemill ls`: the insights in effect.

use clap::Args;

use crate::client::Request;
use crate::failure::Failure;
use crate::json::Json;
use crate::render::table;
use crate::session::Session;

/// List insights
#[derive(Debug, Args)]
pub struct Ls {}

impl Ls {
    /// Lists them.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let response = session.client().await?.ask(&Request::get("/v1/insights")).await?;
        if terminal.json {
            return terminal.print(String::from_utf8_lossy(&response.body).trim_end());
        }
        let answer = response.json()?;
        let insights = answer.items_at("insights");
        if insights.is_empty() {
            terminal.say("no insights yet; write insights/<name>.yaml and run `tidemill apply`");
            return Ok(());
        }
        terminal.print(&table(insights, terminal.columns()))
    }
}

fn table(insights: &[Json], width: Option<u16>) -> String {
    let header = ["insight", "type", "title", "metrics", "by", "timezone", "refresh", "strategy"].map(str::to_owned);
    // A column of its own only where there is something to say.
    let badge = insights.iter().any(|insight| !insight.items_at("partial").is_empty()).then(|| "partial".to_owned());
    let mut header: Vec<String> = header.into_iter().chain(badge).collect();
    let mut lines: Vec<Vec<String>> =
        insights.iter().map(|insight| header.iter().map(|key| cell(insight, key)).collect()).collect();
    let catching_up: Vec<String> = insights.iter().map(catching_up).collect();
    if catching_up.iter().any(|text| !text.is_empty()) {
        header.push("catching up".to_owned());
        lines.iter_mut().zip(catching_up).for_each(|(line, text)| line.push(text));
    }
    table::of_texts(&header, &lines, &[], width)
}

/// How far an edited definition is; nothing when there is none.
fn catching_up(insight: &Json) -> String {
    let Some(state) = insight.get("catching_up").filter(|state| **state != Json::Null) else { return String::new() };
    let word = if state.text_at("state") == "running" { "" } else { state.text_at("state") };
    let days = format!("{} of {} days {word}", state.whole_at("days_done"), state.whole_at("days_total"));
    days.trim_end().to_owned()
}

/// A cell; metrics come as names or as objects with a name.
fn cell(insight: &Json, key: &str) -> String {
    match insight.get(key) {
        Some(Json::List(items)) if key == "partial" => {
            let period = |item: &Json| format!("{} {}", item.text_at("period"), item.text_at("first"));
            items.iter().map(period).collect::<Vec<_>>().join(", ")
        }
        Some(Json::List(items)) => {
            let name = |item: &Json| item.get("name").map_or_else(|| item.shown(), Json::shown);
            items.iter().map(name).collect::<Vec<_>>().join(", ")
        }
        Some(value) => value.shown(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insights_are_listed() {
        let json =
            br#"[{"insight":"revenue","type":"standard","title":null,"metrics":["orders",{"name":"sum"}],"by":[],
            "timezone":"UTC","refresh":"5m","strategy":"recompute"}]"#;
        let text = table(Json::parse(json).expect("it is JSON").items(), None);
        assert!(text.contains(" revenue  standard         orders, sum      UTC       5m       recompute"), "{text}");
        let json =
            br#"[{"insight":"revenue","partial":[{"period":"month","first":"2026-03-01","missing":["2026-03-03"]}]}]"#;
        let text = table(Json::parse(json).expect("it is JSON").items(), None);
        assert!(text.contains("month 2026-03-01"), "{text}");
    }
}
