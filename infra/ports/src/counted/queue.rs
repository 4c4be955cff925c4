//! A queue that counts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Call, Counter};
use crate::{Error, Message, Queue};

/// Bytes of one billed request.
const REQUEST_BYTES: usize = 64 * 1024;

/// A queue whose calls are counted.
pub struct CountedQueue {
    inner: Arc<dyn Queue>,
    counter: Arc<Counter>,
}

impl CountedQueue {
    /// Wraps a queue.
    pub fn new(inner: Arc<dyn Queue>, counter: Arc<Counter>) -> CountedQueue {
        CountedQueue { inner, counter }
    }

    fn note(&self, call: Call, bytes: usize) {
        self.counter.note(call, "message", bytes.div_ceil(REQUEST_BYTES).max(1) as u64, bytes);
    }
}

#[async_trait]
impl Queue for CountedQueue {
    async fn send(&self, bodies: Vec<Bytes>, delay_seconds: u32) -> Result<(), Error> {
        self.note(Call::QueueSend, bodies.iter().map(Bytes::len).sum());
        self.inner.send(bodies, delay_seconds).await
    }

    async fn receive(&self, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error> {
        let answer = self.inner.receive(limit, hide_seconds).await;
        self.note(Call::QueueReceive, answer.iter().flatten().map(|message| message.body.len()).sum());
        answer
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        self.note(Call::QueueDelete, 0);
        self.inner.delete(receipts).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<Bytes>, Error> {
        self.note(Call::QueueDead, 0);
        self.inner.dead_letters(limit).await
    }
}
