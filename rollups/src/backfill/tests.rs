use tidemill_schemas::calendar::Date;

use super::*;

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

fn part(insight: &str, first: &str, last: &str) -> Part {
    Part {
        insight: insight.to_owned(),
        fingerprint: format!("f-{insight}"),
        first: date(first),
        last: date(last),
        source: None,
        periods: Some(Periods { from: Date::constant(1, 1, 1), to: date(last), week_start: WeekStart::Sunday }),
    }
}

fn backfill(parts: Vec<Part>) -> Backfill {
    let months = vec![
        MonthLoad { month: date("2026-02-01"), rows: 50, days: 5 },
        MonthLoad { month: date("2026-03-01"), rows: 70, days: 7 },
    ];
    Backfill {
        format: BACKFILL_FORMAT,
        id: "b1".to_owned(),
        parts,
        requested_at: Timestamp::from_micros(0),
        loads: vec![Load { source: None, months }],
        is_lineage: false,
    }
}

fn spans(units: &[Unit], kind: Period) -> Vec<(String, String, u64)> {
    let of = |unit: &Unit| (unit.members[0].1.to_string(), unit.members[0].2.to_string(), unit.count);
    units.iter().filter(|unit| unit.period == kind).map(of).collect()
}

fn owned(spans: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    spans.iter().map(|(first, last, count)| ((*first).to_owned(), (*last).to_owned(), *count)).collect()
}

#[test]
fn days_come_newest_first_and_periods_after_them() {
    let units = backfill(vec![part("a", "2025-12-30", "2026-03-20")]).units();
    let expected = [
        ("2026-03-01", "2026-03-20", 20),
        ("2026-02-01", "2026-02-28", 28),
        ("2026-01-01", "2026-01-31", 31),
        ("2025-12-30", "2025-12-31", 2),
    ];
    assert_eq!(spans(&units, Period::Day), owned(&expected));
    let expected = [("2026-01-04", "2026-03-14", 10), ("2025-12-28", "2026-01-03", 1)];
    assert_eq!(spans(&units, Period::Week), owned(&expected), "the week of 2026-03-15 is not over");
    let expected = [("2026-01-01", "2026-02-28", 2), ("2025-12-01", "2025-12-31", 1)];
    assert_eq!(spans(&units, Period::Month), owned(&expected));
    assert_eq!(spans(&units, Period::Quarter), owned(&[("2025-10-01", "2025-12-31", 1)]));
    assert_eq!(spans(&units, Period::Year), owned(&[("2025-01-01", "2025-12-31", 1)]));
    let phases: Vec<Period> = units.iter().map(|unit| unit.period).collect();
    assert!(phases.is_sorted(), "{phases:?}");
}

#[test]
fn where_history_is_cut_only_whole_periods_are_computed() {
    let mut cut = part("a", "2026-01-15", "2026-03-20");
    cut.periods = Some(Periods { from: cut.first, to: cut.last, week_start: WeekStart::Monday });
    let units = backfill(vec![cut]).units();
    assert_eq!(spans(&units, Period::Week), owned(&[("2026-01-19", "2026-03-15", 8)]));
    assert_eq!(spans(&units, Period::Month), owned(&[("2026-02-01", "2026-02-28", 1)]));
    assert_eq!(spans(&units, Period::Year), []);
}

#[test]
fn insights_of_one_source_share_a_unit_ten_at_a_time() {
    let mut parts: Vec<Part> = (0..23).map(|at| part(&format!("i{at:02}"), "2026-03-01", "2026-03-31")).collect();
    parts[7].source = Some("shop".to_owned());
    let units = backfill(parts).units();
    let sizes: Vec<usize> = units.iter().filter(|unit| unit.period.is_day()).map(|unit| unit.members.len()).collect();
    assert_eq!(sizes, [10, 10, 2, 1]);
    assert_eq!(units[0].amount, Amount { rows: 700, days: 70, ..Amount::default() });
    assert_eq!(units[3].amount, Amount::default(), "nothing is known of that source's pages");
}

#[test]
fn a_long_history_has_no_request_that_is_too_long() {
    for unit in backfill(vec![part("a", "2000-02-29", "2026-11-24")]).units() {
        for (_, first, last) in &unit.members {
            assert!(days(*first, *last) as usize <= tidemill_schemas::request::REQUEST_DAYS_MAX, "{unit:?}");
        }
    }
}

/// What earlier versions wrote loads for ever.
#[test]
fn stored_backfills_load() {
    let old = r#"{"format":1,"id":"0006500000000000","parts":[{"insight":"a","fingerprint":"f","first":"2025-01-01","last":"2025-12-31"}],"requested_at":1760000000000000}"#;
    let read: Backfill = serde_json::from_str(old).expect("it loads");
    assert_eq!(serde_json::to_string(&read).expect("it is written"), old);
    assert_eq!(spans(&read.units(), Period::Day), owned(&[("2025-01-01", "2025-12-31", 365)]));
    let new = r#"{"format":2,"id":"b1","parts":[{"insight":"a","fingerprint":"f","first":"2026-02-01","last":"2026-02-28","source":"shop","periods":{"from":"0001-01-01","to":"2026-02-28","week_start":"monday"}}],"requested_at":0,"loads":[{"source":"shop","months":[{"month":"2026-02-01","rows":50,"days":5}]}],"is_lineage":true}"#;
    let read: Backfill = serde_json::from_str(new).expect("it loads");
    assert_eq!(serde_json::to_string(&read).expect("it is written"), new);
    assert_eq!(read.units()[0].amount, Amount { rows: 50, days: 5, ..Amount::default() });
}
