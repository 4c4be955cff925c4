//! Tests of one value against constants: comparisons, lists and patterns.
//!
//! Text semantics are DuckDB's: order by bytes (which is code point order), `like` without an escape character, and
//! letter case by the simple mapping of each code point, so that lowering never depends on a letter's neighbours.

use std::cmp::Ordering;

use arrow::array::{Array, BooleanArray, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use regex::Regex;
use tidemill_schemas::expression::{Comparison, Pattern};
use tidemill_schemas::value::{Type, Value};

use super::EvalError;
use super::vector::{Numbers, Texts, Unscaled, Vector};

/// A test of fewer than one row in so many looks at those rows only.
const FEW_ROWS_SHARE: usize = 6;

/// A test.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// Against one constant; null gives null.
    Compare(Comparison, Value),
    /// Against constants of one type, ascending, without duplicates.
    In(Vec<Value>),
    /// Text against a pattern.
    Matches(Matcher),
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// `%` any run, `_` any one character.
    Like(Vec<char>),
    /// The same over small letters.
    Ilike(Vec<char>),
    /// A prefix.
    StartsWith(String),
    /// A suffix.
    EndsWith(String),
    /// A part.
    Contains(String),
    /// A regular expression, somewhere.
    Regex(Regex),
    /// No regular expression: why.
    Broken(String),
}

/// Whether an order satisfies a comparison.
#[inline]
pub fn holds(how: Comparison, order: Ordering) -> bool {
    match how {
        Comparison::Eq => order == Ordering::Equal,
        Comparison::Neq => order != Ordering::Equal,
        Comparison::Lt => order == Ordering::Less,
        Comparison::Lte => order != Ordering::Greater,
        Comparison::Gt => order == Ordering::Greater,
        Comparison::Gte => order != Ordering::Less,
    }
}

/// Small letters: each code point by its simple mapping.
pub fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars()
        // The one letter whose full mapping is longer than its simple one.
        .map(|letter| if letter == 'İ' { 'i' } else { letter.to_lowercase().next().unwrap_or(letter) })
        .collect()
}

impl Predicate {
    /// A list of constants.
    pub fn in_list(values: &[Value]) -> Predicate {
        let mut values = values.to_vec();
        values.sort();
        values.dedup();
        Predicate::In(values)
    }

    /// The test of every row that is asked for (`None`: all); null where the row is null.
    ///
    /// # Errors
    /// [`EvalError::Pattern`].
    pub fn apply(&self, vector: Vector, asked: Option<&BooleanBuffer>) -> Result<Vector, EvalError> {
        let rows = vector.rows();
        let wanted = match self {
            Predicate::Compare(_, value) => value.type_of(),
            Predicate::In(values) => values.first().map_or(vector.type_of(), Value::type_of),
            Predicate::Matches(Matcher::Broken(why)) => return Err(EvalError::Pattern(why.clone())),
            Predicate::Matches(_) => Some(Type::Text),
        };
        let Some(wanted) = wanted else { return Ok(Vector::Null(rows)) };
        let vector = vector.at(wanted);
        let nulls = vector.nulls();
        let values = match &vector {
            Vector::Null(_) | Vector::Any(_) => return Ok(Vector::Null(rows)),
            Vector::Bool(bools) => BooleanBuffer::collect_bool(rows, |row| self.test(&Value::Bool(bools.value(row)))),
            Vector::Number(numbers) => self.numbers(numbers),
            Vector::Text(texts) => self.texts(texts, asked),
            Vector::Time(times) => self.integers(&times.values, |value| match value {
                Value::Time(time) => Some(time.micros()),
                _ => None,
            }),
        };
        Ok(Vector::Bool(BooleanArray::new(values, nulls)))
    }

    fn test(&self, value: &Value) -> bool {
        match self {
            Predicate::Compare(how, constant) => holds(*how, value.cmp(constant)),
            Predicate::In(constants) => constants.binary_search(value).is_ok(),
            Predicate::Matches(_) => false,
        }
    }

    fn text(&self, text: &str) -> bool {
        match self {
            Predicate::Compare(how, Value::Text(constant)) => holds(*how, text.cmp(constant)),
            Predicate::In(constants) => constants
                .binary_search_by(|constant| match constant {
                    Value::Text(constant) => constant.as_str().cmp(text),
                    _ => Ordering::Less,
                })
                .is_ok(),
            Predicate::Matches(matcher) => matcher.matches(text),
            Predicate::Compare(..) => false,
        }
    }

