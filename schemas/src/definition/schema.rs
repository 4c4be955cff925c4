//! The JSON Schema of definition files, for editors. Parsing never uses it: its messages would say less (see
//! [`super::parse`]). A test holds the two, and the checked-in `schemas/json/insight.schema.json`, together.

mod kinds;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use super::{BREAKDOWN_COLUMNS_MAX, METRICS_MAX, TOP_MAX};
use crate::calendar::WeekStart;

/// An insight: metrics over events, defined once and kept for ever.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "standard")]
#[allow(dead_code, reason = "only its schema is used")]
struct Insight {
    /// The insight's name.
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]{0,63}$"))]
    insight: String,
    /// The kind of insight.
    #[schemars(default = "standard")]
    r#type: Kind,
    /// A title for people.
    title: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// The source whose events it reads; every source when left out.
    source: Option<String>,
    /// Which events: a name, a list of names, or '*' for all.
    from: OneOrMore,
    /// Events for which this SQL condition is not true are left out.
    r#where: Option<String>,
    /// What is measured: a name and an aggregate, such as `sum(amount) filter (where status = 'paid')`.
    #[schemars(schema_with = "metrics")]
    metrics: BTreeMap<String, String>,
    /// Columns to break down by.
    #[schemars(schema_with = "breakdown")]
    #[serde(default)]
    by: OneOrMore,
    /// Groups listed before `$other`.
    #[schemars(range(min = 1, max = TOP_MAX), default = "top")]
    top: u32,
    /// The IANA time zone its days are in.
    #[schemars(default = "utc")]
    timezone: String,
    /// The day its weeks start on.
    #[serde(default)]
    week_start: WeekStart,
    /// How often the running day is computed.
    #[schemars(schema_with = "refresh", default = "five_minutes")]
    refresh: String,
    /// Whom to tell when.
    #[serde(default)]
    #[schemars(length(max = super::alert::ALERTS_MAX))]
    alerts: Vec<Rule>,
}

/// The kind of insight.
#[derive(Default, JsonSchema, serde::Serialize)]
#[schemars(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Metrics over events.
    #[default]
    Standard,
}

/// One name or several.
#[derive(JsonSchema, serde::Serialize)]
#[serde(untagged)]
#[schemars(inline)]
#[allow(dead_code, reason = "only its schema is used")]
enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(#[schemars(length(min = 1))] Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> OneOrMore {
        OneOrMore::More(Vec::new())
    }
}

/// An alert.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "only its schema is used")]
struct Rule {
    /// `metric < number`; also `<=`, `>`, `>=`.
    when: String,
    /// The period it is asked of.
    #[schemars(schema_with = "window")]
    window: String,
    /// Whom to tell.
    notify: String,
}

fn standard() -> Kind {
    Kind::Standard
}

fn top() -> u32 {
    super::TOP_DEFAULT
}

fn five_minutes() -> &'static str {
    super::Refresh::Minutes5.word()
}

fn utc() -> &'static str {
    "UTC"
}

fn metrics(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": METRICS_MAX,
        "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9_]{0,63}$" },
        "additionalProperties": { "type": "string" },
    })
}

fn breakdown(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": BREAKDOWN_COLUMNS_MAX },
        ],
    })
}

fn refresh(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": super::Refresh::ALL.map(super::Refresh::word) })
}

fn window(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": super::alert::WINDOWS })
}

/// The JSON Schema (2020-12) of one definition.
pub fn json_schema() -> serde_json::Value {
    let mut standard = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Insight>().to_value();
    let mut taken = |key: &str| standard.as_object_mut().and_then(|schema| schema.remove(key)).unwrap_or_default();
    let (dialect, rules) = (taken("$schema"), taken("$defs"));
    let mut kinds = vec![standard];
    kinds.extend(kinds::schemas());
    serde_json::json!({ "$schema": dialect, "title": "tidemill insight", "anyOf": kinds, "$defs": rules })
}

#[cfg(test)]
mod tests;
