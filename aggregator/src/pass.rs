//! The folds of a pass: row groups into the days of many insights.
//!
//! In: row groups, in ascending order of UTC day, and now and then the instant before which all is over. Out: the local
//! days that are over, of every insight. Several workers may each fold some of the groups; what they have of a day is
//! merged, so that neither their number nor who got which group shows. Nothing here does I/O but through the spill, and
//! nothing asks for the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemill_ingest::page::PageError;
use tidemill_ingest::page::footer::{Bounds, Footer, Rows};
use tidemill_ingest::page::parts::Parts;
use tidemill_ingest::page::revisions::Corrected;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::expression::Column;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::hash_text;

use crate::columns::{Frame, Memory};
use crate::fold::{Counted, Fold, FoldError};
use crate::metric::DayCells;
use crate::plan::Plan;

/// A row group to be folded, its bytes at hand.
pub(crate) struct Group {
    /// The page's object, for messages.
    pub page: Arc<str>,
    pub footer: Arc<Footer>,
    pub group: usize,
    pub parts: Parts,
    pub what: What,
    /// Rows, as the footer says.
    pub count: usize,
    pub bounds: Bounds,
    /// What was corrected on its day; `None`: nothing.
    pub corrected: Option<Arc<Corrected>>,
    /// Which insights it is for.
    pub wanted_by: Vec<bool>,
}

/// What is read of a row group.
pub(crate) enum What {
    /// Columns, as leaves of the file, of these rows.
    Columns(Vec<usize>, Rows),
    /// The distinct values of columns: its rows lie within one day of every insight, and none looks at rows.
    Values(Vec<Column>),
}

/// Why a pass or one of its insights ended early.
#[derive(Clone, Debug)]
pub(crate) enum Broken {
    /// A page is unreadable: nobody can go on.
    Page(String),
    /// One insight cannot.
    Insight(usize, String),
}

/// The days an instant ended, by insight; insights that broke before are left out.
pub(crate) type Over = Vec<(usize, Vec<(Date, DayCells)>)>;

/// The folds of one worker.
pub(crate) struct Folds {
    folds: Vec<Option<Fold>>,
    columns: Arc<BTreeSet<Column>>,
    memory: Memory,
}

impl Folds {
    pub(crate) fn new(folds: Vec<Option<Fold>>, columns: Arc<BTreeSet<Column>>) -> Folds {
        Folds { folds, columns, memory: Memory::default() }
    }

    /// Folds a row group into all of them; what broke.
    pub(crate) fn take(&mut self, group: Group) -> Vec<Broken> {
        let page = Arc::clone(&group.page);
        let mut broken = Vec::new();
        if let Err(why) = self.read(group, &mut broken) {
            broken.push(Broken::Page(format!("page {page} is unreadable: {why}")));
        }
        broken
    }

    fn read(&mut self, group: Group, broken: &mut Vec<Broken>) -> Result<(), PageError> {
        let Group { footer, group, parts, what, count, bounds, corrected, wanted_by, .. } = group;
        let (columns, rows) = match what {
            What::Columns(columns, rows) => (columns, rows),
            What::Values(columns) => {
                let mut hashes = BTreeMap::new();
                for column in columns {
                    let values = footer.read_vocabulary(parts.clone(), group, &column)?;
                    hashes.insert(column, values.iter().flatten().map(hash_text).collect());
                }
                let counted = Counted { rows: count, bounds, hashes };
                self.each(&wanted_by, broken, |fold| fold.values(&counted));
                return Ok(());
            }
        };
        for batch in footer.read(parts, group, &columns, rows)? {
            let batch = batch?;
            let live = match &corrected {
                Some(corrected) => Some(corrected.live(&batch).map_err(|why| PageError::Format(why.to_string()))?),
                None => None,
            };
            let (memory, wanted) = (std::mem::take(&mut self.memory), Arc::clone(&self.columns));
            let frame = Frame::new(&batch, &wanted, bounds, &memory)
                .map_err(|why| PageError::Format(FoldError::of(why, "where").to_string()))?;
            self.each(&wanted_by, broken, |fold| fold.fold(&frame, live.as_ref()));
            drop(frame);
            self.memory = memory;
        }
        Ok(())
    }

    /// Calls every fold that wants it; one that fails is of no use any more.
    fn each(
        &mut self,
        wanted_by: &[bool],
        broken: &mut Vec<Broken>,
        mut call: impl FnMut(&mut Fold) -> Result<(), FoldError>,
    ) {
        for (at, fold) in self.folds.iter_mut().enumerate().filter(|(at, _)| wanted_by[*at]) {
            if let Some(running) = fold
                && let Err(why) = call(running)
            {
                broken.push(Broken::Insight(at, why.to_string()));
                *fold = None;
            }
        }
    }

    /// The days that end at or before `instant`.
    pub(crate) fn finish_before(&mut self, instant: Timestamp, broken: &mut Vec<Broken>) -> Over {
        let mut over = Over::new();
        for (at, fold) in self.folds.iter_mut().enumerate() {
            let Some(running) = fold else { continue };
            match running.finish_before(instant) {
                Ok(days) => over.push((at, days)),
                Err(why) => {
                    broken.push(Broken::Insight(at, why.to_string()));
                    *fold = None;
                }
            }
        }
        over
    }
}

/// Checks merged cells as a fold checks its own.
pub(crate) fn checked(plan: &Plan, cells: &DayCells, groups_max: usize) -> Result<(), FoldError> {
    if cells.groups.len() > groups_max {
        return Err(FoldError::TooManyGroups { insight: plan.insight.clone(), limit: groups_max });
    }
    cells.check(plan)
}

pub(crate) fn is_of(broken: &Broken, insight: usize) -> bool {
    matches!(broken, Broken::Insight(at, _) if *at == insight)
}

pub(crate) fn merge_days(held: &mut [(Date, DayCells)], more: Vec<(Date, DayCells)>) -> std::io::Result<()> {
    held.iter_mut().zip(more).try_for_each(|((date, cells), (same, more))| {
        debug_assert_eq!(*date, same);
        cells.merge(more)
    })
}

#[cfg(test)]
mod tests;
