//! Exact decimals: the only number tidemill computes with.
//!
//! A [`Decimal`] is an `i128` and a scale, at most 38 digits and 18 decimals: what DynamoDB's `N` and Parquet's
//! `DECIMAL(38, 18)` hold. In: JSON number text. Out: the same value in canonical text. Nothing here ever passes
//! through `f64`, and no operation wraps: what does not fit is an error the caller has to name.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits a number may have, before and after the point together.
pub const DECIMAL_DIGITS_MAX: u32 = 38;
/// Decimals a number may have after the point.
pub const DECIMAL_SCALE_MAX: u8 = 18;
/// Largest absolute unscaled value: 38 nines.
const UNSCALED_MAX: i128 = 10i128.pow(DECIMAL_DIGITS_MAX) - 1;

/// An exact decimal number, `unscaled / 10^scale`, always canonical: no trailing zero after the point, and zero has
/// scale 0. Equal numbers are therefore equal structs, and hash alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    unscaled: i128,
    scale: u8,
}

/// Why a text or a result is not a [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text is not a JSON number.
    #[error("not a number")]
    Syntax,
    /// More than 38 digits.
    #[error("more than {DECIMAL_DIGITS_MAX} digits")]
    Digits,
    /// More than 18 digits after the point.
    #[error("more than {DECIMAL_SCALE_MAX} decimals")]
    Scale,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal { unscaled: 0, scale: 0 };

    /// `unscaled / 10^scale`, made canonical.
    ///
    /// # Errors
    /// [`DecimalError`] when the canonical form needs more than 38 digits or 18 decimals.
    pub fn new(unscaled: i128, scale: u32) -> Result<Decimal, DecimalError> {
        let (mut unscaled, mut scale) = (unscaled, scale);
        while scale > 0 && unscaled % 10 == 0 {
            unscaled /= 10;
            scale -= 1;
            if unscaled == 0 {
                scale = 0;
            }
        }
        if !(-UNSCALED_MAX..=UNSCALED_MAX).contains(&unscaled) {
            return Err(DecimalError::Digits);
        }
        match u8::try_from(scale) {
            Ok(scale) if scale <= DECIMAL_SCALE_MAX => Ok(Decimal { unscaled, scale }),
            _ => Err(DecimalError::Scale),
        }
    }

    /// Parses JSON number text (`-1.50`, `2e3`), exactly.
    ///
    /// # Errors
    /// [`DecimalError`]: not a number, or beyond 38 digits or 18 decimals.
    pub fn parse(text: &str) -> Result<Decimal, DecimalError> {
        let bytes = text.as_bytes();
        let (negative, mut at) = match bytes.first() {
            Some(b'-') => (true, 1),
            Some(_) => (false, 0),
            None => return Err(DecimalError::Syntax),
        };
        let whole_from = at;
        let mut digits = Digits::default();
        while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
            digits.push(digit - b'0')?;
            at += 1;
        }
        let whole = at - whole_from;
        if whole == 0 || (whole > 1 && bytes[whole_from] == b'0') {
            return Err(DecimalError::Syntax);
        }
        let mut scale: i64 = 0;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let from = at;
            while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
                digits.push(digit - b'0')?;
                at += 1;
            }
            scale = (at - from) as i64;
            if scale == 0 {
                return Err(DecimalError::Syntax);
            }
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            let exponent = text[at + 1..].strip_prefix('+').unwrap_or(&text[at + 1..]);
            let unsigned = exponent.strip_prefix('-').unwrap_or(exponent);
            if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                return Err(DecimalError::Syntax);
            }
            // An exponent too long for an i64 is out of reach in either direction.
            let exponent: i64 =
                exponent.parse().unwrap_or(if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 });
            scale = scale.saturating_sub(exponent);
            at = bytes.len();
        }
        if at != bytes.len() {
            return Err(DecimalError::Syntax);
        }
        digits.finish(negative, scale)
    }

    /// The unscaled integer: the value times `10^scale`.
    pub fn unscaled(self) -> i128 {
        self.unscaled
    }

    /// Digits after the point, 0 to 18.
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// The unscaled value at a larger scale, or `None` when it leaves `i128`.
    pub fn unscaled_at(self, scale: u8) -> Option<i128> {
        debug_assert!(scale >= self.scale);
        self.unscaled.checked_mul(10i128.checked_pow(u32::from(scale - self.scale))?)
    }

    /// The sum, or `None` when it leaves the range.
    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let sum = self.unscaled_at(scale)?.checked_add(other.unscaled_at(scale)?)?;
        Decimal::new(sum, u32::from(scale)).ok()
    }

    /// The difference, or `None` when it leaves the range.
    pub fn checked_sub(self, other: Decimal) -> Option<Decimal> {
        self.checked_add(-other)
    }

    /// The product, or `None` when it leaves the range.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let product = self.unscaled.checked_mul(other.unscaled)?;
        Decimal::new(product, u32::from(self.scale) + u32::from(other.scale)).ok()
    }

    /// `numerator / denominator`, rounded half-even to `scale` decimals; `None` when the denominator is zero or the
    /// result leaves the range.
    pub fn ratio(numerator: Decimal, denominator: Decimal, scale: u8) -> Option<Decimal> {
        if denominator.unscaled == 0 {
            return None;
        }
        let negative = (numerator.unscaled < 0) != (denominator.unscaled < 0);
        // Long division, digit by digit, so that no intermediate needs more than 128 bits.
        let shift = i32::from(scale) + i32::from(denominator.scale) - i32::from(numerator.scale);
        let divisor = denominator.unscaled.unsigned_abs();
        let mut quotient = numerator.unscaled.unsigned_abs() / divisor;
        let mut rest = numerator.unscaled.unsigned_abs() % divisor;
        let mut dropped = Ordering::Equal;
        if shift >= 0 {
            for _ in 0..shift {
                let (digit, next) = shift_digit(rest, divisor);
                quotient = quotient.checked_mul(10)?.checked_add(u128::from(digit))?;
                rest = next;
            }
        } else {
            // Fewer decimals than the exact integer quotient has: drop digits, remembering whether any was non-zero.
            let unit = 10u128.checked_pow(shift.unsigned_abs())?;
            let tail = quotient % unit;
            quotient /= unit;
            let exact = rest == 0;
            dropped = match tail.cmp(&(unit / 2)) {
                Ordering::Equal if exact => Ordering::Equal,
                Ordering::Equal => Ordering::Greater,
                other => other,
            };
            if tail == 0 && exact {
                dropped = Ordering::Less;
            }
        }
        let half = if shift >= 0 {
            // Compare twice the rest with the divisor without overflow.
            rest.cmp(&(divisor - rest))
        } else {
            dropped
        };
        let up = match half {
            Ordering::Greater => true,
            Ordering::Equal => quotient % 2 == 1,
            Ordering::Less => false,
        };
        let quotient = i128::try_from(quotient.checked_add(u128::from(up))?).ok()?;
        Decimal::new(if negative { -quotient } else { quotient }, u32::from(scale)).ok()
    }
}

