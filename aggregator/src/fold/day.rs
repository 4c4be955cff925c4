//! One local day while its rows come in.
//!
//! In: a batch prepared once for all its days, and the day's rows. Out: [`DayCells`]. Cell 0 is the total, the others
//! are groups in the order they were first seen; that order never shows.

use arrow::buffer::BooleanBuffer;
use hashbrown::HashMap;
use tidemill_schemas::event::DAY_GRACE_MICROS;
use tidemill_schemas::window::Window;

use super::FoldError;
use crate::columns::Frame;
use crate::eval::vector::{Times, Vector};
use crate::group::Codes;
use crate::metric::accumulate::{Accumulator, Rows};
use crate::metric::{Cell, DayCells, GroupKey, State};
use crate::plan::Plan;
use crate::spill::SharedSpill;

/// What all days of a batch share.
#[derive(Debug)]
pub struct Prepared {
    received: Option<Times>,
    codes: Option<Codes>,
    metrics: Vec<Measured>,
}

/// One metric over a batch: the rows that pass its filter, and its argument.
#[derive(Debug)]
struct Measured {
    passes: Option<BooleanBuffer>,
    argument: Option<Vector>,
}

impl Prepared {
    /// Evaluates every metric over the selected rows; `lists` are the same rows by day.
    ///
    /// # Errors
    /// [`FoldError`].
    pub fn new(
        plan: &Plan,
        frame: &Frame<'_>,
        selected: &BooleanBuffer,
        lists: &[&[u32]],
    ) -> Result<Prepared, FoldError> {
        let mut metrics = Vec::with_capacity(plan.metrics.len());
        for metric in &plan.metrics {
            let of = |error| FoldError::of(error, &metric.name);
            let passes = match &metric.filter {
                Some(filter) => Some(&filter.holds(frame, Some(selected)).map_err(of)? & selected),
                None => None,
            };
            let asked = passes.as_ref().unwrap_or(selected);
            let argument = match &metric.argument {
                Some(argument) => Some(argument.evaluate(frame, Some(asked)).map_err(of)?),
                None => None,
            };
            metrics.push(Measured { passes, argument });
        }
        let of = |error| FoldError::of(error, "by");
        let read = |column: &tidemill_schemas::expression::Column| {
            frame.read(&tidemill_schemas::expression::Read { column: column.clone(), at: None })
        };
        let by = plan.by.iter().map(read).collect::<Result<Vec<Vector>, _>>().map_err(of)?;
        let codes = (!by.is_empty()).then(|| Codes::new(&by, lists));
        let received = frame.times(tidemill_schemas::page::RECEIVED).map_err(of)?;
        Ok(Prepared { received, codes, metrics })
    }
}

/// One local day.
#[derive(Debug)]
pub struct DayFold {
    window: Window,
    groups: HashMap<GroupKey, u32, foldhash::fast::FixedState>,
    events: Vec<u64>,
    late: Vec<u64>,
    /// By metric and cell.
    skipped: Vec<Vec<u64>>,
    accumulators: Vec<Accumulator>,
}

impl DayFold {
    /// The day of `window`, without rows.
    pub fn new(plan: &Plan, window: Window) -> DayFold {
        let mut day = DayFold {
            window,
            groups: HashMap::default(),
            events: Vec::new(),
            late: Vec::new(),
            skipped: vec![Vec::new(); plan.metrics.len()],
            accumulators: plan.metrics.iter().map(|metric| Accumulator::new(metric.kind)).collect(),
        };
        day.grow(1);
        day
    }

