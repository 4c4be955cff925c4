//! `LocalQueue`: [`Queue`] in redb. Every call that changes something is flushed before it answers.
//!
//! A message lies under its number, and a second table orders the numbers by when they become visible. A receipt is
//! number and delivery count, so a later delivery supersedes it. Deliveries are counted before the handler sees the
//! message: one that kills the process still ends in the dead letters.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use tidemill_ports::{Clock, DELIVERIES_MAX, Error, Message, QUEUE_BATCH_MAX, Queue, limits};
use tidemill_schemas::time::Timestamp;
use tokio::sync::watch;

use crate::file::{self, Changed};

const MESSAGES: TableDefinition<u64, &[u8]> = TableDefinition::new("queue_messages");
/// (visible from, in microseconds; message number).
const VISIBLE: TableDefinition<(i64, u64), ()> = TableDefinition::new("queue_visible");
const DEAD: TableDefinition<u64, &[u8]> = TableDefinition::new("queue_dead");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("queue_counters");

/// A kept message, as postcard.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    visible_micros: i64,
    deliveries: u32,
    #[serde(borrow)]
    body: &'a [u8],
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that wait, are delayed or are being worked on.
    pub messages: u64,
    /// Messages that were delivered too often or parked.
    pub dead_letters: u64,
}

/// A queue in a file.
pub struct LocalQueue {
    file: Arc<Database>,
    clock: Arc<dyn Clock>,
    bell: watch::Sender<u64>,
}

impl LocalQueue {
    /// The queue in a database shared with others.
    pub fn on(file: Arc<Database>, clock: Arc<dyn Clock>) -> Result<LocalQueue, Error> {
        file::change(&file, |transaction| {
            transaction.open_table(MESSAGES)?;
            transaction.open_table(VISIBLE)?;
            transaction.open_table(DEAD)?;
            transaction.open_table(COUNTERS)?;
            Ok(Changed::Yes(()))
        })?;
        Ok(LocalQueue { file, clock, bell: watch::channel(0).0 })
    }

    /// Counts up whenever a message was sent or comes back early.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// How much it holds.
    pub fn depth(&self) -> Result<QueueDepth, Error> {
        file::read(&self.file, |transaction| {
            let messages = transaction.open_table(MESSAGES)?.len()?;
            let dead_letters = transaction.open_table(DEAD)?.len()?;
            Ok(QueueDepth { messages, dead_letters })
        })
    }

    /// When the next message becomes, or became, visible.
    pub fn next_visible(&self) -> Result<Option<Timestamp>, Error> {
        file::read(&self.file, |transaction| {
            let visible = transaction.open_table(VISIBLE)?;
            let first = visible.first()?;
            Ok(first.map(|(key, _)| Timestamp::from_micros(key.value().0)))
        })
    }

    /// Makes a delivered message visible again after `delay_seconds`, unless the receipt was superseded.
    pub async fn release(&self, receipt: &str, delay_seconds: u32) -> Result<(), Error> {
        let Some((number, delivery)) = read_receipt(receipt) else { return Ok(()) };
        let visible = self.clock.now().plus_seconds(i64::from(delay_seconds)).micros();
        file::change_off_thread(&self.file, move |transaction| {
            let mut messages = transaction.open_table(MESSAGES)?;
            let Some(stored) = delivered(&messages, number, delivery)? else { return Ok(Changed::No(())) };
            show(transaction, &mut messages, number, &stored, visible, delivery)?;
            Ok(Changed::Yes(()))
        })
        .await?;
        self.ring();
        Ok(())
    }

    /// Moves a delivered message to the dead letters, unless the receipt was superseded.
    pub async fn park(&self, receipt: &str) -> Result<(), Error> {
        let Some((number, delivery)) = read_receipt(receipt) else { return Ok(()) };
        file::change_off_thread(&self.file, move |transaction| {
            let mut messages = transaction.open_table(MESSAGES)?;
            let Some(stored) = delivered(&messages, number, delivery)? else { return Ok(Changed::No(())) };
            bury(transaction, &mut messages, number, &stored)?;
            Ok(Changed::Yes(()))
        })
        .await
    }

