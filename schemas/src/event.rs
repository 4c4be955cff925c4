//! Events: a domain fact, its identity and its limits.
//!
//! In: what a codec decoded. Out: a checked [`Event`], or a [`Rejection`] that names field, reason and fix.
//! Identity is (source, id); `rev` orders the copies of one event, the highest wins.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decimal::DecimalError;
use crate::time::{MICROS_PER_SECOND, Timestamp};
use crate::value::Value;

/// Bytes of one event's JSON.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Properties of one event, after flattening.
pub const EVENT_PROPERTIES_MAX: usize = 256;
/// Bytes of an id, a source, a name, an actor or a property's key.
pub const EVENT_KEY_BYTES_MAX: usize = 128;
/// Bytes of one property's text.
pub const EVENT_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Nesting of objects and arrays.
pub const EVENT_DEPTH_MAX: usize = 32;
/// Bytes of one request, after inflating.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How far an event's time may lie ahead of our clock, in microseconds.
pub const EVENT_AHEAD_MICROS_MAX: i64 = 5 * 60 * MICROS_PER_SECOND;
/// How long after a local day's end an event still counts as on time, in microseconds.
pub const DAY_GRACE_MICROS: i64 = 60 * 60 * MICROS_PER_SECOND;
/// The source of events that name none.
pub const SOURCE_DEFAULT: &str = "default";

/// A domain fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique within the source; with it the event's identity.
    pub id: String,
    /// What produced it.
    pub source: String,
    /// What happened.
    pub name: String,
    /// Who did it.
    pub actor: Option<String>,
    /// When it happened: event time.
    pub time: Timestamp,
    /// Flat, typed properties; nested objects arrive flattened with dots. Nulls are not kept: absent and null are one.
    pub properties: BTreeMap<String, Value>,
    /// Revision: the highest one of an identity stands.
    pub rev: u64,
    /// A tombstone: the event is withdrawn as of this revision. Name, actor, time and properties mean nothing then.
    pub deleted: bool,
    /// Our clock when this copy was accepted.
    pub received: Timestamp,
}

