//! Running totals: counts and sums as signed contributions that add up and can be taken back.
//!
//! In: a batch of events that came (`sign` 1) or went (−1). Out: what they contribute to each local day and group, as
//! cells that add in any order. The cells of a day become the same [`DayCells`] a recompute of its live events gives,
//! byte for byte. Only plans of counts and sums have running totals ([`Plan::is_additive`]).

use std::collections::BTreeMap;

use arrow::array::{BooleanArray, RecordBatch};
use serde::{Deserialize, Serialize};
use tidemill_ingest::page::footer::Bounds;
use tidemill_schemas::calendar::Date;

use crate::columns::{Frame, Memory};
use crate::fold::day::DayFold;
use crate::fold::split::Splitter;
use crate::fold::{FoldError, select};
use crate::metric::wide::Wide;
use crate::metric::{Cell, DayCells, GroupKey, State};
use crate::plan::Plan;
use crate::spill::{MemorySpill, SharedSpill};

/// Which cell of a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellKey {
    /// Everything.
    Total,
    /// One group.
    Group(GroupKey),
}

/// One metric's contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Additive {
    /// Rows.
    Count(i64),
    /// The exact sum and how many values it has.
    Sum {
        /// The sum.
        sum: Wide,
        /// Values.
        n: i64,
    },
}

/// A cell that adds up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdditiveCell {
    /// Events that passed the insight's filters.
    pub events: i64,
    /// Of them, received after the local day's end and its grace.
    pub late: i64,
    /// Rows left out per metric.
    pub skipped: Vec<i64>,
    /// One contribution per metric, in the definition's order.
    pub values: Vec<Additive>,
}

