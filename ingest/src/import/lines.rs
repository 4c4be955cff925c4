//! Lines: NDJSON in the native shape, by columns.
//!
//! In: whole lines. Out: the same events as page columns, and the refusals. A line that is read without the slightest
//! doubt goes straight into columns, its texts never copied; any other goes through the codec, which alone decides, so
//! that both ways agree by construction.

use arrow::compute::filter_record_batch;
use bytes::Bytes;
use tidemill_schemas::event::{Broken, EVENT_BYTES_MAX, Event};
use tidemill_schemas::page::PAGE_PROPERTY_COLUMNS_MAX;

use super::Import;
use super::convert::{Converted, Part};
use super::typed::Doubts;
use crate::codec::Refused;
use crate::codec::json::Fault;
use crate::codec::native::{self, Wrong};
use crate::page::{PageError, changes_to_batch};

mod cells;
mod columns;

use columns::Columns;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Some lines' text.
#[derive(Clone, Debug)]
pub struct Text {
    /// Whole lines; of a line that is too long, its beginning.
    pub bytes: Bytes,
    /// How long the line is when it is one that is too long.
    pub too_long: Option<u64>,
}

impl Text {
    /// Lines it has: its line ends, and what stands behind the last one.
    pub fn lines(&self) -> u64 {
        if self.too_long.is_some() {
            return 1;
        }
        let ends = memchr::memchr_iter(b'\n', &self.bytes).count() as u64;
        ends + u64::from(self.bytes.last().is_some_and(|last| *last != b'\n'))
    }

    /// The lines that are not blank: each with its place, and where it begins.
    fn each(&self, first: u64) -> impl Iterator<Item = (u32, usize, &[u8])> {
        let bom = if first == 0 && self.bytes.starts_with(BOM) { BOM.len() } else { 0 };
        let (mut at, mut row) = (bom, 0);
        std::iter::from_fn(move || {
            loop {
                let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
                let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                let (start, line) = (at + blanks(&rest[..end]), rest[..end].trim_ascii());
                let this = row;
                (at, row) = (at + end + 1, row + 1);
                if !line.is_empty() {
                    return Some((this, start, line));
                }
            }
        })
    }
}

fn blanks(line: &[u8]) -> usize {
    line.len() - line.trim_ascii_start().len()
}

/// Converts the lines of one file.
pub struct Lines {
    import: Import,
}

impl Lines {
    /// For the lines of an import. Its mapping means nothing here: the shape is the native one.
    pub fn new(import: Import) -> Lines {
        Lines { import }
    }

    /// Converts lines whose first one is the file's line `first`, counted from 0.
    ///
    /// # Errors
    /// Arrow's own.
    pub fn convert(&self, text: &Text, first: u64) -> Result<Converted, PageError> {
        if let Some(length) = text.too_long {
            let broken = Broken::EventTooLarge(usize::try_from(length).unwrap_or(usize::MAX));
            let mut converted = Converted::default();
            converted.refuse(0, refused(first, None, &broken, &text.bytes));
            return Ok(converted);
        }
        let mut slow = Slow::new(self, first);
        let valid = std::str::from_utf8(&text.bytes).ok();
        let mut columns = Columns::new(&text.bytes, &self.import.source, self.import.now);
        for (row, start, line) in text.each(first) {
            let sure = valid.and_then(|valid| valid.get(start..start + line.len()));
            if !sure.is_some_and(|line| columns.add(row, start, line)) {
                slow.line(row, line);
            }
        }
        if columns.wide() > PAGE_PROPERTY_COLUMNS_MAX {
            // What is rare goes where the codec's way puts it.
            let mut slow = Slow::new(self, first);
            text.each(first).for_each(|(row, _, line)| slow.line(row, line));
            return slow.end();
        }
        let rows = columns.rows().to_vec();
        if rows.is_empty() {
            return slow.end();
        }
        let mut doubts = Doubts::of(rows.len());
        let batch = columns.end(&mut doubts)?;
        let mut part = Part { rows, batch };
        if !doubts.none() {
            let certain = doubts.rows().iter().map(|doubt| Some(!doubt)).collect();
            let doubtful = part.rows.iter().zip(doubts.rows()).filter(|(_, doubt)| **doubt).map(|(row, _)| *row);
            let doubtful: Vec<u32> = doubtful.collect();
            for (row, _, line) in text.each(first).filter(|(row, ..)| doubtful.binary_search(row).is_ok()) {
                slow.line(row, line);
            }
            part.batch = filter_record_batch(&part.batch, &certain)?;
            part.rows.retain(|row| doubtful.binary_search(row).is_err());
        }
        let mut converted = slow.end()?;
        if !part.rows.is_empty() {
            converted.parts.insert(0, part);
        }
        Ok(converted)
    }

