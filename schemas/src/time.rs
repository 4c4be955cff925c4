//! Instants: microseconds since 1970-01-01T00:00:00Z, UTC.
//!
//! In: RFC 3339 text or epoch milliseconds. Out: RFC 3339. This module never asks what time it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in a UTC day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An instant, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Earliest instant tidemill accepts: 0001-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp(-62_135_596_800 * MICROS_PER_SECOND);
    /// Latest instant tidemill accepts: 9999-12-30T00:00:00Z, so that every zone's local day exists.
    pub const MAX: Timestamp = Timestamp(253_402_128_000 * MICROS_PER_SECOND);

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// The instant `millis` milliseconds after the epoch; saturates.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This instant moved by `micros` microseconds; saturates.
    pub const fn plus_micros(self, micros: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(micros))
    }

    /// This instant moved by `seconds`; saturates.
    pub const fn plus_seconds(self, seconds: i64) -> Timestamp {
        self.plus_micros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Reads RFC 3339 (`2026-08-01T00:00:00Z`, `…+05:30`, fractions to microseconds; finer digits are cut).
    /// `None` when it is something else or outside [`Timestamp::MIN`]..[`Timestamp::MAX`].
    pub fn parse(text: &str) -> Option<Timestamp> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        let micros = stamp.as_nanosecond().div_euclid(1_000);
        Timestamp(i64::try_from(micros).ok()?).in_range()
    }

    /// Itself, when within [`Timestamp::MIN`]..=[`Timestamp::MAX`].
    pub fn in_range(self) -> Option<Timestamp> {
        (Timestamp::MIN <= self && self <= Timestamp::MAX).then_some(self)
    }

    /// jiff's instant, for calendar work.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0.clamp(Timestamp::MIN.0, Timestamp::MAX.0))
            .expect("MIN and MAX are within jiff's range")
    }
}

/// RFC 3339 in UTC, with the fraction only when there is one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}
