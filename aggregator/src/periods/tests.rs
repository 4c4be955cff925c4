use std::collections::BTreeMap;

use tidemill_schemas::time::MICROS_PER_DAY;

use super::*;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Every firing of a year, by asking for the next one again and again.
fn firings(zone: &Zone, period: Period, week_start: WeekStart, from: &str, to: &str) -> Vec<String> {
    let (mut now, to) = (at(from), at(to));
    let mut all = Vec::new();
    loop {
        now = next_firing(zone, period, week_start, now);
        if now >= to {
            return all;
        }
        all.push(now.to_string());
    }
}

/// The instants in UTC of minutes, hours, days of the month (0: any), months (none: any), Sundays only.
fn cron(minute: i64, hour: i64, day: i8, months: &[i8], sundays: bool, from: &str, to: &str) -> Vec<String> {
    let (mut day_start, to, utc) = (at(from), at(to), Zone::utc());
    let mut all = Vec::new();
    while day_start < to {
        let date = utc.date_of(day_start);
        let is_day = day == 0 || date.day() == day;
        let is_month = months.is_empty() || months.contains(&date.month());
        let is_weekday = !sundays || date.weekday().to_sunday_zero_offset() == 0;
        if is_day && is_month && is_weekday {
            all.push(day_start.plus_micros(micros(hour * 60 + minute)).to_string());
        }
        day_start = day_start.plus_micros(MICROS_PER_DAY);
    }
    all
}

#[test]
fn in_utc_the_firings_are_the_cron_lines() {
    let (utc, from, to) = (Zone::utc(), "2024-01-01T00:00:00Z", "2028-03-01T00:00:00Z");
    let fired = |period| firings(&utc, period, WeekStart::Sunday, from, to);
    assert_eq!(fired(Period::Day), cron(0, 1, 0, &[], false, from, to), "cron(0 1 * * ? *)");
    assert_eq!(fired(Period::Week), cron(30, 1, 0, &[], true, from, to), "cron(30 1 ? * SUN *)");
    assert_eq!(fired(Period::Month), cron(0, 2, 1, &[], false, from, to), "cron(0 2 1 * ? *)");
    assert_eq!(fired(Period::Quarter), cron(0, 3, 1, &[1, 4, 7, 10], false, from, to), "cron(0 3 1 1,4,7,10 ? *)");
    assert_eq!(fired(Period::Year), cron(0, 4, 1, &[1], false, from, to), "cron(0 4 1 1 ? *)");
}

#[test]
fn elsewhere_a_firing_is_the_local_end_and_the_same_hours() {
    let zone = Zone::named("America/New_York").unwrap();
    // A week that ends with the day the clocks go back: its 25 hours are over before the hour and a half begins.
    let last = date("2026-11-01");
    assert_eq!(fires_at(&zone, Period::Week, last).to_string(), "2026-11-02T06:30:00Z");
    assert_eq!(
        firings(&zone, Period::Week, WeekStart::Monday, "2026-10-27T00:00:00Z", "2026-11-10T00:00:00Z"),
        ["2026-11-02T06:30:00Z", "2026-11-09T06:30:00Z"]
    );
}

#[test]
fn what_closed_last_is_what_fired_last() {
    for name in ["UTC", "America/Santiago", "Asia/Kolkata", "Pacific/Kiritimati"] {
        let zone = Zone::named(name).unwrap();
        for period in [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year] {
            let mut now = at("2025-12-20T00:00:00Z");
            for _ in 0..5 {
                let fires = next_firing(&zone, period, WeekStart::Monday, now);
                let before = last_closed(&zone, period, WeekStart::Monday, fires.plus_micros(-1));
                let after = last_closed(&zone, period, WeekStart::Monday, fires);
                assert_eq!(period.last(next(before), WeekStart::Monday), after, "{name} {period:?} at {fires}");
                assert_eq!(fires_at(&zone, period, after), fires);
                now = fires;
            }
        }
    }
}

#[test]
fn only_whole_periods_are_whole() {
    let week = |first, last| whole(Period::Week, WeekStart::Sunday, date(first), date(last));
    let two = [("2026-08-02", "2026-08-08"), ("2026-08-09", "2026-08-15")].map(|(a, b)| (date(a), date(b)));
    assert_eq!(week("2026-08-02", "2026-08-15"), Some(two.to_vec()));
    assert_eq!(week("2026-08-03", "2026-08-15"), None);
    assert_eq!(week("2026-08-02", "2026-08-14"), None);
    assert_eq!(week("2026-08-15", "2026-08-02"), None);
    let leap = whole(Period::Year, WeekStart::Sunday, date("2024-01-01"), date("2024-12-31"));
    assert_eq!(leap.map(|years| years.len()), Some(1));
}

#[test]
fn days_lie_in_one_period_of_each_kind() {
    let days = ["2026-03-31", "2026-04-01"].map(date);
    let mut kinds: BTreeMap<Period, Vec<String>> = BTreeMap::new();
    for (period, first) in around(days.into_iter(), WeekStart::Monday) {
        kinds.entry(period).or_default().push(first.to_string());
    }
    assert_eq!(kinds[&Period::Week], ["2026-03-30"]);
    assert_eq!(kinds[&Period::Month], ["2026-03-01", "2026-04-01"]);
    assert_eq!(kinds[&Period::Quarter], ["2026-01-01", "2026-04-01"]);
    assert_eq!(kinds[&Period::Year], ["2026-01-01"]);
}
