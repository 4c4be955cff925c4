//! The kinds of insight that relate series of numbers: correlation and comparison, as typed meaning.

use serde::{Deserialize, Serialize};

use super::actors::Selection;
use crate::calendar::{Date, Period};
use crate::expression::Expr;
use crate::metric::Metric;

/// Days a series may be shifted against the target.
pub const LAG_DAYS_MAX: u32 = 7;
/// Days two series must have in common for a coefficient.
pub const CORRELATION_DAYS_MIN: usize = 14;

/// Daily series against a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correlation {
    /// The events of any series.
    pub base: Selection,
    /// Days looked back on.
    pub lookback_days: u32,
    /// The target, then the others; each counts only its own events.
    pub series: Vec<Metric>,
    /// The coefficient candidates are ranked by.
    pub method: Method,
    /// Days the others are shifted back at most.
    pub lag_days_max: u32,
}

/// A coefficient of correlation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Of values.
    #[default]
    Pearson,
    /// Of ranks.
    Spearman,
}

/// A standard insight against itself: another period, or another segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparative {
    /// The insight compared.
    pub of: String,
    /// Its metrics to compare; empty: all of them.
    pub metrics: Vec<String>,
    /// What is compared with what.
    pub compare: Vec<Compare>,
}

/// Two sides of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// A period and the one before.
    Previous(Period),
    /// A period and the same one a year before.
    SameLastYear(Period),
    /// Two spans of days, both ends included.
    Custom {
        /// The days compared.
        a: (Date, Date),
        /// The days they are compared with.
        b: (Date, Date),
    },
    /// Two segments of the same days.
    Segments {
        /// The segment compared: its name, and a condition on the insight's breakdown.
        a: (String, Expr),
        /// The segment it is compared with.
        b: (String, Expr),
    },
}

impl Compare {
    /// The word users write and read.
    pub fn word(&self) -> String {
        match self {
            Compare::Previous(period) => format!("previous_{}", period.word()),
            Compare::SameLastYear(period) => format!("same_{}_last_year", period.word()),
            Compare::Custom { .. } => "custom".to_owned(),
            Compare::Segments { a, b } => format!("{} vs {}", a.0, b.0),
        }
    }
}
