//! Properties: nested JSON to a flat map of typed values, in one pass.
//!
//! In: a scanner at an object. Out: keys joined with dots, exact numbers, arrays as compact JSON text, nulls and empty
//! objects gone. Two ways to the same key, or one key twice in one object at any level, are refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::{Broken, EVENT_DEPTH_MAX, EVENT_KEY_BYTES_MAX};
use tidemill_schemas::value::Value;

use super::super::json::{Fault, Scanner, write_text};
use super::Wrong;

/// Flat properties.
pub(super) type Map = BTreeMap<String, Value>;

/// Keys of one object that are compared one by one; more go to a set.
const KEYS_FEW: usize = 16;

/// Reads the JSON text of an object as flat properties, however long it is.
///
/// # Errors
/// The first broken rule.
pub fn flatten(text: &str) -> Result<BTreeMap<String, Value>, Broken> {
    let mut scanner = Scanner::new(text, 0);
    let mut properties = Properties::new(&mut scanner, usize::MAX);
    match properties.read() {
        Ok(()) => Ok(properties.end()),
        Err(wrong) => Err(wrong.broken(text, scanner.at())),
    }
}

/// Appends flat properties as one JSON object; nulls are left out.
pub fn write<'a>(out: &mut String, properties: impl Iterator<Item = (&'a str, &'a Value)>) {
    out.push('{');
    let mut first = true;
    for (key, value) in properties {
        if matches!(value, Value::Null) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        write_text(out, key);
        out.push(':');
        match value {
            Value::Text(text) => write_text(out, text),
            other => other.write_json(out),
        }
    }
    out.push('}');
}

/// A reading of one event's properties.
pub(super) struct Properties<'s, 'a> {
    scanner: &'s mut Scanner<'a>,
    /// The last byte the event may reach, to bound its length while reading.
    end_max: usize,
    /// The flattened key of where we are.
    path: String,
    flat: Map,
}

impl<'s, 'a> Properties<'s, 'a> {
    pub(super) fn new(scanner: &'s mut Scanner<'a>, end_max: usize) -> Properties<'s, 'a> {
        Properties { scanner, end_max, path: String::new(), flat: Map::new() }
    }

    /// Reads the `properties` object itself.
    pub(super) fn read(&mut self) -> Result<(), Wrong> {
        if self.scanner.peek() != Some(b'{') {
            self.scanner.skip()?;
            return Err(Broken::WrongType("properties".to_owned(), "an object").into());
        }
        self.object(2)
    }

    /// What was read.
    pub(super) fn end(self) -> Map {
        self.flat
    }

    /// An object at nesting `depth`, the event itself being 1.
    fn object(&mut self, depth: usize) -> Result<(), Wrong> {
        deep(depth)?;
        self.scanner.expect(b'{', "expected `{`")?;
        if self.scanner.take(b'}') {
            return Ok(());
        }
        let mut keys = Keys::default();
        let above = self.path.len();
        loop {
            self.scanner.peek();
            let key = text(self.scanner, &self.path)?;
            self.scanner.expect(b':', "expected `:`")?;
            if depth > 2 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if !keys.add(key) {
                return Err(Broken::DuplicateKey(self.path.clone()).into());
            }
            self.value(depth)?;
            self.path.truncate(above);
            if self.scanner.at() > self.end_max {
                return Err(Broken::EventTooLarge(self.scanner.at()).into());
            }
            if self.scanner.take(b'}') {
                return Ok(());
            }
            self.scanner.expect(b',', "expected `,` or `}`")?;
        }
    }

