//! The change feed in the file: segments of consecutive changes, so that appending, reading and trimming touch few rows.
//!
//! A segment is keyed by (shard, first position); its changes have the positions first, first + 1, … A change is
//! both halves of the key, then the old and the new value, each behind its length. The last position of each shard is
//! kept apart, because a trimmed feed is empty but must never give a position twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use tidemill_ports::Change;
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use super::rows;

const SEGMENTS: TableDefinition<(u16, u64), &[u8]> = TableDefinition::new("feed");
const HEADS: TableDefinition<u16, u64> = TableDefinition::new("feed_heads");

/// Bytes of a segment before the next one is begun. Just below a power of two, which is what redb allocates.
const SEGMENT_BYTES_MAX: usize = 60 * 1024;
/// Bytes one read of the feed returns at most, so that a limit in changes never fills the memory.
const CHANGES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes a change takes beside its segment's: itself, and its key, which is a copy.
const CHANGE_BYTES: usize = 256;
/// Marks an image that is not there.
const NO_IMAGE: u32 = u32::MAX;

/// A shard's name.
pub(super) fn shard_name(shard: u16) -> ShardId {
    format!("shard-{shard:04}")
}

/// The shard of a name; `None` when it is another table's.
pub(super) fn shard_of(name: &str, shards: u16) -> Option<u16> {
    let shard = name.strip_prefix("shard-")?.parse().ok()?;
    (shard < shards && shard_name(shard) == name).then_some(shard)
}

/// Makes the feed's tables, so that reading an untouched feed finds them.
pub(super) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(SEGMENTS)?;
    transaction.open_table(HEADS)?;
    Ok(())
}

/// Collects the changes of one transaction.
pub(super) struct Appender<'t> {
    segments: redb::Table<'t, (u16, u64), &'static [u8]>,
    heads: redb::Table<'t, u16, u64>,
    shards: u16,
    open: BTreeMap<u16, Segment>,
}

#[derive(Default)]
struct Segment {
    /// Position of the segment's first change.
    first: u64,
    /// Position of the next change.
    next: u64,
    bytes: Vec<u8>,
}

impl<'t> Appender<'t> {
    pub(super) fn begin(transaction: &'t WriteTransaction, shards: u16) -> Result<Appender<'t>, TableError> {
        Ok(Appender {
            segments: transaction.open_table(SEGMENTS)?,
            heads: transaction.open_table(HEADS)?,
            shards,
            open: BTreeMap::new(),
        })
    }

    /// The last positions of all shards before the transaction.
    pub(super) fn heads(&self) -> Result<Vec<u64>, redb::StorageError> {
        (0..self.shards).map(|shard| Ok(self.heads.get(shard)?.map_or(0, |head| head.value()))).collect()
    }

    /// Adds a change; values are as [`rows`] writes them.
    pub(super) fn add(&mut self, key: &Key, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<(), redb::StorageError> {
        let shard = (xxhash_rust::xxh3::xxh3_64(&key.partition) % u64::from(self.shards)) as u16;
        let segment = match self.open.entry(shard) {
            std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let next = self.heads.get(shard)?.map_or(0, |head| head.value()) + 1;
                place.insert(Segment { first: next, next, bytes: Vec::new() })
            }
        };
        let bytes = change_bytes(key, old, new);
        if !segment.bytes.is_empty() && segment.bytes.len() + bytes > SEGMENT_BYTES_MAX {
            self.segments.insert((shard, segment.first), segment.bytes.as_slice())?;
            segment.bytes.clear();
            segment.first = segment.next;
        }
        write_part(&mut segment.bytes, Some(&key.partition));
        write_part(&mut segment.bytes, Some(&key.sort));
        write_part(&mut segment.bytes, old);
        write_part(&mut segment.bytes, new);
        segment.next += 1;
        Ok(())
    }

    /// Writes what is left; whether there was any change.
    pub(super) fn end(mut self) -> Result<bool, redb::StorageError> {
        for (shard, segment) in &self.open {
            self.segments.insert((*shard, segment.first), segment.bytes.as_slice())?;
            self.heads.insert(*shard, segment.next - 1)?;
        }
        Ok(!self.open.is_empty())
    }
}

fn change_bytes(key: &Key, old: Option<&[u8]>, new: Option<&[u8]>) -> usize {
    16 + key.partition.len() + key.sort.len() + old.map_or(0, <[u8]>::len) + new.map_or(0, <[u8]>::len)
}

fn write_part(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        // Parts are items and keys: far below 4 GiB.
        Some(part) => {
            out.extend_from_slice(&(part.len() as u32).to_be_bytes());
            out.extend_from_slice(part);
        }
        None => out.extend_from_slice(&NO_IMAGE.to_be_bytes()),
    }
}

