//! Why a fold has no result.

use std::io;

use tidemill_schemas::calendar::Date;

use crate::eval::EvalError;

/// Why an insight has no result. It concerns that insight only; codes are stable.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// TM0401.
    #[error("`{metric}` needs more than 38 digits or 18 decimals; narrow the range or compute with fewer digits")]
    Overflow {
        /// The metric, `where`, or `by`.
        metric: String,
    },
    /// TM0402.
    #[error(
        "`{insight}` has more than {limit} groups in one day; break down by a property with fewer values, or filter"
    )]
    TooManyGroups {
        /// The insight.
        insight: String,
        /// The limit: groups of one day.
        limit: usize,
    },
    /// TM0403.
    #[error("the pattern in `{metric}` is no regular expression ({why}); correct it")]
    Pattern {
        /// The metric, or `where`.
        metric: String,
        /// The parser's words.
        why: String,
    },
    /// TM0404.
    #[error("the page's column `{column}` cannot be read: {why}; import the file again")]
    Page {
        /// The column.
        column: String,
        /// Why.
        why: String,
    },
    /// TM0405.
    #[error("events of {date} came after that day was handed out; scan days in ascending order")]
    DayFinished {
        /// The local day.
        date: Date,
    },
    /// TM0406.
    #[error("the running totals of `{insight}` do not add up ({why}); recompute the day")]
    Totals {
        /// The insight.
        insight: String,
        /// What is wrong.
        why: String,
    },
    /// TM0407.
    #[error("temporary storage failed: {0}; free some space and try again")]
    Spill(#[from] io::Error),
    /// TM0408.
    #[error(
        "an answer of `{insight}` takes more than {limit} {what}; ask for a shorter range, longer periods, or a breakdown \
         with fewer values"
    )]
    TooMuch {
        /// The insight.
        insight: String,
        /// Of what, in the plural.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl From<crate::states::StatesError> for FoldError {
    fn from(why: crate::states::StatesError) -> FoldError {
        FoldError::Spill(why.into())
    }
}

impl FoldError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            FoldError::Overflow { .. } => "TM0401",
            FoldError::TooManyGroups { .. } => "TM0402",
            FoldError::Pattern { .. } => "TM0403",
            FoldError::Page { .. } => "TM0404",
            FoldError::DayFinished { .. } => "TM0405",
            FoldError::Totals { .. } => "TM0406",
            FoldError::Spill(_) => "TM0407",
            FoldError::TooMuch { .. } => "TM0408",
        }
    }

    /// An expression's error, of the metric (or `where`, `by`) it stands in.
    pub(crate) fn of(error: EvalError, metric: &str) -> FoldError {
        let metric = metric.to_owned();
        match error {
            EvalError::Overflow => FoldError::Overflow { metric },
            EvalError::Pattern(why) => FoldError::Pattern { metric, why },
            EvalError::Page(column, why) => FoldError::Page { column, why },
        }
    }
}
