//! `LocalSchedule`: [`Schedule`] in redb; the runner asks it what is due.
//!
//! A firing is due until it is [`LocalSchedule::done`], so it happens at least once. After a time in which nothing
//! ran, a rate fires once, for the latest of the times it missed.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use tidemill_ports::{Clock, Entry, Error, Schedule, When};
use tidemill_schemas::time::Timestamp;
use tokio::sync::watch;

use crate::file::{self, Changed, damaged};

const SCHEDULES: TableDefinition<&str, &[u8]> = TableDefinition::new("schedules");

/// A kept entry, as postcard.
#[derive(Serialize, Deserialize)]
struct Kept {
    when: When,
    payload: Vec<u8>,
    anchor: Timestamp,
    fired: Option<Timestamp>,
}

/// A schedule in a file.
pub struct LocalSchedule {
    file: Arc<Database>,
    clock: Arc<dyn Clock>,
    bell: watch::Sender<u64>,
}

impl LocalSchedule {
    /// The schedule in a database shared with others.
    pub fn on(file: Arc<Database>, clock: Arc<dyn Clock>) -> Result<LocalSchedule, Error> {
        file::change(&file, |transaction| {
            transaction.open_table(SCHEDULES)?;
            Ok(Changed::Yes(()))
        })?;
        Ok(LocalSchedule { file, clock, bell: watch::channel(0).0 })
    }

    /// Counts up whenever an entry was put.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// What is due at `now` with the time it was scheduled for, by time and name.
    pub fn due(&self, now: Timestamp) -> Result<Vec<(Entry, Timestamp)>, Error> {
        let mut due: Vec<(Entry, Timestamp)> = Vec::new();
        for (name, kept) in self.all()? {
            if let Some(scheduled) = kept.when.due(kept.anchor, kept.fired, now) {
                due.push((Entry { name, when: kept.when, payload: kept.payload.into() }, scheduled));
            }
        }
        due.sort_by(|(left, at), (right, other)| (at, &left.name).cmp(&(other, &right.name)));
        Ok(due)
    }

    /// The next time anything fires, which may have passed; entries named in `except` are left out.
    pub fn next_except(&self, except: &BTreeSet<&str>) -> Result<Option<Timestamp>, Error> {
        let all = self.all()?.into_iter().filter(|(name, _)| !except.contains(name.as_str()));
        Ok(all.filter_map(|(_, kept)| kept.when.next(kept.anchor, kept.fired)).min())
    }

    /// Notes that the firing of `scheduled` happened. An entry that was replaced meanwhile is left alone.
    pub async fn done(&self, name: &str, scheduled: Timestamp) -> Result<(), Error> {
        let name = name.to_owned();
        file::change_off_thread(&self.file, move |transaction| {
            let mut schedules = transaction.open_table(SCHEDULES)?;
            let stored = schedules.get(name.as_str())?.and_then(|stored| kept(stored.value()));
            let Some(mut held) = stored else { return Ok(Changed::No(())) };
            // Whether the entry as it is now could have fired for that time.
            if held.when.due(held.anchor, held.fired, scheduled) != Some(scheduled) {
                return Ok(Changed::No(()));
            }
            match held.when {
                When::At(_) => {
                    schedules.remove(name.as_str())?;
                }
                When::EveryMinutes(_) => {
                    held.fired = Some(scheduled);
                    schedules.insert(name.as_str(), encode(&held).as_slice())?;
                }
            }
            Ok(Changed::Yes(()))
        })
        .await
    }

    fn all(&self) -> Result<Vec<(String, Kept)>, Error> {
        let rows = file::read(&self.file, |transaction| {
            let mut rows = Vec::new();
            for row in transaction.open_table(SCHEDULES)?.iter()? {
                let (name, stored) = row?;
                rows.push((name.value().to_owned(), kept(stored.value())));
            }
            Ok(rows)
        })?;
        rows.into_iter().map(|(name, kept)| Ok((name, kept.ok_or_else(|| damaged("a schedule"))?))).collect()
    }
}

fn kept(stored: &[u8]) -> Option<Kept> {
    postcard::from_bytes(stored).ok()
}

fn encode(kept: &Kept) -> Vec<u8> {
    postcard::to_stdvec(kept).expect("a schedule is plain")
}

#[async_trait]
impl Schedule for LocalSchedule {
    async fn put(&self, entry: Entry) -> Result<(), Error> {
        entry.when.check()?;
        let now = self.clock.now();
        file::change_off_thread(&self.file, move |transaction| {
            let mut schedules = transaction.open_table(SCHEDULES)?;
            let held = schedules.get(entry.name.as_str())?.and_then(|stored| kept(stored.value()));
            let mut next = Kept { when: entry.when, payload: entry.payload.to_vec(), anchor: now, fired: None };
            if let Some(held) = held.filter(|held| held.when == entry.when) {
                if held.payload == next.payload {
                    return Ok(Changed::No(()));
                }
                (next.anchor, next.fired) = (held.anchor, held.fired);
            }
            schedules.insert(entry.name.as_str(), encode(&next).as_slice())?;
            Ok(Changed::Yes(()))
        })
        .await?;
        self.bell.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        file::change_off_thread(&self.file, move |transaction| {
            let removed = transaction.open_table(SCHEDULES)?.remove(name.as_str())?.is_some();
            Ok(if removed { Changed::Yes(()) } else { Changed::No(()) })
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Entry>, Error> {
        let entry = |(name, kept): (String, Kept)| Entry { name, when: kept.when, payload: Bytes::from(kept.payload) };
        Ok(self.all()?.into_iter().map(entry).collect())
    }
}
