//! Recent items: what was written last, in memory, on its way from the feed into the file's tree.
//!
//! A change is durable once it is in the feed, which is one long write. The tree is where ids lie in order, so that a
//! thousand events mean a thousand places; it gets them later, many at a time and in order: a *sweep* goes through the
//! recent items once, a slice with every transaction. What the tree may lack after a crash is what the feed holds
//! behind the last full sweep, and opening the file reads it back from there.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::rows::Bounds;

/// Bytes of recent items from which on a sweep begins. While it goes on they grow by a third at most.
pub(super) const SWEEP_AT_BYTES: usize = 32 * 1024 * 1024;
/// Items of a slice, at least.
const SLICE_ITEMS_MIN: usize = 1_000;
/// Items of a slice for every change of the transaction it goes with.
const SLICE_ITEMS_EACH: usize = 3;
/// Bytes an entry takes beside its key and value.
const ENTRY_BYTES: usize = 96;

/// A row as it is to be: its value, `None` when it is removed.
pub(super) type Row = (Vec<u8>, Option<Bytes>);

/// The recent items of a table, by row key.
#[derive(Debug, Default)]
pub(super) struct Recent {
    rows: BTreeMap<Vec<u8>, Option<Bytes>>,
    bytes: usize,
}

impl Recent {
    /// What is to stand at a key; `None`: what the tree says.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.rows.get(key)
    }

    /// Bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        let bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        self.bytes += ENTRY_BYTES + key.len() + bytes(&value);
        let key_bytes = key.len();
        if let Some(before) = self.rows.insert(key, value) {
            self.bytes = self.bytes.saturating_sub(ENTRY_BYTES + key_bytes + bytes(&before));
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(value) = self.rows.remove(key) {
            self.bytes = self.bytes.saturating_sub(ENTRY_BYTES + key.len() + value.map_or(0, |value| value.len()));
        }
    }

    /// The rows within bounds, in order.
    pub(super) fn range(&self, bounds: &Bounds) -> Vec<Row> {
        let bounds = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
        self.rows.range::<[u8], _>(bounds).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// At most `most` rows behind a key.
    fn behind(&self, after: Option<&[u8]>, most: usize) -> Vec<Row> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range::<[u8], _>((from, Bound::Unbounded));
        rows.take(most).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// After a commit: what the tree has now is forgotten, what came is kept.
    pub(super) fn settle(&mut self, swept: &[Row], fresh: BTreeMap<Vec<u8>, Option<Bytes>>) {
        swept.iter().for_each(|(key, _)| self.remove(key));
        fresh.into_iter().for_each(|(key, value)| self.put(key, value));
    }
}

/// The lock's guard: it is only ever held for moments in which nothing can fail.
pub(super) fn read(recent: &RwLock<Recent>) -> RwLockReadGuard<'_, Recent> {
    recent.read().unwrap_or_else(PoisonError::into_inner)
}

/// The same for the one who writes.
pub(super) fn write(recent: &RwLock<Recent>) -> RwLockWriteGuard<'_, Recent> {
    recent.write().unwrap_or_else(PoisonError::into_inner)
}

/// How far the sweep under way is.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    /// Per shard the position up to which the tree has everything once the sweep is through; `None`: none is under way.
    through: Option<Vec<u64>>,
    /// The last key swept.
    after: Option<Vec<u8>>,
}

/// The part of a sweep that goes with a transaction.
#[derive(Debug, Default)]
pub(super) struct Slice {
    /// Rows for the tree.
    pub(super) rows: Vec<Row>,
    /// When the sweep ends with it: up to where the tree has everything, per shard.
    pub(super) through: Option<Vec<u64>>,
    /// What the sweep is like afterwards.
    pub(super) next: Sweep,
}

impl Sweep {
    /// The slice that goes with a transaction of so many changes. `heads`: the feed's last positions before it.
    pub(super) fn slice(&self, recent: &Recent, changes: usize, heads: &[u64]) -> Slice {
        if self.through.is_none() && recent.bytes() < SWEEP_AT_BYTES {
            return Slice::default();
        }
        self.up_to(recent, SLICE_ITEMS_MIN.max(changes * SLICE_ITEMS_EACH), heads)
    }

    /// Everything there is, in one.
    pub(super) fn all(recent: &Recent, heads: &[u64]) -> Slice {
        Sweep::default().up_to(recent, usize::MAX, heads)
    }

    fn up_to(&self, recent: &Recent, most: usize, heads: &[u64]) -> Slice {
        let through = self.through.clone().unwrap_or_else(|| heads.to_vec());
        let rows = recent.behind(self.after.as_deref(), most);
        if rows.len() < most {
            return Slice { rows, through: Some(through), next: Sweep::default() };
        }
        let after = rows.last().map(|(key, _)| key.clone());
        Slice { rows, through: None, next: Sweep { through: Some(through), after } }
    }
}

#[cfg(test)]
mod tests;
