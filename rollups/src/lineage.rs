//! Lineages: whether an edited definition has caught up with the one that answers. Pure.
//!
//! In: the days of both, and the last change of each day that has pages. Out: how many days are missing. To switch must never take a reader
//! back: every day the old one has, the new one has too, and includes as much.

use std::collections::BTreeMap;

use tidemill_aggregator::snapshot_store::Snapshot;
use tidemill_schemas::calendar::{Date, Zone};
use tidemill_schemas::window::Through;

use crate::preflight::{Found, look};

/// The days the answering lineage has and the new one has not, or includes less in. `changes`: the last change of every
/// UTC day that has pages; `sealed`: the positions up to which that is known.
pub fn behind(
    zone: &Zone,
    answering: &BTreeMap<Date, Snapshot>,
    edited: &BTreeMap<Date, Snapshot>,
    changes: &BTreeMap<Date, Through>,
    sealed: &Through,
) -> usize {
    let has_caught_up = |(date, old): (&Date, &Snapshot)| {
        let new = edited.get(date).map(|snapshot| &snapshot.header);
        // What the old one saw beyond that need not be of this day; nor is there anything to compute without pages.
        new.is_some_and(|new| new.through.covers(&old.header.through))
            || sealed.covers(&old.header.through)
                && matches!(look(zone, *date, new, changes), Found::UpToDate | Found::Nothing)
    };
    answering.iter().filter(|day| !has_caught_up(*day)).count()
}

#[cfg(test)]
mod tests;
