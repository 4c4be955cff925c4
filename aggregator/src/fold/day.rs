//! One local day while its rows come in.
//!
//! In: a batch prepared once for all its days, and the day's rows. Out: [`DayCells`]. Cell 0 is the total, the others
//! are groups in the order they were first seen; that order never shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use hashbrown::HashMap;
use tidemill_ingest::page::footer::Bounds;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::event::DAY_GRACE_MICROS;
use tidemill_schemas::expression::Column;
use tidemill_schemas::page;
use tidemill_schemas::window::Window;

use super::FoldError;
use super::rows::Which;
use super::split::DayRows;
use crate::columns::Frame;
use crate::eval::EvalError;
use crate::eval::vector::{Times, Vector};
use crate::group::Codes;
use crate::metric::accumulate::{Accumulator, Cells, Rows, Traces};
use crate::metric::{Cell, DayCells, GroupKey, Kind, State};
use crate::plan::{Plan, PlanMetric};
use crate::spill::SharedSpill;

/// What all days of a batch share.
#[derive(Debug)]
pub struct Prepared {
    received: Received,
    codes: Option<Codes>,
    metrics: Vec<Measured>,
}

/// When the rows of a batch were accepted.
#[derive(Debug)]
pub(crate) enum Received {
    /// Unknown: none counts as late.
    Unknown,
    /// All by this microsecond: either none is late or every one.
    Until(i64),
    /// Row by row.
    At(Times),
}

/// Rows of which only the distinct values of columns are known.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Rows.
    pub rows: usize,
    /// Their bounds, which lie within one day.
    pub bounds: Bounds,
    /// The hashes of the values, by column.
    pub hashes: BTreeMap<Column, Vec<u128>>,
}

/// One metric over a batch: the rows that pass its filter, and its argument.
#[derive(Debug)]
struct Measured {
    passes: Option<BooleanBuffer>,
    argument: Option<Vector>,
    /// The hashes of the argument's dictionary, where values are told apart by them.
    hashes: Option<Arc<Vec<u128>>>,
    /// Of insights over actors: what the rows are to them.
    traces: Option<Traces>,
}

impl Prepared {
    /// Evaluates every metric over the selected rows (`None`: all); `days` are the same rows by day.
    ///
    /// # Errors
    /// [`FoldError`].
    pub fn new(
        plan: &Plan,
        frame: &Frame<'_>,
        selected: Option<&BooleanBuffer>,
        days: &[DayRows],
    ) -> Result<Prepared, FoldError> {
        let rows: usize = days.iter().map(|day| day.rows.which().len()).sum();
        let mut metrics = Vec::with_capacity(plan.metrics.len());
        for metric in &plan.metrics {
            let of = |error| FoldError::of(error, &metric.name);
            let passes = match &metric.filter {
                Some(filter) => Some(both(filter.holds(frame, selected).map_err(of)?, selected)),
                None => None,
            };
            let asked = passes.as_ref().or(selected);
            let argument = match &metric.argument {
                Some(argument) => Some(argument.evaluate(frame, asked).map_err(of)?),
                None => None,
            };
            let hashes = match (&argument, metric.kind) {
                (Some(Vector::Text(texts)), Kind::Distinct | Kind::Approx | Kind::Trail | Kind::Presence(_)) => {
                    frame.hashes(texts, rows)
                }
                _ => None,
            };
            let traces = match metric.kind {
                Kind::Trail | Kind::Presence(_) => Some(traces(metric, frame, selected)?),
                _ => None,
            };
            metrics.push(Measured { passes, argument, hashes, traces });
        }
        let of = |error| FoldError::of(error, "by");
        let read =
            |column: &Column| frame.read(&tidemill_schemas::expression::Read { column: column.clone(), at: None });
        let by = plan.by.iter().map(read).collect::<Result<Vec<Vector>, _>>().map_err(of)?;
        let lists: Vec<Which<'_>> = days.iter().map(|day| day.rows.which()).collect();
        let codes = (!by.is_empty()).then(|| Codes::new(&by, frame.rows(), &lists));
        Ok(Prepared { received: frame.received().map_err(of)?, codes, metrics })
    }

    /// Whether anything is told apart row by row, and not only counted.
    fn by_row(&self) -> bool {
        matches!(self.received, Received::At(_))
            || self.metrics.iter().any(|measured| measured.passes.is_some() || measured.argument.is_some())
    }
}

/// When the rows happened, and which selections of the insight they belong to.
fn traces(metric: &PlanMetric, frame: &Frame<'_>, selected: Option<&BooleanBuffer>) -> Result<Traces, FoldError> {
    let of = |error| FoldError::of(error, &metric.name);
    let missing = || of(EvalError::page(page::TIME, "is missing"));
    let times = match metric.needs_times {
        true => Some(frame.times(page::TIME).map_err(of)?.ok_or_else(missing)?.values),
        false => None,
    };
    let mut masks = vec![0u32; frame.rows()];
    for (at, test) in metric.bits.iter().enumerate() {
        let holds = both(test.holds(frame, selected).map_err(of)?, selected);
        holds.set_indices_u32().for_each(|row| masks[row as usize] |= 1 << at);
    }
    Ok(Traces { times, masks, kinds: 1u32.checked_shl(metric.bits.len() as u32).unwrap_or(u32::MAX) })
}

