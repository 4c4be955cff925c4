//! Rows to local days: each row's day is found by comparing instants, never by asking the zone row by row.

use std::collections::BTreeMap;

use tidemill_schemas::calendar::{Date, Zone, next};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Window;

use super::rows::{RowSet, Which};

/// One local day's rows of a batch.
#[derive(Debug)]
pub struct DayRows {
    /// The local day.
    pub date: Date,
    /// Its window.
    pub window: Window,
    /// Rows of the batch; never empty.
    pub rows: RowSet,
}

/// Knows the local days met so far.
#[derive(Debug)]
pub struct Splitter {
    zone: Zone,
    /// By start.
    known: BTreeMap<i64, (Date, Window)>,
}

impl Splitter {
    /// A splitter of a zone's days.
    pub fn new(zone: Zone) -> Splitter {
        Splitter { zone, known: BTreeMap::new() }
    }

    /// The one local day both instants and all between them lie in, if there is one.
    pub fn one_day(&mut self, (first, last): (i64, i64)) -> Option<(Date, Window)> {
        let (date, window) = self.day_of(Timestamp::from_micros(first));
        window.contains(Timestamp::from_micros(last)).then_some((date, window))
    }

    /// The window of an instant's local day.
    pub fn window_of(&mut self, micros: i64) -> Window {
        self.day_of(Timestamp::from_micros(micros)).1
    }

    /// Splits rows by local day, in ascending order of days.
    pub fn split(&mut self, micros: &[i64], rows: Which<'_>) -> Vec<DayRows> {
        let mut days: Vec<(Date, Window, Vec<u32>)> = Vec::new();
        let mut by_date: BTreeMap<Date, usize> = BTreeMap::new();
        let (mut at, mut start, mut end) = (0usize, 1i64, 0i64);
        rows.each(|row| {
            let time = micros[row];
            if !(start <= time && time < end) {
                let (date, window) = self.day_of(Timestamp::from_micros(time));
                (start, end) = (window.start.micros(), window.end.micros());
                at = *by_date.entry(date).or_insert_with(|| {
                    days.push((date, window, Vec::new()));
                    days.len() - 1
                });
            }
            days[at].2.push(row as u32);
        });
        days.sort_by_key(|(date, ..)| *date);
        days.into_iter().map(|(date, window, rows)| DayRows { date, window, rows: RowSet::List(rows) }).collect()
    }

    fn day_of(&mut self, time: Timestamp) -> (Date, Window) {
        if let Some((_, (date, window))) = self.known.range(..=time.micros()).next_back()
            && window.contains(time)
        {
            return (*date, *window);
        }
        let mut date = self.zone.date_of(time);
        let mut window = self.zone.day(date);
        // Where clocks go back across midnight, an instant's own date may be the neighbour of the day it belongs to.
        while time >= window.end && next(date) > date {
            date = next(date);
            window = self.zone.day(date);
        }
        while time < window.start
            && let Ok(before) = date.yesterday()
        {
            date = before;
            window = self.zone.day(date);
        }
        self.known.insert(window.start.micros(), (date, window));
        (date, window)
    }
}

#[cfg(test)]
mod tests;
