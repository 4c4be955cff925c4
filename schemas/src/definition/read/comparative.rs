//! `type: comparative`.

use super::{Kinded, Reading};
use crate::calendar::{Date, Period};
use crate::definition::diagnostic::code;
use crate::definition::document::{Entry, Kind, Node};
use crate::definition::parse::is_insight_name;
use crate::definition::relations::{Comparative, Compare};
use crate::definition::standard::Uses;
use crate::definition::{Body, fields};
use crate::expression::Expr;
use crate::expression::typing::Hints;

pub(super) const KIND: Kinded =
    Kinded { word: "comparative", keys: &["of", "metrics", "compare", "segments"], daily: true, read };

/// Comparisons of one insight.
const COMPARISONS_MAX: usize = 20;
const PERIODS: [Period; 5] = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];

/// A comparison before its conditions are typed.
enum Draft {
    Ready(Compare),
    Segments([(String, super::Tree); 2]),
}

fn read(mut reading: Reading<'_>, hints: &Hints) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let of = reader.due("of", "the standard insight that is compared: `of: revenue`")?;
    let (of, at) = fields::text(&of.value, "`of`", reader.problems)?;
    if !is_insight_name(&of) {
        reader.refuse(
            code::NAME,
            at,
            format!("`{}` is no name of an insight", fields::shown(&of)),
            "such as `of: revenue`",
        );
        return None;
    }
    let metrics = match reader.find("metrics") {
        Some(entry) => {
            let list = fields::texts(&entry.value, "`metrics`", reader.problems)?;
            let named = list.iter().map(|item| fields::text(item, "`metrics`", reader.problems).map(|(name, _)| name));
            named.collect::<Option<Vec<String>>>()?
        }
        None => Vec::new(),
    };
    let mut drafts = Vec::new();
    if let Some(entry) = reader.find("compare") {
        let nodes: Vec<&Node> = match &entry.value.kind {
            Kind::List(list) => list.iter().collect(),
            _ => vec![&entry.value],
        };
        for node in nodes {
            drafts.push(Draft::Ready(compare(reader, node)?));
        }
    }
    if let Some(entry) = reader.find("segments") {
        drafts.push(segments(reader, entry)?);
    }
    if drafts.is_empty() || drafts.len() > COMPARISONS_MAX {
        let at = reader.entries.first().map_or(0..0, |entry| entry.key_at.clone());
        let message = format!("a comparison needs 1 to {COMPARISONS_MAX} of `compare` and `segments`");
        reader.refuse(code::MISSING_KEY, at, message, "such as `compare: [previous_week, same_week_last_year]`");
        return None;
    }
    let settled = reading.settle(hints)?;
    let mut comparisons = Vec::with_capacity(drafts.len());
    for draft in drafts {
        comparisons.push(match draft {
            Draft::Ready(compare) => compare,
            Draft::Segments([(a, on_a), (b, on_b)]) => {
                let condition = |tree| settled.condition(tree);
                let (on_a, on_b): (Expr, Expr) = (condition(on_a)?, condition(on_b)?);
                Compare::Segments { a: (a, on_a), b: (b, on_b) }
            }
        });
    }
    let comparative = Comparative { of, metrics, compare: comparisons };
    // Properties in segments are columns of the other insight's breakdown; whether they are is asked when it is known.
    Some((Body::Comparative(comparative), Uses::default()))
}

fn compare(reader: &mut Reading<'_>, node: &Node) -> Option<Compare> {
    if let Kind::Map(entries) = &node.kind {
        fields::check_keys(entries, &["a", "b"], "a custom comparison", reader.problems);
        let side = |reader: &mut Reading<'_>, key: &str| {
            let entry = entries.iter().find(|entry| entry.key == key);
            match entry {
                Some(entry) => days(reader, entry),
                None => {
                    let at = node.at.start..node.at.start + 1;
                    let help = "two spans of days: `{ a: 2026-07-01..2026-07-31, b: 2025-07-01..2025-07-31 }`";
                    reader.refuse(code::MISSING_KEY, at, format!("a custom comparison has no `{key}`"), help);
                    None
                }
            }
        };
        return Some(Compare::Custom { a: side(reader, "a")?, b: side(reader, "b")? });
    }
    let mut words: Vec<(String, (bool, Period))> = Vec::new();
    for period in PERIODS {
        words.push((format!("previous_{}", period.word()), (true, period)));
        if period != Period::Year {
            words.push((format!("same_{}_last_year", period.word()), (false, period)));
        }
    }
    let words: Vec<(&str, (bool, Period))> = words.iter().map(|(word, what)| (word.as_str(), *what)).collect();
    let (is_previous, period) = fields::word(node, "compare", &words, reader.problems)?;
    Some(if is_previous { Compare::Previous(period) } else { Compare::SameLastYear(period) })
}

/// `2026-07-01..2026-07-31`, both included.
fn days(reader: &mut Reading<'_>, entry: &Entry) -> Option<(Date, Date)> {
    let (text, at) = fields::text(&entry.value, &format!("`{}`", entry.key), reader.problems)?;
    let ends = text
        .split_once("..")
        .and_then(|(first, last)| Some((first.trim().parse::<Date>().ok()?, last.trim().parse::<Date>().ok()?)));
    match ends.filter(|(first, last)| first <= last) {
        Some(ends) => Some(ends),
        None => {
            let message = format!("`{}` is no span of days", fields::shown(&text));
            reader.refuse(code::TIME, at, message, "first and last day: 2026-07-01..2026-07-31");
            None
        }
    }
}

fn segments(reader: &mut Reading<'_>, entry: &Entry) -> Option<Draft> {
    let example = "two names with a condition each: `segments: { pro: plan = 'pro', free: plan = 'free' }`";
    let entries = fields::entries(&entry.value, "`segments`", example, reader.problems)?;
    let [a, b] = entries else {
        let message = format!("two segments are compared, not {}", entries.len());
        reader.refuse(code::RANGE, entry.key_at.clone(), message, example);
        return None;
    };
    if a.key == b.key {
        reader.problems.push(fields::duplicate(b));
        return None;
    }
    let mut side = |entry: &Entry| {
        let what = format!("the segment `{}`", fields::shown(&entry.key));
        (entry.key.clone(), reader.condition(&entry.value, &what))
    };
    Some(Draft::Segments([side(a), side(b)]))
}
