//! Rows to local days: each row's day is found by comparing instants, never by asking the zone row by row.

use std::collections::BTreeMap;

use arrow::buffer::BooleanBuffer;
use tidemill_schemas::calendar::{Date, Zone, next};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Window;

/// One local day's rows of a batch.
#[derive(Debug)]
pub struct DayRows {
    /// The local day.
    pub date: Date,
    /// Its window.
    pub window: Window,
    /// Rows of the batch, ascending; never empty.
    pub rows: Vec<u32>,
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

    /// Splits the selected rows by local day, in ascending order of days.
    pub fn split(&mut self, micros: &[i64], selected: &BooleanBuffer) -> Vec<DayRows> {
        let mut days: Vec<DayRows> = Vec::new();
        let mut by_date: BTreeMap<Date, usize> = BTreeMap::new();
        let (mut at, mut start, mut end) = (0usize, 1i64, 0i64);
        for row in selected.set_indices_u32() {
            let time = micros[row as usize];
            if !(start <= time && time < end) {
                let (date, window) = self.day_of(Timestamp::from_micros(time));
                (start, end) = (window.start.micros(), window.end.micros());
                at = *by_date.entry(date).or_insert_with(|| {
                    days.push(DayRows { date, window, rows: Vec::new() });
                    days.len() - 1
                });
            }
            days[at].rows.push(row);
        }
        days.sort_by_key(|day| day.date);
        days
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