    fn grow(&mut self, cells: usize) {
        self.events.resize(cells, 0);
        self.late.resize(cells, 0);
        self.skipped.iter_mut().for_each(|skipped| skipped.resize(cells, 0));
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.grow(cells));
    }

    /// Takes the day's rows of a batch in.
    ///
    /// # Errors
    /// [`FoldError::TooManyGroups`].
    pub fn update(
        &mut self,
        plan: &Plan,
        prepared: &Prepared,
        rows: &[u32],
        groups_max: usize,
    ) -> Result<(), FoldError> {
        let cells = match &prepared.codes {
            None => None,
            Some(codes) => Some(self.cells(plan, codes, rows, groups_max)?),
        };
        self.grow(self.groups.len() + 1);
        let rows = Rows { rows, cells: cells.as_deref() };
        match rows.cells {
            None => self.events[0] += rows.rows.len() as u64,
            Some(cells) => cells.iter().for_each(|cell| self.events[*cell as usize] += 1),
        }
        if let Some(received) = &prepared.received {
            self.count_late(received, rows);
        }
        for (at, measured) in prepared.metrics.iter().enumerate() {
            let passing = measured.passes.as_ref().map(|passes| kept(rows, passes));
            let rows = match &passing {
                None => rows,
                Some((kept, cells)) => Rows { rows: kept, cells: cells.as_deref() },
            };
            let argument = measured.argument.as_ref();
            if plan.metrics[at].reports_skipped
                && let Some(nulls) = argument.and_then(Vector::nulls)
            {
                rows.count_nulls(&nulls, &mut self.skipped[at]);
            }
            self.accumulators[at].update(argument, rows);
        }
        Ok(())
    }

    fn cells(&mut self, plan: &Plan, codes: &Codes, rows: &[u32], groups_max: usize) -> Result<Vec<u32>, FoldError> {
        codes.cells(rows, |row| {
            let next = self.groups.len() as u32 + 1;
            let cell = *self.groups.entry(codes.key(row)).or_insert(next);
            if self.groups.len() > groups_max {
                return Err(FoldError::TooManyGroups { insight: plan.insight.clone(), limit: groups_max });
            }
            Ok(cell)
        })
    }

    fn count_late(&mut self, received: &Times, rows: Rows<'_>) {
        let deadline = self.window.end.plus_micros(DAY_GRACE_MICROS).micros();
        let valid = |row: usize| received.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let is_late = |row: u32| received.values[row as usize] > deadline && valid(row as usize);
        match rows.cells {
            None => self.late[0] += rows.rows.iter().filter(|row| is_late(**row)).count() as u64,
            Some(cells) => {
                for (row, cell) in rows.rows.iter().zip(cells) {
                    self.late[*cell as usize] += u64::from(is_late(*row));
                }
            }
        }
    }

    /// Bytes of what may be spilled.
    pub fn bytes(&self) -> usize {
        self.accumulators.iter().map(Accumulator::bytes).sum()
    }

    /// Spills the largest table.
    ///
    /// # Errors
    /// The spill's own.
    pub fn spill(&mut self, spill: &SharedSpill) -> std::io::Result<()> {
        match self.accumulators.iter_mut().max_by_key(|accumulator| accumulator.bytes()) {
            Some(largest) => largest.spill(spill),
            None => Ok(()),
        }
    }

    /// The day's cells.
    ///
    /// # Errors
    /// The spill's own.
    pub fn finish(self, plan: &Plan, spill: &SharedSpill) -> std::io::Result<DayCells> {
        let cells = self.events.len();
        let fills_total: Vec<bool> = self.accumulators.iter().map(Accumulator::fills_total).collect();
        let mut states = Vec::with_capacity(self.accumulators.len());
        for accumulator in self.accumulators {
            states.push(accumulator.finish(cells, spill)?.into_iter());
        }
        let mut finished = Vec::with_capacity(cells);
        for cell in 0..cells {
            finished.push(Some(Cell {
                events: self.events[cell],
                late: self.late[cell],
                skipped: self.skipped.iter().map(|skipped| skipped[cell]).collect(),
                states: states.iter_mut().filter_map(Iterator::next).collect(),
            }));
        }
        let mut total = finished[0].take().unwrap_or_else(|| Cell::empty(plan));
        let mut groups = std::collections::BTreeMap::new();
        for (key, cell) in self.groups {
            if let Some(cell) = finished[cell as usize].take() {
                groups.insert(key, cell);
            }
        }
        for cell in groups.values() {
            add_group(&mut total, cell, &fills_total)?;
        }
        Ok(DayCells { total, groups })
    }
}

/// Adds a group to the total, but for the states the total already has.
fn add_group(total: &mut Cell, group: &Cell, fills_total: &[bool]) -> std::io::Result<()> {
    total.events += group.events;
    total.late += group.late;
    for (held, more) in total.skipped.iter_mut().zip(&group.skipped) {
        *held += more;
    }
    let pairs = total.states.iter_mut().zip(&group.states).zip(fills_total);
    for ((held, more), _) in pairs.filter(|(_, fills)| !**fills) {
        match (held, more) {
            (State::Approx(held), State::Approx(more)) => held.merge(more),
            (held, more) => held.merge(more.clone())?,
        }
    }
    Ok(())
}

/// The rows that pass, with their cells.
fn kept(rows: Rows<'_>, passes: &BooleanBuffer) -> (Vec<u32>, Option<Vec<u32>>) {
    let keeps = |row: u32| passes.value(row as usize);
    match rows.cells {
        None => (rows.rows.iter().copied().filter(|row| keeps(*row)).collect(), None),
        Some(cells) => {
            let pairs = rows.rows.iter().zip(cells).filter(|(row, _)| keeps(**row));
            let (rows, cells) = pairs.map(|(row, cell)| (*row, *cell)).unzip();
            (rows, Some(cells))
        }
    }
}