fn both(holds: BooleanBuffer, selected: Option<&BooleanBuffer>) -> BooleanBuffer {
    selected.map_or(holds.clone(), |selected| &holds & selected)
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
    /// The day `date`, which is `window`, without rows.
    pub fn new(plan: &Plan, date: Date, window: Window) -> DayFold {
        let mut day = DayFold {
            window,
            groups: HashMap::default(),
            events: Vec::new(),
            late: Vec::new(),
            skipped: vec![Vec::new(); plan.metrics.len()],
            accumulators: plan
                .metrics
                .iter()
                .map(|metric| Accumulator::new(metric.kind, date, plan.week_start))
                .collect(),
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
        rows: Which<'_>,
        groups_max: usize,
    ) -> Result<(), FoldError> {
        let numbered = match &prepared.codes {
            None => None,
            Some(codes) => Some(codes.cells(rows, prepared.by_row(), |key| self.cell(plan, key, groups_max))?),
        };
        self.grow(self.groups.len() + 1);
        let cells =
            numbered.as_ref().map(|numbered| Cells { of_rows: &numbered.cells, counts: Some(&numbered.counts) });
        let rows = Rows { rows, cells };
        rows.count(&mut self.events);
        self.count_late(&prepared.received, rows);
        for (at, measured) in prepared.metrics.iter().enumerate() {
            let passing = measured.passes.as_ref().map(|passes| kept(rows, passes));
            let rows = match &passing {
                None => rows,
                Some((kept, cells)) => Rows {
                    rows: Which::List(kept),
                    cells: cells.as_deref().map(|of_rows| Cells { of_rows, counts: None }),
                },
            };
            let argument = measured.argument.as_ref();
            if plan.metrics[at].reports_skipped
                && let Some(nulls) = argument.and_then(Vector::nulls)
            {
                rows.count_nulls(&nulls, &mut self.skipped[at]);
            }
            let hashes = measured.hashes.as_ref().map(|hashes| hashes.as_slice());
            match (argument, &measured.traces) {
                (Some(argument), Some(traces)) => self.accumulators[at].follow(argument, hashes, rows, traces),
                _ => self.accumulators[at].update(argument, hashes, rows),
            }
        }
        Ok(())
    }

    /// Takes rows in of which only the distinct values of columns are known.
    pub fn values(&mut self, plan: &Plan, counted: &Counted) {
        let rows = Rows { rows: Which::All(counted.rows), cells: None };
        rows.count(&mut self.events);
        let received = counted.bounds.received.map_or(Received::Unknown, |(_, latest)| Received::Until(latest));
        self.count_late(&received, rows);
        for (metric, accumulator) in plan.metrics.iter().zip(&mut self.accumulators) {
            let hashes = metric.column().and_then(|column| counted.hashes.get(column));
            accumulator.values(hashes.map_or(&[], Vec::as_slice), rows);
        }
    }

    fn cell(&mut self, plan: &Plan, key: GroupKey, groups_max: usize) -> Result<u32, FoldError> {
        let next = self.groups.len() as u32 + 1;
        let cell = *self.groups.entry(key).or_insert(next);
        if self.groups.len() > groups_max {
            return Err(FoldError::TooManyGroups { insight: plan.insight.clone(), limit: groups_max });
        }
        Ok(cell)
    }

    fn count_late(&mut self, received: &Received, rows: Rows<'_>) {
        let deadline = late_after(self.window);
        match received {
            Received::Unknown => {}
            Received::Until(latest) if *latest <= deadline => {}
            // What lies across a deadline is read row by row: see `super::reach`.
            Received::Until(_) => rows.count(&mut self.late),
            Received::At(times) => {
                let valid = |row: usize| times.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                rows.each(None, |row, cell| {
                    self.late[cell] += u64::from(times.values[row] > deadline && valid(row));
                });
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
        let mut groups = BTreeMap::new();
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
    let cells = rows.cells.map(|cells| cells.of_rows);
    match (rows.rows, cells) {
        (Which::All(_), None) => (passes.set_indices_u32().collect(), None),
        (Which::All(_), Some(cells)) => {
            let kept: Vec<u32> = passes.set_indices_u32().collect();
            let cells = kept.iter().map(|row| cells[*row as usize]).collect();
            (kept, Some(cells))
        }
        (Which::List(rows), None) => (rows.iter().copied().filter(|row| passes.value(*row as usize)).collect(), None),
        (Which::List(rows), Some(cells)) => {
            let pairs = rows.iter().zip(cells).filter(|(row, _)| passes.value(**row as usize));
            let (rows, cells) = pairs.map(|(row, cell)| (*row, *cell)).unzip();
            (rows, Some(cells))
        }
    }
}

/// The last microsecond at which an event of a day can be accepted without being late.
pub(crate) fn late_after(window: Window) -> i64 {
    window.end.plus_micros(DAY_GRACE_MICROS).micros()
}
