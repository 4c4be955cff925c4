//! Durations as users write them: `30m`, `12h`, `7d`.

use std::ops::RangeInclusive;

use super::diagnostic::{Problem, code};
use super::document::Node;
use super::fields;

/// Seconds of a unit.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 7 * 86_400)];

/// Seconds of a count and a unit; `None`: it is neither.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let (_, seconds) = UNITS.iter().find(|(letter, _)| *letter == unit)?;
    let count = &text[..text.len() - unit.len_utf8()];
    let is_count = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    count.parse::<u64>().ok().filter(|_| is_count)?.checked_mul(*seconds)
}

/// Seconds within a range, from a key's value.
pub(super) fn read(node: &Node, key: &str, range: RangeInclusive<u64>, problems: &mut Vec<Problem>) -> Option<u64> {
    let (found, at) = fields::text(node, &format!("`{key}`"), problems)?;
    let Some(held) = seconds(&found) else {
        let message = format!("`{key}` must be a duration, not `{}`", fields::shown(&found));
        problems.push(Problem::new(code::RANGE, at, message).help("a count and a unit: 45s, 30m, 12h, 7d, 2w"));
        return None;
    };
    if !range.contains(&held) {
        let message = format!("`{key}` must lie between {} and {}", shown(*range.start()), shown(*range.end()));
        problems.push(Problem::new(code::RANGE, at, message));
        return None;
    }
    Some(held)
}

/// Seconds as users write them.
pub fn shown(seconds: u64) -> String {
    let whole = UNITS.iter().rev().skip(1).find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| "0s".to_owned(), |(letter, unit)| format!("{}{letter}", seconds / unit))
}
