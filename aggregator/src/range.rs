//! Stored states to the rows of a range, on reading.
//!
//! In: the states each period is made of, wherever they lie. Out: a row per period, and with a breakdown a row per
//! period and group, where the groups listed are the top ones of the whole range. States are merged, never results, so
//! every number is as exact as if the period had been computed directly. Memory holds the groups; their long sets lie
//! in a spill.

use std::collections::BTreeMap;

use tidemill_schemas::calendar::Date;
use tidemill_schemas::expression::Expr;
use tidemill_schemas::snapshot::{Digest, GroupRow};
use tidemill_schemas::value::Value;

use crate::content::Content;
use crate::finish::{digest, first_value, group_rows, rank};
use crate::fold::FoldError;
use crate::key_frame;
use crate::metric::{Cell, DayCells, GroupKey};
use crate::plan::Plan;
use crate::spill::SharedSpill;
use crate::states::open;

/// Groups one answer may merge, over all of its periods.
pub const READ_GROUPS_MAX: usize = 1_000_000;

/// One period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodRows {
    /// The period's first local date; without periods, the range's.
    pub start: Date,
    /// Everything, whether or not there are groups.
    pub total: Digest,
    /// The groups that have events in the period: top ones by rank over the whole range, `$other`, then the group
    /// that is null throughout. Empty without a breakdown.
    pub rows: Vec<GroupRow>,
}

/// Merges what the periods of a range are made of. `by`: places in the plan's breakdown to keep, in the order wanted;
/// none for totals only.
pub struct Range<'a> {
    plan: &'a Plan,
    by: &'a [usize],
    spill: SharedSpill,
    periods: Vec<(Date, DayCells)>,
    groups: usize,
}

impl<'a> Range<'a> {
    /// A range without periods.
    pub fn new(plan: &'a Plan, by: &'a [usize], spill: SharedSpill) -> Range<'a> {
        Range { plan, by, spill, periods: Vec::new(), groups: 0 }
    }

    /// Adds the next period, made of these states; of none: the values of no rows.
    ///
    /// # Errors
    /// [`FoldError::TooManyGroups`]; [`FoldError::Spill`] when the states are of another definition or damaged, or the
    /// spill's own.
    pub fn add(&mut self, start: Date, states: &[Content]) -> Result<(), FoldError> {
        let mut cells = DayCells::empty(self.plan);
        for part in states {
            let (total, mut groups) = open(part)?;
            cells.total.merge(total)?;
            cells.total.bound(&self.spill)?;
            if self.by.is_empty() {
                continue;
            }
            while let Some((key, cell)) = groups.next_group()? {
                let kept: GroupKey = self.by.iter().filter_map(|at| key.get(*at).cloned()).collect();
                match cells.groups.entry(kept) {
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(cell);
                    }
                    std::collections::btree_map::Entry::Occupied(mut held) => {
                        held.get_mut().merge(cell)?;
                        held.get_mut().bound(&self.spill)?;
                    }
                }
                if self.groups + cells.groups.len() > READ_GROUPS_MAX {
                    return Err(FoldError::TooManyGroups {
                        insight: self.plan.insight.clone(),
                        limit: READ_GROUPS_MAX,
                    });
                }
            }
        }
        self.groups += cells.groups.len();
        self.periods.push((start, cells));
        Ok(())
    }

    /// The rows. `top`: groups listed before `$other`.
    ///
    /// # Errors
    /// [`FoldError::Overflow`] when a merged result does not fit; the spill's own.
    pub fn rows(&self, top: usize) -> Result<Vec<PeriodRows>, FoldError> {
        let ranks = self.ranks()?;
        let top = rank(ranks.iter().map(|(key, value)| (*key, value.clone())).collect(), top);
        let mut rows = Vec::with_capacity(self.periods.len());
        for (start, cells) in &self.periods {
            rows.push(PeriodRows {
                start: *start,
                total: digest(self.plan, cells)?,
                rows: group_rows(self.plan, &cells.groups, &top, Some(&self.spill))?,
            });
        }
        Ok(rows)
    }

    /// The value each group is ranked by, over all periods.
    fn ranks(&self) -> Result<BTreeMap<&GroupKey, Value>, FoldError> {
        let mut merged: BTreeMap<&GroupKey, Cell> = BTreeMap::new();
        for (key, cell) in self.periods.iter().flat_map(|(_, cells)| &cells.groups) {
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
                std::collections::btree_map::Entry::Occupied(mut held) => {
                    held.get_mut().merge(first)?;
                    held.get_mut().bound(&self.spill)?;
                }
            }
        }
        merged.into_iter().map(|(key, cell)| Ok((key, first_value(self.plan, &cell)?))).collect()
    }
}

/// The metric values of segments: of each condition, those of all groups for whose key it is true. `states` are those of
/// the days together, `spill` takes what gets long.
///
/// # Errors
/// [`FoldError::Eval`] when a condition has no value; else as [`Range::add`].
pub fn segments(
    plan: &Plan,
    states: &[Content],
    conditions: &[&Expr],
    spill: &SharedSpill,
) -> Result<Vec<Vec<Value>>, FoldError> {
    let mut merged: Vec<Cell> = conditions.iter().map(|_| Cell::empty(plan)).collect();
    for part in states {
        let (_, mut groups) = open(part)?;
        let mut batch: Vec<(GroupKey, Cell)> = Vec::new();
        loop {
            let next = groups.next_group()?;
            let is_over = next.is_none();
            batch.extend(next);
            if !is_over && batch.len() < SEGMENT_GROUPS_AT_ONCE {
                continue;
            }
            let keys: Vec<&GroupKey> = batch.iter().map(|(key, _)| key).collect();
            for (condition, cell) in conditions.iter().zip(&mut merged) {
                let holds = key_frame::holds(&plan.by, &keys, condition)?;
                for ((_, more), _) in batch.iter().zip(holds).filter(|(_, holds)| *holds) {
                    cell.merge(more.clone())?;
                    cell.bound(spill)?;
                }
            }
            batch.clear();
            if is_over {
                break;
            }
        }
    }
    merged.iter().map(|cell| cell.values(plan)).collect()
}

/// Groups whose keys are tested together.
const SEGMENT_GROUPS_AT_ONCE: usize = 4_096;

#[cfg(test)]
mod tests;
