//! Preflight: is every day of a period there, whole and up to date? Pure.
//!
//! In: the days' snapshots, the last change of every UTC day, and up to when everything is sealed. Out: what may be
//! folded and which days are wanting. Reading asks the same question of the days of any range, and gets the same answer.

use std::collections::BTreeMap;

use tidemill_aggregator::periods::is_final;
use tidemill_aggregator::snapshot_store::Snapshot;
use tidemill_schemas::calendar::{self, Date, Zone};
use tidemill_schemas::snapshot::Header;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Through;

/// What is known of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A snapshot that includes every change of its UTC days.
    UpToDate,
    /// A snapshot, and pages that came since.
    Stale,
    /// Pages and no snapshot.
    Missing,
    /// Neither.
    Nothing,
}

/// Looks at a day. `changes`: the last change of every UTC day that has pages.
pub fn look(zone: &Zone, date: Date, header: Option<&Header>, changes: &BTreeMap<Date, Through>) -> Found {
    let mut touched = calendar::utc_dates(zone.day(date)).filter_map(|day| changes.get(&day));
    match header {
        Some(header) if touched.all(|change| header.through.covers(change)) => Found::UpToDate,
        Some(_) => Found::Stale,
        None if touched.next().is_some() => Found::Missing,
        None => Found::Nothing,
    }
}

/// The days of a period.
#[derive(Debug)]
pub struct Preflight<'a> {
    /// The snapshots there are, by date, out of date or not.
    pub days: &'a BTreeMap<Date, Snapshot>,
    /// The days that are missing, unfinished or out of date.
    pub wanting: Vec<Date>,
}

/// Looks at every day from `first` to `last`. A day without pages and snapshot is empty once everything up to its end
/// is sealed.
pub fn preflight<'a>(
    zone: &Zone,
    (first, last): (Date, Date),
    days: &'a BTreeMap<Date, Snapshot>,
    changes: &BTreeMap<Date, Through>,
    sealed: Timestamp,
) -> Preflight<'a> {
    let is_wanting = |date: &Date| {
        let header = days.get(date).map(|snapshot| &snapshot.header);
        match look(zone, *date, header, changes) {
            Found::UpToDate => !header.is_some_and(|header| is_final(header, zone)),
            Found::Stale | Found::Missing => true,
            Found::Nothing => sealed < zone.day(*date).end,
        }
    };
    Preflight { days, wanting: calendar::dates(first, last).filter(is_wanting).collect() }
}

#[cfg(test)]
mod tests;
