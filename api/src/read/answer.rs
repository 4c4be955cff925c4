//! The body of a read: rows as exact JSON, with completeness and accuracy.
//!
//! Written by hand, value by value, because numbers are exact decimals that must not pass through floating point.

use tidemill_aggregator::actors::{self as answers, Answer};
use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::range::PeriodRows;
use tidemill_schemas::definition::Definition;
use tidemill_schemas::snapshot::{Completeness, Group, GroupRow};
use tidemill_schemas::value::Value;

use super::ask::Ask;
use super::days::Days;
use crate::insights::accuracy;

/// The answer to `ask` of a standard insight.
pub fn body(held: &Held, ask: &Ask, days: &Days) -> String {
    let definition = &held.applied.definition;
    let rows = Rows { definition, ask };
    let mut all = Vec::new();
    for period in &days.rows {
        rows.of_period(period, &mut all);
    }
    enveloped(held, ask, all, &days.completeness)
}

/// The answer to `ask` of any other insight.
pub fn of_answer(held: &Held, ask: &Ask, answer: &Answer, completeness: &Completeness) -> String {
    let definition = &held.applied.definition;
    let rows = Rows { definition, ask };
    let all = answer.rows.iter().map(|row| rows.flat(answer, row)).collect();
    enveloped(held, ask, all, completeness)
}

fn enveloped(held: &Held, ask: &Ask, all: Vec<String>, completed: &Completeness) -> String {
    let definition = &held.applied.definition;
    let total = all.len();
    let shown: Vec<String> = all.into_iter().skip(ask.skip).take(ask.limit).collect();
    let reached = ask.skip + shown.len();
    let next = if reached < total { format!("\"row-{reached}\"") } else { "null".to_owned() };
    let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let every = ask.every.map_or_else(|| "null".to_owned(), |every| text(every.word()));
    let mut out = format!(
        "{{\"insight\":{},\"type\":{},\"every\":{every},\"timezone\":{},\"fingerprint\":{},",
        text(&definition.name),
        text(definition.type_word()),
        text(definition.timezone.name()),
        text(&held.applied.fingerprint),
    );
    out.push_str(&format!("\"rows\":[{}],", shown.join(",")));
    out.push_str(&format!("\"completeness\":{},", completeness(definition, completed)));
    let accuracy: Vec<String> = definition
        .metrics()
        .iter()
        .map(|metric| format!("{}:{}", text(&metric.name), text(&accuracy(&metric.function))))
        .collect();
    out.push_str(&format!("\"accuracy\":{{{}}},\"next\":{next}}}", accuracy.join(",")));
    out
}

fn completeness(definition: &Definition, held: &Completeness) -> String {
    let zone = &definition.timezone;
    let mut value = serde_json::json!(held);
    value["as_of"] = serde_json::json!(held.as_of.map(|at| zone.rfc3339(at)));
    value["complete_through"] = serde_json::json!(held.complete_through.map(|at| zone.rfc3339(at)));
    value.to_string()
}

/// Writes rows.
struct Rows<'a> {
    definition: &'a Definition,
    ask: &'a Ask,
}

impl Rows<'_> {
    fn of_period(&self, period: &PeriodRows, out: &mut Vec<String>) {
        let time = self.definition.timezone.rfc3339(self.definition.timezone.start_of(period.start));
        if self.ask.by.is_empty() {
            out.push(self.row(&time, None, &period.total.values));
        } else {
            out.extend(period.rows.iter().map(|row| self.group_row(&time, row)));
        }
    }

    fn group_row(&self, time: &str, row: &GroupRow) -> String {
        self.row(time, Some(&row.group), &row.values)
    }

    fn row(&self, time: &str, group: Option<&Group>, values: &[Value]) -> String {
        let mut out = format!("{{\"time\":\"{time}\"");
        self.group(&mut out, group);
        for (metric, value) in self.definition.metrics().iter().zip(values) {
            field(&mut out, &metric.name, value);
        }
        out.push('}');
        out
    }

    /// A row whose columns the answer names.
    fn flat(&self, answer: &Answer, row: &answers::Row) -> String {
        let zone = &self.definition.timezone;
        let mut out = String::from("{");
        if let Some(start) = row.start.filter(|_| !answer.time.is_empty()) {
            out.push_str(&format!("\"{}\":\"{}\"", answer.time, zone.rfc3339(zone.start_of(start))));
        }
        if let Some(group) = &row.group {
            self.group(&mut out, Some(group));
        }
        for (column, value) in answer.columns.iter().zip(&row.values) {
            field(&mut out, column, value);
        }
        out.push('}');
        out
    }

    fn group(&self, out: &mut String, group: Option<&Group>) {
        for (at, place) in self.ask.by.iter().enumerate() {
            let value = match group {
                Some(Group::Key(values)) => match values.get(at) {
                    Some(Value::Null) | None => Value::Text("$null".to_owned()),
                    Some(value) => value.clone(),
                },
                _ => Value::Text("$other".to_owned()),
            };
            field(out, self.definition.by[*place].name(), &value);
        }
    }
}

fn field(out: &mut String, name: &str, value: &Value) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(&serde_json::to_string(name).unwrap_or_default());
    out.push(':');
    value.write_json(out);
}
