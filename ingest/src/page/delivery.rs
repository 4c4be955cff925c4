//! A delivery looked through once: which of its changes concern which day, before any of them is kept in memory.
//!
//! In: changes one by one, in feed order. Out: per tenant, source and UTC day the numbers of the changes that touch it,
//! and what the events hold. A decoded change is a thousand times the size of its number, so a seal looks twice: here,
//! and when the pages of a few days are written.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_schemas::calendar::{Date, utc_date};
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::page::SEAL_DAYS_MAX;

use super::columns::Properties;
use super::records::StoredChange;

/// Bytes of stored images whose pages are built together: decoded, they take about eight times as much.
const TOGETHER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of stored images in one page: a day is never divided within an entry.
const PAGE_IMAGES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What was looked through.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Changes taken, from the first.
    pub taken: usize,
    /// What concerns each source.
    pub sources: BTreeMap<(Tenant, String), Share>,
    days: usize,
}

/// What of a delivery concerns one source.
#[derive(Debug, Default)]
pub struct Share {
    /// Event name → property → types, of the live copies.
    pub names: BTreeMap<String, Properties>,
    days: BTreeMap<Date, DayShare>,
}

/// What of a delivery concerns one day.
#[derive(Debug, Default)]
struct DayShare {
    /// Numbers of changes, ascending.
    changes: Vec<usize>,
    bytes: usize,
}

impl Delivery {
    /// Takes the next change, whose images take `bytes` as they are stored. False when it would open a day too many or
    /// make a page too large: then it was not taken, and the delivery ends before it. The first one is always taken.
    pub fn take(&mut self, change: Option<(&Tenant, &StoredChange)>, bytes: usize) -> bool {
        if let Some((tenant, StoredChange { old, new })) = change
            && let Some(either) = new.as_ref().or(old.as_ref())
        {
            let key = (tenant.clone(), either.source.clone());
            let touched: BTreeSet<Date> = [old, new].into_iter().flatten().filter_map(day_of).collect();
            let known = self.sources.get(&key);
            let bytes_of = |day: &Date| Some(known?.days.get(day)?.bytes);
            let opened = touched.iter().filter(|day| bytes_of(day).is_none()).count();
            let too_large = touched.iter().filter_map(bytes_of).any(|held| held + bytes > PAGE_IMAGES_BYTES_MAX);
            if self.taken > 0 && (too_large || self.days + opened > SEAL_DAYS_MAX) {
                return false;
            }
            self.days += opened;
            let share = self.sources.entry(key).or_default();
            for day in touched {
                let day = share.days.entry(day).or_default();
                day.changes.push(self.taken);
                day.bytes += bytes;
            }
            if let Some(new) = new {
                share.learn(new);
            }
        }
        self.taken += 1;
        true
    }
}

impl Share {
    fn learn(&mut self, event: &Event) {
        if event.deleted {
            return;
        }
        if !self.names.contains_key(&event.name) {
            self.names.insert(event.name.clone(), Properties::new());
        }
        let Some(of_name) = self.names.get_mut(&event.name) else { return };
        for (property, at) in event.properties.iter().filter_map(|(key, value)| Some((key, value.type_of()?))) {
            if of_name.get(property).is_none_or(|types| !types.contains(&at)) {
                of_name.entry(property.clone()).or_default().insert(at);
            }
        }
    }

    /// Property → types, whatever the event's name.
    pub fn properties(&self) -> Properties {
        let mut all = Properties::new();
        for (property, types) in self.names.values().flatten() {
            all.entry(property.clone()).or_default().extend(types);
        }
        all
    }

    /// Days in order, so many at a time that their changes take a bounded amount of memory; a day is never divided.
    pub fn together(&self) -> Vec<Together> {
        let mut all: Vec<Together> = Vec::new();
        let mut bytes = 0;
        for (day, share) in &self.days {
            bytes += share.bytes;
            match all.last_mut() {
                Some(together) if bytes <= TOGETHER_BYTES_MAX => {
                    together.days.insert(*day);
                    together.changes.extend(&share.changes);
                }
                _ => {
                    bytes = share.bytes;
                    let (days, changes) = ([*day].into(), share.changes.iter().copied().collect());
                    all.push(Together { days, changes });
                }
            }
        }
        all
    }
}

/// Days whose pages are built together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// The days.
    pub days: BTreeSet<Date>,
    /// Numbers of the changes that touch any of them.
    pub changes: BTreeSet<usize>,
}

/// The UTC day a copy stands on; a withdrawn one stands on none.
fn day_of(event: &Event) -> Option<Date> {
    (!event.deleted).then(|| utc_date(event.time))
}

#[cfg(test)]
mod tests;
