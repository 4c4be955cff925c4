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

impl std::fmt::Debug for SharedSpill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSpill")
    }
}
