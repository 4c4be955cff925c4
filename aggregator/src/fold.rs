//! The fold: record batches to exact cells per local day.
//!
//! In: batches with the page schema, in ascending order of UTC day, and which of their rows are live. Out: every local
//! day of a range with its [`DayCells`]. Memory: the days still open, and of distinct counts and quantiles at most a
//! budget; the rest lies in the spill. Neither the cut nor the order of batches shows in what comes out. Nothing here
//! does I/O but through [`Spill`], and nothing asks for the time.

pub(crate) mod day;
mod error;
pub(crate) mod reach;
pub(crate) mod rows;
pub(crate) mod split;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use tidemill_ingest::page::footer::Bounds;
use tidemill_schemas::calendar::{Date, next};
use tidemill_schemas::page;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Window;

use crate::columns::{Frame, Memory};
use crate::eval::vector::Times;
use crate::eval::{EvalError, truth};
use crate::metric::DayCells;
use crate::plan::Plan;
use crate::spill::{SharedSpill, Spill};
pub(crate) use day::Counted;
use day::{DayFold, Prepared};
pub use error::FoldError;
use rows::RowSet;
use split::{DayRows, Splitter};

/// Rows looked at together: bounds what a batch adds over the memory budget.
const SLICE_ROWS_MAX: usize = 1 << 20;

/// Limits of one fold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of tables in memory before the largest is spilled.
    pub memory_bytes_max: usize,
    /// Groups of one day.
    pub groups_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes_max: 256 * 1024 * 1024, groups_max: 100_000 }
    }
}

/// One insight over a range of local days.
#[derive(Debug)]
pub struct Fold {
    plan: Arc<Plan>,
    limits: Limits,
    spill: SharedSpill,
    splitter: Splitter,
    range: Window,
    /// The first day not handed out; `None` when all are.
    next: Option<Date>,
    last: Date,
    open: BTreeMap<Date, DayFold>,
}

impl Fold {
    /// The local days from `first` to `last`, both included.
    pub fn new(plan: Arc<Plan>, first: Date, last: Date, limits: Limits, spill: Box<dyn Spill>) -> Fold {
        Fold {
            splitter: Splitter::new(plan.zone.clone()),
            range: plan.zone.days(first, last),
            plan,
            limits,
            spill: SharedSpill::new(spill),
            next: (first <= last).then_some(first),
            last,
            open: BTreeMap::new(),
        }
    }

    /// Takes a batch in. `live` says which rows count; `None`: all.
    ///
    /// # Errors
    /// [`FoldError`]; the fold is of no use afterwards.
    pub fn update(&mut self, batch: &RecordBatch, live: Option<&BooleanArray>) -> Result<(), FoldError> {
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = SLICE_ROWS_MAX.min(batch.num_rows() - from);
            let live = live.map(|live| live.slice(from, rows));
            self.update_slice(&batch.slice(from, rows), live.as_ref())?;
            from += rows;
        }
        Ok(())
    }

    fn update_slice(&mut self, batch: &RecordBatch, live: Option<&BooleanArray>) -> Result<(), FoldError> {
        let plan = Arc::clone(&self.plan);
        let memory = Memory::default();
        let frame = Frame::new(batch, plan.columns(), Bounds::default(), &memory);
        self.fold(&frame.map_err(|error| FoldError::of(error, "where"))?, live)
    }

    /// Takes a batch in that other insights of the pass look at too, of at most [`SLICE_ROWS_MAX`] rows.
    ///
    /// # Errors
    /// As [`Fold::update`].
    pub(crate) fn fold(&mut self, frame: &Frame<'_>, live: Option<&BooleanArray>) -> Result<(), FoldError> {
        let plan = Arc::clone(&self.plan);
        let range = self.range;
        let Some(selection) = select(&plan, frame, live, Some(range), &mut self.splitter)? else { return Ok(()) };
        for day in &selection.days {
            if self.next.is_none_or(|next| day.date < next) {
                return Err(FoldError::DayFinished { date: day.date });
            }
            let fold = self.open.entry(day.date).or_insert_with(|| DayFold::new(&plan, day.date, day.window));
            fold.update(&plan, &selection.prepared, day.rows.which(), self.limits.groups_max)?;
            self.keep_budget()?;
        }
        Ok(())
    }

    /// Takes rows in of which only the distinct values of columns are known; all lie within one of its days.
    ///
    /// # Errors
    /// As [`Fold::update`].
    pub(crate) fn values(&mut self, counted: &Counted) -> Result<(), FoldError> {
        let plan = Arc::clone(&self.plan);
        let missing = || FoldError::of(EvalError::page(page::TIME, "is not within one day"), "where");
        let (date, window) = counted.bounds.time.and_then(|span| self.splitter.one_day(span)).ok_or_else(missing)?;
        if self.next.is_none_or(|next| date < next) {
            return Err(FoldError::DayFinished { date });
        }
        self.open.entry(date).or_insert_with(|| DayFold::new(&plan, date, window)).values(&plan, counted);
        self.keep_budget()
    }

    fn keep_budget(&mut self) -> Result<(), FoldError> {
        loop {
            let bytes: usize = self.open.values().map(DayFold::bytes).sum();
            if bytes <= self.limits.memory_bytes_max || bytes == 0 {
                return Ok(());
            }
            if let Some(largest) = self.open.values_mut().max_by_key(|day| day.bytes()) {
                largest.spill(&self.spill)?;
            }
        }
    }

    /// Hands out, in ascending order, the days that end at or before `instant`, those without events included. No
    /// event of theirs may come afterwards.
    ///
    /// # Errors
    /// [`FoldError::Overflow`]; the spill's own.
    pub fn finish_before(&mut self, instant: Timestamp) -> Result<Vec<(Date, DayCells)>, FoldError> {
        let mut finished = Vec::new();
        while let Some(date) = self.next.filter(|date| self.plan.zone.day(*date).end <= instant) {
            finished.push((date, self.finish_day(date)?));
        }
        Ok(finished)
    }

    /// Hands out all remaining days.
    ///
    /// # Errors
    /// As [`Fold::finish_before`].
    pub fn finish(mut self) -> Result<Vec<(Date, DayCells)>, FoldError> {
        let mut finished = Vec::new();
        while let Some(date) = self.next {
            finished.push((date, self.finish_day(date)?));
        }
        Ok(finished)
    }

    fn finish_day(&mut self, date: Date) -> Result<DayCells, FoldError> {
        self.next = Some(next(date)).filter(|next| *next <= self.last && *next > date);
        let Some(day) = self.open.remove(&date) else { return Ok(DayCells::empty(&self.plan)) };
        let cells = day.finish(&self.plan, &self.spill)?;
        cells.check(&self.plan)?;
        Ok(cells)
    }
}

