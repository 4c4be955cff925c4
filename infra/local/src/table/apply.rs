//! One transaction of the table: conditions against what is stored, effects, and the changes they leave.

use redb::{ReadableTable, WriteTransaction};
use tidemill_ports::{Effect, Error, Write};

use super::feed::Appender;
use super::{ITEMS, rows};

/// A running transaction.
pub(super) struct Apply<'t> {
    items: redb::Table<'t, &'static [u8], &'static [u8]>,
    feed: Option<Appender<'t>>,
    /// Whether an item was written or removed.
    wrote: bool,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'t> Apply<'t> {
    pub(super) fn begin(transaction: &'t WriteTransaction, shards: u16) -> Result<Apply<'t>, redb::Error> {
        let feed = if shards == 0 { None } else { Some(Appender::begin(transaction, shards)?) };
        let items = transaction.open_table(ITEMS)?;
        Ok(Apply { items, feed, wrote: false, key: Vec::new(), value: Vec::new() })
    }

    /// All of a group or nothing of it.
    pub(super) fn group(&mut self, group: &[Write]) -> Result<Result<(), Error>, redb::StorageError> {
        for write in group {
            if let Err(conflict) = self.check(write)? {
                return Ok(Err(conflict));
            }
        }
        for write in group {
            self.effect(write)?;
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
            answers[at] = match self.check(&writes[at])? {
                Ok(()) => {
                    self.effect(&writes[at])?;
                    Ok(())
                }
                Err(conflict) => Err(conflict),
            };
        }
        Ok(answers)
    }

    /// Ends the transaction's work: whether anything was written, and whether the feed has changes.
    pub(super) fn end(self) -> Result<(bool, bool), redb::StorageError> {
        let fed = match self.feed {
            Some(feed) => feed.end()?,
            None => false,
        };
        Ok((self.wrote, fed))
    }

    fn check(&mut self, write: &Write) -> Result<Result<(), Error>, redb::StorageError> {
        if write.condition == tidemill_ports::Condition::None {
            return Ok(Ok(()));
        }
        rows::write_key(&mut self.key, &write.key.partition, &write.key.sort);
        let stored = self.items.get(self.key.as_slice())?;
        let rank = stored.as_ref().and_then(|value| rows::split(value.value())).map(|(rank, _)| rank);
        if write.condition.holds(rank) {
            return Ok(Ok(()));
        }
        let found = rank.map_or_else(|| "no item".to_owned(), |rank| format!("an item of rank {rank}"));
        Ok(Err(Error::Conflict(format!("expected {:?}, found {found}", write.condition))))
    }

    fn effect(&mut self, write: &Write) -> Result<(), redb::StorageError> {
        rows::write_key(&mut self.key, &write.key.partition, &write.key.sort);
        match &write.effect {
            Effect::Check => {}
            Effect::Put(item) => {
                rows::write_item(&mut self.value, item);
                let stored = self.items.get(self.key.as_slice())?;
                let old = stored.as_ref().map(|value| value.value());
                if old == Some(self.value.as_slice()) {
                    return Ok(());
                }
                if let Some(feed) = &mut self.feed {
                    feed.add(&write.key, old, Some(&self.value))?;
                }
                drop(stored);
                self.items.insert(self.key.as_slice(), self.value.as_slice())?;
                self.wrote = true;
            }
            Effect::Delete => {
                let Some(old) = self.items.remove(self.key.as_slice())? else { return Ok(()) };
                if let Some(feed) = &mut self.feed {
                    feed.add(&write.key, Some(old.value()), None)?;
                }
                self.wrote = true;
            }
        }
        Ok(())
    }
}
