//! Scratch space for a fold: sorted runs that no longer fit in memory, on the machine's own disk.
//!
//! The file has no name: it is gone when the fold is, also after a crash. Nothing here outlives one request.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::spill::{RunId, SharedSpill, Spill};

/// Scratch space of its own.
pub fn scratch() -> SharedSpill {
    SharedSpill::new(Box::new(FileSpill::default()))
}

/// Runs in an anonymous temporary file, made when the first run comes.
#[derive(Default)]
pub struct FileSpill {
    file: Option<File>,
    runs: Vec<(u64, u64)>,
}

impl Spill for FileSpill {
    fn append(&mut self, run: &[u8]) -> io::Result<RunId> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        let start = file.seek(SeekFrom::End(0))?;
        file.write_all(run)?;
        self.runs.push((start, run.len() as u64));
        Ok(RunId(self.runs.len() as u64 - 1))
    }

    fn read(&mut self, run: RunId, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let found = usize::try_from(run.0).ok().and_then(|at| self.runs.get(at));
        let (start, len) = *found.ok_or(io::ErrorKind::NotFound)?;
        let Some(file) = &mut self.file else { return Ok(0) };
        let left = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        file.seek(SeekFrom::Start(start + offset.min(len)))?;
        file.read(&mut buf[..left])
    }
}