impl AdditiveCell {
    /// The cell of nothing.
    pub fn zero(plan: &Plan) -> AdditiveCell {
        AdditiveCell::of(&Cell::empty(plan), 1).unwrap_or_else(|| AdditiveCell {
            events: 0,
            late: 0,
            skipped: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Adds another cell of the same plan; `None`, leaving this one as it was, when a count leaves 64 bits or the
    /// cells have different metrics.
    #[must_use]
    pub fn add(&mut self, other: &AdditiveCell) -> Option<()> {
        if self.values.len() != other.values.len() || self.skipped.len() != other.skipped.len() {
            return None;
        }
        let values = self.values.iter().zip(&other.values).map(|pair| match pair {
            (Additive::Count(held), Additive::Count(more)) => held.checked_add(*more).map(Additive::Count),
            (Additive::Sum { sum, n }, Additive::Sum { sum: more, n: times }) => {
                Some(Additive::Sum { sum: sum.plus(*more), n: n.checked_add(*times)? })
            }
            _ => None,
        });
        let skipped = self.skipped.iter().zip(&other.skipped).map(|(held, more)| held.checked_add(*more));
        *self = AdditiveCell {
            events: self.events.checked_add(other.events)?,
            late: self.late.checked_add(other.late)?,
            skipped: skipped.collect::<Option<Vec<i64>>>()?,
            values: values.collect::<Option<Vec<Additive>>>()?,
        };
        Some(())
    }

    /// Whether it contributes nothing.
    pub fn is_zero(&self) -> bool {
        let zero = |value: &Additive| match value {
            Additive::Count(count) => *count == 0,
            Additive::Sum { sum, n } => *n == 0 && sum.is_zero(),
        };
        self.events == 0 && self.late == 0 && self.skipped.iter().all(|n| *n == 0) && self.values.iter().all(zero)
    }

    /// A cell's contribution, `sign` times; `None` when a metric does not add up.
    fn of(cell: &Cell, sign: i64) -> Option<AdditiveCell> {
        let signed = |count: u64| i64::try_from(count).ok()?.checked_mul(sign);
        let values = cell.states.iter().map(|state| match state {
            State::Count(count) => signed(*count).map(Additive::Count),
            State::Sum { sum, n } => Some(Additive::Sum { sum: sum.times(sign), n: signed(*n)? }),
            _ => None,
        });
        Some(AdditiveCell {
            events: signed(cell.events)?,
            late: signed(cell.late)?,
            skipped: cell.skipped.iter().map(|count| signed(*count)).collect::<Option<Vec<i64>>>()?,
            values: values.collect::<Option<Vec<Additive>>>()?,
        })
    }

    /// The cell these contributions add up to; `None` when they can't be those of live events.
    fn cell(&self, plan: &Plan) -> Option<Cell> {
        let count = |count: i64| u64::try_from(count).ok();
        if self.values.len() != plan.metrics.len() || self.skipped.len() != plan.metrics.len() {
            return None;
        }
        let states = self.values.iter().map(|value| match value {
            Additive::Count(rows) => Some(State::Count(count(*rows)?)),
            Additive::Sum { n: 0, sum } if !sum.is_zero() => None,
            Additive::Sum { sum, n } => Some(State::Sum { sum: *sum, n: count(*n)? }),
        });
        Some(Cell {
            events: count(self.events)?,
            late: count(self.late)?,
            skipped: self.skipped.iter().map(|rows| count(*rows)).collect::<Option<Vec<u64>>>()?,
            states: states.collect::<Option<Vec<State>>>()?,
        })
    }
}

/// What a batch contributes, by local day (of any date) and cell; days and cells it does not touch are not listed.
/// `rows` says which rows count (`None`: all); `sign` is 1 for events that came and −1 for events that went.
///
/// # Errors
/// [`FoldError`]; [`FoldError::Totals`] when the plan has a metric that does not add up.
pub fn deltas(
    plan: &Plan,
    batch: &RecordBatch,
    rows: Option<&BooleanArray>,
    sign: i64,
) -> Result<BTreeMap<(Date, CellKey), AdditiveCell>, FoldError> {
    let mut contributions = BTreeMap::new();
    if !plan.is_additive() {
        return Err(broken(plan, "a metric is neither a count nor a sum"));
    }
    let memory = Memory::default();
    let frame = Frame::new(batch, plan.columns(), Bounds::default(), &memory);
    let frame = frame.map_err(|error| FoldError::of(error, "where"))?;
    let mut splitter = Splitter::new(plan.zone.clone());
    let Some(selection) = select(plan, &frame, rows, None, &mut splitter)? else { return Ok(contributions) };
    let spill = SharedSpill::new(Box::new(MemorySpill::default()));
    for day in &selection.days {
        let mut fold = DayFold::new(plan, day.date, day.window);
        fold.update(plan, &selection.prepared, day.rows.which(), usize::MAX)?;
        let cells = fold.finish(plan, &spill)?;
        let groups = cells.groups.into_iter().map(|(key, cell)| (CellKey::Group(key), cell));
        for (key, cell) in std::iter::once((CellKey::Total, cells.total)).chain(groups) {
            let cell = AdditiveCell::of(&cell, sign).ok_or_else(|| broken(plan, "a count leaves 64 bits"))?;
            contributions.insert((day.date, key), cell);
        }
    }
    Ok(contributions)
}

/// What a day's cells contribute; `None` when a metric does not add up or a count leaves 63 bits.
pub fn additive(day: &DayCells) -> Option<Vec<(CellKey, AdditiveCell)>> {
    let groups = day.groups.iter().map(|(key, cell)| Some((CellKey::Group(key.clone()), AdditiveCell::of(cell, 1)?)));
    std::iter::once(Some((CellKey::Total, AdditiveCell::of(&day.total, 1)?))).chain(groups).collect()
}

/// The cells of one day from everything contributed to it. Groups without events vanish. Without a total cell the
/// total is added up from the groups.
///
/// # Errors
/// [`FoldError::Totals`] when these can't be the contributions of live events; [`FoldError::Overflow`].
pub fn day_cells(plan: &Plan, cells: impl IntoIterator<Item = (CellKey, AdditiveCell)>) -> Result<DayCells, FoldError> {
    let mut total = None;
    let mut groups = BTreeMap::new();
    for (key, additive) in cells {
        let cell = additive.cell(plan).ok_or_else(|| broken(plan, "a count is negative, or a sum has no values"))?;
        match key {
            CellKey::Total => total = Some(cell),
            CellKey::Group(_) if additive.is_zero() => {}
            CellKey::Group(_) if cell.events == 0 => return Err(broken(plan, "a group without events has values")),
            CellKey::Group(key) => {
                groups.insert(key, cell);
            }
        }
    }
    let total = match total {
        Some(total) => total,
        None => {
            let mut total = Cell::empty(plan);
            groups.values().try_for_each(|cell: &Cell| total.merge(cell.clone()))?;
            total
        }
    };
    let day = DayCells { total, groups };
    day.check(plan)?;
    Ok(day)
}

fn broken(plan: &Plan, why: &str) -> FoldError {
    FoldError::Totals { insight: plan.insight.clone(), why: why.to_owned() }
}

#[cfg(test)]
mod tests;
