//! A project's stores: one folder, `.tidemill/` beside its definitions, held by one process at a time.
//!
//! ```text
//! .tidemill/lock          who has it open
//!           events.redb   the event table and its change feed
//!           items.redb    everything else that is kept in items
//!           runner.redb   requests, schedules, cursors
//!           blobs/        pages, details, states
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use tidemill_ports::{Clock, Context, Error};

use crate::lock::ProjectLock;
use crate::{Cursors, Feed, LocalQueue, LocalSchedule, LocalTable, file, local_blobs};

/// Shards of the local change feed. One: shards multiply the pages of a day, and deliveries are large here.
pub const FEED_SHARDS: u16 = 1;
/// Bytes of the page cache of requests, schedules and cursors.
const RUNNER_CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the page cache of a table in memory.
const TABLE_CACHE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where a project's blobs lie, pages among them.
pub fn blobs_folder(folder: &Path) -> PathBuf {
    folder.join("blobs")
}

/// The opened stores of a project.
pub struct Store {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The event table, with its feed.
    pub events: Arc<LocalTable>,
    /// Everything else that is kept in items.
    pub items: Arc<LocalTable>,
    /// Pages, details, states.
    pub blobs: Arc<dyn ObjectStore>,
    /// Requests to the engine.
    pub requests: Arc<LocalQueue>,
    /// Refreshes and rollups.
    pub schedule: Arc<LocalSchedule>,
    /// How far the feed's consumers are.
    pub cursors: Arc<Cursors>,
    /// Last, so that it is given back after everything is closed; none where nothing lies in a folder.
    _lock: Option<ProjectLock>,
}

impl Store {
    /// Opens the stores in `folder`, making what is missing. [`Error::Conflict`] when another process has them open.
    /// What that process left half-done is delivered again.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Store, Error> {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::Unavailable(format!("folder {} cannot be made: {error}", folder.display())))?;
        let lock = ProjectLock::take(&folder.join("lock"))?;
        let runner = Arc::new(file::open(&folder.join("runner.redb"), RUNNER_CACHE_BYTES_MAX)?);
        let requests = LocalQueue::on(Arc::clone(&runner), Arc::clone(&clock))?;
        requests.release_all()?;
        Ok(Store {
            events: Arc::new(LocalTable::open(&folder.join("events.redb"), Feed::Shards(FEED_SHARDS))?),
            items: Arc::new(LocalTable::open(&folder.join("items.redb"), Feed::None)?),
            blobs: local_blobs(&blobs_folder(folder))?,
            requests: Arc::new(requests),
            schedule: Arc::new(LocalSchedule::on(Arc::clone(&runner), Arc::clone(&clock))?),
            cursors: Arc::new(Cursors::on(runner)?),
            clock,
            _lock: Some(lock),
        })
    }

    /// Stores in memory, for as long as they are held, to see what something would do on AWS: the feed has so many
    /// shards, and checks cost.
    pub fn in_memory(clock: Arc<dyn Clock>, shards: u16) -> Result<Store, Error> {
        let runner = Arc::new(file::in_memory(RUNNER_CACHE_BYTES_MAX)?);
        let table = |feed| {
            let file = file::in_memory(TABLE_CACHE_BYTES_MAX)?;
            Ok::<_, Error>(Arc::new(LocalTable::on(file, feed)?.where_checks_cost()))
        };
        Ok(Store {
            events: table(Feed::Shards(shards))?,
            items: table(Feed::None)?,
            blobs: Arc::new(InMemory::new()),
            requests: Arc::new(LocalQueue::on(Arc::clone(&runner), Arc::clone(&clock))?),
            schedule: Arc::new(LocalSchedule::on(Arc::clone(&runner), Arc::clone(&clock))?),
            cursors: Arc::new(Cursors::on(runner)?),
            clock,
            _lock: None,
        })
    }

    /// The ports.
    pub fn context(&self) -> Context {
        Context {
            clock: Arc::clone(&self.clock),
            events: Arc::clone(&self.events) as _,
            items: Arc::clone(&self.items) as _,
            blobs: Arc::clone(&self.blobs),
            requests: Arc::clone(&self.requests) as _,
            schedule: Arc::clone(&self.schedule) as _,
            fold_bytes_max: tidemill_ports::FOLD_BYTES_DEFAULT,
            deadline: None,
        }
    }
}
