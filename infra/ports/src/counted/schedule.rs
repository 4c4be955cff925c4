//! A schedule that counts.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Call, Counter};
use crate::{Entry, Error, Schedule};

/// A schedule whose calls are counted.
pub struct CountedSchedule {
    inner: Arc<dyn Schedule>,
    counter: Arc<Counter>,
}

impl CountedSchedule {
    /// Wraps a schedule.
    pub fn new(inner: Arc<dyn Schedule>, counter: Arc<Counter>) -> CountedSchedule {
        CountedSchedule { inner, counter }
    }
}

#[async_trait]
impl Schedule for CountedSchedule {
    async fn put(&self, entry: Entry) -> Result<(), Error> {
        self.counter.note(Call::SchedulePut, "schedule", 1, entry.payload.len());
        self.inner.put(entry).await
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        self.counter.note(Call::ScheduleRemove, "schedule", 1, 0);
        self.inner.remove(name).await
    }

    async fn list(&self) -> Result<Vec<Entry>, Error> {
        self.counter.note(Call::ScheduleList, "schedule", 1, 0);
        self.inner.list().await
    }
}
