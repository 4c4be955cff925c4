//! What an insight has to see of a stretch of rows, told by its bounds alone.
//!
//! Most row groups lie within one local day and were accepted long before, or long after, the day's end: then neither
//! column of instants has to be read. Bounds that are not known mean that everything is.

use tidemill_ingest::page::footer::Bounds;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::window::Window;

use super::day::late_after;
use super::split::Splitter;
use crate::plan::Plan;

/// A range of local days of one insight.
#[derive(Debug)]
pub struct Reach {
    range: Window,
    splitter: Splitter,
}

/// What is needed of a stretch of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Any of it.
    pub rows: bool,
    /// The event times, row by row.
    pub time: bool,
    /// The times of acceptance, row by row.
    pub received: bool,
}

impl Reach {
    /// The local days from `first` to `last`, both included.
    pub fn new(plan: &Plan, first: Date, last: Date) -> Reach {
        Reach { range: plan.zone.days(first, last), splitter: Splitter::new(plan.zone.clone()) }
    }

    /// What is needed of rows within these bounds.
    pub fn need(&mut self, bounds: &Bounds) -> Need {
        let Some((first, last)) = bounds.time else { return Need { rows: true, time: true, received: true } };
        if last < self.range.start.micros() || self.range.end.micros() <= first {
            return Need::default();
        }
        let inside = self.range.start.micros() <= first && last < self.range.end.micros();
        let one_day = inside && self.splitter.one_day((first, last)).is_some();
        let settled = bounds.received.is_some_and(|(earliest, latest)| {
            let none_late = latest <= late_after(self.splitter.window_of(first));
            none_late || earliest > late_after(self.splitter.window_of(last))
        });
        Need { rows: true, time: !one_day, received: !settled }
    }
}

impl Need {
    /// What either needs.
    #[must_use]
    pub fn or(self, other: Need) -> Need {
        Need { rows: self.rows || other.rows, time: self.time || other.time, received: self.received || other.received }
    }
}
