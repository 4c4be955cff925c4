//! Buckets of cohorts as whole numbers: days, weeks or months one after the other.

use tidemill_schemas::calendar::{self, Date, Period, WeekStart};

/// The first day of weeks that start on a Sunday, near the epoch.
const SUNDAY: Date = Date::constant(1970, 1, 4);
/// The same of weeks that start on a Monday.
const MONDAY: Date = Date::constant(1970, 1, 5);

/// The number of the bucket a local date lies in.
pub fn of(every: Period, date: Date, week_start: WeekStart) -> i32 {
    match every {
        Period::Day => days_from(SUNDAY, date),
        Period::Week => days_from(first_week(week_start), date).div_euclid(7),
        Period::Month => i32::from(date.year()) * 12 + i32::from(date.month()) - 1,
        Period::Quarter => of(Period::Month, date, week_start).div_euclid(3),
        Period::Year => i32::from(date.year()),
    }
}

/// The first local date of a bucket; within the calendar, whatever the number.
pub fn start(every: Period, bucket: i32, week_start: WeekStart) -> Date {
    let after = |from: Date, days: i64| calendar::plus_days(from, days.clamp(-4_000_000, 4_000_000) as i32);
    let month = |months: i64| {
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let year = year.clamp(-9_999, 9_999) as i16;
        Date::new(year, month as i8, 1).unwrap_or(Date::MAX)
    };
    let bucket = i64::from(bucket);
    match every {
        Period::Day => after(SUNDAY, bucket),
        Period::Week => after(first_week(week_start), bucket * 7),
        Period::Month => month(bucket),
        Period::Quarter => month(bucket * 3),
        Period::Year => month(bucket * 12),
    }
}

/// Days of the longest bucket.
pub fn days_max(every: Period) -> i32 {
    match every {
        Period::Day => 1,
        Period::Week => 7,
        Period::Month => 31,
        Period::Quarter => 92,
        Period::Year => 366,
    }
}

fn first_week(week_start: WeekStart) -> Date {
    match week_start {
        WeekStart::Sunday => SUNDAY,
        WeekStart::Monday => MONDAY,
    }
}

fn days_from(from: Date, to: Date) -> i32 {
    crate::dispatch::apart(from, to)
}

#[cfg(test)]
mod tests;
