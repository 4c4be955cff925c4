use tidemill_schemas::calendar::dates;

use super::*;
use crate::merge::folded;
use crate::testing::{date, day};

/// Every day of 2024 and 2025, with events but on leap day.
fn days() -> BTreeMap<Date, Snapshot> {
    let mut days: BTreeMap<_, _> =
        dates(date("2024-01-01"), date("2025-12-31")).map(|at| day(&at.to_string(), &at.to_string(), 1)).collect();
    days.get_mut(&date("2024-02-29")).unwrap().digest.events = 0;
    days
}

fn stored(period: Period, first: &str, days: &BTreeMap<Date, Snapshot>) -> BTreeMap<Date, Snapshot> {
    let first = date(first);
    let (_, mut snapshot) = day(&first.to_string(), "p", 1);
    snapshot.header.period = period;
    let of_period = days.range(first..=period.last(first, WeekStart::Sunday));
    snapshot.header.pages = folded(&of_period.map(|(date, day)| (*date, day.clone())).collect());
    [(first, snapshot)].into()
}

fn shown(cover: &[&Snapshot]) -> Vec<String> {
    cover.iter().map(|part| format!("{} {}", part.header.period.word(), part.header.start)).collect()
}

#[test]
fn a_range_is_read_from_the_longest_periods_in_it() {
    let days = days();
    let span = (date("2023-12-30"), date("2025-02-02"));
    let mut rolled_up = RolledUp::default();
    let kept = [
        (Period::Year, "2024-01-01"),
        (Period::Quarter, "2024-01-01"),
        (Period::Quarter, "2025-01-01"),
        (Period::Month, "2025-01-01"),
    ];
    for (period, first) in kept {
        rolled_up.add(period, WeekStart::Sunday, span, stored(period, first, &days), &days);
    }
    let cover = rolled_up.cover(kinds(None), WeekStart::Sunday, span, &days);
    assert_eq!(shown(&cover), ["year 2024-01-01", "month 2025-01-01", "day 2025-02-01", "day 2025-02-02"]);
    let by_quarter = rolled_up.cover(kinds(Some(Period::Quarter)), WeekStart::Sunday, span, &days);
    assert_eq!(shown(&by_quarter[..2]), ["quarter 2024-01-01", "day 2024-04-01"]);
    assert!(rolled_up.cover(&[], WeekStart::Sunday, (date("2024-02-29"), date("2024-02-29")), &days).is_empty());
}

#[test]
fn a_period_folded_from_other_days_is_not_read() {
    let mut days = days();
    let february = stored(Period::Month, "2024-02-01", &days);
    days.get_mut(&date("2024-02-10")).unwrap().header.content = Some("changed".to_owned());
    let span = (date("2024-02-01"), date("2024-02-29"));
    let mut rolled_up = RolledUp::default();
    rolled_up.add(Period::Month, WeekStart::Sunday, span, february, &days);
    assert_eq!(rolled_up.cover(kinds(None), WeekStart::Sunday, span, &days).len(), 28, "leap day had no events");
}
