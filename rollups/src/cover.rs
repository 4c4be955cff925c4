//! Which stored snapshots a span of days is read from: as few as there are. Pure.
//!
//! In: the days of a range, and the longer periods that were rolled up in it. Out: snapshots that together are exactly
//! the span. A period that was folded from other days than there are now is left aside, so that what is read never
//! depends on which periods happen to be kept.

use std::collections::BTreeMap;

use tidemill_aggregator::snapshot_store::Snapshot;
use tidemill_schemas::calendar::{self, Date, Period, WeekStart};

use crate::merge::folded_of;

/// Longer periods that stand on the days there are, by kind and first day.
#[derive(Debug, Default)]
pub struct RolledUp {
    current: BTreeMap<(Period, Date), Snapshot>,
}

/// The kinds of period that rows of a kind can be made of, longest first.
pub fn kinds(every: Option<Period>) -> &'static [Period] {
    match every {
        Some(Period::Day) => &[],
        Some(Period::Week) => &[Period::Week],
        Some(Period::Month) => &[Period::Month],
        Some(Period::Quarter) => &[Period::Quarter, Period::Month],
        Some(Period::Year) => &[Period::Year, Period::Quarter, Period::Month],
        None => &[Period::Year, Period::Quarter, Period::Month, Period::Week],
    }
}

impl RolledUp {
    /// Takes in the rolled-up periods of one kind that lie within the days from `first` to `last`.
    pub fn add(
        &mut self,
        period: Period,
        week_start: WeekStart,
        (first, last): (Date, Date),
        stored: BTreeMap<Date, Snapshot>,
        days: &BTreeMap<Date, Snapshot>,
    ) {
        for (start, snapshot) in stored {
            let end = period.last(start, week_start);
            let is_inside = first <= start && end <= last;
            if is_inside && snapshot.header.pages == folded_of(days.range(start..=end)) {
                self.current.insert((period, start), snapshot);
            }
        }
    }

    /// The snapshots that together are the days from `first` to `last`; a day without events needs none.
    pub fn cover<'a>(
        &'a self,
        kinds: &[Period],
        week_start: WeekStart,
        (first, last): (Date, Date),
        days: &'a BTreeMap<Date, Snapshot>,
    ) -> Vec<&'a Snapshot> {
        let mut cover = Vec::new();
        let mut at = first;
        while at <= last {
            let longest = kinds.iter().find_map(|period| {
                let end = period.last(at, week_start);
                let snapshot = self.current.get(&(*period, at)).filter(|_| end <= last)?;
                Some((snapshot, end))
            });
            let end = match longest {
                Some((snapshot, end)) => {
                    cover.push(snapshot);
                    end
                }
                None => {
                    cover.extend(days.get(&at));
                    at
                }
            };
            at = calendar::next(end);
            if end == Date::MAX {
                break;
            }
        }
        cover.retain(|snapshot| snapshot.digest.events > 0);
        cover
    }
}

#[cfg(test)]
mod tests;