    /// The events themselves of some lines.
    pub fn events(&self, text: &Text, first: u64, rows: &[u32]) -> Vec<Event> {
        let wanted = text.each(first).filter(|(row, ..)| rows.binary_search(row).is_ok());
        wanted.filter_map(|(row, _, line)| self.verdict(first + u64::from(row), line).ok()).collect()
    }

    /// What the codec says of a line.
    fn verdict(&self, number: u64, line: &[u8]) -> Result<Event, Refused> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(refused(number, None, &Broken::Unreadable("not UTF-8".to_owned()), line));
        };
        let told = |broken: &Broken| refused(number, native::peek_id(text), broken, line);
        if text.len() > EVENT_BYTES_MAX {
            return Err(told(&Broken::EventTooLarge(text.len())));
        }
        let mut reader = native::Reader::new(text, 0);
        let wrong = match reader.event(&self.import.source, self.import.now) {
            Ok(event) if reader.at() == text.len() => return Ok(event),
            Ok(_) => Wrong::Json(Fault::Syntax("something follows the object")),
            Err(wrong) => wrong,
        };
        Err(told(&wrong.broken(text, reader.at())))
    }
}

/// The verdict on a line that broke a rule; `number` counts from 0.
fn refused(number: u64, id: Option<String>, broken: &Broken, line: &[u8]) -> Refused {
    let mut rejection = broken.rejection();
    rejection.message = format!("line {}: {}", number + 1, rejection.message);
    Refused { id, rejection, body: line.to_vec() }
}

/// Lines that go through the codec.
struct Slow<'a> {
    lines: &'a Lines,
    first: u64,
    live: (Vec<Event>, Vec<u32>),
    withdrawn: (Vec<Event>, Vec<u32>),
    converted: Converted,
}

impl<'a> Slow<'a> {
    fn new(lines: &'a Lines, first: u64) -> Slow<'a> {
        let (live, withdrawn) = Default::default();
        Slow { lines, first, live, withdrawn, converted: Converted::default() }
    }

    fn line(&mut self, row: u32, line: &[u8]) {
        match self.lines.verdict(self.first + u64::from(row), line) {
            Ok(event) => {
                let (events, rows) = if event.deleted { &mut self.withdrawn } else { &mut self.live };
                events.push(event);
                rows.push(row);
            }
            Err(refused) => self.converted.refuse(row, refused),
        }
    }

    fn end(mut self) -> Result<Converted, PageError> {
        let part = |(events, rows): (Vec<Event>, Vec<u32>)| -> Result<Option<Part>, PageError> {
            if rows.is_empty() {
                return Ok(None);
            }
            let batch = changes_to_batch(&events.iter().collect::<Vec<_>>())?;
            Ok(Some(Part { rows, batch }))
        };
        self.converted.parts = part(self.live)?.into_iter().collect();
        self.converted.withdrawn = part(self.withdrawn)?;
        Ok(self.converted)
    }
}

#[cfg(test)]
mod tests;
