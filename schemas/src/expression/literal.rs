//! Literals in expressions: numbers and times, from the text users write.

use std::ops::Range;

use crate::decimal::Decimal;
use crate::definition::diagnostic::{Problem, code};
use crate::time::Timestamp;

/// A number as SQL writes it, exactly.
pub(crate) fn number_literal(text: &str, at: Range<usize>) -> Result<Decimal, Problem> {
    let plain = text.replace('_', "");
    let plain = if plain.starts_with('.') { format!("0{plain}") } else { plain.replace(".e", "e").replace(".E", "E") };
    let plain = plain.trim_end_matches('.');
    let whole = plain.find(['.', 'e', 'E']).unwrap_or(plain.len());
    let zeros = plain[..whole].len() - plain[..whole].trim_start_matches('0').len();
    let plain = &plain[zeros.min(whole - 1)..];
    Decimal::parse(plain).map_err(|why| {
        Problem::new(code::NUMBER, at, format!("this number cannot be kept exactly: {why}")).help("use fewer digits")
    })
}

/// RFC 3339, or a date (its first instant), or a date and time without offset; the latter two in UTC.
pub(crate) fn time_literal(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(time) = Timestamp::parse(text) {
        return Some(time);
    }
    let civil: jiff::civil::DateTime = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() <= 10 => date.to_datetime(jiff::civil::Time::midnight()),
        _ => text.parse().ok()?,
    };
    let stamp = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
    Timestamp::from_micros(stamp.as_microsecond()).in_range()
}

/// What is said of a text that is no time.
pub(crate) fn not_a_time(text: &str, at: Range<usize>) -> Problem {
    let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    Problem::new(code::TIME, at, format!("'{shown}' is not a time"))
        .help("write '2026-08-01' or '2026-08-01T12:00:00Z'; without an offset it is UTC")
}
