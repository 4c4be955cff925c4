use super::*;

fn hours(zone: &str, date: &str) -> i64 {
    let day = Zone::named(zone).unwrap().day(date.parse().unwrap());
    (day.end.micros() - day.start.micros()) / 3_600_000_000
}

#[test]
fn days_have_23_24_or_25_hours() {
    assert_eq!(hours("Europe/Berlin", "2026-03-29"), 23);
    assert_eq!(hours("Europe/Berlin", "2026-10-25"), 25);
    assert_eq!(hours("Europe/Berlin", "2026-07-01"), 24);
    // Santiago leaves out midnight itself: the day starts at 01:00.
    let zone = Zone::named("America/Santiago").unwrap();
    let gap = zone.day("2026-09-06".parse().unwrap());
    assert_eq!(zone.rfc3339(gap.start), "2026-09-06T01:00:00-03:00");
    assert_eq!(hours("America/Santiago", "2026-09-06"), 23);
    assert_eq!(hours("UTC", "2024-02-29"), 24);
}

#[test]
fn an_instant_belongs_to_exactly_one_local_day() {
    let zone = Zone::named("Asia/Kolkata").unwrap();
    let day = zone.day("2026-08-01".parse().unwrap());
    assert_eq!(zone.rfc3339(day.start), "2026-08-01T00:00:00+05:30");
    assert_eq!(zone.date_of(day.start), "2026-08-01".parse().unwrap());
    assert_eq!(zone.date_of(day.end.plus_micros(-1)), "2026-08-01".parse().unwrap());
    assert_eq!(zone.date_of(day.end), "2026-08-02".parse().unwrap());
    assert_eq!(utc_dates(day).map(|d| d.to_string()).collect::<Vec<_>>(), ["2026-07-31", "2026-08-01"]);
}

#[test]
fn periods_start_and_end_where_the_calendar_says() {
    let date: Date = "2024-02-29".parse().unwrap();
    let of = |period: Period, start| format!("{}..{}", period.first(date, start), period.last(date, start));
    assert_eq!(of(Period::Day, WeekStart::Sunday), "2024-02-29..2024-02-29");
    assert_eq!(of(Period::Week, WeekStart::Sunday), "2024-02-25..2024-03-02");
    assert_eq!(of(Period::Week, WeekStart::Monday), "2024-02-26..2024-03-03");
    assert_eq!(of(Period::Month, WeekStart::Sunday), "2024-02-01..2024-02-29");
    assert_eq!(of(Period::Quarter, WeekStart::Sunday), "2024-01-01..2024-03-31");
    assert_eq!(of(Period::Year, WeekStart::Sunday), "2024-01-01..2024-12-31");
}

#[test]
fn zones_are_known_by_their_iana_names_only() {
    assert_eq!(Zone::named("europe/berlin").unwrap().name(), "Europe/Berlin");
    assert!(Zone::named("Berlin").is_none());
    assert!(Zone::named("").is_none());
    assert!(!tzdb_version().is_empty());
}
