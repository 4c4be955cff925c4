//! Longer periods: when they are rolled up, and which of them a day lies in. Pure.
//!
//! A period is rolled up some hours after its local end, as an instant, so that clocks that change move nothing. In
//! UTC these are the cron lines 01:00 daily, 01:30 on Sundays, 02:00 on the first of the month, 03:00 on the first of
//! the quarter, 04:00 on January 1st.

use std::collections::BTreeSet;

use tidemill_schemas::calendar::{Date, LONG_PERIODS, Period, WeekStart, Zone, next};
use tidemill_schemas::snapshot::{Header, Input};
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

/// Minutes before its rollup from when on a change of one of its days marks a period: longer than any commit takes.
const MARK_MARGIN_MINUTES: i64 = 15;

/// Minutes from the end of a period to its rollup.
pub fn offset_minutes(period: Period) -> i64 {
    match period {
        Period::Day => 60,
        Period::Week => 90,
        Period::Month => 120,
        Period::Quarter => 180,
        Period::Year => 240,
    }
}

fn micros(minutes: i64) -> i64 {
    minutes * 60 * MICROS_PER_SECOND
}

/// When the period that ends with `last` is rolled up.
pub fn fires_at(zone: &Zone, period: Period, last: Date) -> Timestamp {
    zone.start_of(next(last)).plus_micros(micros(offset_minutes(period)))
}

/// The last day of the last period whose rollup time has come.
pub fn last_closed(zone: &Zone, period: Period, week_start: WeekStart, now: Timestamp) -> Date {
    let running = zone.date_of(now.plus_micros(-micros(offset_minutes(period))));
    period.first(running, week_start).yesterday().unwrap_or(Date::MIN)
}

/// The first rollup after `now`.
pub fn next_firing(zone: &Zone, period: Period, week_start: WeekStart, now: Timestamp) -> Timestamp {
    let running = zone.date_of(now.plus_micros(-micros(offset_minutes(period))));
    fires_at(zone, period, period.last(running, week_start))
}

/// The whole periods from the one that begins on `first` to the one that ends with `last`, in order: first and last day
/// of each. `None` when they don't begin and end there.
pub fn whole(period: Period, week_start: WeekStart, first: Date, last: Date) -> Option<Vec<(Date, Date)>> {
    let mut periods = Vec::new();
    let mut at = first;
    while at <= last {
        let (from, to) = (period.first(at, week_start), period.last(at, week_start));
        if from != at || to > last {
            return None;
        }
        periods.push((from, to));
        at = next(to);
    }
    (!periods.is_empty()).then_some(periods)
}

/// The longer periods these days lie in, by kind and first day.
pub fn around(days: impl Iterator<Item = Date>, week_start: WeekStart) -> BTreeSet<(Period, Date)> {
    days.flat_map(|day| LONG_PERIODS.map(|period| (period, period.first(day, week_start)))).collect()
}

/// Whether the rollup of a period has come, or is about to: from then on a change of its days has to be told.
pub fn is_closed(zone: &Zone, period: Period, first: Date, week_start: WeekStart, now: Timestamp) -> bool {
    let fires = fires_at(zone, period, period.last(first, week_start));
    fires <= now.plus_micros(micros(MARK_MARGIN_MINUTES))
}

/// Whether a day's snapshot is what its pages say of the whole day, and was compared with what else is known. Whether
/// pages came since is another question.
pub fn is_final(header: &Header, zone: &Zone) -> bool {
    let window = zone.day(header.start);
    header.input == Input::Pages
        && header.verified.is_some()
        && header.window == window
        && header.watermark >= window.end
}

#[cfg(test)]
mod tests;