/// One step of long division: `(10 × rest / divisor, 10 × rest mod divisor)` without needing 132 bits.
fn shift_digit(rest: u128, divisor: u128) -> (u8, u128) {
    let (mut digit, mut next) = (0u8, 0u128);
    for _ in 0..10 {
        // next + rest >= divisor, written so that it cannot overflow (both are below the divisor).
        if next >= divisor - rest {
            next -= divisor - rest;
            digit += 1;
        } else {
            next += rest;
        }
    }
    (digit, next)
}

/// Digits read so far: leading zeros cost nothing, trailing zeros are counted rather than stored.
#[derive(Default)]
struct Digits {
    value: u128,
    zeros: i64,
    count: u32,
}

impl Digits {
    fn push(&mut self, digit: u8) -> Result<(), DecimalError> {
        if digit == 0 {
            self.zeros += i64::from(self.value != 0);
            return Ok(());
        }
        let shift = u32::try_from(self.zeros + 1).map_err(|_| DecimalError::Digits)?;
        self.count = self.count.saturating_add(shift);
        if self.count > DECIMAL_DIGITS_MAX {
            return Err(DecimalError::Digits);
        }
        self.value = self.value * 10u128.pow(shift) + u128::from(digit);
        self.zeros = 0;
        Ok(())
    }

    fn finish(self, negative: bool, scale: i64) -> Result<Decimal, DecimalError> {
        if self.value == 0 {
            return Ok(Decimal::ZERO);
        }
        let scale = scale - self.zeros;
        let magnitude = i128::try_from(self.value).map_err(|_| DecimalError::Digits)?;
        let (magnitude, scale) = if scale < 0 {
            let zeros = u32::try_from(-scale).unwrap_or(u32::MAX);
            if self.count.saturating_add(zeros) > DECIMAL_DIGITS_MAX {
                return Err(DecimalError::Digits);
            }
            (magnitude * 10i128.pow(zeros), 0)
        } else {
            (magnitude, u32::try_from(scale).map_err(|_| DecimalError::Scale)?)
        };
        Decimal::new(if negative { -magnitude } else { magnitude }, scale)
    }
}

impl std::ops::Neg for Decimal {
    type Output = Decimal;
    fn neg(self) -> Decimal {
        Decimal { unscaled: -self.unscaled, scale: self.scale }
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal { unscaled: i128::from(value), scale: 0 }
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Decimal {
        Decimal { unscaled: i128::from(value), scale: 0 }
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;
    fn from_str(text: &str) -> Result<Decimal, DecimalError> {
        Decimal::parse(text)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.unscaled_at(scale), other.unscaled_at(scale)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // Only the one with the smaller scale can leave i128, and then its magnitude is the larger.
            (None, _) => self.unscaled.cmp(&0),
            (_, None) => 0.cmp(&other.unscaled),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled.unsigned_abs().to_string();
        let scale = usize::from(self.scale);
        let sign = if self.unscaled < 0 { "-" } else { "" };
        if scale == 0 {
            return f.pad_integral(self.unscaled >= 0, "", &digits);
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, part) = padded.split_at(padded.len() - scale);
        f.pad(&format!("{sign}{whole}.{part}"))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Stored as text, which every format carries exactly.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Put down once: some formats would ask for the text twice, to know its length first.
        let mut text = Text { bytes: [0; TEXT_BYTES_MAX], len: 0 };
        let put = fmt::write(&mut text, format_args!("{self}"));
        match (put, std::str::from_utf8(&text.bytes[..text.len])) {
            (Ok(()), Ok(text)) => serializer.serialize_str(text),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Bytes of the longest decimal's text: 38 digits, a sign, a point, and a zero before it.
const TEXT_BYTES_MAX: usize = 48;

/// A short text in place.
struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    len: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Reads a number's text where it lies.
struct TextVisitor;

impl serde::de::Visitor<'_> for TextVisitor {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a decimal number")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
        Decimal::parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests;
