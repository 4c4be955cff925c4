//! Metrics over a list of events: collect the values, then count, add, sort or put them into a set.

use std::collections::HashSet;

use tidemill_schemas::decimal::{DECIMAL_SCALE_MAX, Decimal};
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::Expr;
use tidemill_schemas::metric::{Function, Metric, RATIO_SCALE};
use tidemill_schemas::value::Value;

use super::evaluate::{evaluate, is_true};
use super::{Overflow, evaluate::OutOfRange};

/// The value of a metric over events.
///
/// # Errors
/// [`Overflow`] naming the metric.
pub fn value(metric: &Metric, events: &[&Event]) -> Result<Value, Overflow> {
    measured(metric, events).map_err(|OutOfRange| Overflow::at(&metric.name))
}

/// Rows that pass the metric's filter but hold null where its argument stands; 0 for metrics that don't report them.
///
/// # Errors
/// [`Overflow`] naming the metric.
pub fn skipped(metric: &Metric, events: &[&Event]) -> Result<u64, Overflow> {
    let count = || match metric.function.argument() {
        Some(argument) if metric.function.reports_skipped() => {
            let rows = passing(metric, events)?;
            Ok((rows.len() - present(argument, &rows)?.len()) as u64)
        }
        _ => Ok(0),
    };
    count().map_err(|OutOfRange| Overflow::at(&metric.name))
}

fn passing<'a>(metric: &Metric, events: &[&'a Event]) -> Result<Vec<&'a Event>, OutOfRange> {
    let mut rows = Vec::new();
    for event in events {
        if metric.filter.as_ref().map_or(Ok(true), |filter| is_true(filter, event))? {
            rows.push(*event);
        }
    }
    Ok(rows)
}

/// The argument's values that are not null.
fn present(argument: &Expr, rows: &[&Event]) -> Result<Vec<Value>, OutOfRange> {
    let mut values = Vec::new();
    for row in rows {
        values.push(evaluate(argument, row)?);
    }
    values.retain(|value| *value != Value::Null);
    Ok(values)
}

fn measured(metric: &Metric, events: &[&Event]) -> Result<Value, OutOfRange> {
    let rows = passing(metric, events)?;
    Ok(match &metric.function {
        Function::Count => count(rows.len()),
        Function::CountOf(e) => count(present(e, &rows)?.len()),
        Function::CountDistinct(e) | Function::ApproxCountDistinct(e) => {
            count(present(e, &rows)?.into_iter().collect::<HashSet<Value>>().len())
        }
        Function::Min(e) => present(e, &rows)?.into_iter().min().unwrap_or(Value::Null),
        Function::Max(e) => present(e, &rows)?.into_iter().max().unwrap_or(Value::Null),
        Function::Sum(e) => sum(&present(e, &rows)?)?.map_or(Value::Null, Value::Number),
        Function::Avg(e) => {
            let values = present(e, &rows)?;
            match sum(&values)? {
                None => Value::Null,
                Some(sum) => ratio(sum, Decimal::from(values.len() as u64))?,
            }
        }
        Function::Percent(condition) => {
            let mut hits = 0u64;
            for row in &rows {
                hits += u64::from(is_true(condition, row)?);
            }
            if rows.is_empty() {
                Value::Null
            } else {
                ratio(Decimal::from(hits * 100), Decimal::from(rows.len() as u64))?
            }
        }
        Function::Quantile(e, q) => quantile(present(e, &rows)?, *q)?,
    })
}

fn count(rows: usize) -> Value {
    Value::Number(Decimal::from(rows as u64))
}

fn ratio(numerator: Decimal, denominator: Decimal) -> Result<Value, OutOfRange> {
    Decimal::ratio(numerator, denominator, RATIO_SCALE).map(Value::Number).ok_or(OutOfRange)
}

/// The smallest value whose rank is at least q × n.
fn quantile(mut values: Vec<Value>, q: Decimal) -> Result<Value, OutOfRange> {
    values.sort();
    let wanted = q.checked_mul(Decimal::from(values.len() as u64)).ok_or(OutOfRange)?;
    let reaches = |at: &usize| Decimal::from(*at as u64 + 1) >= wanted;
    Ok((0..values.len()).find(reaches).map_or(Value::Null, |at| values[at].clone()))
}

/// The exact sum, `None` over no values. Added up decimal place by decimal place, as on paper, so that no order of the
/// values overflows half-way: only the result has to fit.
fn sum(values: &[Value]) -> Result<Option<Decimal>, OutOfRange> {
    if values.is_empty() {
        return Ok(None);
    }
    let scale = usize::from(DECIMAL_SCALE_MAX);
    let mut places = [0i64; 80];
    for value in values {
        let Value::Number(number) = value else { continue };
        let sign = if number.unscaled() < 0 { -1 } else { 1 };
        let lowest = scale - usize::from(number.scale());
        for (at, digit) in number.unscaled().unsigned_abs().to_string().bytes().rev().enumerate() {
            places[lowest + at] += sign * i64::from(digit - b'0');
        }
    }
    let negative = places.iter().rev().find(|place| **place != 0).is_some_and(|place| *place < 0);
    // With carries the leading place may change its sign, so try one sign and then the other.
    let text = written(places, negative).or_else(|| written(places, !negative)).ok_or(OutOfRange)?;
    Decimal::parse(&text).map(Some).map_err(|_| OutOfRange)
}

/// The number whose decimal places these are, as text; `None` when it has the other sign.
fn written(mut places: [i64; 80], negative: bool) -> Option<String> {
    let mut carry = 0;
    for place in &mut places {
        let total = if negative { -*place } else { *place } + carry;
        *place = total.rem_euclid(10);
        carry = total.div_euclid(10);
    }
    if carry != 0 {
        return None;
    }
    let digits: String = places.iter().rev().map(|place| char::from(b'0' + *place as u8)).collect();
    let (whole, part) = digits.split_at(digits.len() - usize::from(DECIMAL_SCALE_MAX));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(format!("{}{whole}.{part}", if negative { "-" } else { "" }))
}
