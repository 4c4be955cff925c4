//! Scratch space of an import, on the machine's own disk: uploaded files, claims by slice, pages in pieces.
//!
//! The folder goes with whoever holds it. Nothing here outlives one import.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::sift::{Claim, SLICES};

/// Bytes of a slice's claims held before they are written.
const SLICE_BYTES_MAX: usize = 32 * 1024;

/// A folder that is removed with its last holder.
#[derive(Debug)]
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// A new, empty one, in the folder for temporary files (`TMPDIR`).
    ///
    /// # Errors
    /// The file system's.
    pub fn new() -> io::Result<Scratch> {
        tempfile::Builder::new().prefix("tidemill-import-").tempdir().map(Scratch)
    }

    /// Where a file of a name lies, or would.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file: one part, and another behind it.
    ///
    /// # Errors
    /// The file system's.
    pub fn write_both(&self, name: &str, first: &[u8], second: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(name);
        let mut file = File::create(&path)?;
        file.write_all(first)?;
        file.write_all(second)?;
        Ok(path)
    }

    /// Makes a file to be written piece by piece.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(&self, name: &str) -> io::Result<BufWriter<File>> {
        Ok(BufWriter::with_capacity(1024 * 1024, File::create(self.path(name))?))
    }
}

/// Reads the beginning of a file.
///
/// # Errors
/// The file system's; a file that is shorter.
pub fn read_until(path: &Path, end: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; end];
    File::open(path)?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file from a byte on.
///
/// # Errors
/// The file system's.
pub fn read_from(path: &Path, start: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a file that is not needed any more; one that cannot be removed goes with its folder.
pub fn remove(path: &Path) {
    drop(std::fs::remove_file(path));
}

/// Claims by slice, in one file without a name.
#[derive(Debug)]
pub struct Slices {
    file: File,
    end: u64,
    waiting: Vec<Vec<u8>>,
    written: Vec<Vec<(u64, usize)>>,
}

impl Slices {
    /// Empty ones.
    ///
    /// # Errors
    /// The file system's.
    pub fn new() -> io::Result<Slices> {
        Ok(Slices {
            file: tempfile::tempfile()?,
            end: 0,
            waiting: vec![Vec::new(); SLICES],
            written: vec![Vec::new(); SLICES],
        })
    }

    /// Adds a claim.
    ///
    /// # Errors
    /// The file system's.
    pub fn add(&mut self, claim: &Claim) -> io::Result<()> {
        let slice = claim.slice();
        let waiting = &mut self.waiting[slice];
        waiting.extend_from_slice(&claim.encode());
        if waiting.len() >= SLICE_BYTES_MAX {
            self.file.write_all(waiting)?;
            self.written[slice].push((self.end, waiting.len()));
            self.end += waiting.len() as u64;
            waiting.clear();
        }
        Ok(())
    }

    /// Adds the claims of a slice to `out`.
    ///
    /// # Errors
    /// The file system's.
    pub fn read(&mut self, slice: usize, out: &mut Vec<Claim>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (start, length) in &self.written[slice] {
            bytes.resize(*length, 0);
            self.file.seek(SeekFrom::Start(*start))?;
            self.file.read_exact(&mut bytes)?;
            out.extend(Claim::decode_all(&bytes));
        }
        out.extend(Claim::decode_all(&self.waiting[slice]));
        Ok(())
    }
}
