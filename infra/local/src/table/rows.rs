//! How items lie in the file: injective keys that keep the order within a partition, values of rank and body.

use std::ops::Bound;

use bytes::Bytes;
use tidemill_ports::{Item, Query};
use tidemill_schemas::keys::Key;

/// Bytes of the rank in front of a body.
const RANK_BYTES: usize = 8;

/// Writes the key of an item: the partition's length, the partition, the sort key. A prefix of all keys of a
/// partition when the sort key is empty.
pub(super) fn write_key(out: &mut Vec<u8>, partition: &[u8], sort: &[u8]) {
    out.clear();
    // Partitions are checked to be at most 2048 bytes.
    out.extend_from_slice(&(partition.len() as u16).to_be_bytes());
    out.extend_from_slice(partition);
    out.extend_from_slice(sort);
}

/// A key on its own.
pub(super) fn key(partition: &[u8], sort: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + partition.len() + sort.len());
    write_key(&mut out, partition, sort);
    out
}

/// The order [`write_key`] gives, without writing.
pub(super) fn order(key: &Key) -> (usize, &[u8], &[u8]) {
    (key.partition.len(), &key.partition, &key.sort)
}

/// The value of an item.
pub(super) fn value(item: &Item) -> Bytes {
    let mut out = Vec::with_capacity(RANK_BYTES + item.body.len());
    out.extend_from_slice(&item.rank.to_be_bytes());
    out.extend_from_slice(&item.body);
    Bytes::from(out)
}

/// The rank and the body of a value; `None` when it is no value.
pub(super) fn split(value: &[u8]) -> Option<(u64, &[u8])> {
    let (rank, body) = value.split_first_chunk::<RANK_BYTES>()?;
    Some((u64::from_be_bytes(*rank), body))
}

/// The item of a value that may share the buffer.
pub(super) fn shared_item(value: Bytes) -> Option<Item> {
    let (rank, _) = split(&value)?;
    Some(Item { rank, body: value.slice(RANK_BYTES..) })
}

/// Where reading begins and ends.
pub(super) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The file's keys a query reads; `None` when it can hold nothing.
pub(super) fn bounds(query: &Query) -> Option<Bounds> {
    let at = |sort: &[u8]| key(&query.partition, sort);
    let mut from = Bound::Included(at(query.from.as_deref().unwrap_or_default()));
    let mut to = match &query.to {
        Some(to) => Bound::Excluded(at(to)),
        None => Bound::Excluded(behind(at(&[]))),
    };
    if let Some(after) = query.after.as_deref() {
        let (after, edge) = (at(after), if query.backwards { &mut to } else { &mut from });
        let nearer = match edge {
            Bound::Included(held) | Bound::Excluded(held) if query.backwards => after < *held,
            Bound::Included(held) | Bound::Excluded(held) => after >= *held,
            Bound::Unbounded => true,
        };
        if nearer {
            *edge = Bound::Excluded(after);
        }
    }
    let (Bound::Included(first) | Bound::Excluded(first), Bound::Excluded(end)) = (&from, &to) else { return None };
    (first < end).then_some((from, to))
}

/// The first key behind every key with this prefix. A prefix begins with a length of at most 2048, so one of its
/// bytes can always be counted up.
fn behind(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            break;
        }
    }
    prefix
}

#[cfg(test)]
mod tests;
