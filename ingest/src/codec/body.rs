//! Bodies: where the events of a request begin and end.
//!
//! In: inflated bytes. Out: one verdict per event. A body is a JSON array, one JSON object (over as many lines as it
//! likes), or NDJSON, one object a line; only the first object of several may span lines. A line that cannot be read
//! costs that line; an array or a lone object that cannot be read costs the body.

use tidemill_schemas::event::{Broken, EVENT_BYTES_MAX, Event};
use tidemill_schemas::time::Timestamp;

use super::json::{Fault, Scanner};
use super::native::{self, Wrong};
use super::{BodyError, Decoded, REQUEST_EVENTS_MAX, Refused};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Decodes a body of native events. `default_source` is the source of events that name none; `now` becomes their
/// `received` and bounds their `time`.
///
/// # Errors
/// [`BodyError`] when nothing of it can be told apart.
pub fn decode(body: &[u8], default_source: &str, now: Timestamp) -> Result<Decoded, BodyError> {
    decode_into(body, Sink { events: Vec::new(), source: default_source, now, name: None })
}

/// [`decode`] of a body whose events need no id: `name` gives one to the event at a place that bears none.
///
/// # Errors
/// [`BodyError`] when nothing of it can be told apart.
pub fn decode_naming(
    body: &[u8],
    default_source: &str,
    now: Timestamp,
    name: &dyn Fn(usize) -> String,
) -> Result<Decoded, BodyError> {
    decode_into(body, Sink { events: Vec::new(), source: default_source, now, name: Some(name) })
}

fn decode_into(body: &[u8], mut out: Sink<'_>) -> Result<Decoded, BodyError> {
    let body = body.strip_prefix(BOM).unwrap_or(body);
    let Ok(text) = std::str::from_utf8(body) else {
        // Lines are told apart before they are read as text, so that one bad line costs one event.
        let valid = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
        let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
        if !lines.iter().any(|line| std::str::from_utf8(line).is_ok_and(is_object)) {
            return Err(unreadable(body, valid, "not UTF-8"));
        }
        for line in lines {
            match std::str::from_utf8(line) {
                Ok(text) => out.line(text)?,
                Err(_) => out.refuse(None, &Broken::Unreadable("not UTF-8".to_owned()), line)?,
            }
        }
        return Ok(Decoded { events: out.events });
    };
    let mut scanner = Scanner::new(text, 0);
    match scanner.peek() {
        None => return Err(unreadable(body, scanner.at(), "the body is empty")),
        Some(b'[') => out.array(text, scanner)?,
        Some(_) => out.stream(text, scanner)?,
    }
    Ok(Decoded { events: out.events })
}

struct Sink<'a> {
    events: Vec<Result<Event, Refused>>,
    source: &'a str,
    now: Timestamp,
    /// Names an event that bears no id, by its place.
    name: Option<&'a dyn Fn(usize) -> String>,
}

