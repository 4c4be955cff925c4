//! Where a fold puts what does not fit its memory: append-only runs of bytes.
//!
//! The trait is all the pure part knows; a file-backed one lives with the handlers. [`MemorySpill`] is for tests and
//! for machines that have more memory than disk.

use std::io;
use std::sync::{Arc, Mutex};

/// A run's name within its [`Spill`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// Append-only temporary storage.
pub trait Spill: Send {
    /// Keeps `run` until the spill is dropped.
    ///
    /// # Errors
    /// The storage's own.
    fn append(&mut self, run: &[u8]) -> io::Result<RunId>;

    /// Reads from `offset` of a run into `buf`; returns how many bytes, 0 at the run's end.
    ///
    /// # Errors
    /// The storage's own, and `NotFound` for a run that was never appended.
    fn read(&mut self, run: RunId, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

/// Runs in memory.
#[derive(Debug, Default)]
pub struct MemorySpill(Vec<Vec<u8>>);

impl Spill for MemorySpill {
    fn append(&mut self, run: &[u8]) -> io::Result<RunId> {
        self.0.push(run.to_vec());
        Ok(RunId(self.0.len() as u64 - 1))
    }

    fn read(&mut self, run: RunId, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let found = usize::try_from(run.0).ok().and_then(|at| self.0.get(at));
        let run = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let rest = usize::try_from(offset).ok().and_then(|at| run.get(at..)).unwrap_or_default();
        let length = rest.len().min(buf.len());
        buf[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// One spill shared by a fold and the cells it hands out.
#[derive(Clone)]
pub struct SharedSpill(Arc<Mutex<Box<dyn Spill>>>);

impl SharedSpill {
    /// Shares `spill`.
    pub fn new(spill: Box<dyn Spill>) -> SharedSpill {
        SharedSpill(Arc::new(Mutex::new(spill)))
    }

    /// See [`Spill::append`].
    ///
    /// # Errors
    /// As there.
    pub fn append(&self, run: &[u8]) -> io::Result<RunId> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(run)
    }

    /// Fills `buf` from `offset` of a run.
    ///
    /// # Errors
    /// As [`Spill::read`], and `UnexpectedEof` when the run is shorter.
    pub fn read_exact(&self, run: RunId, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        let mut spill = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while !buf.is_empty() {
            let length = spill.read(run, offset, buf)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += length as u64;
            buf = &mut buf[length..];
        }
        Ok(())
    }
}

/// A byte string in a spill, as long as need be: pieces one after the other.
#[derive(Clone, Debug)]
pub struct Spilled {
    spill: SharedSpill,
    /// (first byte in the whole, run, bytes)
    pieces: Vec<(u64, RunId, u64)>,
    bytes: u64,
}

impl Spilled {
    /// The empty one.
    pub fn new(spill: SharedSpill) -> Spilled {
        Spilled { spill, pieces: Vec::new(), bytes: 0 }
    }

    /// Adds a piece at the end.
    ///
    /// # Errors
    /// The spill's own.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        if !piece.is_empty() {
            self.pieces.push((self.bytes, self.spill.append(piece)?, piece.len() as u64));
            self.bytes += piece.len() as u64;
        }
        Ok(())
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it lies.
    pub fn spill(&self) -> &SharedSpill {
        &self.spill
    }

    /// Where `bytes` from `offset` on lie: (run, first byte, bytes), in order.
    pub fn stretches(&self, mut offset: u64, bytes: u64) -> Vec<(RunId, u64, u64)> {
        let end = offset.saturating_add(bytes).min(self.bytes);
        let mut at = self.pieces.partition_point(|(first, _, length)| first + length <= offset);
        let mut stretches = Vec::new();
        while let Some((first, run, length)) = self.pieces.get(at).filter(|_| offset < end) {
            let taken = (first + length).min(end) - offset;
            stretches.push((*run, offset - first, taken));
            offset += taken;
            at += 1;
        }
        stretches
    }

    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    /// As [`SharedSpill::read_exact`].
    pub fn read_exact(&self, offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        for (run, first, bytes) in self.stretches(offset, buf.len() as u64) {
            let (part, rest) = buf.split_at_mut(usize::try_from(bytes).unwrap_or(usize::MAX).min(buf.len()));
            self.spill.read_exact(run, first, part)?;
            buf = rest;
        }
        if buf.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl std::fmt::Debug for SharedSpill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSpill")
    }
}
