//! YAML → definitions, or everything that is wrong with them.
//!
//! In: a file of one or more `---` documents. Out: a [`Parsed`] per document, or diagnostics in the order of the file.
//! A file is taken whole or not at all: one wrong definition refuses its neighbours too. Never panics on any text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::diagnostic::{Diagnostic, Place, Problem, Source, code};
use super::document::{Document, Entry, Kind, documents};
use super::read::{Kinded, Reading, TYPES};
use super::{Alert, Body, Definition, FILE_BYTES_MAX, NAME_BYTES_MAX, Refresh, TOP_DEFAULT, TOP_MAX, fields, standard};
use crate::calendar::{WeekStart, Zone};
use crate::expression::typing::Hints;
use crate::value::Type;

/// A definition and what later checks need to point at its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The meaning.
    pub definition: Definition,
    /// The document's own YAML text; it parses by itself to the same definition.
    pub text: String,
    /// Where its parts stand.
    pub spans: Spans,
}

/// Where a definition's parts stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// The insight's name.
    pub name: Place,
    /// Each top-level key.
    pub keys: BTreeMap<String, Place>,
    /// Event names in `from`, in the order written; empty for `'*'`.
    pub events: Vec<(String, Place)>,
    /// Every mention of a property, in the order written.
    pub properties: Vec<PropertyUse>,
}

/// A mention of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyUse {
    /// The property's flattened key.
    pub key: String,
    /// The type it is read at; `None`: whatever it holds.
    pub read: Option<Type>,
    /// Where.
    pub place: Place,
}

/// Every key of a standard insight, as users would look for them.
pub(super) const KEYS: [&str; 14] = [
    "insight",
    "type",
    "title",
    "owner",
    "source",
    "from",
    "where",
    "metrics",
    "by",
    "top",
    "timezone",
    "week_start",
    "refresh",
    "alerts",
];
/// Keys that every type of insight has.
pub(super) const COMMON: [&str; 9] =
    ["insight", "type", "title", "owner", "source", "timezone", "week_start", "refresh", "alerts"];

/// Parses a file of definitions. `file` is only shown in diagnostics.
///
/// # Errors
/// Everything that is wrong, in the order of the file; never empty.
pub fn parse(file: &str, text: &str) -> Result<Vec<Parsed>, Vec<Diagnostic>> {
    parse_hinted(file, text, &Hints::new())
}

/// [`parse`], with types for properties whose use does not tell (`max(x)`, `a < b`). The types become part of the
/// meaning, hence of the fingerprint: hints must be kept with the definition, not looked up again.
///
/// # Errors
/// As [`parse`].
pub fn parse_hinted(file: &str, text: &str, hints: &Hints) -> Result<Vec<Parsed>, Vec<Diagnostic>> {
    let source = Source { file, text };
    let mut problems = Vec::new();
    let parsed = if text.len() > FILE_BYTES_MAX {
        let message = format!("a file of {} bytes; the limit is {FILE_BYTES_MAX}", text.len());
        problems.push(Problem::new(code::TOO_LARGE, 0..0, message).help("spread the insights over several files"));
        Vec::new()
    } else {
        read_file(&source, hints, &mut problems)
    };
    if problems.is_empty() { Ok(parsed) } else { Err(source.diagnostics(problems)) }
}

fn read_file(source: &Source<'_>, hints: &Hints, problems: &mut Vec<Problem>) -> Vec<Parsed> {
    let documents = documents(source.text, problems);
    if documents.is_empty() && problems.is_empty() {
        let problem = Problem::new(code::EMPTY, 0..0, "there is no insight in this file");
        problems.push(problem.help("start with `insight: a_name`"));
    }
    let mut names = BTreeSet::new();
    let mut parsed = Vec::new();
    for document in &documents {
        let mut reader = Reader { source, hints, problems, taken: &mut names };
        parsed.extend(reader.document(document));
    }
    parsed
}

struct Reader<'a> {
    source: &'a Source<'a>,
    hints: &'a Hints,
    problems: &'a mut Vec<Problem>,
    taken: &'a mut BTreeSet<String>,
}

