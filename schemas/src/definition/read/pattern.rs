//! The text of a pattern: `s !c{0,30m} x`.
//!
//! Words stand for events, one after the other; between two of them anything may lie. `!c` says that no `c` does, `!*`
//! that none of the pattern's events does, and `{0,30m}` how much time may pass: at least, at most, both inclusive;
//! `{,30m}` and `{1m,}` leave an end open. What is said between two words holds between these two.

use std::ops::Range;

use crate::definition::actors::{Element, Gap, PATTERN_ELEMENTS_MAX};
use crate::definition::diagnostic::{Problem, code, nearest};
use crate::definition::{duration, fields};
use crate::expression::lexer::Text;

/// A piece of a pattern's text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Word(&'a str),
    Without(&'a str),
    Bounds(&'a str),
    Wrong,
}

/// Whether this can be a word of a pattern.
pub(super) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads a pattern over these words.
pub(super) fn parse(text: &Text<'_>, words: &[&str]) -> Result<Vec<Element>, Problem> {
    let mut elements: Vec<Element> = Vec::new();
    let mut gap = Gap::default();
    let mut is_said = false;
    for (piece, at) in pieces(text.text) {
        let at = text.at(at);
        match piece {
            Piece::Word(word) => {
                elements.push(Element { event: place(word, words, &at)?, gap: std::mem::take(&mut gap) });
                is_said = false;
                continue;
            }
            _ if elements.is_empty() => {
                return Err(
                    wrong(at, "a pattern begins with an event").help("what is said of a gap stands between two events")
                );
            }
            Piece::Without("*") => gap.nothing = true,
            Piece::Without(word) => {
                let event = place(word, words, &at)?;
                if !gap.without.contains(&event) {
                    gap.without.push(event);
                }
            }
            Piece::Bounds(inner) => {
                if gap.seconds_min > 0 || gap.seconds_max.is_some() {
                    return Err(wrong(at, "the time between two events is said twice").help("keep one of them"));
                }
                (gap.seconds_min, gap.seconds_max) = bounds(inner, &at)?;
            }
            Piece::Wrong => {
                return Err(wrong(at, "this is no part of a pattern")
                    .help("events, `!event`, `!*` and `{0,30m}`, separated by spaces"));
            }
        }
        is_said = true;
    }
    gap.without.sort_unstable();
    if is_said {
        return Err(
            wrong(text.span(), "a pattern ends with an event").help("what is said of a gap stands between two events")
        );
    }
    if elements.len() < 2 || elements.len() > PATTERN_ELEMENTS_MAX {
        let message = format!("a pattern has 2 to {PATTERN_ELEMENTS_MAX} events, not {}", elements.len());
        return Err(Problem::new(code::RANGE, text.span(), message).help("such as `s !c{0,30m} x`"));
    }
    elements.iter_mut().for_each(|element| element.gap.without.sort_unstable());
    Ok(elements)
}

fn wrong(at: Range<usize>, message: &str) -> Problem {
    Problem::new(code::EXPRESSION, at, message)
}

fn place(word: &str, words: &[&str], at: &Range<usize>) -> Result<usize, Problem> {
    words.iter().position(|known| *known == word).ok_or_else(|| {
        let problem = Problem::new(code::NAME, at.clone(), format!("`{}` is not among `events`", fields::shown(word)));
        match nearest(word, words.iter().copied()) {
            Some(near) => problem.near(Some(near)),
            None => problem.help(format!("known are {}", words.join(", "))),
        }
    })
}

/// `0,30m` → seconds at least and at most.
fn bounds(inner: &str, at: &Range<usize>) -> Result<(u64, Option<u64>), Problem> {
    let wrong = || {
        wrong(at.clone(), "the time between two events has two ends")
            .help("at least, at most: `{0,30m}`, `{1m,}`, `{,1d}`")
    };
    let (least, most) = inner.split_once(',').ok_or_else(wrong)?;
    let end = |text: &str| match text.trim() {
        "" => Ok(None),
        "0" => Ok(Some(0)),
        text => duration::seconds(text).map(Some).ok_or_else(wrong),
    };
    let (least, most) = (end(least)?.unwrap_or(0), end(most)?);
    if most.is_some_and(|most| most < least) { Err(wrong()) } else { Ok((least, most)) }
}

/// The text in pieces, with their bytes.
fn pieces(text: &str) -> Vec<(Piece<'_>, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let word_end = |from: usize| {
            let word = &rest[from..];
            from + word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len())
        };
        let (piece, length) = match first {
            '!' if rest[1..].starts_with('*') => (Piece::Without("*"), 2),
            '!' if word_end(1) > 1 => (Piece::Without(&rest[1..word_end(1)]), word_end(1)),
            '{' if rest.contains('}') => {
                let end = rest.find('}').unwrap_or(rest.len() - 1);
                (Piece::Bounds(&rest[1..end]), end + 1)
            }
            c if c.is_ascii_alphabetic() => (Piece::Word(&rest[..word_end(0)]), word_end(0)),
            c => (Piece::Wrong, c.len_utf8()),
        };
        found.push((piece, at..at + length));
        at += length;
    }
    found
}

#[cfg(test)]
mod tests;
