//! Typed values: what a property holds and what a metric shows.
//!
//! Nothing is ever coerced: the text `"34"` and the number `34` are two values.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::decimal::Decimal;
use crate::time::Timestamp;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// An exact decimal.
    Number,
    /// Unicode text.
    Text,
    /// An instant; only the event's own `time` has this type.
    Time,
}

impl Type {
    /// The word users read.
    pub fn word(self) -> &'static str {
        match self {
            Type::Bool => "boolean",
            Type::Number => "number",
            Type::Text => "text",
            Type::Time => "time",
        }
    }
}

/// One value. The derived order (null, booleans, numbers, text, times) is the order groups are listed in on a tie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Absent, or JSON `null`.
    #[serde(rename = "null")]
    Null,
    /// A boolean.
    #[serde(rename = "bool")]
    Bool(bool),
    /// An exact number.
    #[serde(rename = "number")]
    Number(Decimal),
    /// Text; an array arrives as its JSON text.
    #[serde(rename = "text")]
    Text(String),
    /// An instant.
    #[serde(rename = "time")]
    Time(Timestamp),
}

impl Value {
    /// The value's type; `None` for null.
    pub fn type_of(&self) -> Option<Type> {
        match self {
            Value::Null => None,
            Value::Bool(_) => Some(Type::Bool),
            Value::Number(_) => Some(Type::Number),
            Value::Text(_) => Some(Type::Text),
            Value::Time(_) => Some(Type::Time),
        }
    }

    /// Bytes of a text; 0 for every other value.
    pub fn text_bytes(&self) -> usize {
        if let Value::Text(text) = self { text.len() } else { 0 }
    }

    /// 128-bit xxh3 of the typed value: the persisted identity of a value in distinct counts. Equal values hash alike
    /// whatever page or encoding they came from; values of different types never share a pre-image.
    pub fn hash128(&self) -> u128 {
        match self {
            Value::Null => hash_tagged(0, &[]),
            Value::Bool(value) => hash_tagged(1, &[u8::from(*value)]),
            Value::Number(value) => hash_number(*value),
            Value::Text(value) => hash_text(value),
            Value::Time(value) => hash_time(*value),
        }
    }
}

/// [`Value::hash128`] of a number.
pub fn hash_number(value: Decimal) -> u128 {
    let mut bytes = [0u8; 17];
    bytes[..16].copy_from_slice(&value.unscaled().to_le_bytes());
    bytes[16] = value.scale();
    hash_tagged(2, &bytes)
}

/// [`Value::hash128`] of a text.
pub fn hash_text(value: &str) -> u128 {
    hash_tagged(3, value.as_bytes())
}

/// [`Value::hash128`] of an instant.
pub fn hash_time(value: Timestamp) -> u128 {
    hash_tagged(4, &value.micros().to_le_bytes())
}

/// [`Value::hash128`] of a boolean.
pub fn hash_bool(value: bool) -> u128 {
    hash_tagged(1, &[u8::from(value)])
}

fn hash_tagged(tag: u8, bytes: &[u8]) -> u128 {
    // Nearly every value is short: one shot over a stack buffer is several times faster than the streaming state, and
    // gives the same hash.
    if bytes.len() < 32 {
        return hash_short::<32>(tag, bytes);
    }
    if bytes.len() < 128 {
        return hash_short::<128>(tag, bytes);
    }
    let mut hasher = Xxh3::new();
    hasher.update(&[tag]);
    hasher.update(bytes);
    hasher.digest128()
}

/// The hash over a buffer of `N` bytes, which the tag and the bytes fit.
fn hash_short<const N: usize>(tag: u8, bytes: &[u8]) -> u128 {
    let mut short = [0u8; N];
    short[0] = tag;
    short[1..=bytes.len()].copy_from_slice(bytes);
    xxh3_128(&short[..=bytes.len()])
}

/// A value as it stands in JSON: numbers as exact JSON numbers, times as RFC 3339.
impl Value {
    /// Appends the value's JSON text.
    pub fn write_json(&self, out: &mut String) {
        use std::fmt::Write;
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Number(value) => write!(out, "{value}").expect("a String takes every write"),
            Value::Text(value) => out.push_str(&serde_json::to_string(value).expect("text is always JSON")),
            Value::Time(value) => write!(out, "\"{value}\"").expect("a String takes every write"),
        }
    }
}
