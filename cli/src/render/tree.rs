//! Any JSON as an indented list, so that what a newer server adds just shows.

use crate::json::Json;
use crate::render::number;
use crate::render::table::printable;

/// The lines of an object, keys aligned within each level.
pub fn lines(json: &Json) -> Vec<String> {
    let mut out = Vec::new();
    push(json, 0, &mut out);
    out
}

fn push(json: &Json, indent: usize, out: &mut Vec<String>) {
    let pad = "  ".repeat(indent);
    match json {
        Json::Map(entries) => {
            let flat = |value: &Json| one_line(value).is_some();
            let widest = entries.iter().filter(|(_, value)| flat(value)).map(|(key, _)| key.chars().count()).max();
            for (key, value) in entries {
                let label = printable(&key.replace('_', " "));
                match one_line(value) {
                    Some(text) => out.push(format!("{pad}{label:<width$}  {text}", width = widest.unwrap_or(0))),
                    None => {
                        out.push(format!("{pad}{label}"));
                        push(value, indent + 1, out);
                    }
                }
            }
        }
        Json::List(items) => {
            for item in items {
                match one_line(item) {
                    Some(text) => out.push(format!("{pad}- {text}")),
                    None => out.push(format!("{pad}- {}", flat_map(item))),
                }
            }
        }
        other => out.push(format!("{pad}{}", shown(other))),
    }
}

/// What fits behind its key.
fn one_line(value: &Json) -> Option<String> {
    match value {
        Json::List(items) if items.is_empty() => Some("none".to_owned()),
        Json::List(items) if items.iter().all(Json::is_scalar) => {
            Some(items.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        Json::Map(entries) if entries.is_empty() => Some("none".to_owned()),
        Json::List(_) | Json::Map(_) => None,
        other => Some(shown(other)),
    }
}

/// An object in a list: its values in one line.
fn flat_map(item: &Json) -> String {
    let parts = item.entries().iter().map(|(key, value)| match value {
        Json::Text(text) if key == "name" || key == "insight" => printable(text),
        other => format!("{} {}", key.replace('_', " "), one_line(other).unwrap_or_else(|| other.to_string())),
    });
    let text = parts.collect::<Vec<_>>().join(" · ");
    if text.is_empty() { item.to_string() } else { text }
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => "–".to_owned(),
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::Number(text) => number::grouped(text),
        Json::Text(text) => printable(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_keys_are_indented() {
        let json = br#"{"strategy":"recompute","reads":["id","x"],"days":{"first":"2026-01-01","days_computed":1234,"ok":true},
            "metrics":[{"name":"buyers","function":"count(distinct)","mergeable":true}],"from":null,"missing":[]}"#;
        let lines = lines(&Json::parse(json).expect("it is JSON"));
        assert_eq!(
            lines,
            [
                "strategy  recompute",
                "reads     id, x",
                "days",
                "  first          2026-01-01",
                "  days computed  1,234",
                "  ok             yes",
                "metrics",
                "  - buyers · function count(distinct) · mergeable yes",
                "from      –",
                "missing   none",
            ]
        );
    }
}
