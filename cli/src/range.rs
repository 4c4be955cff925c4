//! Ranges of time as people type them, in an insight's own zone. Half-open: the end is not included.
//!
//! In: `--last 7d`, or `--from` and `--to`. Out: two instants. The time now is an argument.

use tidemill_schemas::calendar::{Date, Period, WeekStart, Zone, next};
use tidemill_schemas::time::Timestamp;

use crate::failure::Failure;

/// Periods `--last` may span.
const LAST_PERIODS_MAX: u16 = 10_000;

/// An insight's calendar, and the time now.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// The insight's zone.
    pub zone: Zone,
    /// The day its weeks start on.
    pub week_start: WeekStart,
    /// The time now.
    pub now: Timestamp,
}

/// `[from, to)` of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First instant.
    pub from: Timestamp,
    /// The instant after the last.
    pub to: Timestamp,
}

impl Calendar {
    /// The range of the flags; without any, the span that suits `every`.
    pub fn range(
        &self,
        last: Option<&str>,
        from: Option<&str>,
        to: Option<&str>,
        every: Option<&str>,
    ) -> Result<Range, Failure> {
        if last.is_none() && (from.is_some() || to.is_some()) {
            let to = to.map(|text| self.instant("--to", text)).transpose()?.unwrap_or_else(|| self.end_of_today());
            let Some(from) = from else {
                return Err(Failure::input("TM0912", "--to needs --from").help("add --from DATE, or use --last"));
            };
            let from = self.instant("--from", from)?;
            if from >= to {
                let why = format!("the range is empty: --from {from} is not before --to {to}");
                return Err(Failure::input("TM0912", why).help("--to is the first instant that is left out"));
            }
            return Ok(Range { from, to });
        }
        self.last(last.unwrap_or(match every {
            Some("week") => "12w",
            Some("month") => "12m",
            Some("quarter") => "8q",
            Some("year") => "5y",
            _ => "30d",
        }))
    }

    /// The last n periods, the running one included: `7d`, `4w`, `12m`, `8q`, `2y`.
    fn last(&self, text: &str) -> Result<Range, Failure> {
        let wrong = || {
            Failure::input("TM0912", format!("`--last {text}` is no span"))
                .help("write a number and d, w, m, q or y: --last 7d, --last 12m")
        };
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let count: u16 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
        if count == 0 || count > LAST_PERIODS_MAX {
            return Err(wrong());
        }
        let period = match unit {
            'd' => Period::Day,
            'w' => Period::Week,
            'm' => Period::Month,
            'q' => Period::Quarter,
            'y' => Period::Year,
            _ => return Err(wrong()),
        };
        let mut first = period.first(self.zone.date_of(self.now), self.week_start);
        for _ in 1..count {
            let before = first.yesterday().ok().filter(|date| date.year() >= 1).ok_or_else(wrong)?;
            first = period.first(before, self.week_start);
        }
        Ok(Range { from: self.zone.start_of(first), to: self.end_of_today() })
    }

    fn end_of_today(&self) -> Timestamp {
        self.zone.start_of(next(self.zone.date_of(self.now)))
    }

    /// An instant: RFC 3339, a date, a month, a year (each their first instant), or epoch milliseconds.
    fn instant(&self, flag: &str, text: &str) -> Result<Timestamp, Failure> {
        if let Some(time) = Timestamp::parse(text) {
            return Ok(time);
        }
        let padded = match text.len() {
            4 => format!("{text}-01-01"),
            7 => format!("{text}-01"),
            _ => text.to_owned(),
        };
        let date = if padded.len() == 10 { padded.parse::<Date>().ok() } else { None };
        if let Some(date) = date.filter(|date| date.year() >= 1) {
            return Ok(self.zone.start_of(date));
        }
        let millis = text.parse().ok().filter(|_| text.len() > 10).map(Timestamp::from_millis);
        millis.and_then(Timestamp::in_range).ok_or_else(|| {
            Failure::input("TM0912", format!("`{flag} {text}` is no time"))
                .help("write 2026-08-01, 2026-08, 2026 or 2026-08-01T12:00:00Z")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zone: &str, now: &str) -> Calendar {
        let zone = Zone::named(zone).expect("a zone");
        Calendar { zone, week_start: WeekStart::Sunday, now: Timestamp::parse(now).expect("a time") }
    }

    fn shown(range: Result<Range, Failure>) -> String {
        let range = range.expect("a range");
        format!("{} {}", range.from, range.to)
    }

    #[test]
    fn last_counts_whole_periods_in_the_zone() {
        let kolkata = calendar("Asia/Kolkata", "2026-08-19T20:00:00Z");
        let last = |text| shown(kolkata.range(Some(text), None, None, None));
        assert_eq!(last("1d"), "2026-08-19T18:30:00Z 2026-08-20T18:30:00Z");
        assert_eq!(last("7d"), "2026-08-13T18:30:00Z 2026-08-20T18:30:00Z");
        assert_eq!(last("1w"), "2026-08-15T18:30:00Z 2026-08-20T18:30:00Z");
        assert_eq!(last("12m"), "2025-08-31T18:30:00Z 2026-08-20T18:30:00Z");
        assert_eq!(last("1y"), "2025-12-31T18:30:00Z 2026-08-20T18:30:00Z");
        for wrong in ["", "d", "0d", "7", "7x", "-1d", "99999d", "7é", "9999y"] {
            assert_eq!(kolkata.range(Some(wrong), None, None, None).expect_err(wrong).code, "TM0912");
        }
    }

    #[test]
    fn a_span_that_suits_every_is_the_default() {
        let utc = calendar("UTC", "2026-08-19T20:00:00Z");
        assert_eq!(shown(utc.range(None, None, None, Some("month"))), "2025-09-01T00:00:00Z 2026-08-20T00:00:00Z");
        assert_eq!(shown(utc.range(None, None, None, None)), "2026-07-21T00:00:00Z 2026-08-20T00:00:00Z");
    }

    #[test]
    fn dates_are_local_and_the_end_is_left_out() {
        let kolkata = calendar("Asia/Kolkata", "2026-08-19T20:00:00Z");
        let range = |from, to| kolkata.range(None, Some(from), to, None);
        assert_eq!(shown(range("2026-08", Some("2026-08-02"))), "2026-07-31T18:30:00Z 2026-08-01T18:30:00Z");
        assert_eq!(shown(range("2026", None)), "2025-12-31T18:30:00Z 2026-08-20T18:30:00Z");
        let instants = range("2026-08-01T00:00:00+02:00", Some("1785547800000"));
        assert_eq!(shown(instants), "2026-07-31T22:00:00Z 2026-08-01T01:30:00Z");
        assert!(range("2026-08-02", Some("2026-08-02")).is_err());
        assert!(range("soon", None).is_err());
        assert!(kolkata.range(None, None, Some("2026-01-01"), None).is_err());
    }
}
