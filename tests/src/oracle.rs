//! The oracle: what an insight must answer, computed in the dullest way there is.
//!
//! In: copies of events in order of arrival (revisions, tombstones, duplicates, any order of time), a definition and a
//! question. Out: the rows the API must give, as exact values. It imports nothing of ours but `tidemill_schemas`,
//! keeps every event in memory, looks at them one by one, and shares no code with the engine: neither states, nor
//! merging, nor pages. It must never become clever.
//!
//! The one number it does not pin is `approx_count_distinct`: the oracle answers the exact count, and
//! [`compare::differences`] allows four standard errors around it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::definition::{Body, Definition, From, Standard};
use tidemill_schemas::event::{DAY_GRACE_MICROS, Event};
use tidemill_schemas::expression::{Column, Read};
use tidemill_schemas::value::Value;

pub mod compare;
pub mod evaluate;
pub mod measure;

/// What is asked of an insight.
#[derive(Clone, Debug)]
pub struct Question {
    /// First local date of the range.
    pub first: Date,
    /// Last local date of the range, included.
    pub last: Date,
    /// A row (set of rows) per period; `None`: the range is one period.
    pub every: Option<Period>,
    /// Breakdown columns, some of the definition's own; empty: none.
    pub by: Vec<Column>,
    /// Groups listed before `$other`.
    pub top: usize,
}

/// A row: column → JSON text, in the order the API writes them: `time`, the breakdown, the metrics.
pub type Row = Vec<(String, String)>;

/// The oracle's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The rows in the API's order.
    pub rows: Vec<Row>,
    /// Events counted that were received after their local day's end and its grace.
    pub late: u64,
    /// Metric → rows left out because their argument was null or of another type; only metrics that left some out.
    pub skipped: BTreeMap<String, u64>,
}

/// A number left the range of 38 digits and 18 decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overflow {
    /// The metric, or `where`.
    pub at: String,
}

impl Overflow {
    /// An overflow in `at`.
    pub fn at(at: &str) -> Overflow {
        Overflow { at: at.to_owned() }
    }
}

/// The live events among copies in order of arrival: of each (source, id) the copy with the highest revision, of equal
/// ones the first to arrive, unless it is a tombstone. In order of (source, id).
pub fn live(copies: &[Event]) -> Vec<&Event> {
    let mut best: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
    for copy in copies {
        let held = best.entry((&copy.source, &copy.id)).or_insert(copy);
        if copy.rev > held.rev {
            *held = copy;
        }
    }
    best.into_values().filter(|event| !event.deleted).collect()
}

/// Answers a question over copies of events in order of arrival.
///
/// # Errors
/// [`Overflow`] when a sum or an expression leaves the range of exact numbers.
pub fn answer(definition: &Definition, copies: &[Event], question: &Question) -> Result<Answer, Overflow> {
    let Body::Standard(standard) = &definition.body else {
        panic!("the oracle of metrics is asked of {}", definition.type_word())
    };
    let events = selected(definition, standard, copies, question)?;
    let mut answer = Answer { late: late(definition, &events), ..Answer::default() };
    for metric in &standard.metrics {
        let skipped = measure::skipped(metric, &events)?;
        if skipped > 0 {
            answer.skipped.insert(metric.name.clone(), skipped);
        }
    }
    let mut periods: BTreeMap<Date, Vec<&Event>> = BTreeMap::new();
    for date in calendar::dates(question.first, question.last) {
        periods.entry(start_of_period(definition, question, date)).or_default();
    }
    for event in &events {
        let date = definition.timezone.date_of(event.time);
        periods.entry(start_of_period(definition, question, date)).or_default().push(event);
    }
    let listed = Listed::of(definition, &events, question)?;
    for (start, events) in &periods {
        let time = definition.timezone.rfc3339(definition.timezone.start_of(*start));
        if question.by.is_empty() {
            answer.rows.push(row(definition, &time, &[], events)?);
            continue;
        }
        for (cells, members) in listed.split(&question.by, events) {
            let by: Vec<_> = question.by.iter().map(Column::name).zip(cells).collect();
            answer.rows.push(row(definition, &time, &by, &members)?);
        }
    }
    Ok(answer)
}

