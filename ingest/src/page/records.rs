//! Change records: what one delivery of the change feed adds to which day.
//!
//! In: changes of one source in feed order, with both images. Out: per UTC day the records of a page, corrections first.
//! A day's readers keep the highest revision of an id, and skip even that where no page of the day holds a correction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidemill_schemas::calendar::{Date, utc_date};
use tidemill_schemas::event::Event;

/// One change of an event, as the event store saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChange {
    /// The copy before; `None`: there was none.
    pub old: Option<Event>,
    /// The copy after; `None`: its time in the store was over, which retracts nothing.
    pub new: Option<Event>,
}

/// One row of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The copy that stands as of its revision. `deleted`: the event is withdrawn from this day; time, name, actor and
    /// source are then those of the copy it withdraws, and there are no properties.
    pub event: Event,
    /// An earlier delivery may have left records of this id.
    pub correction: bool,
}

/// The records of one source's changes on `wanted` days: corrections first, then fresh ones, each in order of arrival.
/// Per day and id only the highest revision is kept; an event that came and went within the delivery leaves nothing.
/// With each change: whether the delivery's first change of that id had an old copy.
pub fn records(
    changes: impl IntoIterator<Item = (StoredChange, bool)>,
    wanted: &BTreeSet<Date>,
) -> BTreeMap<Date, Vec<Record>> {
    let mut days: BTreeMap<Date, Day> = BTreeMap::new();
    for (StoredChange { old, new }, correction) in changes {
        let Some(new) = new else { continue };
        let day = (!new.deleted).then(|| utc_date(new.time));
        if let Some(old) = old.filter(|old| !old.deleted && Some(utc_date(old.time)) != day) {
            let withdrawn =
                Event { rev: new.rev, deleted: true, received: new.received, properties: BTreeMap::new(), ..old };
            let day = utc_date(withdrawn.time);
            if wanted.contains(&day) {
                days.entry(day).or_default().put(withdrawn, correction);
            }
        }
        if let Some(day) = day.filter(|day| wanted.contains(day)) {
            days.entry(day).or_default().put(new, correction);
        }
    }
    days.into_iter().map(|(day, held)| (day, held.end())).filter(|(_, records)| !records.is_empty()).collect()
}

#[derive(Default)]
struct Day {
    records: Vec<Record>,
    at: HashMap<String, usize, foldhash::fast::FixedState>,
}

impl Day {
    fn put(&mut self, event: Event, correction: bool) {
        match self.at.get(&event.id) {
            Some(&at) => {
                let held = &mut self.records[at].event;
                if event.rev >= held.rev {
                    *held = event;
                }
            }
            None => {
                self.at.insert(event.id.clone(), self.records.len());
                self.records.push(Record { event, correction });
            }
        }
    }

    fn end(self) -> Vec<Record> {
        // What no page has ever held needs no withdrawal.
        let kept = self.records.into_iter().filter(|record| record.correction || !record.event.deleted);
        let (mut corrections, fresh): (Vec<_>, Vec<_>) = kept.partition(|record| record.correction);
        corrections.extend(fresh);
        corrections
    }
}

#[cfg(test)]
mod tests;
