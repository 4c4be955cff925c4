//! One transaction of the table: conditions against what is stored, effects, and the changes they leave.
//!
//! A table with a feed writes changes there alone; its tree gets them with a later sweep ([`super::recent`]). One
//! without writes its tree.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{ReadableTable, WriteTransaction};
use tidemill_ports::{Condition, Effect, Error, Write};
use tidemill_schemas::keys::Key;

use super::feed::Appender;
use super::recent::{Recent, Row};
use super::{ITEMS, rows};

/// A running transaction.
pub(super) struct Apply<'t> {
    items: redb::Table<'t, &'static [u8], &'static [u8]>,
    feed: Option<Appender<'t>>,
    recent: &'t Recent,
    /// What this transaction writes and only the feed gets.
    fresh: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// Whether the tree was written.
    wrote: bool,
    key: Vec<u8>,
    /// The last item that was only checked, and its rank: many groups check the same one.
    checked: Option<(Key, Option<u64>)>,
}

/// What a transaction's work came to.
pub(super) struct Applied {
    /// Whether the file changes.
    pub(super) wrote: bool,
    /// Whether the feed has new changes.
    pub(super) fed: bool,
    /// Rows for the recent items.
    pub(super) fresh: BTreeMap<Vec<u8>, Option<Bytes>>,
}

impl<'t> Apply<'t> {
    pub(super) fn begin(
        transaction: &'t WriteTransaction,
        shards: u16,
        recent: &'t Recent,
    ) -> Result<Apply<'t>, redb::Error> {
        let feed = if shards == 0 { None } else { Some(Appender::begin(transaction, shards)?) };
        let items = transaction.open_table(ITEMS)?;
        let fresh = BTreeMap::new();
        Ok(Apply { items, feed, recent, fresh, wrote: false, key: Vec::new(), checked: None })
    }

    /// All of a group or nothing of it.
    pub(super) fn group(&mut self, group: &[Write]) -> Result<Result<(), Error>, redb::StorageError> {
        // Each key is looked up once, for its condition and for its old image.
        let mut stored = Vec::with_capacity(group.len());
        for write in group {
            match self.look(write)? {
                Ok(found) => stored.push(found),
                Err(conflict) => return Ok(Err(conflict)),
            }
        }
        for (write, stored) in group.iter().zip(stored) {
            self.effect(write, stored)?;
        }
        Ok(Ok(()))
    }

    /// Groups, each on its own, in order of their last keys: what a group checks is mostly the same item.
    pub(super) fn groups(&mut self, groups: &[Vec<Write>]) -> Result<Vec<Result<(), Error>>, redb::StorageError> {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        if groups.iter().all(|group| group.iter().filter(|write| write.effect != Effect::Check).count() <= 1) {
            order.sort_by_key(|&at| groups[at].last().map(|write| rows::order(&write.key)));
        }
        let mut answers = vec![Ok(()); groups.len()];
        for at in order {
            answers[at] = self.group(&groups[at])?;
        }
        Ok(answers)
    }

    /// Each on its own. They are done in order of their keys, which redb is fastest at; writes to one key keep their
    /// order, and no other order can be told apart.
    pub(super) fn each(&mut self, writes: &[Write]) -> Result<Vec<Result<(), Error>>, redb::StorageError> {
        let mut order: Vec<usize> = (0..writes.len()).collect();
        order.sort_by_key(|&at| rows::order(&writes[at].key));
        let mut answers = vec![Ok(()); writes.len()];
        for at in order {
            answers[at] = match self.look(&writes[at])? {
                Ok(stored) => {
                    self.effect(&writes[at], stored)?;
                    Ok(())
                }
                Err(conflict) => Err(conflict),
            };
        }
        Ok(answers)
    }

    /// The feed's last positions before this transaction.
    pub(super) fn heads(&self) -> Result<Vec<u64>, redb::StorageError> {
        self.feed.as_ref().map_or_else(|| Ok(Vec::new()), Appender::heads)
    }

    /// Changes so far.
    pub(super) fn changes(&self) -> usize {
        self.fresh.len()
    }

    /// Brings recent rows into the tree.
    pub(super) fn sweep(&mut self, swept: &[Row]) -> Result<(), redb::StorageError> {
        for (key, value) in swept {
            match value {
                Some(value) => drop(self.items.insert(key.as_slice(), value.as_ref())?),
                None => drop(self.items.remove(key.as_slice())?),
            }
        }
        self.wrote |= !swept.is_empty();
        Ok(())
    }

    /// Ends the transaction's work.
    pub(super) fn end(self) -> Result<Applied, redb::StorageError> {
        let fed = match self.feed {
            Some(feed) => feed.end()?,
            None => false,
        };
        Ok(Applied { wrote: self.wrote || fed, fed, fresh: self.fresh })
    }

    /// The value at `self.key`.
    fn stored(&self) -> Result<Option<Bytes>, redb::StorageError> {
        if let Some(recent) = self.fresh.get(&self.key).or_else(|| self.recent.get(&self.key)) {
            return Ok(recent.clone());
        }
        Ok(self.items.get(self.key.as_slice())?.map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// What is stored where a write goes, if its condition holds.
    fn look(&mut self, write: &Write) -> Result<Result<Option<Bytes>, Error>, redb::StorageError> {
        let only_checked = write.effect == Effect::Check;
        if only_checked
            && let Some((key, rank)) = &self.checked
            && *key == write.key
        {
            return Ok(conflict(write.condition, *rank).map_or(Ok(None), Err));
        }
        if only_checked && write.condition == Condition::None {
            return Ok(Ok(None));
        }
        rows::write_key(&mut self.key, &write.key.partition, &write.key.sort);
        let stored = self.stored()?;
        let rank = stored.as_deref().and_then(rows::split).map(|(rank, _)| rank);
        if only_checked {
            self.checked = Some((write.key.clone(), rank));
        }
        Ok(conflict(write.condition, rank).map_or(Ok(stored), Err))
    }

    fn effect(&mut self, write: &Write, stored: Option<Bytes>) -> Result<(), redb::StorageError> {
        let value = match &write.effect {
            Effect::Check => return Ok(()),
            Effect::Put(item) => Some(rows::value(item)),
            Effect::Delete => None,
        };
        if stored == value {
            return Ok(());
        }
        if self.checked.as_ref().is_some_and(|(key, _)| *key == write.key) {
            self.checked = None;
        }
        rows::write_key(&mut self.key, &write.key.partition, &write.key.sort);
        if let Some(feed) = &mut self.feed {
            feed.add(&write.key, stored.as_deref(), value.as_deref())?;
            self.fresh.insert(self.key.clone(), value);
            return Ok(());
        }
        match value {
            Some(value) => drop(self.items.insert(self.key.as_slice(), value.as_ref())?),
            None => drop(self.items.remove(self.key.as_slice())?),
        }
        self.wrote = true;
        Ok(())
    }
}

/// Why a condition does not hold of what is stored; `None` when it does.
fn conflict(condition: Condition, rank: Option<u64>) -> Option<Error> {
    if condition.holds(rank) {
        return None;
    }
    let found = rank.map_or_else(|| "no item".to_owned(), |rank| format!("an item of rank {rank}"));
    Some(Error::Conflict(format!("expected {condition:?}, found {found}")))
}
