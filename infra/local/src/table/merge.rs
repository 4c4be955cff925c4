//! Reading the tree and the recent items as one.
//!
//! The recent items are looked at before the tree is opened, both under the lock that every settling takes: what has
//! left them is in the tree then, and what is in both is the same.

use std::sync::RwLock;

use bytes::Bytes;
use redb::{Database, ReadTransaction, ReadableDatabase};
use tidemill_ports::{Error, Query, SLICE_BYTES_MAX, Slice};

use super::recent::{self, Recent, Row};
use super::{ITEMS, rows, shared};
use crate::file::unavailable;

/// Looks at the recent items, then at the tree as of the same time.
pub(super) fn read_both<R, T>(
    file: &Database,
    recent: &RwLock<Recent>,
    look: impl FnOnce(&Recent) -> R,
    read: impl FnOnce(&ReadTransaction, R) -> Result<T, redb::Error>,
) -> Result<T, Error> {
    let (seen, transaction) = {
        let recent = recent::read(recent);
        (look(&recent), file.begin_read().map_err(unavailable)?)
    };
    read(&transaction, seen).map_err(unavailable)
}

/// A slice of a partition.
pub(super) fn read_slice(file: &Database, recent: &RwLock<Recent>, query: &Query) -> Result<Slice, Error> {
    let Some(bounds) = rows::bounds(query) else { return Ok(Slice::default()) };
    let prefix = 2 + query.partition.len();
    let found = read_both(
        file,
        recent,
        |recent| recent.range(&bounds),
        |transaction, recent| {
            let items = transaction.open_table(ITEMS)?;
            let edges = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
            let mut tree = items.range::<&[u8]>(edges)?;
            let mut in_tree = || {
                let row = if query.backwards { tree.next_back() } else { tree.next() };
                row.map(|row| {
                    row.map(|(key, value)| (key.value().to_vec(), Some(Bytes::copy_from_slice(value.value()))))
                })
                .transpose()
            };
            let mut recent = recent.into_iter();
            let in_recent = || if query.backwards { recent.next_back() } else { recent.next() };
            Ok(merge(&mut in_tree, in_recent, query)?)
        },
    )?;
    let (taken, more) = found;
    let mut slice = Slice::default();
    for (key, value) in taken {
        slice.items.push((key[prefix..].to_vec(), shared(value)?));
    }
    if more {
        slice.next = slice.items.last().map(|(sort, _)| sort.clone());
    }
    Ok(slice)
}

/// Rows as they are stored, and whether there are more.
type Taken = (Vec<(Vec<u8>, Bytes)>, bool);

/// Rows of both in reading order, up to what a slice holds, and whether there are more.
fn merge(
    in_tree: &mut dyn FnMut() -> Result<Option<Row>, redb::StorageError>,
    mut in_recent: impl FnMut() -> Option<Row>,
    query: &Query,
) -> Result<Taken, redb::StorageError> {
    let (mut tree, mut recent) = (in_tree()?, in_recent());
    let (mut taken, mut bytes) = (Vec::new(), 0);
    loop {
        let order = match (&tree, &recent) {
            (None, None) => return Ok((taken, false)),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((tree, _)), Some((recent, _))) if query.backwards => recent.cmp(tree),
            (Some((tree, _)), Some((recent, _))) => tree.cmp(recent),
        };
        let next = if order.is_lt() { tree.take() } else { recent.take() };
        if let Some((key, Some(value))) = next {
            bytes += key.len() + value.len();
            let full = query.limit > 0 && taken.len() == query.limit;
            if full || (bytes > SLICE_BYTES_MAX && !taken.is_empty()) {
                return Ok((taken, true));
            }
            taken.push((key, value));
        }
        // Where both have a row the recent one stands, and the other is passed over.
        if order.is_le() {
            tree = in_tree()?;
        }
        if order.is_ge() {
            recent = in_recent();
        }
    }
}
