//! Reading typed values out of a YAML mapping: each function answers with the value, or with a problem at its place.

use std::ops::{Range, RangeInclusive};

use super::diagnostic::{Problem, Source, code, nearest};
use super::document::{Entry, Kind, Node, Scalar, offsets};
use crate::expression::lexer::Text;

/// A text and its bytes of the file.
pub(super) type Spanned = (String, Range<usize>);

/// What a value looks like, for messages.
fn shape(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.is_null() => "nothing",
        Kind::Scalar(_) => "a single value",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a mapping",
    }
}

/// A value's bytes, cut to something worth marking.
fn marked(node: &Node) -> Range<usize> {
    match node.kind {
        Kind::Scalar(_) => node.at.clone(),
        _ => node.at.start..node.at.start + 1,
    }
}

fn wrong_shape(node: &Node, what: &str, due: &str) -> Problem {
    Problem::new(code::WRONG_SHAPE, marked(node), format!("{what} must be {due}, not {}", shape(node)))
}

/// A scalar that is not empty.
pub(super) fn scalar<'a>(node: &'a Node, what: &str, problems: &mut Vec<Problem>) -> Option<&'a Scalar> {
    match &node.kind {
        Kind::Scalar(scalar) if !scalar.is_null() && !scalar.text.trim().is_empty() => Some(scalar),
        _ => {
            problems.push(wrong_shape(node, what, "a text"));
            None
        }
    }
}

/// A text.
pub(super) fn text(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<Spanned> {
    scalar(node, what, problems).map(|scalar| (scalar.text.clone(), node.at.clone()))
}

/// One text or a list of them; never empty.
pub(super) fn texts<'a>(node: &'a Node, what: &str, problems: &mut Vec<Problem>) -> Option<Vec<&'a Node>> {
    let list = match &node.kind {
        Kind::List(list) => list.iter().collect(),
        _ => vec![node],
    };
    if list.is_empty() {
        let message = format!("{what} is an empty list");
        problems.push(Problem::new(code::WRONG_SHAPE, node.at.clone(), message).help("name at least one"));
        return None;
    }
    let known = problems.len();
    list.iter().for_each(|item| {
        scalar(item, what, problems);
    });
    (problems.len() == known).then_some(list)
}

/// The entries of a mapping; never empty.
pub(super) fn entries<'a>(
    node: &'a Node,
    what: &str,
    example: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'a [Entry]> {
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => Some(entries),
        _ => {
            problems.push(wrong_shape(node, what, "a mapping").help(example.to_owned()));
            None
        }
    }
}

/// One word of a few.
pub(super) fn word<T: Copy>(node: &Node, key: &str, words: &[(&str, T)], problems: &mut Vec<Problem>) -> Option<T> {
    let (found, at) = text(node, &format!("`{key}`"), problems)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == found) {
        return Some(*value);
    }
    let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let problem = Problem::new(code::WORD, at, format!("`{key}` cannot be `{}`", shown(&found)));
    let help = match nearest(&found, all.iter().copied()).filter(|near| near.len() > 2) {
        Some(near) => format!("did you mean `{near}`? possible are {}", all.join(", ")),
        None => format!("possible are {}", all.join(", ")),
    };
    problems.push(problem.help(help));
    None
}

/// A whole number within a range.
pub(super) fn whole(node: &Node, key: &str, range: RangeInclusive<u32>, problems: &mut Vec<Problem>) -> Option<u32> {
    let (found, at) = text(node, &format!("`{key}`"), problems)?;
    let value = found.parse().ok().filter(|value| range.contains(value) && found.bytes().all(|b| b.is_ascii_digit()));
    if value.is_none() {
        let message = format!("`{key}` must be a whole number from {} to {}", range.start(), range.end());
        problems.push(Problem::new(code::RANGE, at, message));
    }
    value
}

/// An expression's text, tied to its place in the file.
pub(super) fn expression<'a>(
    source: &Source<'_>,
    node: &'a Node,
    what: &str,
    problems: &mut Vec<Problem>,
) -> Option<Text<'a>> {
    let Kind::Scalar(scalar) = &node.kind else {
        let problem = wrong_shape(node, what, "an expression");
        problems.push(problem.help("quote an expression that starts with `{` or `[`, or holds `: `"));
        return None;
    };
    if scalar.is_null() || scalar.text.trim().is_empty() {
        problems.push(wrong_shape(node, what, "an expression"));
        return None;
    }
    Some(Text { text: &scalar.text, offsets: Some(offsets(source.text, &node.at, scalar)), flow: scalar.flow })
}

/// Reports keys given twice and keys that are not in `known`; `known` come first in hints.
pub(super) fn check_keys(entries: &[Entry], known: &[&str], of: &str, problems: &mut Vec<Problem>) {
    let mut seen: Vec<&str> = Vec::new();
    for entry in entries {
        let key = entry.key.as_str();
        if seen.contains(&key) {
            problems.push(duplicate(entry));
        }
        seen.push(key);
        if !known.contains(&key) {
            let at = entry.key_at.clone();
            let problem = Problem::new(code::UNKNOWN_KEY, at, format!("{of} has no key `{}`", shown(key)));
            problems.push(match nearest(key, known.iter().copied()) {
                Some(near) => problem.near(Some(near)),
                None => problem.help(format!("possible are {}", known.join(", "))),
            });
        }
    }
}

/// What is said of a key that was there before.
pub(super) fn duplicate(entry: &Entry) -> Problem {
    let message = format!("`{}` is given twice", shown(&entry.key));
    Problem::new(code::DUPLICATE_KEY, entry.key_at.clone(), message).help("keep one of them")
}

/// Text from outside, cut and made printable.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().count() > 64 { format!("{cut}…") } else { cut }
}
