//! Which spans are compared, and what two series come to.

use tidemill_schemas::calendar::{Date, Period, WeekStart};
use tidemill_schemas::definition::relations::Compare;
use tidemill_schemas::value::Value;

use super::{compared, spans};

fn day(text: &str) -> Date {
    text.parse().expect("it is a date")
}

fn both(compare: &Compare, newest: &str) -> [String; 4] {
    let ((a, b), (c, d)) = spans(compare, day(newest), WeekStart::Monday).expect("it compares periods");
    [a, b, c, d].map(|date| date.to_string())
}

#[test]
fn a_running_period_is_compared_with_as_much_of_the_other() {
    let previous = Compare::Previous(Period::Month);
    assert_eq!(both(&previous, "2026-08-10"), ["2026-08-01", "2026-08-10", "2026-07-01", "2026-07-10"]);
    assert_eq!(both(&previous, "2026-03-30"), ["2026-03-01", "2026-03-30", "2026-02-01", "2026-02-28"]);
    let week = Compare::SameLastYear(Period::Week);
    assert_eq!(both(&week, "2026-08-05"), ["2026-08-03", "2026-08-05", "2025-08-04", "2025-08-06"]);
}

#[test]
fn a_period_that_is_over_is_compared_whole() {
    let previous = Compare::Previous(Period::Month);
    assert_eq!(both(&previous, "2026-02-28"), ["2026-02-01", "2026-02-28", "2026-01-01", "2026-01-31"]);
    let last_year = Compare::SameLastYear(Period::Quarter);
    assert_eq!(both(&last_year, "2026-06-30"), ["2026-04-01", "2026-06-30", "2025-04-01", "2025-06-30"]);
    let leap = Compare::SameLastYear(Period::Day);
    assert_eq!(both(&leap, "2024-02-29"), ["2024-02-29", "2024-02-29", "2023-02-28", "2023-02-28"]);
}

#[test]
fn the_share_of_nothing_is_null() {
    let number = |n: i64| Value::Number(n.into());
    let of = |a, b| {
        let span = (day("2026-08-01"), day("2026-08-01"));
        let row = compared("orders", &Compare::Previous(Period::Day), (a, b), (span, span));
        (row.values[4].clone(), row.values[5].clone())
    };
    assert_eq!(of(number(15), number(10)), (number(5), number(50)));
    assert_eq!(of(number(5), number(0)), (number(5), Value::Null));
    assert_eq!(of(number(-5), number(-10)), (number(5), number(50)));
    assert_eq!(of(Value::Null, number(1)), (Value::Null, Value::Null));
}