    /// The value at `self.path`, in an object at `depth`.
    fn value(&mut self, depth: usize) -> Result<(), Wrong> {
        let value = match self.scanner.peek() {
            Some(b'{') => return self.object(depth + 1),
            Some(b'n') => return Ok(self.scanner.word("null")?),
            Some(b'"') => Value::Text(text(self.scanner, &self.path)?.into_owned()),
            Some(b't') => {
                self.scanner.word("true")?;
                Value::Bool(true)
            }
            Some(b'f') => {
                self.scanner.word("false")?;
                Value::Bool(false)
            }
            Some(b'[') => {
                let mut out = String::new();
                self.compact(depth + 1, &mut out)?;
                Value::Text(out)
            }
            _ => {
                let number = self.scanner.number()?;
                Value::Number(Decimal::parse(number).map_err(|why| Broken::Number(self.path.clone(), why))?)
            }
        };
        // Checked here and not only at the end: a long key over many small ones would grow far beyond the event.
        if self.path.len() > EVENT_KEY_BYTES_MAX {
            return Err(Broken::KeyLength(self.path.clone(), self.path.len()).into());
        }
        if self.flat.insert(self.path.clone(), value).is_some() {
            return Err(Broken::DuplicateKey(self.path.clone()).into());
        }
        Ok(())
    }

    /// Copies an array or object, which is `depth` deep, without its white space. Numbers keep their own text.
    fn compact(&mut self, depth: usize, out: &mut String) -> Result<(), Wrong> {
        deep(depth)?;
        let object = self.scanner.take(b'{');
        if !object {
            self.scanner.expect(b'[', "expected `[`")?;
        }
        let (open, close, expected) =
            if object { ('{', b'}', "expected `,` or `}`") } else { ('[', b']', "expected `,` or `]`") };
        out.push(open);
        let mut keys = Keys::default();
        if !self.scanner.take(close) {
            loop {
                self.scanner.peek();
                if object {
                    let key = text(self.scanner, &self.path)?;
                    self.scanner.expect(b':', "expected `:`")?;
                    write_text(out, &key);
                    out.push(':');
                    if !keys.add(Cow::clone(&key)) {
                        return Err(Broken::DuplicateKey(format!("{}[].{key}", self.path)).into());
                    }
                }
                self.compact_value(depth, out)?;
                if self.scanner.take(close) {
                    break;
                }
                self.scanner.expect(b',', expected)?;
                out.push(',');
            }
        }
        out.push(char::from(close));
        Ok(())
    }

    fn compact_value(&mut self, depth: usize, out: &mut String) -> Result<(), Wrong> {
        let word = match self.scanner.peek() {
            Some(b'{' | b'[') => return self.compact(depth + 1, out),
            Some(b'"') => {
                write_text(out, &text(self.scanner, &self.path)?);
                return Ok(());
            }
            Some(b't') => "true",
            Some(b'f') => "false",
            Some(b'n') => "null",
            _ => {
                out.push_str(self.scanner.number()?);
                return Ok(());
            }
        };
        self.scanner.word(word)?;
        out.push_str(word);
        Ok(())
    }
}

fn deep(depth: usize) -> Result<(), Broken> {
    if depth > EVENT_DEPTH_MAX { Err(Broken::TooDeep) } else { Ok(()) }
}

/// A string; half a surrogate pair in it is told with the property it stands in.
fn text<'a>(scanner: &mut Scanner<'a>, path: &str) -> Result<Cow<'a, str>, Wrong> {
    scanner.string().map_err(|fault| match fault {
        Fault::Surrogate if path.is_empty() => Broken::ControlCharacter("properties".to_owned()).into(),
        Fault::Surrogate => Broken::ControlCharacter(path.to_owned()).into(),
        fault => fault.into(),
    })
}

/// The keys of one object so far.
struct Keys<'a> {
    few: [Cow<'a, str>; KEYS_FEW],
    count: usize,
    many: HashSet<Cow<'a, str>>,
}

impl Default for Keys<'_> {
    fn default() -> Self {
        Keys { few: [const { Cow::Borrowed("") }; KEYS_FEW], count: 0, many: HashSet::new() }
    }
}

impl<'a> Keys<'a> {
    /// Adds a key; `false` when it was there.
    fn add(&mut self, key: Cow<'a, str>) -> bool {
        if self.few[..self.count].contains(&key) {
            return false;
        }
        if let Some(place) = self.few.get_mut(self.count) {
            *place = key;
            self.count += 1;
            return true;
        }
        self.many.insert(key)
    }
}
