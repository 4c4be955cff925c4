//! Exact arithmetic and order over vectors of numbers.
//!
//! Three widths are tried in turn: 64 bits, 128 bits at the common scale, and [`Decimal`] row by row. All give the
//! same values; only the last one decides that a result does not fit.

use std::cmp::Ordering;

use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use tidemill_schemas::decimal::{DECIMAL_DIGITS_MAX, DECIMAL_SCALE_MAX, Decimal};
use tidemill_schemas::expression::Arithmetic;

use super::EvalError;
use super::vector::{Numbers, Unscaled};

const UNSCALED_MAX: i128 = 10i128.pow(DECIMAL_DIGITS_MAX) - 1;

/// Both vectors combined, row by row.
///
/// # Errors
/// [`EvalError::Overflow`] when a row that is asked for leaves 38 digits or 18 decimals.
pub fn arithmetic(
    how: Arithmetic,
    left: &Numbers,
    right: &Numbers,
    asked: Option<&BooleanBuffer>,
) -> Result<Numbers, EvalError> {
    let nulls = NullBuffer::union(left.nulls.as_ref(), right.nulls.as_ref());
    if let Some(narrow) = narrow(how, left, right, nulls.as_ref()) {
        return Ok(narrow);
    }
    if let Some(wide) = wide(how, left, right, nulls.as_ref()) {
        return Ok(wide);
    }
    let rows = left.rows();
    let mut values = vec![Decimal::ZERO; rows];
    let mut lost = Vec::new();
    for (row, value) in values.iter_mut().enumerate() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        let (a, b) = (left.decimal(row), right.decimal(row));
        let result = match how {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Sub => a.checked_sub(b),
            Arithmetic::Mul => a.checked_mul(b),
        };
        match result {
            Some(result) => *value = result,
            None if asked.is_none_or(|asked| asked.value(row)) => return Err(EvalError::Overflow),
            None => lost.push(row),
        }
    }
    if lost.is_empty() {
        return Ok(Numbers::pack(values, nulls));
    }
    let valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) && lost.binary_search(&row).is_err();
    Ok(Numbers::pack(values, Some((0..rows).map(valid).collect())))
}

/// In 64 bits, when both are and no digit has to move.
fn narrow(how: Arithmetic, left: &Numbers, right: &Numbers, nulls: Option<&NullBuffer>) -> Option<Numbers> {
    let (Unscaled::Narrow(a), Unscaled::Narrow(b)) = (&left.values, &right.values) else { return None };
    let scale = match how {
        Arithmetic::Mul => left.scale + right.scale,
        _ if left.scale == right.scale => left.scale,
        _ => return None,
    };
    if scale > DECIMAL_SCALE_MAX {
        return None;
    }
    let mut overflowed = false;
    let mut each = |operation: fn(i64, i64) -> (i64, bool)| -> ScalarBuffer<i64> {
        let pair = |(a, b): (&i64, &i64)| {
            let (value, over) = operation(*a, *b);
            overflowed |= over;
            value
        };
        a.iter().zip(b.iter()).map(pair).collect::<Vec<i64>>().into()
    };
    let values = match how {
        Arithmetic::Add => each(i64::overflowing_add),
        Arithmetic::Sub => each(i64::overflowing_sub),
        Arithmetic::Mul => each(i64::overflowing_mul),
    };
    (!overflowed).then(|| Numbers { values: Unscaled::Narrow(values), scale, small: true, nulls: nulls.cloned() })
}

/// In 128 bits at the common scale, when every result fits.
fn wide(how: Arithmetic, left: &Numbers, right: &Numbers, nulls: Option<&NullBuffer>) -> Option<Numbers> {
    if matches!(left.values, Unscaled::Mixed(_)) || matches!(right.values, Unscaled::Mixed(_)) {
        return None;
    }
    let scale = match how {
        Arithmetic::Mul => left.scale + right.scale,
        _ => left.scale.max(right.scale),
    };
    if scale > DECIMAL_SCALE_MAX {
        return None;
    }
    let factor = |numbers: &Numbers| match how {
        Arithmetic::Mul => 1,
        _ => 10i128.pow(u32::from(scale - numbers.scale)),
    };
    let (by_left, by_right) = (factor(left), factor(right));
    let mut values = Vec::with_capacity(left.rows());
    for row in 0..left.rows() {
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            values.push(0);
            continue;
        }
        let a = left.parts(row).0.checked_mul(by_left)?;
        let b = right.parts(row).0.checked_mul(by_right)?;
        let value = match how {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Sub => a.checked_sub(b),
            Arithmetic::Mul => a.checked_mul(b),
        }?;
        if !(-UNSCALED_MAX..=UNSCALED_MAX).contains(&value) {
            return None;
        }
        values.push(value);
    }
    Some(Numbers { values: Unscaled::Wide(values.into()), scale, small: false, nulls: nulls.cloned() })
}

/// The order of two numbers in one row.
pub fn order(left: &Numbers, right: &Numbers, row: usize) -> Ordering {
    order_parts(left.parts(row), right.parts(row))
}

/// The order of two `(unscaled, scale)`.
#[inline]
pub fn order_parts((a, at): (i128, u8), (b, bt): (i128, u8)) -> Ordering {
    if at == bt {
        return a.cmp(&b);
    }
    let decimal = |unscaled, scale| Decimal::new(unscaled, u32::from(scale)).unwrap_or(Decimal::ZERO);
    decimal(a, at).cmp(&decimal(b, bt))
}
