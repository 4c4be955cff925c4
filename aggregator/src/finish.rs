//! From states to what people read: the digest, and the top groups.
//!
//! Groups are ranked by the first metric's value, greatest first, null last, ties by key. The group whose breakdown
//! columns are all null is always listed and takes no place; what is neither is `$other`, recomputed from merged
//! states, so that its distinct counts and averages are exact.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_schemas::snapshot::{Detail, Digest, Group, GroupRow, SNAPSHOT_FORMAT};
use tidemill_schemas::value::Value;

use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::{Cell, DayCells, GroupKey};
use crate::plan::Plan;
use crate::spill::SharedSpill;
use crate::states::open;

/// Groups held while the top ones are looked for, on top of twice those.
const RANKED_GROUPS_MIN: usize = 1024;

/// The headline of a day (or of days merged).
///
/// # Errors
/// [`FoldError::Overflow`]; the spill's own.
pub fn digest(plan: &Plan, day: &DayCells) -> Result<Digest, FoldError> {
    let skipped = plan.metrics.iter().zip(&day.total.skipped).filter(|(_, rows)| **rows > 0);
    Ok(Digest {
        format: SNAPSHOT_FORMAT,
        events: day.total.events,
        late: day.total.late,
        skipped: skipped.map(|(metric, rows)| (metric.name.clone(), *rows)).collect(),
        values: day.total.values(plan)?,
    })
}

/// The groups of a day (or of days merged), as many as the definition lists.
///
/// # Errors
/// As [`digest`].
pub fn detail(plan: &Plan, day: &DayCells) -> Result<Detail, FoldError> {
    let mut values = Vec::with_capacity(day.groups.len());
    for (key, cell) in &day.groups {
        values.push((key, first_value(plan, cell)?));
    }
    let top = rank(values, plan.top);
    Ok(Detail {
        format: SNAPSHOT_FORMAT,
        groups: day.groups.len() as u64,
        rows: group_rows(plan, &day.groups, &top, None)?,
    })
}

/// [`detail`] of states wherever they lie: one walk to find the top groups, one to write them down. Memory holds those
/// and the merged rest, whose long sets lie in `spill`.
///
/// # Errors
/// As [`digest`].
pub fn detail_of(plan: &Plan, states: &Content, spill: &SharedSpill) -> Result<Detail, FoldError> {
    let mut top: Vec<(GroupKey, Value)> = Vec::new();
    let mut count = 0;
    let (_, mut groups) = open(states)?;
    while let Some((key, cell)) = groups.next_group()? {
        count += 1;
        if !is_null(&key) {
            top.push((key, first_value(plan, &cell)?));
        }
        if top.len() > 2 * plan.top + RANKED_GROUPS_MIN {
            keep_top(&mut top, plan.top);
        }
    }
    keep_top(&mut top, plan.top);
    let places: BTreeMap<&GroupKey, usize> = top.iter().enumerate().map(|(place, (key, _))| (key, place)).collect();
    let (mut listed, mut null, mut other) = (BTreeMap::new(), None, None);
    let (_, mut groups) = open(states)?;
    while let Some((key, cell)) = groups.next_group()? {
        if is_null(&key) {
            null = Some(group_row(plan, Group::Key(key), &cell)?);
        } else if let Some(place) = places.get(&key) {
            listed.insert(*place, group_row(plan, Group::Key(key), &cell)?);
        } else {
            let other = other.get_or_insert_with(|| Cell::empty(plan));
            other.merge(cell)?;
            other.bound(spill)?;
        }
    }
    let mut rows: Vec<GroupRow> = listed.into_values().collect();
    if let Some(mut other) = other {
        other.settle(spill)?;
        rows.push(group_row(plan, Group::Other, &other)?);
    }
    rows.extend(null);
    Ok(Detail { format: SNAPSHOT_FORMAT, groups: count, rows })
}

fn keep_top(groups: &mut Vec<(GroupKey, Value)>, top: usize) {
    // Null is the least value, so it comes last.
    groups.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    groups.truncate(top);
}

fn group_row(plan: &Plan, group: Group, cell: &Cell) -> Result<GroupRow, FoldError> {
    Ok(GroupRow { group, events: cell.events, values: cell.values(plan)? })
}

/// The value groups are ranked by.
pub(crate) fn first_value(plan: &Plan, cell: &Cell) -> Result<Value, FoldError> {
    match (cell.states.first(), plan.metrics.first()) {
        (Some(state), Some(metric)) => state.value(metric.kind, &metric.name),
        _ => Ok(Value::Null),
    }
}

/// The first `top` groups by value, without the group that is null throughout.
pub(crate) fn rank(groups: Vec<(&GroupKey, Value)>, top: usize) -> Vec<&GroupKey> {
    let mut ranked: Vec<(&GroupKey, Value)> = groups.into_iter().filter(|(key, _)| !is_null(key)).collect();
    // Null is the least value, so it comes last.
    ranked.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    ranked.truncate(top);
    ranked.into_iter().map(|(key, _)| key).collect()
}

/// Rows for the groups listed, `$other` and the group that is null throughout; each only where it has events.
pub(crate) fn group_rows(
    plan: &Plan,
    groups: &BTreeMap<GroupKey, Cell>,
    top: &[&GroupKey],
    spill: Option<&SharedSpill>,
) -> Result<Vec<GroupRow>, FoldError> {
    let mut rows = Vec::with_capacity(top.len() + 2);
    for key in top {
        if let Some(cell) = groups.get(*key) {
            rows.push(group_row(plan, Group::Key((*key).clone()), cell)?);
        }
    }
    let listed: BTreeSet<&GroupKey> = top.iter().copied().collect();
    let mut other: Option<Cell> = None;
    for (_, cell) in groups.iter().filter(|(key, _)| !is_null(key) && !listed.contains(key)) {
        let other = other.get_or_insert_with(|| Cell::empty(plan));
        other.merge(cell.clone())?;
        if let Some(spill) = spill {
            other.bound(spill)?;
        }
    }
    if let Some(other) = &other {
        rows.push(group_row(plan, Group::Other, other)?);
    }
    if let Some((key, cell)) = groups.iter().find(|(key, _)| is_null(key)) {
        rows.push(group_row(plan, Group::Key(key.clone()), cell)?);
    }
    Ok(rows)
}

fn is_null(key: &GroupKey) -> bool {
    key.iter().all(|value| *value == Value::Null)
}

#[cfg(test)]
mod tests;
