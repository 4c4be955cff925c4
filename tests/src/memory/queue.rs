//! A queue of a vector.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_ports::{Clock, DELIVERIES_MAX, Error, Message, QUEUE_BATCH_MAX, Queue, limits};
use tidemill_schemas::time::Timestamp;

use super::held;

/// A queue.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sent: u64,
    waiting: Vec<Waiting>,
    dead: Vec<Bytes>,
}

struct Waiting {
    number: u64,
    visible: Timestamp,
    deliveries: u32,
    body: Bytes,
}

impl Waiting {
    fn receipt(&self) -> String {
        format!("{}/{}", self.number, self.deliveries)
    }
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new(clock: Arc<dyn Clock>) -> MemoryQueue {
        MemoryQueue { clock, inner: Mutex::default() }
    }

    /// Messages that wait, are delayed or are being worked on.
    pub fn len(&self) -> usize {
        held(&self.inner).waiting.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all dead letters, oldest first.
    pub fn take_dead_letters(&self) -> Vec<Bytes> {
        std::mem::take(&mut held(&self.inner).dead)
    }

    /// When the next message becomes, or became, visible.
    pub fn next_visible(&self) -> Option<Timestamp> {
        held(&self.inner).waiting.iter().map(|waiting| waiting.visible).min()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, bodies: Vec<Bytes>, delay_seconds: u32) -> Result<(), Error> {
        limits::messages(&bodies, delay_seconds)?;
        let visible = self.clock.now().plus_seconds(i64::from(delay_seconds));
        let mut inner = held(&self.inner);
        for body in bodies {
            inner.sent += 1;
            let number = inner.sent;
            inner.waiting.push(Waiting { number, visible, deliveries: 0, body });
        }
        Ok(())
    }

    async fn receive(&self, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error> {
        let now = self.clock.now();
        let mut inner = held(&self.inner);
        let Inner { waiting, dead, .. } = &mut *inner;
        waiting.sort_by_key(|waiting| (waiting.visible, waiting.number));
        for buried in waiting.extract_if(.., |waiting| waiting.visible <= now && waiting.deliveries >= DELIVERIES_MAX) {
            dead.push(buried.body);
        }
        let mut taken = Vec::new();
        for message in waiting.iter_mut().filter(|waiting| waiting.visible <= now).take(limit.min(QUEUE_BATCH_MAX)) {
            message.deliveries += 1;
            message.visible = now.plus_seconds(i64::from(hide_seconds));
            let (body, receipt) = (message.body.clone(), message.receipt());
            taken.push(Message { body, receipt, deliveries: message.deliveries });
        }
        Ok(taken)
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        held(&self.inner).waiting.retain(|waiting| waiting.deliveries == 0 || !receipts.contains(&waiting.receipt()));
        Ok(())
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<Bytes>, Error> {
        Ok(held(&self.inner).dead.iter().take(limit).cloned().collect())
    }
}
