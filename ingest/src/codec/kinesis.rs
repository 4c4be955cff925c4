//! Kinesis records as Lambda hands them over: an envelope of base64 records, each a body of native events, aggregated or
//! not.
//!
//! In: the envelope's JSON. Out: per record its sequence number and one verdict per event. An event without an id gets
//! one of its record's sequence number and its place there, which a repeated delivery repeats. A record that cannot be
//! read is a refused event of its own; only an envelope that is none costs everything.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidemill_schemas::event::{Broken, Event, Rejection};
use tidemill_schemas::time::Timestamp;

use super::json::{Fault, Scanner};
use super::kpl::unpack;
use super::{BodyError, Refused, body};

/// Records of one envelope: Lambda's own limit.
pub const ENVELOPE_RECORDS_MAX: usize = 10_000;

/// What one record held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its sequence number: where to go on from when the rest of a batch fails.
    pub sequence: String,
    /// One verdict per event, in order.
    pub events: Vec<Result<Event, Refused>>,
}

/// Decodes an envelope. `default_source` is the source of events that name none; `now` becomes their `received`.
///
/// # Errors
/// [`BodyError::Unreadable`] when it is no envelope, [`BodyError::TooManyEvents`] when it has too many records.
pub fn decode(envelope: &[u8], default_source: &str, now: Timestamp) -> Result<Vec<Delivered>, BodyError> {
    let text =
        std::str::from_utf8(envelope).map_err(|error| body::unreadable(envelope, error.valid_up_to(), "not UTF-8"))?;
    let mut scanner = Scanner::new(text, 0);
    let mut delivered = Vec::new();
    let mut found = false;
    let read = each_field(&mut scanner, |key, scanner| {
        if key != "Records" {
            return scanner.skip();
        }
        found = true;
        each_element(scanner, |scanner| {
            let Raw { sequence, data } = raw(scanner)?;
            let events = verdicts(&sequence, &data, default_source, now);
            delivered.push(Delivered { sequence: sequence.into_owned(), events });
            Ok(delivered.len() <= ENVELOPE_RECORDS_MAX)
        })
    });
    if delivered.len() > ENVELOPE_RECORDS_MAX {
        return Err(BodyError::TooManyEvents);
    }
    read.map_err(|fault| match fault {
        Fault::Syntax(why) => body::unreadable(envelope, scanner.at(), why),
        Fault::Surrogate => body::unreadable(envelope, scanner.at(), "half of a surrogate pair"),
    })?;
    if !found || scanner.peek().is_some() {
        return Err(body::unreadable(envelope, scanner.at(), "expected an object with `Records`"));
    }
    Ok(delivered)
}

/// What an envelope says of a record.
struct Raw<'a> {
    sequence: Cow<'a, str>,
    data: Cow<'a, str>,
}

fn raw<'a>(scanner: &mut Scanner<'a>) -> Result<Raw<'a>, Fault> {
    let (mut sequence, mut data) = (None, None);
    each_field(scanner, |key, scanner| {
        if key != "kinesis" {
            return scanner.skip();
        }
        each_field(scanner, |key, scanner| {
            let place = match key {
                "sequenceNumber" => &mut sequence,
                "data" => &mut data,
                _ => return scanner.skip(),
            };
            scanner.peek();
            *place = Some(scanner.string()?);
            Ok(())
        })
    })?;
    let sequence = sequence.ok_or(Fault::Syntax("a record without `kinesis.sequenceNumber`"))?;
    let data = data.ok_or(Fault::Syntax("a record without `kinesis.data`"))?;
    Ok(Raw { sequence, data })
}

/// Reads an object field by field; `read` takes the value.
fn each_field<'a>(
    scanner: &mut Scanner<'a>,
    mut read: impl FnMut(&str, &mut Scanner<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    scanner.expect(b'{', "expected `{`")?;
    if scanner.take(b'}') {
        return Ok(());
    }
    loop {
        scanner.peek();
        let key = scanner.string()?;
        scanner.expect(b':', "expected `:`")?;
        read(&key, scanner)?;
        if scanner.take(b'}') {
            return Ok(());
        }
        scanner.expect(b',', "expected `,` or `}`")?;
    }
}

/// Reads an array element by element, as long as `read` wants more.
fn each_element<'a>(
    scanner: &mut Scanner<'a>,
    mut read: impl FnMut(&mut Scanner<'a>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    scanner.expect(b'[', "expected `[`")?;
    if scanner.take(b']') {
        return Ok(());
    }
    while read(scanner)? {
        if scanner.take(b']') {
            return Ok(());
        }
        scanner.expect(b',', "expected `,` or `]`")?;
    }
    Ok(())
}

/// The verdicts on one record's events.
fn verdicts(sequence: &str, data: &str, default_source: &str, now: Timestamp) -> Vec<Result<Event, Refused>> {
    let refused = |rejection: Rejection, body: &[u8]| {
        vec![Err(Refused { id: Some(sequence.to_owned()), rejection, body: body.to_vec() })]
    };
    let unreadable = |why: String, body: &[u8]| refused(Broken::Unreadable(why).rejection(), body);
    let Ok(record) = STANDARD.decode(data) else { return unreadable("not base64".to_owned(), data.as_bytes()) };
    let parts = match unpack(&record) {
        Ok(parts) => parts,
        Err(error) => {
            let rejection = Rejection { code: error.code().to_owned(), message: error.to_string() };
            return refused(rejection, &record);
        }
    };
    let mut events = Vec::with_capacity(parts.len());
    for (nth, part) in parts.into_iter().enumerate() {
        let name = |index: usize| match index {
            0 => format!("{sequence}-{nth}"),
            _ => format!("{sequence}-{nth}-{index}"),
        };
        match body::decode_naming(part, default_source, now, &name) {
            Ok(decoded) => events.extend(decoded.events),
            Err(error) => events.extend(unreadable(error.to_string(), part)),
        }
    }
    events
}

#[cfg(test)]
mod tests;