/// Why an event was not accepted. `code` is stable; `message` names the field, the reason and the fix, and never
/// repeats a property's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Stable code, `TM01xx`.
    pub code: String,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// The rule an event broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// TM0101: not JSON, or not an object. Holds the parser's words.
    Unreadable(String),
    /// TM0102: a required field is missing.
    Missing(&'static str),
    /// TM0103: a field has the wrong type: (field, what it must be).
    WrongType(String, &'static str),
    /// TM0104: the event is longer than [`EVENT_BYTES_MAX`]: its length in bytes.
    EventTooLarge(usize),
    /// TM0105: more than [`EVENT_PROPERTIES_MAX`] properties.
    TooManyProperties(usize),
    /// TM0106: a key, id, source, name or actor is empty or longer than [`EVENT_KEY_BYTES_MAX`]: (field, bytes).
    KeyLength(String, usize),
    /// TM0107: a property's text is longer than [`EVENT_VALUE_BYTES_MAX`]: (field, bytes).
    ValueTooLarge(String, usize),
    /// TM0108: nested deeper than [`EVENT_DEPTH_MAX`].
    TooDeep,
    /// TM0109: a number tidemill cannot keep exactly: (field, why).
    Number(String, DecimalError),
    /// TM0110: a control character in a key or identity field, or half of a surrogate pair anywhere: (field).
    ControlCharacter(String),
    /// TM0111: a time that is not RFC 3339 or epoch milliseconds: (field).
    Time(String),
    /// TM0112: a time further ahead than [`EVENT_AHEAD_MICROS_MAX`].
    TimeAhead(Timestamp),
    /// TM0113: the same key twice in one object.
    DuplicateKey(String),
    /// TM0114: a field the native shape does not have: (field, nearest known one).
    UnknownField(String, Option<&'static str>),
    /// TM0115: the credential may not write this source.
    SourceForbidden(String),
}

impl Broken {
    /// The stable code and the words for it.
    pub fn rejection(&self) -> Rejection {
        let (code, message) = match self {
            Broken::Unreadable(why) => ("TM0101", format!("not a JSON object: {why}; send one object per event")),
            Broken::Missing(field) => ("TM0102", format!("`{field}` is missing; every event needs it")),
            Broken::WrongType(field, must) => ("TM0103", format!("`{}` must be {must}", shown(field))),
            Broken::EventTooLarge(bytes) => (
                "TM0104",
                format!(
                    "the event has {bytes} bytes, the limit is {EVENT_BYTES_MAX}; move large bodies elsewhere and send a reference"
                ),
            ),
            Broken::TooManyProperties(count) => {
                ("TM0105", format!("the event has {count} properties, the limit is {EVENT_PROPERTIES_MAX}; send fewer"))
            }
            Broken::KeyLength(field, bytes) => {
                ("TM0106", format!("`{}` has {bytes} bytes, it must have 1 to {EVENT_KEY_BYTES_MAX}", shown(field)))
            }
            Broken::ValueTooLarge(field, bytes) => (
                "TM0107",
                format!(
                    "the text of `{}` has {bytes} bytes, the limit is {EVENT_VALUE_BYTES_MAX}; shorten it",
                    shown(field)
                ),
            ),
            Broken::TooDeep => ("TM0108", format!("nested deeper than {EVENT_DEPTH_MAX} levels; flatten the event")),
            Broken::Number(field, why) => (
                "TM0109",
                format!(
                    "the number in `{}` cannot be kept exactly ({why}); send it as text or with fewer digits",
                    shown(field)
                ),
            ),
            Broken::ControlCharacter(field) => (
                "TM0110",
                format!("`{}` holds a control character or half of a surrogate pair; remove it", shown(field)),
            ),
            Broken::Time(field) => (
                "TM0111",
                format!(
                    "`{}` is not a time; send RFC 3339 with an offset (2026-08-01T12:00:00Z) or epoch milliseconds, years 1 to 9999",
                    shown(field)
                ),
            ),
            Broken::TimeAhead(time) => (
                "TM0112",
                format!("`time` is {time}, more than 5 minutes ahead of the server; check the producer's clock"),
            ),
            Broken::DuplicateKey(field) => ("TM0113", format!("`{}` is given twice; send it once", shown(field))),
            Broken::UnknownField(field, Some(near)) => (
                "TM0114",
                format!(
                    "unknown field `{}`; did you mean `{near}`? what describes the event goes into `properties`",
                    shown(field)
                ),
            ),
            Broken::UnknownField(field, None) => {
                ("TM0114", format!("unknown field `{}`; what describes the event goes into `properties`", shown(field)))
            }
            Broken::SourceForbidden(source) => {
                ("TM0115", format!("this key may not write the source `{}`; use that source's key", shown(source)))
            }
        };
        Rejection { code: code.to_owned(), message }
    }
}

/// A field's name, cut and made printable: it comes from outside.
fn shown(field: &str) -> String {
    let cut: String = field.chars().take(64).flat_map(char::escape_debug).collect();
    if field.chars().count() > 64 { format!("{cut}…") } else { cut }
}

impl Event {
    /// Checks the lengths, characters and time of a decoded event.
    ///
    /// # Errors
    /// The first [`Broken`] rule.
    pub fn check(&self, now: Timestamp) -> Result<(), Broken> {
        check_key("id", &self.id)?;
        check_key("source", &self.source)?;
        if self.deleted {
            return Ok(());
        }
        check_key("name", &self.name)?;
        if let Some(actor) = &self.actor {
            check_key("actor", actor)?;
        }
        if self.properties.len() > EVENT_PROPERTIES_MAX {
            return Err(Broken::TooManyProperties(self.properties.len()));
        }
        for (key, value) in &self.properties {
            check_key(key, key)?;
            if let Value::Text(text) = value
                && text.len() > EVENT_VALUE_BYTES_MAX
            {
                return Err(Broken::ValueTooLarge(key.clone(), text.len()));
            }
        }
        if self.time.in_range().is_none() {
            return Err(Broken::Time("time".to_owned()));
        }
        if self.time > now.plus_micros(EVENT_AHEAD_MICROS_MAX) {
            return Err(Broken::TimeAhead(self.time));
        }
        Ok(())
    }
}

fn check_key(field: &str, text: &str) -> Result<(), Broken> {
    if text.is_empty() || text.len() > EVENT_KEY_BYTES_MAX {
        return Err(Broken::KeyLength(field.to_owned(), text.len()));
    }
    // Nearly always plain ASCII, which is told without looking at characters one by one.
    let plain = text.bytes().fold(true, |plain, byte| plain & (0x20..0x7F).contains(&byte));
    if !plain && text.chars().any(char::is_control) {
        return Err(Broken::ControlCharacter(field.to_owned()));
    }
    Ok(())
}