/// Takes the next part off a segment: `None` when it is cut short, `Some(None)` when the part is marked absent.
fn take_part(segment: &mut Bytes) -> Option<Option<Bytes>> {
    let length = u32::from_be_bytes(*segment.first_chunk::<4>()?);
    let _ = segment.split_to(4);
    if length == NO_IMAGE {
        return Some(None);
    }
    let length = length as usize;
    (length <= segment.len()).then(|| Some(segment.split_to(length)))
}

fn take_change(segment: &mut Bytes, position: u64) -> Option<Change> {
    let key = Key { partition: take_part(segment)??.to_vec(), sort: take_part(segment)??.to_vec() };
    let image = |part: Option<Bytes>| match part {
        None => Some(None),
        Some(value) => rows::shared_item(value).map(Some),
    };
    let old = image(take_part(segment)?)?;
    let new = image(take_part(segment)?)?;
    Some(Change { position: Position(u128::from(position)), key, old, new })
}

/// Steps over a change without reading it.
fn skip_change(segment: &mut Bytes) -> Option<()> {
    for _ in 0..4 {
        take_part(segment)?;
    }
    Some(())
}

/// The last position of a shard; 0 before the first.
pub(super) fn head(transaction: &ReadTransaction, shard: u16) -> Result<u64, redb::Error> {
    Ok(transaction.open_table(HEADS)?.get(shard)?.map_or(0, |head| head.value()))
}

/// Changes behind `after`, at most `limit`; `None` when a segment cannot be read.
pub(super) fn read(
    transaction: &ReadTransaction,
    shard: u16,
    after: u64,
    limit: usize,
) -> Result<Option<Vec<Change>>, redb::Error> {
    let table = transaction.open_table(SEGMENTS)?;
    let Some(wanted) = after.checked_add(1) else { return Ok(Some(Vec::new())) };
    // The segment that holds the first wanted change begins at or before it.
    let begin = match table.range((shard, 0)..=(shard, wanted))?.next_back() {
        Some(row) => row?.0.value().1,
        None => wanted,
    };
    let mut changes = Vec::new();
    let mut bytes = 0;
    for row in table.range((shard, begin)..=(shard, u64::MAX))? {
        let (key, value) = row?;
        let mut segment = Bytes::copy_from_slice(value.value());
        bytes += segment.len();
        let before = changes.len();
        let mut position = key.value().1;
        while !segment.is_empty() {
            if changes.len() == limit {
                return Ok(Some(changes));
            }
            if position < wanted {
                if skip_change(&mut segment).is_none() {
                    return Ok(None);
                }
            } else {
                match take_change(&mut segment, position) {
                    Some(change) => changes.push(change),
                    None => return Ok(None),
                }
            }
            position += 1;
        }
        bytes += (changes.len() - before) * CHANGE_BYTES;
        if changes.len() == limit || bytes >= CHANGES_BYTES_MAX {
            break;
        }
    }
    Ok(Some(changes))
}

/// Removes the segments of which every change is at or before `through`; how many.
pub(super) fn trim(transaction: &WriteTransaction, shard: u16, through: u64) -> Result<usize, redb::Error> {
    let mut table = transaction.open_table(SEGMENTS)?;
    let head = transaction.open_table(HEADS)?.get(shard)?.map_or(0, |head| head.value());
    let mut firsts: Vec<u64> = Vec::new();
    for row in table.range((shard, 0)..=(shard, through))? {
        firsts.push(row?.0.value().1);
    }
    // The last of them ends where the next one begins, or at the head.
    let next = match table.range((shard, through.saturating_add(1))..=(shard, u64::MAX))?.next() {
        Some(row) => row?.0.value().1,
        None => head.saturating_add(1),
    };
    if next > through.saturating_add(1) {
        firsts.pop();
    }
    for first in &firsts {
        table.remove((shard, *first))?;
    }
    Ok(firsts.len())
}