impl Reader<'_> {
    fn document(&mut self, document: &Document) -> Option<Parsed> {
        let before = self.problems.len();
        let Kind::Map(entries) = &document.root.kind else {
            let at = document.root.at.clone();
            let problem = Problem::new(code::WRONG_SHAPE, at, "a definition is a mapping of keys to values");
            self.problems.push(problem.help("start with `insight: a_name`"));
            return None;
        };
        let kind = self.kind(entries)?;
        self.check_keys(entries, kind);
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        let end = document.root.at.start..document.root.at.start + 1;
        let name = self.name(find("insight"), &end);
        let body = match kind {
            None => standard::read(self.source, entries, self.hints, self.problems)
                .map(|(body, uses)| (Body::Standard(body), uses)),
            Some(kind) => (kind.read)(Reading::new(self.source, entries, self.problems), self.hints),
        };
        let (title, owner) = (self.text(find("title")), self.text(find("owner")));
        let source = self.text(find("source"));
        let timezone = self.timezone(find("timezone"));
        let week_start = find("week_start").and_then(|entry| {
            let words = [("sunday", WeekStart::Sunday), ("monday", WeekStart::Monday)];
            fields::word(&entry.value, "week_start", &words, self.problems)
        });
        let is_daily = kind.is_some_and(|kind| kind.daily);
        let refresh = find("refresh").filter(|_| !is_daily).and_then(|entry| {
            let words = Refresh::ALL.map(|refresh| (refresh.word(), refresh));
            fields::word(&entry.value, "refresh", &words, self.problems)
        });
        let top = find("top").and_then(|entry| fields::whole(&entry.value, "top", 1..=TOP_MAX, self.problems));
        let alerts = self.alerts(find("alerts"), entries);
        let (body, uses) = body?;
        if self.problems.len() != before {
            return None;
        }
        let definition = Definition {
            name: name?,
            title,
            owner,
            source,
            timezone: timezone.unwrap_or_else(Zone::utc),
            week_start: week_start.unwrap_or_default(),
            refresh: if is_daily { Refresh::Daily } else { refresh.unwrap_or(Refresh::Minutes5) },
            by: uses.by.clone(),
            top: top.unwrap_or(TOP_DEFAULT),
            alerts,
            body,
        };
        let spans = self.spans(entries, uses);
        Some(Parsed { definition, text: self.source.text[document.text.clone()].trim().to_owned() + "\n", spans })
    }

    /// The type of the document; `Some(None)`: standard.
    fn kind(&mut self, entries: &[Entry]) -> Option<Option<&'static Kinded>> {
        let Some(entry) = entries.iter().find(|entry| entry.key == "type") else { return Some(None) };
        let further = TYPES.iter().map(|kind| (kind.word, Some(kind)));
        let types: Vec<_> = std::iter::once(("standard", None)).chain(further).collect();
        fields::word(&entry.value, "type", &types, self.problems)
    }

    fn check_keys(&mut self, entries: &[Entry], kind: Option<&Kinded>) {
        let word = kind.map_or("standard", |kind| kind.word);
        let keys: Vec<&str> = match kind {
            None => KEYS.to_vec(),
            Some(kind) => COMMON.iter().chain(kind.keys).copied().collect(),
        };
        let of = format!("{} {word} insight", if word == "event_sequence" { "an" } else { "a" });
        let mut rest: Vec<Entry> = Vec::new();
        for entry in entries {
            let problem = match entry.key.as_str() {
                "strategy" | "incremental" => {
                    Problem::new(code::DERIVED, entry.key_at.clone(), format!("`{}` is never given", entry.key)).help(
                        "it is derived: counts and sums are kept as running totals, everything else is recomputed; leave it out",
                    )
                }
                "refresh" if kind.is_some_and(|kind| kind.daily) => {
                    let message = format!("{of} is computed once a day, when the day is over");
                    Problem::new(code::DERIVED, entry.key_at.clone(), message).help("leave `refresh` out")
                }
                "<<" => Problem::new(code::REFERENCE, entry.key_at.clone(), "merge keys (`<<`) are not read")
                    .help("write the keys out"),
                key if !keys.contains(&key) => match owner(key) {
                    Some(owner) => {
                        let message = format!("{of} has no key `{key}`");
                        Problem::new(code::UNKNOWN_KEY, entry.key_at.clone(), message)
                            .help(format!("it belongs to `type: {owner}`"))
                    }
                    None => {
                        rest.push(entry.clone());
                        continue;
                    }
                },
                _ => {
                    rest.push(entry.clone());
                    continue;
                }
            };
            self.problems.push(problem);
        }
        fields::check_keys(&rest, &keys, &of, self.problems);
    }

    fn name(&mut self, entry: Option<&Entry>, start: &Range<usize>) -> Option<String> {
        let Some(entry) = entry else {
            let problem = Problem::new(code::MISSING_KEY, start.clone(), "the key `insight` is missing");
            self.problems.push(problem.help("give the insight a name: `insight: revenue`"));
            return None;
        };
        let (name, at) = fields::text(&entry.value, "`insight`", self.problems)?;
        if !is_insight_name(&name) {
            let message = format!("`{}` is not a name for an insight", fields::shown(&name));
            let rule = format!("small letters, digits and _, a letter first, at most {NAME_BYTES_MAX} of them");
            let proposal = proposed_name(&name);
            self.problems.push(Problem::new(code::NAME, at, message).help(match proposal {
                Some(proposal) => format!("{rule}; such as `{proposal}`"),
                None => rule,
            }));
            return None;
        }
        if !self.taken.insert(name.clone()) {
            let message = format!("this file has another insight `{name}`");
            self.problems.push(Problem::new(code::NAME_TAKEN, at, message).help("give one of them another name"));
            return None;
        }
        Some(name)
    }

    fn text(&mut self, entry: Option<&Entry>) -> Option<String> {
        let entry = entry?;
        fields::text(&entry.value, &format!("`{}`", entry.key), self.problems).map(|(text, _)| text)
    }

    fn timezone(&mut self, entry: Option<&Entry>) -> Option<Zone> {
        let (name, at) = fields::text(&entry?.value, "`timezone`", self.problems)?;
        let zone = Zone::named(&name);
        if zone.is_none() {
            let problem = Problem::new(code::ZONE, at, format!("there is no time zone `{}`", fields::shown(&name)));
            self.problems.push(match nearest_zone(&name) {
                Some(near) => problem.near(Some(near)),
                None => problem.help("use an IANA name: UTC, Europe/Berlin, Asia/Kolkata"),
            });
        }
        zone
    }

    fn alerts(&mut self, entry: Option<&Entry>, entries: &[Entry]) -> Vec<Alert> {
        let Some(entry) = entry else { return Vec::new() };
        let metrics: Vec<&str> =
            match entries.iter().find(|entry| entry.key == "metrics").map(|entry| &entry.value.kind) {
                Some(Kind::Map(metrics)) => metrics.iter().map(|metric| metric.key.as_str()).collect(),
                _ => Vec::new(),
            };
        super::alert::read(self.source, &entry.value, &metrics, self.problems)
    }

    fn spans(&self, entries: &[Entry], uses: standard::Uses) -> Spans {
        let place = |at: &Range<usize>| self.source.place(at);
        let name = entries.iter().find(|entry| entry.key == "insight");
        Spans {
            name: name.map(|entry| place(&entry.value.at)).unwrap_or_default(),
            keys: entries.iter().map(|entry| (entry.key.clone(), place(&entry.key_at))).collect(),
            events: uses.events.into_iter().map(|(name, at)| (name, place(&at))).collect(),
            properties: uses
                .properties
                .into_iter()
                .map(|use_| PropertyUse { key: use_.key, read: use_.read, place: place(&use_.at) })
                .collect(),
        }
    }
}

/// The type a key belongs to, where it is only one's.
fn owner(key: &str) -> Option<&'static str> {
    let of_standard = KEYS.contains(&key).then_some("standard");
    let mut owners =
        of_standard.into_iter().chain(TYPES.iter().filter(|kind| kind.keys.contains(&key)).map(|kind| kind.word));
    match (owners.next(), owners.next()) {
        (Some(owner), None) => Some(owner),
        _ => None,
    }
}

/// Whether this is a name for an insight: `[a-z][a-z0-9_]*`, at most [`NAME_BYTES_MAX`] bytes.
pub fn is_insight_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A name near to what was written that keeps the rule.
pub(super) fn proposed_name(name: &str) -> Option<String> {
    let lower = name.trim().to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    Some(words.join("_")).filter(|proposal| is_insight_name(proposal))
}

/// The zone most likely meant: by its city, or by spelling.
fn nearest_zone(name: &str) -> Option<&'static str> {
    let city = name.replace(' ', "_");
    let of_city =
        Zone::names().find(|zone| zone.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&city)));
    of_city.or_else(|| super::diagnostic::nearest(name, Zone::names()))
}

#[cfg(test)]
mod tests;
