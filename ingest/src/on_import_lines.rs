//! NDJSON files of an import: unpacked, cut into pieces at line ends, read a few thousand lines at a time.
//!
//! In: a file of one JSON object a line, as it is, gzipped or in zstd. Out: pieces with their lines counted, and their
//! text. No line is held that is longer than an event may be many times over. Blocks, like the rest of `on_import`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tidemill_schemas::event::EVENT_BYTES_MAX;

use crate::import::inspect::Suspect;
use crate::import::lines::Text;

/// Bytes of a file once it is unpacked.
pub const UNPACKED_BYTES_MAX: u64 = 256 * 1024 * 1024 * 1024;
/// Bytes of one piece, about.
const PIECE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of text converted at once, about.
const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a line that is looked at; of a longer one the beginning is kept for the quarantine.
pub(crate) const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 1024 * 1024;

/// A file that was looked through once.
#[derive(Clone, Debug)]
pub(crate) struct LinesFile {
    pieces: Vec<LinesPiece>,
}

/// Some lines of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinesPiece {
    pub(crate) start: u64,
    /// The byte behind it.
    pub(crate) end: u64,
    pub(crate) first_line: u64,
    pub(crate) lines: u64,
}

fn ends(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

fn suspect(reason: String) -> Suspect {
    Suspect { row_group: None, column: None, reason }
}

impl LinesFile {
    pub(crate) fn lines(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.lines).sum()
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = LinesPiece> + '_ {
        self.pieces.iter().copied()
    }
}

/// Unpacks a file to `to`, if it is packed; whether it was.
///
/// # Errors
/// What is wrong with it.
pub fn unpack(path: &Path, to: &Path) -> Result<bool, Suspect> {
    let file = File::open(path).map_err(|why| suspect(why.to_string()))?;
    let mut raw = BufReader::with_capacity(READ_BYTES, file);
    let start = raw.fill_buf().map_err(|why| suspect(why.to_string()))?;
    let (kind, plain): (&str, Box<dyn Read>) = match start {
        [0x1F, 0x8B, ..] => ("gzip", Box::new(MultiGzDecoder::new(raw))),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            let inflate = zstd::stream::read::Decoder::with_buffer(raw);
            ("zstd", Box::new(inflate.map_err(|why| suspect(why.to_string()))?))
        }
        _ => return Ok(false),
    };
    let out = File::create(to).map_err(|why| suspect(format!("the scratch disk: {why}")))?;
    let mut out = BufWriter::with_capacity(READ_BYTES, out);
    let mut plain = plain.take(UNPACKED_BYTES_MAX + 1);
    let broken = |why: std::io::Error| suspect(format!("the {kind} stream cannot be inflated: {why}; is it cut off?"));
    let written = std::io::copy(&mut plain, &mut out).map_err(broken)?;
    if written > UNPACKED_BYTES_MAX {
        return Err(suspect(format!("it inflates to more than {UNPACKED_BYTES_MAX} bytes (UNPACKED_BYTES_MAX)")));
    }
    out.flush().map_err(|why| suspect(format!("the scratch disk: {why}")))?;
    Ok(true)
}

/// Counts a file's lines and cuts it.
pub(crate) fn open(path: &Path) -> Result<LinesFile, Suspect> {
    let broken = |why: std::io::Error| suspect(why.to_string());
    let mut file = File::open(path).map_err(broken)?;
    let mut pieces: Vec<LinesPiece> = Vec::new();
    let mut piece = LinesPiece { start: 0, end: 0, first_line: 0, lines: 0 };
    let mut buffer = vec![0; READ_BYTES];
    let mut last = b'\n';
    loop {
        let read = file.read(&mut buffer).map_err(broken)?;
        let Some(read) = buffer.get(..read).filter(|read| !read.is_empty()) else { break };
        if pieces.is_empty() && piece.end == 0 && read.starts_with(b"PAR1") {
            return Err(suspect("it is a Parquet file; name it so, with .parquet at its end".to_owned()));
        }
        last = read[read.len() - 1];
        match memchr::memrchr(b'\n', read) {
            Some(at) if piece.end - piece.start + at as u64 >= PIECE_BYTES => {
                piece.end += at as u64 + 1;
                piece.lines += ends(&read[..=at]);
                pieces.push(piece);
                let first_line = piece.first_line + piece.lines;
                piece = LinesPiece { start: piece.end, end: piece.end, first_line, lines: 0 };
                piece.end += (read.len() - at - 1) as u64;
            }
            _ => {
                piece.end += read.len() as u64;
                piece.lines += ends(read);
            }
        }
    }
    piece.lines += u64::from(last != b'\n');
    if piece.end > piece.start {
        pieces.push(piece);
    }
    Ok(LinesFile { pieces })
}

/// The text of a piece, some lines at a time.
pub(crate) fn texts(path: &PathBuf, start: u64, end: u64) -> Result<Texts, String> {
    let mut file = File::open(path).map_err(|why| why.to_string())?;
    file.seek(SeekFrom::Start(start)).map_err(|why| why.to_string())?;
    Ok(Texts { file: file.take(end - start), left: Vec::new() })
}

/// See [`texts`].
pub(crate) struct Texts {
    file: std::io::Take<File>,
    /// The beginning of a line whose end is not read yet.
    left: Vec<u8>,
}

impl Iterator for Texts {
    type Item = std::io::Result<Text>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl Texts {
    fn read(&mut self) -> std::io::Result<Option<Text>> {
        let mut text = std::mem::take(&mut self.left);
        loop {
            let wanted = TEXT_BYTES.saturating_sub(text.len()).max(READ_BYTES);
            text.reserve(wanted);
            let read = self.file.by_ref().take(wanted as u64).read_to_end(&mut text)?;
            if read == 0 {
                return Ok((!text.is_empty()).then(|| Text { bytes: text.into(), too_long: None }));
            }
            if let Some(end) = memchr::memrchr(b'\n', &text) {
                self.left.extend_from_slice(&text[end + 1..]);
                text.truncate(end + 1);
                return Ok(Some(Text { bytes: text.into(), too_long: None }));
            }
            if text.len() > LINE_BYTES_MAX {
                return self.skip(text).map(Some);
            }
        }
    }

    /// Passes over the rest of a line that is too long.
    fn skip(&mut self, mut text: Vec<u8>) -> std::io::Result<Text> {
        let mut length = text.len() as u64;
        text.truncate(EVENT_BYTES_MAX);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = self.file.read(&mut buffer)?;
            let Some(read) = buffer.get(..read).filter(|read| !read.is_empty()) else { break };
            if let Some(end) = memchr::memchr(b'\n', read) {
                length += end as u64;
                self.left.extend_from_slice(&read[end + 1..]);
                break;
            }
            length += read.len() as u64;
        }
        Ok(Text { bytes: text.into(), too_long: Some(length) })
    }
}

#[cfg(test)]
mod tests;
