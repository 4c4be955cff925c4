//! A delivery looked through once: which of its changes concern which day, before any of them is kept in memory.
//!
//! In: changes one by one, in feed order. Out: per tenant, source and UTC day the numbers of the changes that touch it,
//! and what the events hold. A decoded change is a thousand times the size of its number, so a seal looks twice: here,
//! and when the pages of a few days are written.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tidemill_schemas::calendar::{Date, utc_date};
use tidemill_schemas::page::SEAL_DAYS_MAX;
use xxhash_rust::xxh3::xxh3_128;

use super::columns::Properties;
use crate::event_store::ImageChange;
use crate::image::Image;

/// Bytes of stored images whose pages are built together: decoded, they take about eight times as much.
const TOGETHER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of stored images in one page: a day is never divided within an entry.
const PAGE_IMAGES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What was looked through.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Changes taken, from the first.
    pub taken: usize,
    /// What concerns each source, by tenant as keys have it.
    pub sources: BTreeMap<Vec<u8>, BTreeMap<String, Share>>,
    days: usize,
}

/// What of a delivery concerns one source.
#[derive(Debug, Default)]
pub struct Share {
    /// Event name → property → types, of the live copies.
    pub names: BTreeMap<String, Properties>,
    days: BTreeMap<Date, DayShare>,
    /// Hashes of the shapes learnt: an event's name, and its properties with their types. There are few.
    shapes: HashSet<u128>,
    shape: Vec<u8>,
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
    pub fn take(&mut self, change: Option<&ImageChange<'_>>, bytes: usize) -> bool {
        if let Some(ImageChange { tenant, old, new, .. }) = change
            && let Some(either) = new.as_ref().or(old.as_deref())
        {
            let touched = touched(old.as_deref(), new.as_ref());
            let known = self.sources.get(*tenant).and_then(|sources| sources.get(either.source));
            let bytes_of = |day: &Date| Some(known?.days.get(day)?.bytes);
            let opened = touched.iter().flatten().filter(|day| bytes_of(day).is_none()).count();
            let too_large =
                touched.iter().flatten().filter_map(bytes_of).any(|held| held + bytes > PAGE_IMAGES_BYTES_MAX);
            if self.taken > 0 && (too_large || self.days + opened > SEAL_DAYS_MAX) {
                return false;
            }
            self.days += opened;
            let nth = self.taken;
            let share = self.share(tenant, either.source);
            for day in touched.into_iter().flatten() {
                let day = share.days.entry(day).or_default();
                day.changes.push(nth);
                day.bytes += bytes;
            }
            if let Some(new) = new {
                share.learn(new);
            }
        }
        self.taken += 1;
        true
    }

    fn share(&mut self, tenant: &[u8], source: &str) -> &mut Share {
        // Looked up before anything is copied: nearly every change is of a source that is known.
        if !self.sources.get(tenant).is_some_and(|sources| sources.contains_key(source)) {
            self.sources.entry(tenant.to_vec()).or_default().entry(source.to_owned()).or_default();
        }
        self.sources.get_mut(tenant).and_then(|sources| sources.get_mut(source)).expect("it was just entered")
    }
}

/// The days a change touches, each once.
fn touched(old: Option<&Image<'_>>, new: Option<&Image<'_>>) -> [Option<Date>; 2] {
    let (left, entered) = (old.and_then(day_of), new.and_then(day_of));
    [entered, left.filter(|left| Some(*left) != entered)]
}

impl Share {
    fn learn(&mut self, image: &Image<'_>) {
        if image.deleted || !self.is_new_shape(image) {
            return;
        }
        let of_name = self.names.entry(image.name.to_owned()).or_default();
        for (property, at) in image.properties.iter().filter_map(|(key, held)| Some((*key, held.type_of()?))) {
            of_name.entry(property.to_owned()).or_default().insert(at);
        }
    }

    fn is_new_shape(&mut self, image: &Image<'_>) -> bool {
        // Neither names nor keys hold control characters, so no shape can be taken for another.
        self.shape.clear();
        self.shape.extend_from_slice(image.name.as_bytes());
        for (key, held) in &image.properties {
            self.shape.push(held.type_of().map_or(0, |at| 1 + at as u8));
            self.shape.extend_from_slice(key.as_bytes());
        }
        self.shapes.insert(xxh3_128(&self.shape))
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
fn day_of(image: &Image<'_>) -> Option<Date> {
    (!image.deleted).then(|| utc_date(image.time))
}

#[cfg(test)]
mod tests;
