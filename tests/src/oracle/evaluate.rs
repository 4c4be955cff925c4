//! Expressions, one event at a time, by SQL's three-valued logic.
//!
//! In: an expression and an event. Out: a value, where null stands for unknown. No vectors, no dictionaries, no plan.

use tidemill_schemas::event::Event;
use tidemill_schemas::expression::{Arithmetic, Column, Comparison, Expr, Pattern, Read};
use tidemill_schemas::value::Value;

/// A number left the range of exact decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// Whether a condition is true of the event: neither false nor unknown.
///
/// # Errors
/// [`OutOfRange`] when arithmetic leaves the range.
pub fn is_true(condition: &Expr, event: &Event) -> Result<bool, OutOfRange> {
    Ok(evaluate(condition, event)? == Value::Bool(true))
}

/// The value of an expression for an event.
///
/// # Errors
/// [`OutOfRange`] when arithmetic leaves the range.
pub fn evaluate(expr: &Expr, event: &Event) -> Result<Value, OutOfRange> {
    Ok(match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Read(wanted) => read(wanted, event),
        Expr::And(parts) => connective(parts, event, false)?,
        Expr::Or(parts) => connective(parts, event, true)?,
        Expr::Not(inner) => match evaluate(inner, event)? {
            Value::Bool(value) => Value::Bool(!value),
            _ => Value::Null,
        },
        Expr::Compare(how, left, right) => compare(*how, &evaluate(left, event)?, &evaluate(right, event)?),
        Expr::In(inner, listed) => match evaluate(inner, event)? {
            Value::Null => Value::Null,
            value => Value::Bool(listed.contains(&value)),
        },
        Expr::IsNull(inner) => Value::Bool(evaluate(inner, event)? == Value::Null),
        Expr::Matches(inner, pattern) => match evaluate(inner, event)? {
            Value::Text(text) => Value::Bool(matches(pattern, &text)),
            _ => Value::Null,
        },
        Expr::Arithmetic(how, left, right) => arithmetic(*how, &evaluate(left, event)?, &evaluate(right, event)?)?,
        Expr::Lower(inner) => match evaluate(inner, event)? {
            Value::Text(text) => Value::Text(lower(&text)),
            _ => Value::Null,
        },
    })
}

/// What an event holds in a column, null when it is of another type than asked for.
pub fn read(read: &Read, event: &Event) -> Value {
    let value = match &read.column {
        Column::Id => Value::Text(event.id.clone()),
        Column::Source => Value::Text(event.source.clone()),
        Column::Name => Value::Text(event.name.clone()),
        Column::Actor => event.actor.clone().map_or(Value::Null, Value::Text),
        Column::Time => Value::Time(event.time),
        Column::Property(key) => event.properties.get(key).cloned().unwrap_or(Value::Null),
    };
    if read.at.is_some() && value.type_of() != read.at { Value::Null } else { value }
}

/// `and` (`decides` = false) and `or` (`decides` = true): one part that decides settles it, else one unknown leaves it
/// unknown.
fn connective(parts: &[Expr], event: &Event, decides: bool) -> Result<Value, OutOfRange> {
    let mut values = Vec::new();
    for part in parts {
        values.push(evaluate(part, event)?);
    }
    Ok(if values.contains(&Value::Bool(decides)) {
        Value::Bool(decides)
    } else if values.iter().all(|value| *value == Value::Bool(!decides)) {
        Value::Bool(!decides)
    } else {
        Value::Null
    })
}

fn compare(how: Comparison, left: &Value, right: &Value) -> Value {
    if left.type_of().is_none() || left.type_of() != right.type_of() {
        return Value::Null;
    }
    let order = left.cmp(right);
    Value::Bool(match how {
        Comparison::Eq => order.is_eq(),
        Comparison::Neq => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Lte => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Gte => order.is_ge(),
    })
}

fn arithmetic(how: Arithmetic, left: &Value, right: &Value) -> Result<Value, OutOfRange> {
    let (Value::Number(left), Value::Number(right)) = (left, right) else { return Ok(Value::Null) };
    let result = match how {
        Arithmetic::Add => left.checked_add(*right),
        Arithmetic::Sub => left.checked_sub(*right),
        Arithmetic::Mul => left.checked_mul(*right),
    };
    result.map(Value::Number).ok_or(OutOfRange)
}

fn matches(pattern: &Pattern, text: &str) -> bool {
    match pattern {
        Pattern::Like(pattern) => like(&chars(pattern), &chars(text)),
        Pattern::Ilike(pattern) => like(&chars(&lower(pattern)), &chars(&lower(text))),
        Pattern::StartsWith(prefix) => text.starts_with(prefix),
        Pattern::EndsWith(suffix) => text.ends_with(suffix),
        Pattern::Contains(part) => text.contains(part.as_str()),
        // A regex that does not compile is refused when the definition is read.
        Pattern::Regex(regex) => regex::Regex::new(regex).is_ok_and(|regex| regex.is_match(text)),
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// `like` by the book: `%` stands for any run, `_` for any one character, and the whole text must match. A table of
/// pattern prefixes against text prefixes, so that no pattern takes long.
fn like(pattern: &[char], text: &[char]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for &sign in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match sign {
                '%' => reached[at] || (at > 0 && next[at - 1]),
                _ => at > 0 && reached[at - 1] && (sign == '_' || sign == text[at - 1]),
            };
        }
        reached = next;
    }
    reached[text.len()]
}

/// Letter by letter, as DuckDB does it: Unicode's simple mapping, which keeps one letter one letter and knows no
/// final sigma. `İ` is the only letter whose full mapping has two.
pub fn lower(text: &str) -> String {
    let simple = |letter: char| if letter == 'İ' { 'i' } else { letter.to_lowercase().next().unwrap_or(letter) };
    text.chars().map(simple).collect()
}
