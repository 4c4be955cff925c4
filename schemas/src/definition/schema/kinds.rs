//! The JSON Schema of every type of insight but the standard one: the keys are those the parser knows, each with its
//! shape.

use serde_json::{Map, Value, json};

use super::super::alert::ALERTS_MAX;
use super::super::parse::COMMON;
use super::super::read::{Kinded, TYPES};
use super::super::relations::LAG_DAYS_MAX;
use super::super::{BREAKDOWN_COLUMNS_MAX, TOP_MAX, actors};

/// A schema per type.
pub(super) fn schemas() -> Vec<Value> {
    TYPES.iter().map(of_kind).collect()
}

fn of_kind(kind: &Kinded) -> Value {
    let mut properties = Map::new();
    for key in COMMON.iter().chain(kind.keys).filter(|key| !(kind.daily && **key == "refresh")) {
        let schema = if *key == "type" { json!({ "const": kind.word }) } else { of_key(key, kind.word) };
        properties.insert((*key).to_owned(), schema);
    }
    let mut required = vec!["insight", "type"];
    required.extend_from_slice(match kind.word {
        "funnel" => &["steps"],
        "cohort" => &["born", "returns"],
        "comparative" => &["of"],
        // One of two forms each.
        _ => &[],
    });
    json!({
        "title": kind.word,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn of_key(key: &str, kind: &str) -> Value {
    let text = || json!({ "type": "string" });
    let words = |words: &[&str]| json!({ "enum": words });
    let whole = |least: u32, most: u32| json!({ "type": "integer", "minimum": least, "maximum": most });
    let texts = || json!({ "anyOf": [text(), { "type": "array", "items": text(), "minItems": 1 }] });
    match key {
        "insight" => json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$" }),
        "from" | "ignore" | "candidates" => texts(),
        "metrics" => json!({ "type": "array", "items": text(), "minItems": 1 }),
        "by" => json!({
            "anyOf": [text(), { "type": "array", "items": text(), "minItems": 1, "maxItems": BREAKDOWN_COLUMNS_MAX }],
        }),
        "top" => whole(1, TOP_MAX),
        "week_start" => words(&["sunday", "monday"]),
        "refresh" => words(&super::super::Refresh::ALL.map(super::super::Refresh::word)),
        "alerts" => json!({ "type": "array", "items": { "$ref": "#/$defs/Rule" }, "maxItems": ALERTS_MAX }),
        "within" | "session_gap" | "lookback" => json!({ "type": "string", "pattern": "^[0-9]+[smhdw]$" }),
        "order" => words(&["ordered", "strict", "any"]),
        "entry" => words(&["any", "first"]),
        "exclusion" => words(&["drop_actor", "end_attempt"]),
        "attribution" => json!({ "type": "string", "pattern": "^(first|last|step [0-9]+)$" }),
        "steps" => json!({
            "type": "array", "items": selection(&[]), "minItems": 2, "maxItems": actors::STEPS_MAX,
        }),
        "exclude" => {
            let one = selection(&["between"]);
            json!({ "anyOf": [one, { "type": "array", "items": one, "maxItems": actors::EXCLUSIONS_MAX }] })
        }
        "start" | "end" | "born" | "returns" => selection(&[]),
        "events" => json!({ "type": "object", "minProperties": 1, "additionalProperties": selection(&[]) }),
        "depth" => whole(2, actors::DEPTH_MAX),
        "every" => words(&["day", "week", "month"]),
        "periods" => whole(1, actors::PERIODS_MAX),
        "mode" => words(&["first_time", "recurring"]),
        "measure" => words(&["on", "on_or_after"]),
        "method" => words(&["pearson", "spearman"]),
        "max_lag" => whole(0, LAG_DAYS_MAX),
        "target" if kind == "correlation" => series(),
        "with" => json!({ "type": "object", "minProperties": 1, "additionalProperties": series() }),
        "drivers" => json!({
            "type": "object",
            "properties": { "target": {}, "candidates": texts() },
            "required": ["target"],
            "additionalProperties": false,
        }),
        "compare" => json!({ "anyOf": [text(), { "type": "array", "items": {}, "minItems": 1 }] }),
        "segments" => json!({
            "type": "object", "minProperties": 2, "maxProperties": 2, "additionalProperties": text(),
        }),
        _ => text(),
    }
}

/// An event: a name, a list of names, or a mapping.
fn selection(further: &[&str]) -> Value {
    let text = json!({ "type": "string" });
    let names = json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] });
    let mut properties = Map::new();
    properties.insert("event".to_owned(), names.clone());
    properties.insert("where".to_owned(), text.clone());
    properties.insert("name".to_owned(), text.clone());
    for key in further {
        properties.insert((*key).to_owned(), json!({ "type": "array", "minItems": 2, "maxItems": 2 }));
    }
    let mapping = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }, mapping] })
}

fn series() -> Value {
    json!({
        "type": "object",
        "properties": { "from": {}, "where": { "type": "string" }, "metric": { "type": "string" } },
        "required": ["metric"],
        "additionalProperties": false,
    })
}