fn selected<'a>(
    definition: &Definition,
    standard: &Standard,
    copies: &'a [Event],
    question: &Question,
) -> Result<Vec<&'a Event>, Overflow> {
    let mut out = Vec::new();
    for event in live(copies) {
        let date = definition.timezone.date_of(event.time);
        let in_range = question.first <= date && date <= question.last;
        let from_source = definition.source.as_ref().is_none_or(|source| *source == event.source);
        let named = match &standard.from {
            From::All => true,
            From::Names(names) => names.contains(&event.name),
        };
        let passes = || match &standard.filter {
            None => Ok(true),
            Some(filter) => evaluate::is_true(filter, event).map_err(|_| Overflow::at("where")),
        };
        if in_range && from_source && named && passes()? {
            out.push(event);
        }
    }
    Ok(out)
}

fn start_of_period(definition: &Definition, question: &Question, date: Date) -> Date {
    question.every.map_or(question.first, |period| period.first(date, definition.week_start))
}

fn late(definition: &Definition, events: &[&Event]) -> u64 {
    let is_late = |event: &&&Event| {
        let day = definition.timezone.day(definition.timezone.date_of(event.time));
        event.received > day.end.plus_micros(DAY_GRACE_MICROS)
    };
    events.iter().filter(is_late).count() as u64
}

fn row(definition: &Definition, time: &str, by: &[(&str, String)], events: &[&Event]) -> Result<Row, Overflow> {
    let mut row = vec![("time".to_owned(), format!("\"{time}\""))];
    row.extend(by.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())));
    for metric in definition.metrics() {
        row.push((metric.name.clone(), json(&measure::value(metric, events)?)));
    }
    Ok(row)
}

fn json(value: &Value) -> String {
    let mut out = String::new();
    value.write_json(&mut out);
    out
}

fn key(by: &[Column], event: &Event) -> Vec<Value> {
    by.iter().map(|column| evaluate::read(&Read { column: column.clone(), at: None }, event)).collect()
}

fn is_all_null(key: &[Value]) -> bool {
    key.iter().all(|value| *value == Value::Null)
}

/// The groups that have a row of their own: the top ones over the whole range, largest first.
struct Listed {
    top: Vec<Vec<Value>>,
}

impl Listed {
    fn of(definition: &Definition, events: &[&Event], question: &Question) -> Result<Listed, Overflow> {
        let mut groups: BTreeMap<Vec<Value>, Vec<&Event>> = BTreeMap::new();
        for event in events {
            groups.entry(key(&question.by, event)).or_default().push(event);
        }
        groups.retain(|key, _| !is_all_null(key));
        let mut ranked = Vec::new();
        for (key, members) in groups {
            ranked.push((measure::value(&definition.metrics()[0], &members)?, key));
        }
        // Null is the least of all values, so descending order puts it last. The sort is stable: ties stay in key order.
        ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
        Ok(Listed { top: ranked.into_iter().take(question.top).map(|(_, key)| key).collect() })
    }

    /// The rows of one period: the cells of the breakdown columns as JSON text, and the events behind them.
    fn split<'a>(&self, by: &[Column], events: &[&'a Event]) -> Vec<(Vec<String>, Vec<&'a Event>)> {
        let mut own: HashMap<Vec<Value>, Vec<&Event>> = HashMap::new();
        let (mut other, mut null) = (Vec::new(), Vec::new());
        let top: BTreeSet<&Vec<Value>> = self.top.iter().collect();
        for event in events {
            let key = key(by, event);
            if is_all_null(&key) {
                null.push(*event);
            } else if top.contains(&key) {
                own.entry(key).or_default().push(event);
            } else {
                other.push(*event);
            }
        }
        let mut rows: Vec<(Vec<String>, Vec<&Event>)> = Vec::new();
        for key in &self.top {
            if let Some(members) = own.remove(key) {
                rows.push((key.iter().map(cell).collect(), members));
            }
        }
        rows.push((vec!["\"$other\"".to_owned(); by.len()], other));
        rows.push((vec!["\"$null\"".to_owned(); by.len()], null));
        rows.retain(|(_, members)| !members.is_empty());
        rows
    }
}

fn cell(value: &Value) -> String {
    if *value == Value::Null { "\"$null\"".to_owned() } else { json(value) }
}

#[cfg(test)]
mod tests;
