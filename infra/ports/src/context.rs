//! What a handler is given: every port, wired once at start.

use std::sync::Arc;

use object_store::ObjectStore;
use tidemill_schemas::time::Timestamp;

use crate::{Clock, Queue, Schedule, Table};

/// Bytes the folds of one pass may hold unless somebody says otherwise.
pub const FOLD_BYTES_DEFAULT: usize = 256 * 1024 * 1024;

/// The ports.
#[derive(Clone)]
pub struct Context {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The event store: the one table with a change feed.
    pub events: Arc<dyn Table>,
    /// Everything else that is kept in items.
    pub items: Arc<dyn Table>,
    /// Pages, details, states and what is too large for an item.
    pub blobs: Arc<dyn ObjectStore>,
    /// Requests to the engine.
    pub requests: Arc<dyn Queue>,
    /// Refreshes and rollups.
    pub schedule: Arc<dyn Schedule>,
    /// Bytes the folds of one pass over pages may hold in memory; beyond them sorted runs go to scratch disk.
    pub fold_bytes_max: usize,
    /// When work that takes long keeps what it has and stops; `None`: it has all the time it needs.
    pub deadline: Option<Timestamp>,
}

impl Context {
    /// Whether work that takes long has to stop.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.clock.now())
    }
}
