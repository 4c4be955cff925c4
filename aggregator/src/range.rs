//! Days to periods and ranges, on reading.
//!
//! In: the cells of the days asked for. Out: a row per period, and with a breakdown a row per period and group, where
//! the groups listed are the top ones of the whole range. States are merged, never results, so every number is as
//! exact as if the period had been computed directly.

use std::collections::BTreeMap;

use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::snapshot::{Digest, GroupRow};

use crate::finish::{digest, first_value, group_rows, rank};
use crate::fold::FoldError;
use crate::metric::{Cell, DayCells, GroupKey};
use crate::plan::Plan;

/// One period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodRows {
    /// The period's first local date; without periods, the first day handed in.
    pub start: Date,
    /// Everything, whether or not there are groups.
    pub total: Digest,
    /// The groups that have events in the period: top ones by rank over the whole range, `$other`, then the group
    /// that is null throughout. Empty without a breakdown.
    pub rows: Vec<GroupRow>,
}

/// The periods of a range, in ascending order. `every`: the period, `None` for the whole range at once. `by`: places
/// in the plan's breakdown to keep, in the order wanted; none for totals only. `top`: groups listed before `$other`.
/// A period appears when one of its days is handed in, with the values of no rows when it has no events.
///
/// # Errors
/// [`FoldError::Overflow`] when a merged result does not fit; [`FoldError::Spill`] when the days are of another
/// definition, or the spill's own.
pub fn series(
    plan: &Plan,
    days: impl Iterator<Item = (Date, DayCells)>,
    every: Option<Period>,
    by: &[usize],
    top: usize,
) -> Result<Vec<PeriodRows>, FoldError> {
    let mut periods: BTreeMap<Date, DayCells> = BTreeMap::new();
    let mut first: Option<Date> = None;
    for (date, day) in days {
        first = Some(first.map_or(date, |first| first.min(date)));
        // Without periods everything falls into one; its true start is known at the end.
        let start = every.map_or(Date::MIN, |every| every.first(date, plan.week_start));
        let kept = project(plan, day, by)?;
        match periods.entry(start) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(kept);
            }
            std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().merge(kept)?,
        }
    }
    let ranks = ranks(plan, &periods)?;
    let top = rank(ranks.iter().map(|(key, value)| (*key, value.clone())).collect(), top);
    let mut rows = Vec::with_capacity(periods.len());
    for (start, cells) in &periods {
        rows.push(PeriodRows {
            start: if every.is_some() { *start } else { first.unwrap_or(*start) },
            total: digest(plan, cells)?,
            rows: group_rows(plan, &cells.groups, &top)?,
        });
    }
    Ok(rows)
}

/// A day with only some of its breakdown columns: groups that become one are merged.
fn project(plan: &Plan, day: DayCells, by: &[usize]) -> Result<DayCells, FoldError> {
    if by.is_empty() || plan.by.is_empty() {
        return Ok(DayCells { total: day.total, groups: BTreeMap::new() });
    }
    if by.iter().copied().eq(0..plan.by.len()) {
        return Ok(day);
    }
    let mut groups: BTreeMap<GroupKey, Cell> = BTreeMap::new();
    for (key, cell) in day.groups {
        let kept: GroupKey = by.iter().filter_map(|at| key.get(*at).cloned()).collect();
        match groups.entry(kept) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(cell);
            }
            std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().merge(cell)?,
        }
    }
    Ok(DayCells { total: day.total, groups })
}

/// The value each group is ranked by, over all periods.
fn ranks<'a>(
    plan: &Plan,
    periods: &'a BTreeMap<Date, DayCells>,
) -> Result<BTreeMap<&'a GroupKey, tidemill_schemas::value::Value>, FoldError> {
    let mut merged: BTreeMap<&GroupKey, Cell> = BTreeMap::new();
    for (key, cell) in periods.values().flat_map(|cells| &cells.groups) {
        // Only the first metric ranks.
        let first = Cell {
            events: cell.events,
            late: 0,
            skipped: Vec::new(),
            states: cell.states.first().cloned().into_iter().collect(),
        };
        match merged.entry(key) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(first);
            }
            std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().merge(first)?,
        }
    }
    merged.into_iter().map(|(key, cell)| Ok((key, first_value(plan, &cell)?))).collect()
}

#[cfg(test)]
mod tests;
