//! A schedule of a map.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tidemill_ports::{Clock, Entry, Error, Schedule, When};
use tidemill_schemas::time::Timestamp;

use super::held;

/// A schedule.
pub struct MemorySchedule {
    clock: Arc<dyn Clock>,
    entries: Mutex<BTreeMap<String, Kept>>,
}

struct Kept {
    entry: Entry,
    anchor: Timestamp,
    fired: Option<Timestamp>,
}

impl MemorySchedule {
    /// An empty schedule.
    pub fn new(clock: Arc<dyn Clock>) -> MemorySchedule {
        MemorySchedule { clock, entries: Mutex::default() }
    }

    /// What is due at `now` with the time it was scheduled for, by time and name.
    pub fn due(&self, now: Timestamp) -> Vec<(Entry, Timestamp)> {
        let entries = held(&self.entries);
        let due = |kept: &Kept| Some((kept.entry.clone(), kept.entry.when.due(kept.anchor, kept.fired, now)?));
        let mut all: Vec<(Entry, Timestamp)> = entries.values().filter_map(due).collect();
        all.sort_by_key(|(entry, time)| (*time, entry.name.clone()));
        all
    }

    /// The next time anything fires, which may have passed.
    pub fn next(&self) -> Option<Timestamp> {
        held(&self.entries).values().filter_map(|kept| kept.entry.when.next(kept.anchor, kept.fired)).min()
    }

    /// Notes that the firing of `scheduled` happened; an entry that was replaced meanwhile is left alone.
    pub fn done(&self, name: &str, scheduled: Timestamp) {
        let mut entries = held(&self.entries);
        let Some(kept) = entries.get_mut(name) else { return };
        if kept.entry.when.due(kept.anchor, kept.fired, scheduled) != Some(scheduled) {
            return;
        }
        kept.fired = Some(scheduled);
        if matches!(kept.entry.when, When::At(_)) {
            entries.remove(name);
        }
    }
}

#[async_trait]
impl Schedule for MemorySchedule {
    async fn put(&self, entry: Entry) -> Result<(), Error> {
        entry.when.check()?;
        let mut entries = held(&self.entries);
        match entries.get_mut(&entry.name) {
            Some(kept) if kept.entry.when == entry.when => kept.entry = entry,
            _ => {
                let kept = Kept { anchor: self.clock.now(), fired: None, entry };
                entries.insert(kept.entry.name.clone(), kept);
            }
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        held(&self.entries).remove(name);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Entry>, Error> {
        Ok(held(&self.entries).values().map(|kept| kept.entry.clone()).collect())
    }
}
