//! The native shape: `{id, source?, name, actor?, time, properties?, rev?, deleted?}`.
//!
//! In: the text of one JSON object. Out: a checked [`Event`], or the rule it broke. One pass: nested properties are
//! flattened with dots as they are read, numbers go from their own text to exact decimals, arrays become compact JSON
//! text. Nothing is coerced, nothing is lost in silence, and no depth overflows the stack. [`encode`] is the inverse.

use std::borrow::Cow;

use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::{Broken, EVENT_BYTES_MAX, Event};
use tidemill_schemas::time::Timestamp;

use super::json::{Fault, Scanner, write_text};

pub use super::body::decode;

mod properties;

use properties::Properties;

/// The native fields.
const FIELDS: [&str; 8] = ["id", "source", "name", "actor", "time", "properties", "rev", "deleted"];
/// What other tools call them.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("event", "name"),
    ("event_name", "name"),
    ("type", "name"),
    ("timestamp", "time"),
    ("ts", "time"),
    ("date", "time"),
    ("user", "actor"),
    ("user_id", "actor"),
    ("userId", "actor"),
    ("distinct_id", "actor"),
    ("messageId", "id"),
    ("event_id", "id"),
    ("props", "properties"),
    ("attributes", "properties"),
];
/// How alike a misspelt field must be to be hinted at, 0 to 1.
const HINT_LIKENESS_MIN: f64 = 0.75;
/// Epoch milliseconds of the first instant of year 10000.
const YEAR_10000_MILLIS: i64 = 253_402_300_800_000;

/// Why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The text is not JSON there.
    Json(Fault),
    /// A rule of events.
    Broken(Broken),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Wrong {
        Wrong::Json(fault)
    }
}

impl From<Broken> for Wrong {
    fn from(broken: Broken) -> Wrong {
        Wrong::Broken(broken)
    }
}

impl Wrong {
    /// The broken rule, for an event of this text where reading stopped at byte `at`.
    pub fn broken(self, text: &str, at: usize) -> Broken {
        match self {
            Wrong::Broken(Broken::EventTooLarge(_)) => Broken::EventTooLarge(text.len()),
            Wrong::Broken(broken) => broken,
            Wrong::Json(Fault::Surrogate) => Broken::ControlCharacter("a key".to_owned()),
            Wrong::Json(Fault::Syntax(why)) => {
                let column = 1 + text.get(..at).map_or(at, |before| before.chars().count());
                Broken::Unreadable(format!("{why} at column {column}"))
            }
        }
    }
}

/// Reads one event at a place in a text.
#[derive(Debug)]
pub struct Reader<'a> {
    scanner: Scanner<'a>,
    from: usize,
}

impl<'a> Reader<'a> {
    /// Starts at byte `at` of `text`.
    pub fn new(text: &'a str, at: usize) -> Reader<'a> {
        Reader { scanner: Scanner::new(text, at), from: at }
    }

    /// Where reading stopped.
    pub fn at(&self) -> usize {
        self.scanner.at()
    }

    /// Reads and checks the event.
    ///
    /// # Errors
    /// [`Wrong`]: the first fault or broken rule.
    pub fn event(&mut self, default_source: &str, now: Timestamp) -> Result<Event, Wrong> {
        self.event_named(default_source, now, || None)
    }

    /// [`Reader::event`] where an event without an id gets one from `name`.
    ///
    /// # Errors
    /// [`Wrong`]: the first fault or broken rule.
    pub fn event_named(
        &mut self,
        default_source: &str,
        now: Timestamp,
        name: impl FnOnce() -> Option<String>,
    ) -> Result<Event, Wrong> {
        let mut draft = Draft::default();
        self.scanner.expect(b'{', "expected `{`")?;
        if !self.scanner.take(b'}') {
            loop {
                let key = self.key()?;
                self.field(&key, &mut draft)?;
                if self.scanner.take(b'}') {
                    break;
                }
                self.scanner.expect(b',', "expected `,` or `}`")?;
            }
        }
        if self.at() - self.from > EVENT_BYTES_MAX {
            return Err(Broken::EventTooLarge(self.at() - self.from).into());
        }
        if draft.id.is_none() {
            draft.id = name();
        }
        let event = draft.finish(default_source, now)?;
        event.check(now)?;
        Ok(event)
    }

    fn key(&mut self) -> Result<Cow<'a, str>, Wrong> {
        self.scanner.peek();
        let key = self.scanner.string()?;
        self.scanner.expect(b':', "expected `:`")?;
        Ok(key)
    }