impl Sink<'_> {
    /// Reads and checks one event.
    fn read(&self, reader: &mut native::Reader<'_>) -> Result<Event, Wrong> {
        match self.name {
            None => reader.event(self.source, self.now),
            Some(name) => reader.event_named(self.source, self.now, || Some(name(self.events.len()))),
        }
    }

    fn push(&mut self, verdict: Result<Event, Refused>) -> Result<(), BodyError> {
        if self.events.len() >= REQUEST_EVENTS_MAX {
            return Err(BodyError::TooManyEvents);
        }
        self.events.push(verdict);
        Ok(())
    }

    fn refuse(&mut self, id: Option<String>, broken: &Broken, body: &[u8]) -> Result<(), BodyError> {
        self.push(Err(Refused { id, rejection: broken.rejection(), body: body.to_vec() }))
    }

    /// A JSON array of events.
    fn array<'t>(&mut self, text: &'t str, mut scanner: Scanner<'t>) -> Result<(), BodyError> {
        let fail = |at: usize, why| unreadable(text.as_bytes(), at, why);
        scanner.take(b'[');
        if !scanner.take(b']') {
            loop {
                scanner.peek();
                let from = scanner.at();
                let mut attempt = native::Reader::new(text, from);
                match self.read(&mut attempt) {
                    Ok(event) => {
                        scanner = Scanner::new(text, attempt.at());
                        self.push(Ok(event))?;
                    }
                    Err(wrong) => {
                        // The element is stepped over as plain JSON: only a fault of the grammar costs the body.
                        skip(&mut scanner).map_err(|why| fail(scanner.at(), why))?;
                        let element = &text[from..scanner.at()];
                        self.refuse(
                            native::peek_id(element),
                            &wrong.broken(element, attempt.at() - from),
                            element.as_bytes(),
                        )?;
                    }
                }
                if !scanner.take(b',') {
                    break;
                }
            }
            if !scanner.take(b']') {
                return Err(fail(scanner.at(), "expected `,` or `]`"));
            }
        }
        if scanner.peek().is_some() {
            return Err(fail(scanner.at(), "something follows the array"));
        }
        Ok(())
    }

    /// One object, or one object a line.
    fn stream(&mut self, text: &str, mut scanner: Scanner<'_>) -> Result<(), BodyError> {
        let from = scanner.at();
        let first_line = text[from..].find('\n').map_or(text.len(), |end| from + end);
        // Nearly always the first line is an event, which then is read once.
        let line = text[from..first_line].trim_ascii();
        let mut reader = native::Reader::new(line, 0);
        if line.len() <= EVENT_BYTES_MAX
            && let Ok(event) = self.read(&mut reader)
            && reader.at() == line.len()
        {
            self.push(Ok(event))?;
            return text[first_line..].split('\n').try_for_each(|line| self.line(line));
        }
        let rest = if is_object(&text[from..first_line]) {
            from
        } else {
            let spans = match skip_object(&mut scanner) {
                Ok(()) if blank_to_line_end(&text[scanner.at()..]) => None,
                Ok(()) => Some("something follows the object"),
                Err(why) => Some(why),
            };
            match spans {
                None => {
                    self.one(text[from..scanner.at()].trim_ascii())?;
                    scanner.at()
                }
                // A bad first line, if any line at all is an object; else the body is no NDJSON.
                Some(_) if text[from..].split('\n').skip(1).any(is_object) => from,
                Some(why) => return Err(unreadable(text.as_bytes(), scanner.at(), why)),
            }
        };
        for line in text[rest..].split('\n') {
            self.line(line)?;
        }
        Ok(())
    }

    /// A line of NDJSON; a blank one is nothing.
    fn line(&mut self, line: &str) -> Result<(), BodyError> {
        let line = line.trim_ascii();
        if line.is_empty() { Ok(()) } else { self.one(line) }
    }

    /// A text that should be one event and nothing else.
    fn one(&mut self, text: &str) -> Result<(), BodyError> {
        if text.len() > EVENT_BYTES_MAX {
            return self.refuse(native::peek_id(text), &Broken::EventTooLarge(text.len()), text.as_bytes());
        }
        let mut reader = native::Reader::new(text, 0);
        let verdict = match self.read(&mut reader) {
            Ok(event) if reader.at() == text.len() => return self.push(Ok(event)),
            Ok(_) => Wrong::Json(Fault::Syntax("something follows the object")),
            Err(wrong) => wrong,
        };
        self.refuse(native::peek_id(text), &verdict.broken(text, reader.at()), text.as_bytes())
    }
}

/// Whether a text is one JSON object and nothing else.
fn is_object(text: &str) -> bool {
    let mut scanner = Scanner::new(text, 0);
    skip_object(&mut scanner).is_ok() && scanner.peek().is_none()
}

fn skip_object(scanner: &mut Scanner<'_>) -> Result<(), &'static str> {
    if scanner.peek() != Some(b'{') {
        return Err("expected a JSON object or array");
    }
    skip(scanner)
}

fn skip(scanner: &mut Scanner<'_>) -> Result<(), &'static str> {
    scanner.skip().map_err(|fault| match fault {
        Fault::Syntax(why) => why,
        Fault::Surrogate => "half of a surrogate pair",
    })
}

fn blank_to_line_end(text: &str) -> bool {
    text.split('\n').next().is_none_or(|rest| rest.trim_ascii().is_empty())
}

/// The error at byte `at` of `body`, as line and column.
pub(super) fn unreadable(body: &[u8], at: usize, why: &'static str) -> BodyError {
    let before = &body[..at.min(body.len())];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + String::from_utf8_lossy(&before[start..]).chars().count();
    BodyError::Unreadable { line, column, why }
}
