//! The line under a table: how far the numbers go, whether they are complete, and how exact they are.

use crate::json::Json;
use crate::render::number;

/// Missing days that are listed by name.
const MISSING_SHOWN_MAX: usize = 3;

/// Whether an answer is partial.
pub fn is_partial(answer: &Json) -> bool {
    answer.get("completeness").is_some_and(|completeness| completeness.is_true_at("partial"))
}

/// The lines under an answer's table.
pub fn lines(answer: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(completeness) = answer.get("completeness") {
        lines.push(completeness_line(completeness, answer.text_at("timezone")));
        let reasons: Vec<String> = completeness.items_at("reasons").iter().map(Json::shown).collect();
        if !reasons.is_empty() {
            lines.push(format!("because {}", reasons.join("; ")));
        }
        let missing = completeness.items_at("missing");
        if !missing.is_empty() {
            let named: Vec<String> = missing.iter().take(MISSING_SHOWN_MAX).map(Json::shown).collect();
            let more = if missing.len() > named.len() { ", …" } else { "" };
            let days = number::counted(missing.len() as u64, "day");
            lines.push(format!("missing {days}: {}{more}", named.join(", ")));
        }
    }
    lines.extend(accuracy_line(answer.get("accuracy")));
    lines
}

fn completeness_line(completeness: &Json, zone: &str) -> String {
    let mut parts = Vec::new();
    parts.push(match (completeness.is_true_at("partial"), completeness.is_true_at("verified")) {
        (true, _) => "partial".to_owned(),
        (false, true) => "complete, verified".to_owned(),
        (false, false) => "complete".to_owned(),
    });
    let through = completeness.text_at("complete_through");
    if !through.is_empty() {
        parts.push(format!("through {}", instant(through)));
    }
    if !zone.is_empty() {
        parts.push(format!("days in {zone}"));
    }
    let late = completeness.whole_at("late");
    if late > 0 {
        parts.push(format!("{} counted in", number::counted(late, "late event")));
    }
    let skipped = completeness.get("skipped").map_or(&[][..], Json::entries);
    for (metric, count) in skipped.iter().filter(|(_, count)| count.whole() != Some(0)) {
        parts.push(format!("{metric} skipped {}", number::counted(count.whole().unwrap_or(0), "row")));
    }
    parts.join(" · ")
}

/// RFC 3339 without the fraction, and with a space: easier on the eye.
fn instant(text: &str) -> String {
    let Some((date, clock)) = text.split_once('T') else { return text.to_owned() };
    let offset = clock.find(['Z', '+', '-']).map_or("", |at| &clock[at..]);
    format!("{date} {}{offset}", clock.get(..8).unwrap_or(clock).trim_end_matches(['Z', '+', '-']))
}

/// Only what is not exact is worth a line.
fn accuracy_line(accuracy: Option<&Json>) -> Option<String> {
    let entries = accuracy?.entries().iter();
    let rough: Vec<String> = entries
        .filter(|(_, value)| value.text() != Some("exact"))
        .map(|(metric, value)| match value {
            Json::Number(percent) => format!("{metric} ±{percent} %"),
            other => format!("{metric} {}", other.shown()),
        })
        .collect();
    (!rough.is_empty()).then(|| format!("approximate: {}", rough.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        lines(&Json::parse(text.as_bytes()).expect("it is JSON"))
    }

    #[test]
    fn a_complete_answer_has_one_line() {
        let answer = r#"{"timezone":"Asia/Kolkata","completeness":{"complete_through":"2026-08-31T18:30:00.5Z",
            "partial":false,"reasons":[],"missing":[],"late":1203,"skipped":{"revenue":2,"x":0},"verified":true},
            "accuracy":{"orders":"exact"}}"#;
        let expected = "complete, verified · through 2026-08-31 18:30:00Z · days in Asia/Kolkata · \
                        1,203 late events counted in · revenue skipped 2 rows";
        assert_eq!(of(answer), [expected]);
    }

    #[test]
    fn a_partial_answer_says_why() {
        let answer = r#"{"completeness":{"partial":true,"reasons":["days were never computed"],
            "missing":["2026-01-01","2026-01-02","2026-01-03","2026-01-04"]},"accuracy":{"people":"± 0.81 %","n":"exact"}}"#;
        assert_eq!(
            of(answer),
            [
                "partial",
                "because days were never computed",
                "missing 4 days: 2026-01-01, 2026-01-02, 2026-01-03, …",
                "approximate: people ± 0.81 %"
            ]
        );
    }

    #[test]
    fn offsets_stay() {
        assert_eq!(instant("2026-08-01T00:00:00+05:30"), "2026-08-01 00:00:00+05:30");
        assert_eq!(instant("2026-08-01T00:00:00Z"), "2026-08-01 00:00:00Z");
    }
}