    fn field(&mut self, key: &str, draft: &mut Draft) -> Result<(), Wrong> {
        let Some(place) = FIELDS.iter().position(|field| *field == key) else {
            return Err(Broken::UnknownField(key.to_owned(), hint(key)).into());
        };
        let field = FIELDS[place];
        if draft.seen & (1 << place) != 0 {
            return Err(Broken::DuplicateKey(field.to_owned()).into());
        }
        draft.seen |= 1 << place;
        // Null and absent are one.
        if self.scanner.peek() == Some(b'n') {
            return Ok(self.scanner.word("null")?);
        }
        match field {
            "id" => draft.id = Some(self.text(field)?),
            "source" => draft.source = Some(self.text(field)?),
            "name" => draft.name = Some(self.text(field)?),
            "actor" => draft.actor = Some(self.text(field)?),
            "time" => draft.time = Some(self.time()?),
            "rev" => draft.rev = self.rev()?,
            "deleted" => draft.deleted = self.deleted()?,
            _ => {
                let mut properties = Properties::new(&mut self.scanner, self.from + EVENT_BYTES_MAX);
                properties.read()?;
                draft.properties = properties.end();
            }
        }
        Ok(())
    }

    fn text(&mut self, field: &str) -> Result<String, Wrong> {
        if self.scanner.peek() != Some(b'"') {
            return self.wrong_type(field, "text");
        }
        match self.scanner.string() {
            Ok(text) => Ok(text.into_owned()),
            Err(Fault::Surrogate) => Err(Broken::ControlCharacter(field.to_owned()).into()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The error for a value of another type, unless the value is no JSON at all.
    fn wrong_type<T>(&mut self, field: &str, must: &'static str) -> Result<T, Wrong> {
        self.scanner.skip()?;
        Err(Broken::WrongType(field.to_owned(), must).into())
    }

    fn time(&mut self) -> Result<Timestamp, Wrong> {
        let read = match self.scanner.peek() {
            Some(b'"') => time_of_text(&self.text("time")?),
            Some(b'-' | b'0'..=b'9') => time_of_millis(self.scanner.number()?),
            _ => return self.wrong_type("time", "RFC 3339 text or epoch milliseconds"),
        };
        read.ok_or_else(|| Broken::Time("time".to_owned()).into())
    }

    fn rev(&mut self) -> Result<u64, Wrong> {
        const MUST: &str = "a whole number from 0 to 9223372036854775807";
        if !matches!(self.scanner.peek(), Some(b'-' | b'0'..=b'9')) {
            return self.wrong_type("rev", MUST);
        }
        let number = Decimal::parse(self.scanner.number()?).ok();
        let whole =
            number.filter(|number| number.scale() == 0).and_then(|number| i64::try_from(number.unscaled()).ok());
        whole.and_then(|rev| u64::try_from(rev).ok()).ok_or_else(|| Broken::WrongType("rev".to_owned(), MUST).into())
    }

    fn deleted(&mut self) -> Result<bool, Wrong> {
        match self.scanner.peek() {
            Some(b't') => self.scanner.word("true").map(|()| true).map_err(Wrong::from),
            Some(b'f') => self.scanner.word("false").map(|()| false).map_err(Wrong::from),
            _ => self.wrong_type("deleted", "true or false"),
        }
    }
}

/// An event as far as it is read.
#[derive(Default)]
struct Draft {
    seen: u16,
    id: Option<String>,
    source: Option<String>,
    name: Option<String>,
    actor: Option<String>,
    time: Option<Timestamp>,
    properties: properties::Map,
    rev: u64,
    deleted: bool,
}

impl Draft {
    fn finish(self, default_source: &str, now: Timestamp) -> Result<Event, Broken> {
        let id = self.id.ok_or(Broken::Missing("id"))?;
        let source = self.source.unwrap_or_else(|| default_source.to_owned());
        if self.deleted {
            return Ok(tombstone(id, source, self.rev, now));
        }
        Ok(Event {
            id,
            source,
            name: self.name.ok_or(Broken::Missing("name"))?,
            actor: self.actor,
            time: self.time.ok_or(Broken::Missing("time"))?,
            properties: self.properties,
            rev: self.rev,
            deleted: false,
            received: now,
        })
    }
}

/// A withdrawal: only identity and revision mean something.
pub fn tombstone(id: String, source: String, rev: u64, received: Timestamp) -> Event {
    Event {
        id,
        source,
        name: String::new(),
        actor: None,
        time: Timestamp::from_micros(0),
        properties: properties::Map::new(),
        rev,
        deleted: true,
        received,
    }
}

/// RFC 3339 text. The last days of year 9999 are beyond what tidemill can place in every zone; they are ahead of any
/// clock, so they come back as [`Timestamp::MAX`] for the check to name.
pub(crate) fn time_of_text(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| {
        let rest = text.strip_prefix("9999-12-3")?;
        let day_before = format!("9999-12-29{}", rest.get(1..)?);
        (rest.starts_with(['0', '1']) && Timestamp::parse(&day_before).is_some()).then_some(Timestamp::MAX)
    })
}

/// Epoch milliseconds, with a fraction or without, cut to microseconds.
pub(crate) fn time_of_millis(number: &str) -> Option<Timestamp> {
    let millis = Decimal::parse(number).ok()?;
    let micros = millis.checked_mul(Decimal::from(1000i64))?;
    let whole = micros.unscaled().div_euclid(10i128.pow(u32::from(micros.scale())));
    let whole = i64::try_from(whole).ok()?;
    if whole >= Timestamp::MAX.micros() && whole < YEAR_10000_MILLIS * 1000 {
        return Some(Timestamp::MAX);
    }
    Timestamp::from_micros(whole).in_range()
}

fn hint(field: &str) -> Option<&'static str> {
    if let Some((_, ours)) = OTHER_NAMES.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(field)) {
        return Some(ours);
    }
    if field.len() > 32 {
        return None;
    }
    let lower = field.to_ascii_lowercase();
    FIELDS
        .iter()
        .map(|known| (strsim::jaro_winkler(known, &lower), *known))
        .filter(|(likeness, _)| *likeness >= HINT_LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// The id of an event that is not accepted, as far as it can be read.
pub fn peek_id(text: &str) -> Option<String> {
    let mut scanner = Scanner::new(text, 0);
    scanner.take(b'{').then_some(())?;
    loop {
        scanner.peek();
        let key = scanner.string().ok()?;
        scanner.take(b':').then_some(())?;
        if key == "id" {
            let id = (scanner.peek() == Some(b'"')).then(|| scanner.string().ok())??;
            return Some(id.chars().take(tidemill_schemas::event::EVENT_KEY_BYTES_MAX).collect());
        }
        scanner.skip().ok()?;
        scanner.take(b',').then_some(())?;
    }
}

/// One event as one line of native JSON, without the line's end. [`decode`] reads back the same event, but for
/// `received`, which is the reader's own.
pub fn encode(event: &Event) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(256);
    out.push_str("{\"id\":");
    write_text(&mut out, &event.id);
    out.push_str(",\"source\":");
    write_text(&mut out, &event.source);
    if !event.deleted {
        out.push_str(",\"name\":");
        write_text(&mut out, &event.name);
        if let Some(actor) = &event.actor {
            out.push_str(",\"actor\":");
            write_text(&mut out, actor);
        }
        write!(out, ",\"time\":\"{}\"", event.time).expect("a String takes every write");
        if !event.properties.is_empty() {
            out.push_str(",\"properties\":");
            properties::write(&mut out, event.properties.iter().map(|(key, value)| (key.as_str(), value)));
        }
    }
    if event.rev != 0 {
        write!(out, ",\"rev\":{}", event.rev).expect("a String takes every write");
    }
    out.push_str(if event.deleted { ",\"deleted\":true}" } else { "}" });
    out
}

pub use properties::{flatten, write as write_properties};

#[cfg(test)]
mod tests;
