//! Series against each other, and numbers against numbers: correlation and comparison. Pure.

use tidemill_schemas::calendar::{self, Date, Period, WeekStart};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::definition::relations::{CORRELATION_DAYS_MIN, Compare, Correlation, Method};
use tidemill_schemas::metric::RATIO_SCALE;
use tidemill_schemas::value::Value;

use crate::actors::statistics::{p_of_coefficient, pearson, real, rounded, spearman};
use crate::actors::{Answer, Row, named};
use crate::dispatch::apart;

/// The coefficients of every series against the target, for each lag: the target of a day with the series so many days
/// before. `days`: whole days, ascending, with a value per series; pairs with a null are left out.
pub fn correlate(correlation: &Correlation, days: &[(Date, Vec<Value>)]) -> Answer {
    let columns = named(&["name", "lag", "n", "pearson", "spearman", "p"]);
    let mut rows = Vec::new();
    for (at, series) in correlation.series.iter().enumerate().skip(1) {
        for lag in 0..=correlation.lag_days_max {
            let (x, y) = pairs(days, at, lag);
            let n = x.len();
            let is_enough = n >= CORRELATION_DAYS_MIN;
            let of = |coefficient: fn(&[f64], &[f64]) -> Option<f64>| {
                if is_enough { coefficient(&x, &y) } else { None }
            };
            let (by_value, by_rank) = (of(pearson), of(spearman));
            let chosen = match correlation.method {
                Method::Pearson => by_value,
                Method::Spearman => by_rank,
            };
            let values = vec![
                Value::Text(series.name.clone()),
                Value::Number(u64::from(lag).into()),
                Value::Number((n as u64).into()),
                rounded(by_value),
                rounded(by_rank),
                rounded(chosen.and_then(|r| p_of_coefficient(r, n))),
            ];
            rows.push(Row { start: None, group: None, values });
        }
    }
    let mut notes = Vec::new();
    if days.len() < CORRELATION_DAYS_MIN {
        notes.push(format!("{} whole days; a coefficient takes {CORRELATION_DAYS_MIN}", days.len()));
    }
    Answer { time: "", columns, rows, notes }
}

/// The target's values, and those of another series `lag` days before.
fn pairs(days: &[(Date, Vec<Value>)], series: usize, lag: u32) -> (Vec<f64>, Vec<f64>) {
    let lag = i32::try_from(lag).unwrap_or(i32::MAX);
    let value = |at: usize, series: usize| days[at].1.get(series).and_then(real);
    let mut found = (Vec::new(), Vec::new());
    for (at, (date, _)) in days.iter().enumerate() {
        let before = calendar::plus_days(*date, -lag);
        let Ok(earlier) = days.binary_search_by_key(&before, |(date, _)| *date) else { continue };
        if let (Some(y), Some(x)) = (value(at, 0), value(earlier, series)) {
            found.0.push(x);
            found.1.push(y);
        }
    }
    found
}

/// Days, both ends included.
pub type Span = (Date, Date);

/// The two spans of a comparison of periods; `None`: it compares something else. `newest`: the last day that is whole.
///
/// The period is that of `newest`, up to it. While it runs, the other one is cut to as many days, so that like is
/// compared with like.
pub fn spans(compare: &Compare, newest: Date, week_start: WeekStart) -> Option<(Span, Span)> {
    let (period, first_before): (Period, fn(Period, Date, WeekStart) -> Date) = match compare {
        Compare::Custom { a, b } => return Some((*a, *b)),
        Compare::Segments { .. } => return None,
        Compare::Previous(period) => {
            (*period, |period, first, week_start| period.first(calendar::plus_days(first, -1), week_start))
        }
        Compare::SameLastYear(period) => (*period, |period, first, week_start| match period {
            // Weeks have no number of their own here: as many weeks before as a year has.
            Period::Week => calendar::plus_days(first, -364),
            period => period.first(year_before(first), week_start),
        }),
    };
    let first = period.first(newest, week_start);
    let before = first_before(period, first, week_start);
    let last_before = period.last(before, week_start);
    let is_over = period.last(first, week_start) <= newest;
    let elapsed = calendar::plus_days(before, apart(first, newest)).min(last_before);
    Some(((first, newest), (before, if is_over { last_before } else { elapsed })))
}

fn year_before(date: Date) -> Date {
    // February 29th has the 28th.
    Date::new(date.year() - 1, date.month(), date.day())
        .or_else(|_| Date::new(date.year() - 1, date.month(), 28))
        .unwrap_or(Date::MIN)
}

/// The columns of [`compared`].
pub const COMPARISON_COLUMNS: [&str; 10] =
    ["metric", "compare", "a", "b", "change", "change_percent", "a_from", "a_to", "b_from", "b_to"];

/// One metric of two sides: the change, and what share of b it is; null where either is no number, and the share of
/// nothing.
pub fn compared(metric: &str, compare: &Compare, (a, b): (Value, Value), (of_a, of_b): (Span, Span)) -> Row {
    let change = match (&a, &b) {
        (Value::Number(a), Value::Number(b)) => a.checked_sub(*b),
        _ => None,
    };
    let percent = change.and_then(|change| {
        let Value::Number(b) = &b else { return None };
        let whole = if *b < Decimal::ZERO { Decimal::ZERO.checked_sub(*b)? } else { *b };
        let hundred = change.checked_mul(Decimal::from(100u64))?;
        (whole != Decimal::ZERO).then(|| Decimal::ratio(hundred, whole, RATIO_SCALE))?
    });
    let number = |value: Option<Decimal>| value.map_or(Value::Null, Value::Number);
    let day = |date: Date| Value::Text(date.to_string());
    let values = vec![
        Value::Text(metric.to_owned()),
        Value::Text(compare.word()),
        a,
        b,
        number(change),
        number(percent),
        day(of_a.0),
        day(of_a.1),
        day(of_b.0),
        day(of_b.1),
    ];
    Row { start: None, group: None, values }
}

#[cfg(test)]
mod tests;
