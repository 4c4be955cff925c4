//! JSON as it was written: numbers keep their text and objects their order.
//!
//! In: a server's answer. Out: a tree whose numbers never pass through a float. Nothing here computes with them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Nesting of an answer that is followed.
const JSON_DEPTH_MAX: usize = 64;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number's own text.
    Number(String),
    /// Text.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, keys in the order written.
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Reads JSON text; `None` when it is none, or nested beyond reason.
    pub fn parse(bytes: &[u8]) -> Option<Json> {
        let raw: &RawValue = serde_json::from_slice(bytes).ok()?;
        of_raw(raw, 0)
    }

    /// The value at a key of an object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text at a key; empty when there is none.
    pub fn text_at(&self, key: &str) -> &str {
        self.get(key).and_then(Json::text).unwrap_or_default()
    }

    /// A whole number that fits.
    pub fn whole(&self) -> Option<u64> {
        match self {
            Json::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The whole number at a key; 0 when there is none.
    pub fn whole_at(&self, key: &str) -> u64 {
        self.get(key).and_then(Json::whole).unwrap_or_default()
    }

    /// Whether `true` stands at a key.
    pub fn is_true_at(&self, key: &str) -> bool {
        self.get(key) == Some(&Json::Bool(true))
    }

    /// An array's items; none for anything else.
    pub fn items(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    /// The items of the array at a key.
    pub fn items_at(&self, key: &str) -> &[Json] {
        self.get(key).map_or(&[], Json::items)
    }

    /// An object's entries; none for anything else.
    pub fn entries(&self) -> &[(String, Json)] {
        match self {
            Json::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value for people: text without quotes, null as nothing, the rest as JSON.
    pub fn shown(&self) -> String {
        match self {
            Json::Null => String::new(),
            Json::Text(text) => text.clone(),
            Json::List(items) if items.iter().all(Json::is_scalar) => {
                items.iter().map(Json::shown).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        }
    }

    /// Whether it is neither array nor object.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Json::List(_) | Json::Map(_))
    }
}

/// Compact JSON.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(text) => f.write_str(text),
            Json::Text(text) => f.write_str(&quoted(text)),
            Json::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Json::Map(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}:{value}", if at == 0 { "" } else { "," }, quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

fn of_raw(raw: &RawValue, depth: usize) -> Option<Json> {
    if depth > JSON_DEPTH_MAX {
        return None;
    }
    let text = raw.get();
    Some(match text.as_bytes().first()? {
        b'n' => Json::Null,
        b't' => Json::Bool(true),
        b'f' => Json::Bool(false),
        b'"' => Json::Text(serde_json::from_str(text).ok()?),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Json::List(items.into_iter().map(|item| of_raw(item, depth + 1)).collect::<Option<_>>()?)
        }
        b'{' => {
            let Entries(entries) = serde_json::from_str(text).ok()?;
            let read = |(key, raw): (String, &RawValue)| Some((key, of_raw(raw, depth + 1)?));
            Json::Map(entries.into_iter().map(read).collect::<Option<_>>()?)
        }
        _ => Json::Number(text.to_owned()),
    })
}

/// An object's entries in the order written.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests;
