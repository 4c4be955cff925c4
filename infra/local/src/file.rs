//! What every redb file of a project shares: opening it, reading and changing it, and what its errors mean.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use tidemill_ports::Error;

/// Opens or makes a file, repairing it after a crash.
pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Database, Error> {
    Database::builder()
        .set_cache_size(cache_bytes)
        .create(path)
        .map_err(|error| Error::Unavailable(format!("store {}: {error}", path.display())))
}

/// A file that lies in memory and is gone with the process.
pub(crate) fn in_memory(cache_bytes: usize) -> Result<Database, Error> {
    Database::builder()
        .set_cache_size(cache_bytes)
        .create_with_backend(redb::backends::InMemoryBackend::new())
        .map_err(|error| Error::Unavailable(format!("store in memory: {error}")))
}

/// Nothing was read or written.
pub(crate) fn unavailable(error: impl Into<redb::Error>) -> Error {
    Error::Unavailable(format!("store: {}", error.into()))
}

/// A stored value is not what this program writes.
pub(crate) fn damaged(what: &str) -> Error {
    Error::Unavailable(format!("store: {what} cannot be read back: the file is damaged or from a newer version"))
}

/// Reads in place: pages come from the cache or the page cache of the system.
pub(crate) fn read<T>(
    file: &Database,
    look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
) -> Result<T, Error> {
    let transaction = file.begin_read().map_err(unavailable)?;
    look(&transaction).map_err(unavailable)
}

/// Whether a change wrote anything; what wrote nothing is not flushed.
pub(crate) enum Changed<T> {
    Yes(T),
    No(T),
}

/// One durable transaction. An error before the commit means that nothing happened; a failing commit may have
/// happened.
pub(crate) fn change<T>(
    file: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<Changed<T>, redb::Error>,
) -> Result<T, Error> {
    let transaction = file.begin_write().map_err(unavailable)?;
    match work(&transaction).map_err(unavailable)? {
        Changed::Yes(answer) => {
            transaction.commit().map_err(|error| Error::Unknown(format!("store: commit: {error}")))?;
            Ok(answer)
        }
        Changed::No(answer) => {
            transaction.abort().map_err(unavailable)?;
            Ok(answer)
        }
    }
}

/// [`change`] off the async threads, because a commit waits for the disk.
pub(crate) async fn change_off_thread<T: Send + 'static>(
    file: &Arc<Database>,
    work: impl FnOnce(&WriteTransaction) -> Result<Changed<T>, redb::Error> + Send + 'static,
) -> Result<T, Error> {
    let file = Arc::clone(file);
    tokio::task::spawn_blocking(move || change(&file, work))
        .await
        .map_err(|error| Error::Unknown(format!("store: {error}")))?
}