    /// Makes every message visible that a process which is gone was working on. For whoever holds the project alone.
    pub(crate) fn release_all(&self) -> Result<(), Error> {
        let now = self.clock.now().micros();
        file::change(&self.file, |transaction| {
            let mut messages = transaction.open_table(MESSAGES)?;
            let mut leased = Vec::new();
            for row in messages.iter()? {
                let (number, stored) = row?;
                if let Some(kept) = kept(stored.value())
                    && kept.deliveries > 0
                    && kept.visible_micros > now
                {
                    leased.push((number.value(), kept.deliveries, stored.value().to_vec()));
                }
            }
            for (number, deliveries, stored) in &leased {
                show(transaction, &mut messages, *number, stored, now, *deliveries)?;
            }
            Ok(if leased.is_empty() { Changed::No(()) } else { Changed::Yes(()) })
        })
    }

    fn ring(&self) {
        self.bell.send_modify(|count| *count += 1);
    }
}

type Messages<'t> = redb::Table<'t, u64, &'static [u8]>;

fn kept(stored: &[u8]) -> Option<Kept<'_>> {
    postcard::from_bytes(stored).ok()
}

fn encode(kept: &Kept<'_>) -> Vec<u8> {
    postcard::to_stdvec(kept).expect("a message is plain")
}

fn receipt(number: u64, delivery: u32) -> String {
    format!("{number}-{delivery}")
}

fn read_receipt(receipt: &str) -> Option<(u64, u32)> {
    let (number, delivery) = receipt.split_once('-')?;
    // Delivery 0 never happened.
    let delivery = delivery.parse().ok().filter(|delivery| *delivery > 0)?;
    Some((number.parse().ok()?, delivery))
}

/// The stored message, when this was its last delivery.
fn delivered(messages: &Messages<'_>, number: u64, delivery: u32) -> Result<Option<Vec<u8>>, redb::Error> {
    let stored = messages.get(number)?.map(|stored| stored.value().to_vec());
    Ok(stored.filter(|stored| kept(stored).is_some_and(|kept| kept.deliveries == delivery)))
}

/// Stores a message again with another time and count.
fn show(
    transaction: &WriteTransaction,
    messages: &mut Messages<'_>,
    number: u64,
    stored: &[u8],
    visible_micros: i64,
    deliveries: u32,
) -> Result<(), redb::Error> {
    let Some(held) = kept(stored) else { return Ok(()) };
    let mut visible = transaction.open_table(VISIBLE)?;
    visible.remove((held.visible_micros, number))?;
    visible.insert((visible_micros, number), ())?;
    messages.insert(number, encode(&Kept { visible_micros, deliveries, body: held.body }).as_slice())?;
    Ok(())
}

/// Takes a message away.
fn remove(
    transaction: &WriteTransaction,
    messages: &mut Messages<'_>,
    number: u64,
    stored: &[u8],
) -> Result<(), redb::Error> {
    if let Some(held) = kept(stored) {
        transaction.open_table(VISIBLE)?.remove((held.visible_micros, number))?;
    }
    messages.remove(number)?;
    Ok(())
}

/// Moves a message behind the dead letters there are.
fn bury(
    transaction: &WriteTransaction,
    messages: &mut Messages<'_>,
    number: u64,
    stored: &[u8],
) -> Result<(), redb::Error> {
    remove(transaction, messages, number, stored)?;
    let mut dead = transaction.open_table(DEAD)?;
    let next = dead.last()?.map_or(0, |(last, _)| last.value() + 1);
    dead.insert(next, kept(stored).map_or(stored, |kept| kept.body))?;
    Ok(())
}

