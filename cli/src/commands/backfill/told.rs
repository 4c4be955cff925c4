//! A backfill in words: its status, its pace, what it would take.

use std::time::Duration;

use crate::failure::Failure;
use crate::json::Json;
use crate::render::number::{count, counted, seconds};
use crate::terminal::Terminal;

/// Months a status shows at each end.
const MONTHS_SHOWN: usize = 3;

/// Prints lines, or with `--json` what the server said.
pub fn print(terminal: &Terminal, json: &Json, lines: &[String]) -> Result<(), Failure> {
    if terminal.json {
        return terminal.print(&json.to_string());
    }
    lines.iter().try_for_each(|line| terminal.print(line))
}

/// Seconds at a key, for people.
fn time(json: &Json, key: &str) -> Option<String> {
    let value = decimal(json, key)?;
    Some(seconds(Duration::from_secs_f64(value.clamp(0.0, 1e9))))
}

fn decimal(json: &Json, key: &str) -> Option<f64> {
    match json.get(key) {
        Some(Json::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

/// Dollars: cents where there are any, else as many places as it takes to see something.
pub fn dollars(value: f64) -> String {
    match value {
        value if value >= 0.01 => format!("${value:.2}"),
        value if value <= 0.0 => "$0".to_owned(),
        value => format!("${value:.6}"),
    }
}

/// How fast it is, and how long it will take still.
pub fn pace(status: &Json) -> String {
    let rate = decimal(status, "days_per_second").map_or_else(String::new, |rate| format!("{rate:.0} days a second"));
    let left = time(status, "eta_seconds").map_or_else(String::new, |left| format!(", {left} left"));
    format!("{rate}{left}")
}

/// What failed, and why.
pub fn failure(failure: &Json) -> String {
    let (first, last) = (failure.text_at("first"), failure.text_at("last"));
    let days = if first == last { first.to_owned() } else { format!("{first} to {last}") };
    format!("{} {days}: {}", failure.text_at("insight"), failure.text_at("message"))
}

/// How far it is.
pub fn status(status: &Json) -> Vec<String> {
    let of = |done: &str, total: &str| format!("{} of {}", count(status.whole_at(done)), count(status.whole_at(total)));
    let what = if status.is_true_at("is_lineage") { " (an edited definition catches up)" } else { "" };
    let phase = status.text_at("phase");
    let phase = if phase.is_empty() { String::new() } else { format!(", at the {phase}s") };
    let mut lines = vec![
        format!("backfill {} is {}{phase}{what}", status.text_at("id"), status.text_at("state")),
        format!(
            "  {}, {} to {}",
            counted(status.whole_at("insights"), "insight"),
            status.text_at("first"),
            status.text_at("last")
        ),
        format!("  days     {}", of("days_done", "days_total")),
        format!("  periods  {}", of("periods_done", "periods_total")),
        format!("  units    {}", of("units_done", "units_total")),
        format!(
            "  budget   {} at once; {} in flight, at most {} so far",
            status.whole_at("budget"),
            status.whole_at("in_flight"),
            status.whole_at("high_water")
        ),
    ];
    let elapsed = time(status, "elapsed_seconds").unwrap_or_default();
    lines.push(format!("  time     {elapsed} active; {}", pace(status)));
    lines.extend(months(status.items_at("months")));
    let failures = status.items_at("failures");
    if !failures.is_empty() {
        lines.push(format!("  failed   {}", counted(status.whole_at("failed_units"), "unit")));
        lines.extend(failures.iter().map(|one| format!("    {}", failure(one))));
    }
    lines
}

/// The time of the newest and the oldest months: history costs the same from one end to the other.
fn months(months: &[Json]) -> Vec<String> {
    let line = |month: &Json| {
        let (rows, millis) = (month.whole_at("rows"), month.whole_at("millis"));
        format!("    {}  {} ms, {}", month.text_at("month"), count(millis), counted(rows, "row"))
    };
    if months.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["  months   engine time, rows once per insight".to_owned()];
    if months.len() <= 2 * MONTHS_SHOWN {
        lines.extend(months.iter().map(line));
        return lines;
    }
    lines.extend(months[..MONTHS_SHOWN].iter().map(line));
    lines.push("    …".to_owned());
    lines.extend(months[months.len() - MONTHS_SHOWN..].iter().map(line));
    lines
}

/// What a backfill would take.
pub fn estimate(planned: &Json) -> Vec<String> {
    let mut lines = vec![format!(
        "{} and {} of {}, {} to {}",
        counted(planned.whole_at("days"), "day"),
        counted(planned.whole_at("periods"), "longer period"),
        counted(planned.whole_at("insights"), "insight"),
        planned.text_at("first"),
        planned.text_at("last")
    )];
    lines.push(format!("in {}, {} at once", counted(planned.whole_at("units"), "unit"), planned.whole_at("budget")));
    let Some(estimate) = planned.get("estimate") else { return lines };
    if let Some(day) = estimate.get("rehearsed").filter(|day| **day != Json::Null) {
        lines.push(format!(
            "computed {} ({}) for {} in {}.{} ms, and kept nothing of it",
            day.text_at("day"),
            counted(day.whole_at("rows"), "row"),
            counted(day.whole_at("insights"), "insight"),
            day.whole_at("micros") / 1_000,
            day.whole_at("micros") % 1_000 / 100
        ));
    }
    let (here, aws) = (time(estimate, "local_seconds"), time(estimate, "aws_seconds"));
    let rows = count(estimate.whole_at("rows"));
    lines.push(format!("here: about {} for {rows} rows, each counted once per insight", here.unwrap_or_default()));
    if let Some(cost) = estimate.get("aws_dollars") {
        let of = |key| dollars(decimal(cost, key).unwrap_or_default());
        lines.push(format!(
            "on AWS: about {} and {} (compute {}, table {}, storage and queue {}; prices of {})",
            aws.unwrap_or_default(),
            of("total"),
            of("compute"),
            of("table"),
            of("storage_and_queue"),
            estimate.text_at("prices")
        ));
    }
    lines
}

/// An estimate in a few words: time here, money on AWS.
pub fn short(estimate: Option<&Json>) -> (String, String) {
    let Some(estimate) = estimate.filter(|estimate| **estimate != Json::Null) else { return Default::default() };
    let cost = estimate.get("aws_dollars").and_then(|cost| decimal(cost, "total"));
    (time(estimate, "local_seconds").unwrap_or_default(), cost.map(dollars).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_far_and_how_fast() {
        let json = br#"{"id":"b1","state":"running","phase":"day","insights":2,"is_lineage":false,"first":"2026-01-01",
            "last":"2026-03-31","units_total":6,"units_done":2,"days_total":180,"days_done":60,"periods_total":8,
            "periods_done":0,"in_flight":2,"high_water":4,"budget":4,"days_per_second":30.4,"elapsed_seconds":2.0,
            "eta_seconds":4.0,"months":[{"month":"2026-03","rows":1200,"millis":31}],"failed_units":0,"failures":[]}"#;
        let lines = status(&Json::parse(json).expect("JSON"));
        assert_eq!(
            lines,
            [
                "backfill b1 is running, at the days",
                "  2 insights, 2026-01-01 to 2026-03-31",
                "  days     60 of 180",
                "  periods  0 of 8",
                "  units    2 of 6",
                "  budget   4 at once; 2 in flight, at most 4 so far",
                "  time     2.0 s active; 30 days a second, 4.0 s left",
                "  months   engine time, rows once per insight",
                "    2026-03  31 ms, 1,200 rows",
            ]
        );
    }

    #[test]
    fn money_is_seen_however_little() {
        assert_eq!(dollars(12.345), "$12.35");
        assert_eq!(dollars(0.01), "$0.01");
        assert_eq!(dollars(0.000_42), "$0.000420");
        assert_eq!(dollars(0.0), "$0");
    }
}
