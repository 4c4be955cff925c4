//! Sources of events: files, pipes and bytes in memory, gzipped or not; NDJSON, one JSON object, or a JSON array.
//!
//! In: [`Input`]s. Out: [`Piece`]s on a channel. CSV and Parquet go through [`crate::convert`]. Blocking: runs on a
//! thread of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;

use crate::convert::Columns;
use crate::failure::Failure;
use crate::sending::chunk::{Chunk, Piece};

/// Bytes of one line that is sent at all; the server's limit for an event is far below.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of one JSON document that is not NDJSON: it is held in memory.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes read at a time.
const READ_BYTES: usize = 1024 * 1024;

/// Where events come from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file of JSON events.
    File(PathBuf),
    /// A CSV or Parquet file.
    Table(PathBuf, Columns),
    /// Standard input.
    Stdin,
    /// Bytes in memory, with a name for messages.
    Bytes(&'static str, Vec<u8>),
}

impl Input {
    /// Bytes to be read, as far as known.
    pub fn bytes(&self) -> u64 {
        match self {
            Input::File(path) | Input::Table(path, _) => std::fs::metadata(path).map_or(0, |about| about.len()),
            Input::Stdin => 0,
            Input::Bytes(_, bytes) => bytes.len() as u64,
        }
    }
}

/// Nobody listens any more: the request side has failed and says so itself.
struct Gone;

/// Why reading stops.
enum Stop {
    Gone,
    Failed(Failure),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Stop {
        Stop::Gone
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

/// Reads the inputs one after the other until all are read or nobody listens.
pub fn read_all(inputs: Vec<Input>, pieces: &Sender<Result<Piece, Failure>>, bar: &ProgressBar) {
    for input in inputs {
        match read(input, &mut Gather { pieces, chunk: Chunk::default() }, bar) {
            Ok(()) => {}
            Err(Stop::Gone) => return,
            Err(Stop::Failed(failure)) => {
                // A closed channel means that the request side stopped first.
                let _ = pieces.blocking_send(Err(failure));
                return;
            }
        }
    }
}

fn read(input: Input, gather: &mut Gather<'_>, bar: &ProgressBar) -> Result<(), Stop> {
    let name = match &input {
        Input::File(path) | Input::Table(path, _) => path.display().to_string(),
        Input::Stdin => "stdin".to_owned(),
        Input::Bytes(name, _) => (*name).to_owned(),
    };
    gather.chunk = Chunk::new(name.as_str().into());
    match input {
        Input::Table(path, columns) => {
            bar.inc(Input::File(path.clone()).bytes());
            crate::convert::lines(&path, &columns, &mut |row| match row {
                crate::convert::Row::Line(number, line) => gather.push(number, line.as_bytes()).is_ok(),
                crate::convert::Row::Refused(number, code, message) => gather.refuse(number, &code, message).is_ok(),
            })?;
        }
        Input::File(path) => {
            let file = std::fs::File::open(&path).map_err(|error| Failure::file(&path, &error))?;
            if path.is_dir() {
                let failure = Failure::input("TM0902", format!("{name} is a folder"));
                return Err(failure.help(format!("name its files: {name}/*.ndjson")).into());
            }
            read_json(&name, bar.wrap_read(file), gather)?;
        }
        Input::Stdin => read_json(&name, bar.wrap_read(std::io::stdin().lock()), gather)?,
        Input::Bytes(_, bytes) => read_json(&name, bar.wrap_read(bytes.as_slice()), gather)?,
    }
    Ok(gather.flush()?)
}

/// Whether a file holds one event a line, by its first line; what cannot be read is told by whoever reads it.
pub fn is_lines(path: &std::path::Path) -> bool {
    let first = || -> std::io::Result<Vec<u8>> {
        let mut raw = BufReader::with_capacity(READ_BYTES, std::fs::File::open(path)?);
        let mut line = Vec::new();
        let start = raw.fill_buf()?;
        let mut text: Box<dyn BufRead> = match start {
            [0x1f, 0x8b, ..] => Box::new(BufReader::new(MultiGzDecoder::new(raw))),
            // No JSON starts so: it is zstd, and only lines are read from it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Ok(b"{}".to_vec()),
            _ => Box::new(raw),
        };
        let mut read = 0;
        while line.trim_ascii().is_empty() && read <= LINE_BYTES_MAX {
            line.clear();
            match (&mut text).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? {
                0 => break,
                some => read += some as u64,
            }
        }
        Ok(line)
    };
    first().is_ok_and(|line| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
        !line.is_empty() && !line.starts_with(b"PAR1") && !is_document(line)
    })
}

/// Gzip is known by its magic bytes, whatever the file is called.
fn read_json(name: &str, raw: impl Read, gather: &mut Gather<'_>) -> Result<(), Stop> {
    let mut raw = BufReader::with_capacity(READ_BYTES, raw);
    let start = raw.fill_buf().map_err(|error| broken(name, &error))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        let inflated = MultiGzDecoder::new(raw);
        return read_text(name, &mut BufReader::with_capacity(READ_BYTES, inflated), gather);
    }
    if start.starts_with(b"PAR1") {
        let failure = Failure::input("TM0914", format!("{name} is a Parquet file"));
        return Err(failure.help("use `tidemill import`, which reads Parquet and CSV").into());
    }
    read_text(name, &mut raw, gather)
}

