//! Lineages: whether an edited definition has caught up with the one that answers. Pure.
//!
//! In: the days of both, and which days have pages. Out: how many days are missing. To switch must never take a reader
//! back: every day the old one has, the new one has too, and includes as much.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_aggregator::snapshot_store::Snapshot;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::window::Through;

/// The days the answering lineage has and the new one has not, or includes less in. `with_pages`: the new lineage's
/// days that have pages; `sealed`: the positions up to which that is known.
pub fn behind(
    answering: &BTreeMap<Date, Snapshot>,
    edited: &BTreeMap<Date, Snapshot>,
    with_pages: &BTreeSet<Date>,
    sealed: &Through,
) -> usize {
    let has_caught_up = |(date, old): (&Date, &Snapshot)| match edited.get(date) {
        Some(new) => new.header.through.covers(&old.header.through),
        // A day without pages has no events: there is nothing to compute.
        None => !with_pages.contains(date) && sealed.covers(&old.header.through),
    };
    answering.iter().filter(|day| !has_caught_up(*day)).count()
}

#[cfg(test)]
mod tests;
