//! Blobs in a folder: `object_store`'s local adapter with every put made durable.
//!
//! A put returns after the file, its name in the folder and any folder made for it were flushed; a crash before that
//! leaves the old object or none. Puts run in parallel on the blocking pool, so that their flushes share the disk's
//! queue. An update on condition of an ETag is not supported: tidemill's objects are named by their content.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tidemill_ports::Error;

/// Opens the folder, making it when it is missing.
pub fn local_blobs(dir: &Path) -> Result<Arc<dyn ObjectStore>, Error> {
    let refused = |what: &str, error: &dyn std::fmt::Display| {
        Error::Unavailable(format!("blobs folder {}: {what}: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(|error| refused("cannot be made", &error))?;
    let folder = LocalFileSystem::new_with_prefix(dir).map_err(|error| refused("cannot be opened", &error))?;
    Ok(Arc::new(folder.with_fsync(true)))
}
