//! A schedule with faults.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_ports::{Entry, Error, Schedule};

use super::Faults;

/// A schedule that may fail.
pub struct FaultySchedule {
    inner: Arc<dyn Schedule>,
    faults: Arc<Faults>,
}

impl FaultySchedule {
    /// Wraps a schedule.
    pub fn new(inner: Arc<dyn Schedule>, faults: Arc<Faults>) -> FaultySchedule {
        FaultySchedule { inner, faults }
    }
}

#[async_trait]
impl Schedule for FaultySchedule {
    async fn put(&self, entry: Entry) -> Result<(), Error> {
        self.faults.write(self.inner.put(entry)).await
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        self.faults.write(self.inner.remove(name)).await
    }

    async fn list(&self) -> Result<Vec<Entry>, Error> {
        self.faults.read(self.inner.list()).await
    }
}