/// The rows of a batch that count, by local day, with every metric evaluated over them.
pub(crate) struct Selection {
    pub(crate) days: Vec<DayRows>,
    pub(crate) prepared: Prepared,
}

/// Selects the rows an insight counts: live, of its names and source, inside `range`, where its filter holds.
pub(crate) fn select(
    plan: &Plan,
    frame: &Frame<'_>,
    live: Option<&BooleanArray>,
    range: Option<Window>,
    splitter: &mut Splitter,
) -> Result<Option<Selection>, FoldError> {
    let of = |error| FoldError::of(error, "where");
    let mut selected = Selected(live.map(truth));
    if let Some((base, test)) = &plan.base {
        selected.keep(frame.base(base, test).map_err(of)?);
    }
    // A batch within one day needs no look at its times; most are.
    let span = frame.span().map_err(of)?;
    let whole = span
        .filter(|(first, last)| range.is_none_or(|range| range.start.micros() <= *first && *last < range.end.micros()));
    let one_day = whole.and_then(|span| splitter.one_day(span));
    let times = match one_day {
        Some(_) => None,
        None => Some(times_within(frame, range, &mut selected).map_err(of)?),
    };
    if let Some(filter) = &plan.filter
        && selected.any()
    {
        let holds = filter.holds(frame, selected.0.as_ref()).map_err(of)?;
        selected.keep(holds);
    }
    if !selected.any() || frame.rows() == 0 {
        return Ok(None);
    }
    let rows = RowSet::of(selected.0.as_ref(), frame.rows());
    let days = match (one_day, times) {
        (Some((date, window)), _) => vec![DayRows { date, window, rows }],
        (None, Some(times)) => splitter.split(&times.values, rows.which()),
        (None, None) => Vec::new(),
    };
    let prepared = Prepared::new(plan, frame, selected.0.as_ref(), &days)?;
    Ok(Some(Selection { days, prepared }))
}

/// Rows selected so far; `None`: all.
struct Selected(Option<BooleanBuffer>);

impl Selected {
    fn keep(&mut self, rows: BooleanBuffer) {
        self.0 = Some(match self.0.take() {
            Some(held) => &held & &rows,
            None => rows,
        });
    }

    fn any(&self) -> bool {
        self.0.as_ref().is_none_or(|rows| rows.count_set_bits() > 0)
    }
}

/// The event times; rows without one or outside `range` are left out.
fn times_within(frame: &Frame<'_>, range: Option<Window>, selected: &mut Selected) -> Result<Times, EvalError> {
    let missing = || EvalError::page(page::TIME, "is missing");
    let times = frame.times(page::TIME)?.ok_or_else(missing)?;
    if let Some(nulls) = &times.nulls {
        selected.keep(nulls.inner().clone());
    }
    if let Some(range) = range {
        let (start, end) = (range.start.micros(), range.end.micros());
        let micros = &times.values;
        selected.keep(BooleanBuffer::collect_bool(frame.rows(), |row| start <= micros[row] && micros[row] < end));
    }
    Ok(times)
}

#[cfg(test)]
mod tests;