    fn texts(&self, texts: &Texts, asked: Option<&BooleanBuffer>) -> BooleanBuffer {
        let rows = texts.rows();
        // Of few rows each is looked at by itself.
        let few = asked.filter(|asked| asked.count_set_bits() * FEW_ROWS_SHARE < rows);
        let Some(keys) = texts.keys.as_ref().filter(|_| texts.values.len() <= 2 * rows) else {
            return BooleanBuffer::collect_bool(rows, |row| {
                texts.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) && self.text(texts.at(row))
            });
        };
        if texts.values.len() <= 64 {
            // A few words: one bit each, so that a row costs a shift.
            let holds = |place: usize| texts.values.is_valid(place) && self.text(texts.values.value(place));
            let bits = (0..texts.values.len()).fold(0u64, |bits, place| bits | u64::from(holds(place)) << place);
            if let Some(few) = few {
                return each(few, rows, |row| bits >> (keys[row] & 63) & 1 == 1);
            }
            return BooleanBuffer::collect_bool(rows, |row| bits >> (keys[row] & 63) & 1 == 1);
        }
        let by_place: Vec<bool> = (0..texts.values.len())
            .map(|place| texts.values.is_valid(place) && self.text(texts.values.value(place)))
            .collect();
        let holds = |row: usize| by_place.get(keys[row] as usize).copied().unwrap_or(false);
        match few {
            Some(few) => each(few, rows, holds),
            None => BooleanBuffer::collect_bool(rows, holds),
        }
    }

    fn numbers(&self, numbers: &Numbers) -> BooleanBuffer {
        let wide = |value: &Value| unscaled(value, numbers.scale);
        let narrow = |value: &Value| i64::try_from(wide(value)?).ok();
        match (&numbers.values, self) {
            (Unscaled::Narrow(values), Predicate::In(_)) => self.integers(values, narrow),
            (Unscaled::Wide(values), Predicate::In(_)) => self.integers(values, wide),
            (Unscaled::Narrow(values), Predicate::Compare(_, value)) if narrow(value).is_some() => {
                self.integers(values, narrow)
            }
            (Unscaled::Wide(values), Predicate::Compare(_, value)) if wide(value).is_some() => {
                self.integers(values, wide)
            }
            // The constant has more digits than the column: number by number.
            _ => BooleanBuffer::collect_bool(numbers.rows(), |row| self.test(&Value::Number(numbers.decimal(row)))),
        }
    }

    fn integers<T: Ord + Copy>(&self, values: &[T], constant: impl Fn(&Value) -> Option<T>) -> BooleanBuffer {
        match self {
            Predicate::Compare(how, value) => {
                let Some(c) = constant(value) else { return BooleanBuffer::new_unset(values.len()) };
                let rows = values.len();
                match how {
                    Comparison::Eq => BooleanBuffer::collect_bool(rows, |row| values[row] == c),
                    Comparison::Neq => BooleanBuffer::collect_bool(rows, |row| values[row] != c),
                    Comparison::Lt => BooleanBuffer::collect_bool(rows, |row| values[row] < c),
                    Comparison::Lte => BooleanBuffer::collect_bool(rows, |row| values[row] <= c),
                    Comparison::Gt => BooleanBuffer::collect_bool(rows, |row| values[row] > c),
                    Comparison::Gte => BooleanBuffer::collect_bool(rows, |row| values[row] >= c),
                }
            }
            Predicate::In(list) => {
                let mut list: Vec<T> = list.iter().filter_map(constant).collect();
                list.sort_unstable();
                BooleanBuffer::collect_bool(values.len(), |row| list.binary_search(&values[row]).is_ok())
            }
            Predicate::Matches(_) => BooleanBuffer::new_unset(values.len()),
        }
    }
}

/// The test of some rows; the others do not pass.
fn each(asked: &BooleanBuffer, rows: usize, holds: impl Fn(usize) -> bool) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    asked.set_indices().filter(|row| holds(*row)).for_each(|row| bits.set_bit(row, true));
    bits.finish()
}

/// A constant in units of a scale; `None` when it is no whole number of them.
fn unscaled(value: &Value, scale: u8) -> Option<i128> {
    match value {
        Value::Number(number) if number.scale() <= scale => number.unscaled_at(scale),
        _ => None,
    }
}

impl Matcher {
    /// Compiles a pattern.
    pub fn compile(pattern: &Pattern) -> Matcher {
        match pattern {
            Pattern::Like(pattern) => Matcher::Like(pattern.chars().collect()),
            Pattern::Ilike(pattern) => Matcher::Ilike(lower(pattern).chars().collect()),
            Pattern::StartsWith(prefix) => Matcher::StartsWith(prefix.clone()),
            Pattern::EndsWith(suffix) => Matcher::EndsWith(suffix.clone()),
            Pattern::Contains(part) => Matcher::Contains(part.clone()),
            Pattern::Regex(regex) => match Regex::new(regex) {
                Ok(regex) => Matcher::Regex(regex),
                Err(error) => Matcher::Broken(error.to_string()),
            },
        }
    }

    /// Whether a text matches.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Matcher::Like(pattern) => like(pattern, text),
            Matcher::Ilike(pattern) => like(pattern, &lower(text)),
            Matcher::StartsWith(prefix) => text.starts_with(prefix),
            Matcher::EndsWith(suffix) => text.ends_with(suffix),
            Matcher::Contains(part) => text.contains(part),
            Matcher::Regex(regex) => regex.is_match(text),
            Matcher::Broken(_) => false,
        }
    }
}

/// `like`: the whole text, greedily; on a mismatch the last `%` takes one character more.
fn like(pattern: &[char], text: &str) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    let mut again: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        if pattern.get(at) == Some(&'%') {
            at += 1;
            again = Some((at, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        match (pattern.get(at), ahead.next()) {
            (None, None) => return true,
            (Some(wanted), Some(letter)) if *wanted == '_' || *wanted == letter => {
                at += 1;
                rest = ahead;
            }
            _ => {
                let Some((from, mut later)) = again else { return false };
                if later.next().is_none() {
                    return false;
                }
                at = from;
                rest = later.clone();
                again = Some((from, later));
            }
        }
    }
}
