//! `type: correlation`: daily series against a target, or what drives it.

use std::ops::Range;

use super::cohort::BUCKETS;
use super::{Draft, Kinded, Reading, Tree};
use crate::calendar::Period;
use crate::definition::actors::{Drivers, DriversTarget, LOOKBACK_DAYS_DEFAULT, LOOKBACK_DAYS_MAX};
use crate::definition::diagnostic::{Problem, code};
use crate::definition::document::{Entry, Kind, Node};
use crate::definition::relations::{CORRELATION_DAYS_MIN, Correlation, LAG_DAYS_MAX, Method};
use crate::definition::standard::Uses;
use crate::definition::{BREAKDOWN_COLUMNS_MAX, Body, From, METRICS_MAX, duration, fields};
use crate::expression::typing::Hints;
use crate::expression::{Column, Expr};
use crate::metric::Metric;

pub(super) const KIND: Kinded = Kinded {
    word: "correlation",
    keys: &["from", "where", "actor", "lookback", "target", "with", "method", "max_lag", "drivers"],
    daily: true,
    read,
};

/// Buckets later that a return is looked for at most.
const OFFSET_MAX: u32 = 60;
const SECONDS_PER_DAY: u64 = 86_400;

fn read(mut reading: Reading<'_>, hints: &Hints) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let base = reader.base()?;
    let lookback_days = lookback(reader)?;
    let drivers = reader.find("drivers");
    let of_series = ["target", "with", "method", "max_lag"];
    let foreign = |entry: &&Entry| match drivers {
        Some(_) => of_series.contains(&entry.key.as_str()),
        None => entry.key == "actor",
    };
    if let Some(entry) = reader.entries.iter().find(foreign) {
        let message = match drivers {
            Some(_) => format!("`{}` goes with series, and this looks for `drivers`", entry.key),
            None => "series have no `actor`".to_owned(),
        };
        let help = "series have `target` and `with`; drivers have `drivers: { target: …, candidates: events }`";
        reader.refuse(code::UNKNOWN_KEY, entry.key_at.clone(), message, help);
        return None;
    }
    match drivers {
        Some(entry) => read_drivers(reading, hints, &base, lookback_days, entry),
        None => read_series(reading, hints, &base, lookback_days),
    }
}

fn lookback(reader: &mut Reading<'_>) -> Option<u32> {
    let Some(entry) = reader.find("lookback") else { return Some(LOOKBACK_DAYS_DEFAULT) };
    let days = CORRELATION_DAYS_MIN as u64..=u64::from(LOOKBACK_DAYS_MAX);
    let range = days.start() * SECONDS_PER_DAY..=days.end() * SECONDS_PER_DAY;
    let seconds = duration::read(&entry.value, "lookback", range, reader.problems)?;
    if !seconds.is_multiple_of(SECONDS_PER_DAY) {
        reader.refuse(code::RANGE, entry.value.at.clone(), "`lookback` is in whole days", "such as `lookback: 90d`");
        return None;
    }
    u32::try_from(seconds / SECONDS_PER_DAY).ok()
}

/// A series before its expressions are typed.
struct Series {
    name: String,
    from: Draft,
    metric: Tree,
}

fn read_series(mut reading: Reading<'_>, hints: &Hints, base: &Draft, lookback_days: u32) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let target = reader.due("target", "such as `target: { from: order_completed, metric: count(*) }`")?;
    let mut series = vec![read_one(reader, "target", &target.value)?];
    let with = reader.due("with", "such as `with: { load_time: { from: page_loaded, metric: avg(load_ms) } }`")?;
    let example = "a name for each series: `load_time: { from: page_loaded, metric: avg(load_ms) }`";
    let entries = fields::entries(&with.value, "`with`", example, reader.problems)?;
    if entries.len() >= METRICS_MAX {
        let message = format!("{} series; the limit is {}", entries.len(), METRICS_MAX - 1);
        reader.refuse(code::RANGE, with.key_at.clone(), message, "make a second insight for the rest");
        return None;
    }
    for entry in entries {
        if series.iter().any(|held| held.name == entry.key) {
            reader.problems.push(fields::duplicate(entry));
            return None;
        }
        series.push(read_one(reader, &entry.key, &entry.value)?);
    }
    let method = reader.word("method", &[("pearson", Method::Pearson), ("spearman", Method::Spearman)])?;
    let lag_days_max = match reader.find("max_lag") {
        Some(entry) => fields::whole(&entry.value, "max_lag", 0..=LAG_DAYS_MAX, reader.problems)?,
        None => LAG_DAYS_MAX,
    };
    let settled = reading.settle(hints)?;
    let metric = |series: &Series| {
        let (function, filter) = settled.metric(series.metric)?;
        let on = settled.selection(&series.from).condition();
        let filter = Expr::all(on.into_iter().chain(filter).collect());
        Some(Metric { name: series.name.clone(), function, filter })
    };
    let body = Correlation {
        base: settled.selection(base),
        lookback_days,
        series: series.iter().map(metric).collect::<Option<Vec<_>>>()?,
        method,
        lag_days_max,
    };
    Some((Body::Correlation(body), settled.uses))
}