fn read_text(name: &str, text: &mut dyn BufRead, gather: &mut Gather<'_>) -> Result<(), Stop> {
    let mut line = Vec::new();
    let (mut number, mut is_first) = (0u64, true);
    while let Some(is_whole) = next_line(text, &mut line, is_first).map_err(|error| broken(name, &error))? {
        number += 1;
        let trimmed = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        let trimmed = trimmed.trim_ascii();
        if trimmed.is_empty() {
            continue;
        }
        if std::mem::take(&mut is_first) && is_document(trimmed) {
            let mut document = line.clone();
            document.extend(is_whole.then_some(b'\n'));
            text.take(DOCUMENT_BYTES_MAX).read_to_end(&mut document).map_err(|error| broken(name, &error))?;
            return read_document(name, number, &document, gather);
        }
        gather.push(number, trimmed)?;
    }
    Ok(())
}

/// Reads up to a line end; of a line beyond the limit only the start is kept, and the rest is skipped unless it may
/// be a document's. `None` at the end of the input, else whether the line's end was seen.
fn next_line(text: &mut dyn BufRead, line: &mut Vec<u8>, is_first: bool) -> std::io::Result<Option<bool>> {
    line.clear();
    if text.take(LINE_BYTES_MAX + 1).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    let is_whole = line.last() == Some(&b'\n');
    if is_whole {
        line.pop();
    } else if line.len() as u64 > LINE_BYTES_MAX && !(is_first && is_document(line.trim_ascii())) {
        text.skip_until(b'\n')?;
    }
    Ok(Some(is_whole))
}

/// Whether what starts like this is one JSON document rather than one event per line.
fn is_document(line: &[u8]) -> bool {
    match line.first() {
        Some(b'[') => true,
        Some(b'{') => {
            let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(line);
            parsed.is_err_and(|error| error.is_eof())
        }
        _ => false,
    }
}

/// A JSON array, or JSON objects over several lines.
fn read_document(name: &str, line: u64, document: &[u8], gather: &mut Gather<'_>) -> Result<(), Stop> {
    let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    if document.trim_ascii_start().starts_with(b"[") {
        let events: Vec<&RawValue> = serde_json::from_slice(document).map_err(|error| {
            let at = format!("{name}:{}:{}", line - 1 + error.line() as u64, error.column());
            Failure::input("TM0915", format!("{at}: not valid JSON: {error}"))
        })?;
        for event in events {
            gather.push(line_of(document, line, event), &one_line(event))?;
        }
        return Ok(());
    }
    let values = serde_json::Deserializer::from_slice(document).into_iter::<&RawValue>();
    let Ok(events) = values.collect::<Result<Vec<_>, _>>() else {
        // Not whole objects either: one event per line after all, of which some are bad. The server says which.
        for (at, text) in document.split(|byte| *byte == b'\n').enumerate() {
            if !text.trim_ascii().is_empty() {
                gather.push(line + at as u64, text.trim_ascii())?;
            }
        }
        return Ok(());
    };
    for event in events {
        gather.push(line_of(document, line, event), &one_line(event))?;
    }
    Ok(())
}

/// The line a value starts on. Values point into the document, so their addresses say where; only the distance counts.
fn line_of(document: &[u8], first: u64, event: &RawValue) -> u64 {
    let offset = (event.get().as_ptr() as usize).saturating_sub(document.as_ptr() as usize).min(document.len());
    // Counted from the start each time: documents are small or a single line; long histories come as NDJSON.
    let lines =
        if document.len() < READ_BYTES { document[..offset].iter().filter(|byte| **byte == b'\n').count() } else { 0 };
    first + lines as u64
}

/// Line ends within JSON are only ever white space.
fn one_line(event: &RawValue) -> Vec<u8> {
    let blank = |byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
    event.get().bytes().map(blank).collect()
}

fn broken(name: &str, error: &std::io::Error) -> Failure {
    Failure::input("TM0914", format!("{name}: {error}")).help("is the file cut off? gzip files must be whole")
}

/// Gathers lines into chunks and hands full ones on.
struct Gather<'a> {
    pieces: &'a Sender<Result<Piece, Failure>>,
    chunk: Chunk,
}

impl Gather<'_> {
    fn push(&mut self, number: u64, line: &[u8]) -> Result<(), Gone> {
        if line.len() as u64 > LINE_BYTES_MAX {
            let message = "the event is longer than 4 MiB; the limit for one event is 64 KiB".to_owned();
            return self.refuse(number, "TM0104", message);
        }
        if !self.chunk.fits(line.len()) {
            self.flush()?;
        }
        self.chunk.push(number, line);
        Ok(())
    }

    fn refuse(&mut self, line: u64, code: &str, message: String) -> Result<(), Gone> {
        self.hand_on(Piece::Refused { file: Arc::clone(&self.chunk.file), line, code: code.to_owned(), message })
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let next = Chunk::new(Arc::clone(&self.chunk.file));
        let chunk = std::mem::replace(&mut self.chunk, next);
        if chunk.events == 0 { Ok(()) } else { self.hand_on(Piece::Chunk(chunk)) }
    }

    fn hand_on(&self, piece: Piece) -> Result<(), Gone> {
        self.pieces.blocking_send(Ok(piece)).map_err(|_| Gone)
    }
}
