//! From states to what people read: the digest, and the top groups.
//!
//! Groups are ranked by the first metric's value, greatest first, null last, ties by key. The group whose breakdown
//! columns are all null is always listed and takes no place; what is neither is `$other`, recomputed from merged
//! states, so that its distinct counts and averages are exact.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_schemas::snapshot::{Detail, Digest, Group, GroupRow, SNAPSHOT_FORMAT};
use tidemill_schemas::value::Value;

use crate::fold::FoldError;
use crate::metric::{Cell, DayCells, GroupKey};
use crate::plan::Plan;

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
    Ok(Detail { format: SNAPSHOT_FORMAT, groups: day.groups.len() as u64, rows: group_rows(plan, &day.groups, &top)? })
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
) -> Result<Vec<GroupRow>, FoldError> {
    let row = |group: Group, cell: &Cell| -> Result<GroupRow, FoldError> {
        Ok(GroupRow { group, events: cell.events, values: cell.values(plan)? })
    };
    let mut rows = Vec::with_capacity(top.len() + 2);
    for key in top {
        if let Some(cell) = groups.get(*key) {
            rows.push(row(Group::Key((*key).clone()), cell)?);
        }
    }
    let listed: BTreeSet<&GroupKey> = top.iter().copied().collect();
    let mut other: Option<Cell> = None;
    for (key, cell) in groups.iter().filter(|(key, _)| !is_null(key) && !listed.contains(key)) {
        debug_assert!(!listed.contains(key));
        other.get_or_insert_with(|| Cell::empty(plan)).merge(cell.clone())?;
    }
    if let Some(other) = &other {
        rows.push(row(Group::Other, other)?);
    }
    if let Some((key, cell)) = groups.iter().find(|(key, _)| is_null(key)) {
        rows.push(row(Group::Key(key.clone()), cell)?);
    }
    Ok(rows)
}

fn is_null(key: &GroupKey) -> bool {
    key.iter().all(|value| *value == Value::Null)
}

#[cfg(test)]
mod tests;
