//! Chunks: lines gathered into requests of at most [`CHUNK_BYTES_MAX`], which remember where each line came from. Pure.

use std::sync::Arc;

/// Bytes of one request, before any compression. Decoded, they take about eight times as much, times the requests in
/// flight.
pub const CHUNK_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What is read from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Events to be sent.
    Chunk(Chunk),
    /// An event that cannot even be sent.
    Refused {
        /// The file.
        file: Arc<str>,
        /// Its line or row.
        line: u64,
        /// Stable code.
        code: String,
        /// Why.
        message: String,
    },
}

/// One request's worth of lines, NDJSON without blank lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The file, as it is shown.
    pub file: Arc<str>,
    /// The lines.
    pub body: Vec<u8>,
    /// Lines there are.
    pub events: u64,
    /// (index, line) wherever the numbering starts anew: at the first line, and after lines that were left out.
    starts: Vec<(u64, u64)>,
}

impl Chunk {
    /// An empty chunk of a file.
    pub fn new(file: Arc<str>) -> Chunk {
        Chunk { file, ..Chunk::default() }
    }

    /// Whether a line of that length still fits.
    pub fn fits(&self, bytes: usize) -> bool {
        self.events == 0 || self.body.len() + bytes < CHUNK_BYTES_MAX
    }

    /// Appends a line, without its line end.
    pub fn push(&mut self, number: u64, line: &[u8]) {
        let expected = self.starts.last().map(|(index, line)| line + (self.events - index));
        if expected != Some(number) {
            self.starts.push((self.events, number));
        }
        self.body.extend_from_slice(line);
        self.body.push(b'\n');
        self.events += 1;
    }

    /// The line number of the event at an index.
    pub fn line(&self, index: u64) -> u64 {
        let at = self.starts.partition_point(|(start, _)| *start <= index);
        let (start, line) = at.checked_sub(1).and_then(|at| self.starts.get(at)).copied().unwrap_or((0, 1));
        line + (index - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_again() {
        let mut chunk = Chunk::new("a".into());
        for number in [1, 2, 5, 6, 9] {
            chunk.push(number, b"{}");
        }
        assert_eq!((0..5).map(|index| chunk.line(index)).collect::<Vec<_>>(), [1, 2, 5, 6, 9]);
        assert_eq!(chunk.body, b"{}\n{}\n{}\n{}\n{}\n");
    }

    #[test]
    fn a_chunk_is_bounded() {
        let mut chunk = Chunk::new("a".into());
        assert!(chunk.fits(CHUNK_BYTES_MAX));
        chunk.push(1, &vec![b' '; CHUNK_BYTES_MAX - 10]);
        assert!(chunk.fits(8));
        assert!(!chunk.fits(9));
    }
}
