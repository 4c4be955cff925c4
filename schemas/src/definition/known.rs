//! A definition against what has been seen: names nobody ever sent are most likely mistyped.
//!
//! In: a parsed definition and a [`Catalogue`] of events. Out: diagnostics. Nothing here changes a definition's
//! meaning. A definition may well be written before the first event that bears a property: so a name that nobody sent
//! yet is a warning, unless it is a slip of the pen away from one that was sent; that, and a property that was only
//! ever seen at another type, are errors.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::From;
use super::diagnostic::{Diagnostic, Severity, code, nearest};
use super::parse::{Parsed, PropertyUse};
use crate::event::Event;
use crate::value::Type;

/// What has been seen: event name → property → its types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Catalogue {
    /// Event name → property → types.
    pub events: BTreeMap<String, BTreeMap<String, BTreeSet<Type>>>,
}

impl Catalogue {
    /// Takes in one live event; tombstones say nothing.
    pub fn add(&mut self, event: &Event) {
        if event.deleted {
            return;
        }
        let properties = self.events.entry(event.name.clone()).or_default();
        for (key, value) in &event.properties {
            if let Some(of) = value.type_of() {
                properties.entry(key.clone()).or_default().insert(of);
            }
        }
    }

    /// Takes in another catalogue.
    pub fn merge(&mut self, other: &Catalogue) {
        for (event, properties) in &other.events {
            let own = self.events.entry(event.clone()).or_default();
            for (key, types) in properties {
                own.entry(key.clone()).or_default().extend(types);
            }
        }
    }

    /// Properties of the events an insight reads.
    fn properties_of(&self, from: &From) -> BTreeMap<&str, BTreeSet<Type>> {
        let mut found: BTreeMap<&str, BTreeSet<Type>> = BTreeMap::new();
        for (event, properties) in &self.events {
            if matches!(from, From::Names(names) if !names.contains(event)) {
                continue;
            }
            for (key, types) in properties {
                found.entry(key).or_default().extend(types);
            }
        }
        found
    }

    /// Types of the properties that have only ever had one.
    pub fn hints(&self) -> BTreeMap<String, Type> {
        let mut found: BTreeMap<&str, BTreeSet<Type>> = self.properties_of(&From::All);
        found.retain(|_, types| types.len() == 1);
        found.into_iter().filter_map(|(key, types)| Some((key.to_owned(), types.into_iter().next()?))).collect()
    }
}

/// Compares a definition with what has been seen. An empty catalogue knows nothing and finds nothing.
pub fn check_known(parsed: &Parsed, catalogue: &Catalogue) -> Vec<Diagnostic> {
    if catalogue.events.is_empty() {
        return Vec::new();
    }
    let from = parsed.definition.event_names().map_or(From::All, From::Names);
    let mut found = unknown_events(parsed, catalogue);
    if found.is_empty() {
        let properties = catalogue.properties_of(&from);
        found.extend(parsed.spans.properties.iter().filter_map(|use_| check_property(use_, &from, &properties)));
    }
    found
}

fn unknown_events(parsed: &Parsed, catalogue: &Catalogue) -> Vec<Diagnostic> {
    let unknown = parsed.spans.events.iter().filter(|(name, _)| !catalogue.events.contains_key(name));
    unknown
        .map(|(name, place)| {
            let help = match nearest(name, catalogue.events.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "the insight will count them once they come".to_owned(),
            };
            let message = format!("no event named `{name}` has been seen yet");
            place.diagnostic(Severity::Warning, code::UNKNOWN_EVENT, message, Some(help))
        })
        .collect()
}

fn check_property(use_: &PropertyUse, from: &From, properties: &BTreeMap<&str, BTreeSet<Type>>) -> Option<Diagnostic> {
    let events = match from {
        From::All => "any event".to_owned(),
        From::Names(names) => format!("`{}`", names.join("`, `")),
    };
    let key = use_.key.as_str();
    let Some(types) = properties.get(key) else {
        return Some(unknown_property(use_, &events, properties));
    };
    let read = use_.read.filter(|read| !types.contains(read))?;
    let seen: Vec<&str> = types.iter().map(|of| of.word()).collect();
    let message =
        format!("`{key}` is read as a {} here, but has only been seen as {} in {events}", read.word(), seen.join(", "));
    let help = match (read, types.contains(&Type::Text)) {
        (Type::Number, true) => "send it as a JSON number; to order texts by min or max, add `filter (where … >= '')`",
        (_, true) => "it is a text: compare it with '…'",
        (Type::Text, false) => "it is not a text: compare it without quotes",
        _ => "compare it with a value of its own type",
    };
    Some(use_.place.diagnostic(Severity::Error, code::SEEN_TYPE, message, Some(help.to_owned())))
}

fn unknown_property(use_: &PropertyUse, events: &str, properties: &BTreeMap<&str, BTreeSet<Type>>) -> Diagnostic {
    let key = use_.key.as_str();
    let (severity, message, help) = match nearest(key, properties.keys().copied()) {
        Some(near) => (
            Severity::Error,
            format!("unknown property `{key}`: it has never been seen in {events}"),
            format!("did you mean `{near}`? if `{key}` is a new one, send an event that has it first"),
        ),
        None => (
            Severity::Warning,
            format!("the property `{key}` has not been seen in {events} yet: it counts as null until it comes"),
            match properties.is_empty() {
                true => "these events have no properties so far".to_owned(),
                false => format!("seen so far: {}", listed(properties.keys())),
            },
        ),
    };
    use_.place.diagnostic(severity, code::UNKNOWN_PROPERTY, message, Some(help))
}

/// The first few names.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a &'a str>) -> String {
    const NAMES_SHOWN_MAX: usize = 12;
    let more = names.len() > NAMES_SHOWN_MAX;
    let shown: Vec<&str> = names.take(NAMES_SHOWN_MAX).copied().collect();
    shown.join(", ") + if more { ", …" } else { "" }
}

#[cfg(test)]
mod tests;
