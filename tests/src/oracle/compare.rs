//! The oracle's answer beside the API's: what differs, in words.
//!
//! In: the oracle's answer and the body of an answer of the API. Out: one line per difference; none when they agree.
//! Numbers are compared as exact decimals, never through `f64`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::definition::Definition;
use tidemill_schemas::metric::Function;

use super::{Answer, Row};

/// Four standard errors of HyperLogLog++ at precision 14, per 100,000.
const APPROX_ERROR_PER_100_000: i64 = 3_250;
/// Differences told before the rest is only counted.
const DIFFERENCES_TOLD_MAX: usize = 20;

#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    rows: Vec<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    completeness: Completeness,
}

#[derive(Default, Deserialize)]
struct Completeness {
    #[serde(default)]
    late: u64,
    #[serde(default)]
    skipped: BTreeMap<String, u64>,
}

/// What the API's answer (its JSON body) has differently from the oracle's; empty when they agree.
pub fn differences(definition: &Definition, expected: &Answer, body: &str) -> Vec<String> {
    let given: Given<'_> = match serde_json::from_str(body) {
        Ok(given) => given,
        Err(why) => return vec![format!("the answer cannot be read: {why}: {body}")],
    };
    let mut told = Vec::new();
    if given.rows.len() != expected.rows.len() {
        told.push(format!("{} rows expected, {} given", expected.rows.len(), given.rows.len()));
    }
    for (at, (expected, given)) in expected.rows.iter().zip(&given.rows).enumerate() {
        row(definition, at, expected, given, &mut told);
    }
    if given.completeness.late != expected.late {
        told.push(format!("late: {} expected, {} given", expected.late, given.completeness.late));
    }
    let skipped: BTreeMap<_, _> = given.completeness.skipped.into_iter().filter(|(_, rows)| *rows > 0).collect();
    if skipped != expected.skipped {
        told.push(format!("skipped: {:?} expected, {skipped:?} given", expected.skipped));
    }
    let more = told.len().saturating_sub(DIFFERENCES_TOLD_MAX);
    told.truncate(DIFFERENCES_TOLD_MAX);
    if more > 0 {
        told.push(format!("… and {more} more"));
    }
    told
}

fn row(
    definition: &Definition,
    at: usize,
    expected: &Row,
    given: &BTreeMap<String, &RawValue>,
    told: &mut Vec<String>,
) {
    let approximate = |name: &str| {
        let is_it = |function: &Function| matches!(function, Function::ApproxCountDistinct(_));
        definition.metrics().iter().any(|metric| metric.name == name && is_it(&metric.function))
    };
    for (name, expected) in expected {
        let Some(given) = given.get(name).map(|raw| raw.get()) else {
            told.push(format!("row {at}: `{name}` is missing"));
            continue;
        };
        if !(same(expected, given) || (approximate(name) && near(expected, given))) {
            told.push(format!("row {at}: `{name}` must be {expected}, is {given}"));
        }
    }
    for name in given.keys().filter(|name| !expected.iter().any(|(wanted, _)| wanted == *name)) {
        told.push(format!("row {at}: `{name}` is not expected"));
    }
}

/// Numbers by value, everything else by its JSON value.
fn same(expected: &str, given: &str) -> bool {
    match (Decimal::parse(expected), Decimal::parse(given)) {
        (Ok(expected), Ok(given)) => expected == given,
        (Err(_), Err(_)) => {
            let read = |text| serde_json::from_str::<serde_json::Value>(text).ok();
            read(expected) == read(given)
        }
        _ => false,
    }
}

/// Whether an estimate is within four standard errors of the exact count.
fn near(exact: &str, estimate: &str) -> bool {
    let (Ok(exact), Ok(estimate)) = (exact.parse::<i64>(), estimate.parse::<i64>()) else { return false };
    (estimate - exact).abs() * 100_000 <= exact * APPROX_ERROR_PER_100_000
}
