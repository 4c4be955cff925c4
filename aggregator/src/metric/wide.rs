//! Exact sums without a limit on what happens in between.
//!
//! A sum of decimals may leave 38 digits half-way and come back. So that a result never depends on the order of its
//! parts, parts are added in 256 bits at 18 decimals; only the final value must fit a [`Decimal`]. This module never
//! rounds and never fails while adding: 2^64 values of 38 digits fit.

use std::fmt;

use arrow::datatypes::i256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidemill_schemas::decimal::{DECIMAL_SCALE_MAX, Decimal};

/// Bytes of an encoded sum.
pub const WIDE_BYTES: usize = 32;

/// A sum of decimals: `value / 10^18` in 256 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Wide(i256);

impl Default for Wide {
    fn default() -> Wide {
        Wide(i256::ZERO)
    }
}

impl Wide {
    /// `unscaled / 10^scale`; `scale` is at most 18.
    pub fn new(unscaled: i128, scale: u8) -> Wide {
        debug_assert!(scale <= DECIMAL_SCALE_MAX);
        let factor = 10i128.pow(u32::from(DECIMAL_SCALE_MAX.saturating_sub(scale)));
        Wide(i256::from_i128(unscaled).wrapping_mul(i256::from_i128(factor)))
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Wide) -> Wide {
        Wide(self.0.wrapping_add(other.0))
    }

    /// This sum `times` times: 1 adds, −1 retracts.
    #[must_use]
    pub fn times(self, times: i64) -> Wide {
        Wide(self.0.wrapping_mul(i256::from_i128(i128::from(times))))
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.0 == i256::ZERO
    }

    /// The value, or `None` when it needs more than 38 digits.
    pub fn decimal(self) -> Option<Decimal> {
        let (mut value, mut scale) = (self.0, u32::from(DECIMAL_SCALE_MAX));
        let ten = i256::from_i128(10);
        loop {
            if let Some(small) = value.to_i128()
                && let Ok(decimal) = Decimal::new(small, scale)
            {
                return Some(decimal);
            }
            if scale == 0 || value.wrapping_rem(ten) != i256::ZERO {
                return None;
            }
            value = value.wrapping_div(ten);
            scale -= 1;
        }
    }

    /// Big-endian two's complement.
    pub fn to_bytes(self) -> [u8; WIDE_BYTES] {
        self.0.to_be_bytes()
    }

    /// What [`Wide::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; WIDE_BYTES]) -> Wide {
        Wide(i256::from_be_bytes(bytes))
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}e-18", self.0)
    }
}

/// Kept as the text of the unscaled integer, which every format carries exactly.
impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wide, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        i256::from_string(&text).map(Wide).ok_or_else(|| serde::de::Error::custom("not a 256-bit integer"))
    }
}

/// A sum while rows are added: 128 bits at the column's own scale as long as they suffice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    near: i128,
    scale: u8,
    far: Wide,
    /// Values added.
    pub n: u64,
}

impl Running {
    /// Adds `n` values whose sum is `unscaled / 10^scale`.
    #[inline]
    pub fn add(&mut self, unscaled: i128, scale: u8, n: u64) {
        if scale == self.scale
            && let Some(sum) = self.near.checked_add(unscaled)
        {
            self.near = sum;
        } else {
            self.settle(unscaled, scale);
        }
        self.n += n;
    }

    #[cold]
    fn settle(&mut self, unscaled: i128, scale: u8) {
        self.far = self.far.plus(Wide::new(self.near, self.scale));
        self.near = unscaled;
        self.scale = scale;
    }

    /// The exact sum.
    pub fn sum(&self) -> Wide {
        self.far.plus(Wide::new(self.near, self.scale))
    }
}
