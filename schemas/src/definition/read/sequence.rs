//! `type: event_sequence`: a pattern, or paths.

use super::funnel::within;
use super::{Draft, Kinded, Reading, pattern};
use crate::definition::actors::{
    DEPTH_DEFAULT, DEPTH_MAX, PATTERN_EVENTS_MAX, Paths, Pattern, SESSION_GAP_SECONDS_DEFAULT, SESSION_GAP_SECONDS_MAX,
    Step,
};
use crate::definition::diagnostic::code;
use crate::definition::standard::Uses;
use crate::definition::{Body, duration, fields};
use crate::expression::Column;
use crate::expression::typing::Hints;

pub(super) const KIND: Kinded = Kinded {
    word: "event_sequence",
    keys: &[
        "from",
        "where",
        "by",
        "top",
        "actor",
        "events",
        "pattern",
        "within",
        "start",
        "end",
        "node",
        "session_gap",
        "depth",
        "ignore",
    ],
    daily: false,
    read,
};

/// Keys of one form that the other has not.
const OF_PATTERN: [&str; 3] = ["events", "pattern", "within"];
const OF_PATHS: [&str; 6] = ["start", "end", "node", "session_gap", "depth", "ignore"];

fn read(mut reading: Reading<'_>, hints: &Hints) -> Option<(Body, Uses)> {
    let is_pattern = reading.find("pattern").is_some() || reading.find("events").is_some();
    let foreign: &[&str] = if is_pattern { &OF_PATHS } else { &OF_PATTERN };
    let (this, other) = if is_pattern { ("a pattern", "paths") } else { ("paths", "a pattern") };
    let mut is_foreign = false;
    for entry in reading.entries.iter().filter(|entry| foreign.contains(&entry.key.as_str())) {
        let message = format!("`{}` goes with {other}, and this is {this}", entry.key);
        let help = "a pattern has `events` and `pattern`; paths have `start` and/or `end`";
        reading.refuse(code::UNKNOWN_KEY, entry.key_at.clone(), message, help);
        is_foreign = true;
    }
    if is_foreign {
        return None;
    }
    if is_pattern { read_pattern(reading, hints) } else { read_paths(reading, hints) }
}

fn read_pattern(mut reading: Reading<'_>, hints: &Hints) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let (base, actor, within_seconds) = (reader.base()?, reader.actor()?, within(reader)?);
    reader.by()?;
    let entry = reader.due("events", "the pattern's words: `events: { s: searched, x: left }`")?;
    let example = "such as `events: { s: searched, x: left }`";
    let entries = fields::entries(&entry.value, "`events`", example, reader.problems)?;
    if entries.len() > PATTERN_EVENTS_MAX {
        let message = format!("{} events; the limit is {PATTERN_EVENTS_MAX}", entries.len());
        reader.refuse(code::RANGE, entry.key_at.clone(), message, "name several events in one: `a: [x, y]`");
        return None;
    }
    let mut events: Vec<(String, Draft)> = Vec::new();
    for entry in entries {
        if events.iter().any(|(name, _)| *name == entry.key) {
            reader.problems.push(fields::duplicate(entry));
            return None;
        }
        if !pattern::is_word(&entry.key) {
            let message = format!("`{}` cannot stand in a pattern", fields::shown(&entry.key));
            reader.refuse(code::NAME, entry.key_at.clone(), message, "letters, digits and _, a letter first");
            return None;
        }
        let draft = reader.selection(&entry.value, "an event", &[])?;
        events.push((entry.key.clone(), draft));
    }
    let entry = reader.due("pattern", "such as `pattern: s !c{0,30m} x`")?;
    let text = fields::expression(reader.source, &entry.value, "`pattern`", reader.problems)?;
    let words: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let elements = pattern::parse(&text, &words).map_err(|problem| reader.problems.push(problem)).ok()?;
    let settled = reading.settle(hints)?;
    let pattern = Pattern {
        actors: settled.actors(actor, &base),
        within_seconds,
        events: events.iter().map(|(name, on)| Step { name: name.clone(), on: settled.selection(on) }).collect(),
        elements,
    };
    Some((Body::Pattern(pattern), settled.uses))
}

fn read_paths(mut reading: Reading<'_>, hints: &Hints) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let (base, actor) = (reader.base()?, reader.actor()?);
    reader.by()?;
    let start = reader.find("start").map(|entry| reader.selection(&entry.value, "`start`", &[]));
    let end = reader.find("end").map(|entry| reader.selection(&entry.value, "`end`", &[]));
    if start.is_none() && end.is_none() {
        reader.due("end", "where paths lead (`end: order_completed`) or begin (`start: signed_up`), or a `pattern`")?;
    }
    let (start, end) = (all(start)?, all(end)?);
    let node = match reader.find("node") {
        Some(entry) => reader.column(&entry.value, "`node`")?,
        None => Column::Name,
    };
    if let Some(entry) = reader.find("node")
        && reader.uses.by.contains(&node)
    {
        reader.refuse(
            code::BREAKDOWN,
            entry.value.at.clone(),
            "paths are broken down by their own stations",
            "choose another column",
        );
        return None;
    }
    let session_gap_seconds = match reader.find("session_gap") {
        Some(entry) => duration::read(&entry.value, "session_gap", 1..=SESSION_GAP_SECONDS_MAX, reader.problems)?,
        None => SESSION_GAP_SECONDS_DEFAULT,
    };
    let depth = match reader.find("depth") {
        Some(entry) => fields::whole(&entry.value, "depth", 2..=DEPTH_MAX, reader.problems)?,
        None => DEPTH_DEFAULT,
    };
    let ignore = match reader.find("ignore") {
        Some(entry) => {
            let list = fields::texts(&entry.value, "`ignore`", reader.problems)?;
            let named = list.iter().map(|item| fields::text(item, "`ignore`", reader.problems).map(|(name, _)| name));
            let mut named = named.collect::<Option<Vec<String>>>()?;
            named.sort();
            named.dedup();
            named
        }
        None => Vec::new(),
    };
    let settled = reading.settle(hints)?;
    let selection = |draft: Option<Draft>| draft.map(|draft| settled.selection(&draft));
    let paths = Paths {
        actors: settled.actors(actor, &base),
        start: selection(start),
        end: selection(end),
        node,
        session_gap_seconds,
        depth,
        ignore,
    };
    Some((Body::Paths(paths), settled.uses))
}

/// `None`: there is one, and it could not be read.
fn all(draft: Option<Option<Draft>>) -> Option<Option<Draft>> {
    match draft {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}
