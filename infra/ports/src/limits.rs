//! The limits of tables and queues, checked in one place so that every adapter refuses the same calls.
//!
//! In: what a caller asks for. Out: nothing, or [`Error::Invalid`] that names the limit. Never looks at what is stored.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidemill_schemas::keys::{Key, PARTITION_BYTES_MAX, SORT_BYTES_MAX};

use crate::{
    DELAY_SECONDS_MAX, Effect, Error, GROUP_BYTES_MAX, GROUP_WRITES_MAX, ITEM_BYTES_MAX, Item, MESSAGE_BYTES_MAX,
    QUEUE_BATCH_MAX, Query, Write,
};

/// Bytes an item's rank counts for: what DynamoDB counts for a number of 20 digits and the names of four attributes.
const RANK_BYTES: usize = 16;

/// Bytes an item takes at a key: both halves of the key, the rank and the body.
pub fn item_bytes(partition: &[u8], sort: &[u8], item: &Item) -> usize {
    partition.len() + sort.len() + RANK_BYTES + item.body.len()
}

/// Whether a partition can be named.
pub fn partition(partition: &[u8]) -> Result<(), Error> {
    half("partition key", partition, PARTITION_BYTES_MAX, "PARTITION_BYTES_MAX")
}

/// Whether a key can hold an item.
pub fn key(key: &Key) -> Result<(), Error> {
    partition(&key.partition)?;
    half("sort key", &key.sort, SORT_BYTES_MAX, "SORT_BYTES_MAX")
}

fn half(field: &str, bytes: &[u8], most: usize, limit: &str) -> Result<(), Error> {
    match bytes.len() {
        0 => Err(Error::Invalid(format!("{field} is empty: name something"))),
        found if found > most => {
            Err(Error::Invalid(format!("{field} has {found} bytes, {limit} allows {most}: shorten what it names")))
        }
        _ => Ok(()),
    }
}

/// Whether a query can be asked.
pub fn query(query: &Query) -> Result<(), Error> {
    partition(&query.partition)
}

/// Whether a write can stand in a [`crate::Table::write_each`].
pub fn write_each(write: &Write) -> Result<(), Error> {
    if write.effect == Effect::Check {
        return Err(Error::Invalid("a check stands alone: put it into a group".to_owned()));
    }
    write_bytes(write).map(|_| ())
}

/// Whether a group can be written with [`crate::Table::write`].
pub fn group(group: &[Write]) -> Result<(), Error> {
    if group.len() > GROUP_WRITES_MAX {
        let found = group.len();
        return Err(Error::Invalid(format!(
            "group has {found} writes, GROUP_WRITES_MAX allows {GROUP_WRITES_MAX}: split it"
        )));
    }
    let mut keys = BTreeSet::new();
    let mut bytes = 0;
    for write in group {
        bytes += write_bytes(write)?;
        if !keys.insert(&write.key) {
            return Err(Error::Invalid("group names one key twice: merge the writes".to_owned()));
        }
    }
    if bytes > GROUP_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "group has {bytes} bytes, GROUP_BYTES_MAX allows {GROUP_BYTES_MAX}: split it"
        )));
    }
    Ok(())
}

/// Whether messages can be sent in one call of [`crate::Queue::send`].
pub fn messages(bodies: &[Bytes], delay_seconds: u32) -> Result<(), Error> {
    let found = bodies.len();
    if found > QUEUE_BATCH_MAX {
        return Err(Error::Invalid(format!(
            "{found} messages in one call, QUEUE_BATCH_MAX allows {QUEUE_BATCH_MAX}: send them in several"
        )));
    }
    if let Some(body) = bodies.iter().find(|body| body.len() > MESSAGE_BYTES_MAX) {
        let found = body.len();
        return Err(Error::Invalid(format!(
            "message has {found} bytes, MESSAGE_BYTES_MAX allows {MESSAGE_BYTES_MAX}: send a reference"
        )));
    }
    if delay_seconds > DELAY_SECONDS_MAX {
        return Err(Error::Invalid(format!(
            "delay is {delay_seconds} s, DELAY_SECONDS_MAX allows {DELAY_SECONDS_MAX}: use a schedule"
        )));
    }
    Ok(())
}

fn write_bytes(write: &Write) -> Result<usize, Error> {
    key(&write.key)?;
    let Effect::Put(item) = &write.effect else { return Ok(write.key.partition.len() + write.key.sort.len()) };
    let bytes = item_bytes(&write.key.partition, &write.key.sort, item);
    if bytes > ITEM_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "item has {bytes} bytes with its key, ITEM_BYTES_MAX allows {ITEM_BYTES_MAX}: keep large bodies in blobs"
        )));
    }
    Ok(bytes)
}
