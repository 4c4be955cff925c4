//! A queue with faults. A receive that fails after its effect leaves its messages hidden, as a lost answer does.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_ports::{Error, Message, Queue};

use super::Faults;

/// A queue that may fail.
pub struct FaultyQueue {
    inner: Arc<dyn Queue>,
    faults: Arc<Faults>,
}

impl FaultyQueue {
    /// Wraps a queue.
    pub fn new(inner: Arc<dyn Queue>, faults: Arc<Faults>) -> FaultyQueue {
        FaultyQueue { inner, faults }
    }
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn send(&self, bodies: Vec<Bytes>, delay_seconds: u32) -> Result<(), Error> {
        self.faults.write(self.inner.send(bodies, delay_seconds)).await
    }

    async fn receive(&self, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error> {
        self.faults.write(self.inner.receive(limit, hide_seconds)).await
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        self.faults.write(self.inner.delete(receipts)).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<Bytes>, Error> {
        self.faults.read(self.inner.dead_letters(limit)).await
    }
}
