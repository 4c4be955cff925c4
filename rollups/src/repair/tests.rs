use tidemill_schemas::calendar::Date;

use super::*;

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

#[test]
fn a_utc_day_touches_the_local_days_it_overlaps() {
    let zone = Zone::named("Asia/Kolkata").expect("a zone");
    let days: Vec<Date> = local_days(&zone, date("2026-08-01")).collect();
    assert_eq!(days, [date("2026-08-01"), date("2026-08-02")]);
    let days: Vec<Date> = local_days(&Zone::utc(), date("2026-08-01")).collect();
    assert_eq!(days, [date("2026-08-01")]);
}

#[test]
fn a_span_is_cut_at_the_turn_of_years() {
    let pieces = cut(date("2017-12-30"), date("2019-02-01"));
    let expected = [("2017-12-30", "2017-12-31"), ("2018-01-01", "2018-12-31"), ("2019-01-01", "2019-02-01")];
    assert_eq!(pieces, expected.map(|(first, last)| (date(first), date(last))));
    assert!(cut(date("2019-01-02"), date("2019-01-01")).is_empty());
}

#[test]
fn days_close_together_are_asked_for_together() {
    let days = ["2026-01-01", "2026-01-05", "2026-02-01"].map(date).into();
    let expected = [("2026-01-01", "2026-01-05"), ("2026-02-01", "2026-02-01")];
    assert_eq!(repair_spans(&days), expected.map(|(first, last)| (date(first), date(last))));
}
