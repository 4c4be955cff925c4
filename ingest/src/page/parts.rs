//! Parts of a page: the bytes of a file that were fetched, at their places, for Parquet's reader.
//!
//! In: byte ranges of an object and its length. Out: a reader that has those ranges and nothing else. Asking for bytes
//! that were not fetched is an error, never a read.

use bytes::Bytes;
use bytes::buf::{Buf, Reader};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Some ranges of a file.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    length: u64,
    /// By first byte; no two overlap.
    held: Vec<(u64, Bytes)>,
}

impl Parts {
    /// A file of `length` bytes of which these ranges are at hand.
    pub fn new(length: u64, mut held: Vec<(u64, Bytes)>) -> Parts {
        held.sort_by_key(|(start, _)| *start);
        Parts { length, held }
    }

    /// A file that is at hand whole.
    pub fn whole(bytes: Bytes) -> Parts {
        Parts { length: bytes.len() as u64, held: vec![(0, bytes)] }
    }

    /// Bytes of the whole file.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn slice(&self, start: u64, length: usize) -> Result<Bytes> {
        let (first, bytes) = self.part(start)?;
        let from = (start - first) as usize;
        let end = from.checked_add(length).filter(|end| *end <= bytes.len());
        end.map(|end| bytes.slice(from..end)).ok_or_else(|| absent(start, length))
    }

    fn part(&self, start: u64) -> Result<(u64, &Bytes)> {
        let behind = self.held.partition_point(|(first, _)| *first <= start);
        let (first, bytes) = behind.checked_sub(1).map(|at| &self.held[at]).ok_or_else(|| absent(start, 0))?;
        if start - first > bytes.len() as u64 { Err(absent(start, 0)) } else { Ok((*first, bytes)) }
    }
}

fn absent(start: u64, length: usize) -> ParquetError {
    ParquetError::EOF(format!("{length} bytes from byte {start} on are not part of the file, or were not fetched"))
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Parts {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Reader<Bytes>> {
        let (first, bytes) = self.part(start)?;
        Ok(bytes.slice((start - first) as usize..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.slice(start, length)
    }
}
