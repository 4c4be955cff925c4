//! Contents of blobs while they are made or read: in memory while they are small, in a spill when they are not.
//!
//! In: bytes as they come. Out: a [`Content`] with its hash, which is read in pieces. What it takes of memory never
//! depends on its length.

use std::io::{self, Write};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::spill::{SharedSpill, Spilled};

/// Bytes of a content that are kept in memory; longer ones lie in the spill.
pub const CONTENT_MEMORY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A byte string and its hash.
#[derive(Clone, Debug)]
pub struct Content {
    place: Place,
    hash: u128,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub enum Place {
    /// In memory.
    Memory(Bytes),
    /// In a spill.
    Spilled(Spilled),
}

impl Content {
    /// Bytes in memory.
    pub fn of(bytes: Bytes) -> Content {
        Content { hash: xxhash_rust::xxh3::xxh3_128(&bytes), place: Place::Memory(bytes) }
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        match &self.place {
            Place::Memory(bytes) => bytes.len() as u64,
            Place::Spilled(spilled) => spilled.bytes(),
        }
    }

    /// Bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        match &self.place {
            Place::Memory(bytes) => bytes.len(),
            Place::Spilled(_) => 0,
        }
    }

    /// xxh3-128 of the bytes, in hex.
    pub fn hash(&self) -> String {
        format!("{:032x}", self.hash)
    }

    /// Where the bytes are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The same bytes, somewhere else.
    #[cfg(test)]
    pub(crate) fn moved_to(&self, spilled: Spilled) -> Content {
        Content { place: Place::Spilled(spilled), hash: self.hash }
    }

    /// The bytes from `offset` on, at most `length` of them; none behind the end.
    ///
    /// # Errors
    /// The spill's own.
    pub fn piece(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes().saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        match &self.place {
            Place::Memory(bytes) => {
                let from = bytes.len() - left;
                Ok(bytes.slice(from..from + length))
            }
            Place::Spilled(spilled) => {
                let mut piece = vec![0; length];
                spilled.read_exact(offset, &mut piece)?;
                Ok(piece.into())
            }
        }
    }
}

/// Writes a [`Content`].
pub struct ContentWriter {
    memory_bytes_max: usize,
    spilled: Spilled,
    held: Vec<u8>,
    hasher: Box<Xxh3>,
}

impl ContentWriter {
    /// A writer that keeps in `spill` what gets long.
    pub fn new(spill: SharedSpill) -> ContentWriter {
        let spilled = Spilled::new(spill);
        ContentWriter { memory_bytes_max: CONTENT_MEMORY_BYTES_MAX, spilled, held: Vec::new(), hasher: Box::default() }
    }

    /// A writer that keeps everything in `spill`: for contents of which there are many.
    pub fn spilling(spill: SharedSpill) -> ContentWriter {
        ContentWriter { memory_bytes_max: 0, ..ContentWriter::new(spill) }
    }

    /// Writes all of another content.
    ///
    /// # Errors
    /// The spills' own.
    pub fn append(&mut self, content: &Content) -> io::Result<()> {
        let mut offset = 0;
        while offset < content.bytes() {
            let piece = content.piece(offset, CONTENT_MEMORY_BYTES_MAX)?;
            self.write_all(&piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// What was written.
    ///
    /// # Errors
    /// The spill's own.
    pub fn end(mut self) -> io::Result<Content> {
        let hash = self.hasher.digest128();
        if self.spilled.bytes() == 0 && self.held.len() <= self.memory_bytes_max {
            return Ok(Content { place: Place::Memory(self.held.into()), hash });
        }
        self.spilled.push(&self.held)?;
        Ok(Content { place: Place::Spilled(self.spilled), hash })
    }
}

impl Write for ContentWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.held.extend_from_slice(bytes);
        if self.held.len() > CONTENT_MEMORY_BYTES_MAX {
            self.spilled.push(&self.held)?;
            self.held.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