fn read_one(reader: &mut Reading<'_>, name: &str, node: &Node) -> Option<Series> {
    let what = format!("the series `{}`", fields::shown(name));
    let Kind::Map(entries) = &node.kind else {
        let help = "such as `{ from: page_loaded, metric: avg(load_ms) }`";
        reader.refuse(code::WRONG_SHAPE, node.at.clone(), format!("{what} must be a mapping"), help);
        return None;
    };
    let Some(metric) = entries.iter().find(|entry| entry.key == "metric") else {
        let message = format!("{what} has no `metric`");
        reader.refuse(code::MISSING_KEY, node.at.start..node.at.start + 1, message, "such as `metric: count(*)`");
        return None;
    };
    fields::check_keys(entries, &["from", "where", "metric"], &what, reader.problems);
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let from = match find("from") {
        Some(entry) => reader.names(&entry.value)?,
        None => From::All,
    };
    let filter = find("where").map(|entry| reader.condition(&entry.value, "`where`"));
    let metric = reader.metric(&metric.value, &what);
    Some(Series { name: name.to_owned(), from: Draft { from, filter, name: String::new() }, metric })
}

/// The target of drivers before its expressions are typed.
enum Target {
    Event(Draft),
    Return { born: Draft, returns: Draft, every: Period, offset: u32 },
}

fn read_drivers(
    mut reading: Reading<'_>,
    hints: &Hints,
    base: &Draft,
    lookback_days: u32,
    entry: &Entry,
) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let actor = reader.actor()?;
    let example = "such as `drivers: { target: order_completed, candidates: events }`";
    let entries = fields::entries(&entry.value, "`drivers`", example, reader.problems)?;
    fields::check_keys(entries, &["target", "candidates"], "`drivers`", reader.problems);
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let at = entry.key_at.clone();
    let Some(target) = find("target") else {
        reader.refuse(code::MISSING_KEY, at, "`drivers` has no `target`", example);
        return None;
    };
    let target = read_target(reader, &target.value)?;
    let candidates = match find("candidates") {
        Some(entry) => read_candidates(reader, &entry.value)?,
        None => vec![Column::Name],
    };
    let settled = reading.settle(hints)?;
    let target = match target {
        Target::Event(draft) => DriversTarget::Event(settled.selection(&draft)),
        Target::Return { born, returns, every, offset } => DriversTarget::Return {
            born: settled.selection(&born),
            returns: settled.selection(&returns),
            every,
            offset,
        },
    };
    let drivers = Drivers { actors: settled.actors(actor, base), lookback_days, target, candidates };
    Some((Body::Drivers(drivers), settled.uses))
}

fn read_target(reader: &mut Reading<'_>, node: &Node) -> Option<Target> {
    let born = match &node.kind {
        Kind::Map(entries) => entries.iter().find(|entry| entry.key == "born"),
        _ => None,
    };
    let (Some(born), Kind::Map(entries)) = (born, &node.kind) else {
        return reader.selection(node, "`target`", &[]).map(Target::Event);
    };
    fields::check_keys(entries, &["born", "returns", "every", "offset"], "a returning `target`", reader.problems);
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let born_draft = reader.selection(&born.value, "`born`", &[])?;
    let returns = reader.selection(&find("returns").unwrap_or(born).value, "`returns`", &[])?;
    let every = match find("every") {
        Some(entry) => fields::word(&entry.value, "every", &BUCKETS, reader.problems)?,
        None => Period::Week,
    };
    let offset = match find("offset") {
        Some(entry) => fields::whole(&entry.value, "offset", 1..=OFFSET_MAX, reader.problems)?,
        None => 1,
    };
    Some(Target::Return { born: born_draft, returns, every, offset })
}

fn read_candidates(reader: &mut Reading<'_>, node: &Node) -> Option<Vec<Column>> {
    let list = fields::texts(node, "`candidates`", reader.problems)?;
    if let [only] = list.as_slice()
        && let Some((word, at)) = fields::text(only, "`candidates`", reader.problems)
    {
        if word == "events" {
            return Some(vec![Column::Name]);
        }
        if word == "properties" {
            let help = format!("name up to {BREAKDOWN_COLUMNS_MAX} of them: `candidates: [country, plan]`");
            reader.refuse(code::WORD, at, "which properties can drive it is yours to say", &help);
            return None;
        }
    }
    if list.len() > BREAKDOWN_COLUMNS_MAX {
        let message = format!("{} candidates; the limit is {BREAKDOWN_COLUMNS_MAX}", list.len());
        let at: Range<usize> = list[BREAKDOWN_COLUMNS_MAX].at.clone();
        reader.problems.push(Problem::new(code::RANGE, at, message).help("make a second insight for the rest"));
        return None;
    }
    list.into_iter().map(|item| reader.column(item, "`candidates`")).collect()
}
