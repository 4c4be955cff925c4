//! Buckets are numbered without gaps, and a number names its first day.

use tidemill_schemas::calendar::dates;

use super::*;

#[test]
fn numbers_and_first_days_agree() {
    let (first, last) = (Date::constant(1968, 11, 3), Date::constant(1972, 3, 9));
    for week_start in [WeekStart::Sunday, WeekStart::Monday] {
        for every in [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year] {
            let mut before = of(every, first, week_start);
            for date in dates(first, last) {
                let number = of(every, date, week_start);
                assert_eq!(start(every, number, week_start), every.first(date, week_start), "{every:?} {date}");
                assert!(number == before || number == before + 1, "{every:?} {date}");
                assert!(every.last(date, week_start) >= date);
                before = number;
            }
        }
    }
}
