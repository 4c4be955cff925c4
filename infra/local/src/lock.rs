//! One process per project: an exclusive lock on a file that names its holder.
//!
//! The operating system drops the lock when the process ends, however it ends; what the file says is only for people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use tidemill_ports::Error;

/// The lock, held until dropped.
#[derive(Debug)]
pub(crate) struct ProjectLock {
    _file: File,
}

impl ProjectLock {
    /// Takes the lock or says who has it ([`Error::Conflict`]).
    pub(crate) fn take(path: &Path) -> Result<ProjectLock, Error> {
        let failed = |error: std::io::Error| Error::Unavailable(format!("lock file {}: {error}", path.display()));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Who it is may just be being written; that someone is there is certain.
                let _ = file.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() };
                return Err(Error::Conflict(format!(
                    "another tidemill process (pid {pid}) has this project open: stop it, or talk to its server"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(ProjectLock { _file: file })
    }
}