/// One receive: who is visible, oldest first; counted and hidden, or buried.
fn take(
    transaction: &WriteTransaction,
    limit: usize,
    now_micros: i64,
    hidden_until_micros: i64,
) -> Result<Changed<Vec<Message>>, redb::Error> {
    let mut messages = transaction.open_table(MESSAGES)?;
    let mut taken = Vec::new();
    let mut buried = false;
    while taken.len() < limit {
        let first = transaction.open_table(VISIBLE)?.first()?.map(|(key, _)| key.value());
        let Some((visible, number)) = first.filter(|(visible, _)| *visible <= now_micros) else { break };
        let stored = messages.get(number)?.map(|stored| stored.value().to_vec());
        let Some((stored, deliveries)) =
            stored.and_then(|stored| kept(&stored).map(|kept| kept.deliveries).map(|count| (stored, count)))
        else {
            // An entry without a readable message is what a damaged file leaves; it must not stop the queue.
            transaction.open_table(VISIBLE)?.remove((visible, number))?;
            buried = true;
            continue;
        };
        if deliveries >= DELIVERIES_MAX {
            bury(transaction, &mut messages, number, &stored)?;
            buried = true;
            continue;
        }
        // Hidden for no time at all would be taken again by this very loop.
        let until = hidden_until_micros.max(now_micros + 1);
        show(transaction, &mut messages, number, &stored, until, deliveries + 1)?;
        let body = kept(&stored).map(|kept| Bytes::copy_from_slice(kept.body)).unwrap_or_default();
        taken.push(Message { body, receipt: receipt(number, deliveries + 1), deliveries: deliveries + 1 });
    }
    Ok(if taken.is_empty() && !buried { Changed::No(taken) } else { Changed::Yes(taken) })
}

#[async_trait]
impl Queue for LocalQueue {
    async fn send(&self, bodies: Vec<Bytes>, delay_seconds: u32) -> Result<(), Error> {
        limits::messages(&bodies, delay_seconds)?;
        let visible_micros = self.clock.now().plus_seconds(i64::from(delay_seconds)).micros();
        file::change_off_thread(&self.file, move |transaction| {
            let mut messages = transaction.open_table(MESSAGES)?;
            let mut visible = transaction.open_table(VISIBLE)?;
            let mut counters = transaction.open_table(COUNTERS)?;
            let mut number = counters.get("sent")?.map_or(0, |sent| sent.value());
            for body in &bodies {
                number += 1;
                messages.insert(number, encode(&Kept { visible_micros, deliveries: 0, body }).as_slice())?;
                visible.insert((visible_micros, number), ())?;
            }
            counters.insert("sent", number)?;
            Ok(Changed::Yes(()))
        })
        .await?;
        self.ring();
        Ok(())
    }

    async fn receive(&self, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error> {
        let limit = limit.min(QUEUE_BATCH_MAX);
        let now = self.clock.now();
        if self.next_visible()?.is_none_or(|visible| visible > now) {
            return Ok(Vec::new());
        }
        let until = now.plus_seconds(i64::from(hide_seconds)).micros();
        file::change_off_thread(&self.file, move |transaction| take(transaction, limit, now.micros(), until)).await
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        file::change_off_thread(&self.file, move |transaction| {
            let mut messages = transaction.open_table(MESSAGES)?;
            let mut removed = false;
            for (number, delivery) in receipts.iter().filter_map(|receipt| read_receipt(receipt)) {
                if let Some(stored) = delivered(&messages, number, delivery)? {
                    remove(transaction, &mut messages, number, &stored)?;
                    removed = true;
                }
            }
            Ok(if removed { Changed::Yes(()) } else { Changed::No(()) })
        })
        .await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<Bytes>, Error> {
        file::read(&self.file, |transaction| {
            let dead = transaction.open_table(DEAD)?;
            let mut bodies = Vec::new();
            for row in dead.iter()?.take(limit) {
                bodies.push(Bytes::copy_from_slice(row?.1.value()));
            }
            Ok(bodies)
        })
    }
}
