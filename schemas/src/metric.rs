//! Metrics: what an insight measures, as typed functions over events.

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::expression::Expr;

/// Decimals an average or a percentage is rounded to, half-even, from its exact state.
pub const RATIO_SCALE: u8 = 6;

/// A named measure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metric {
    /// The column it becomes.
    pub name: String,
    /// What is computed.
    pub function: Function,
    /// `filter (where …)`: rows for which it is not true don't count.
    pub filter: Option<Expr>,
}

/// What a metric computes over the rows that pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `count(*)`: rows.
    Count,
    /// `count(x)`: rows where x is not null.
    CountOf(Expr),
    /// `sum(e)`: exact; null over no values.
    Sum(Expr),
    /// `avg(e)`: exact sum over count, rounded to [`RATIO_SCALE`]; null over no values.
    Avg(Expr),
    /// `min(e)` of numbers, texts or times; null over no values.
    Min(Expr),
    /// `max(e)` of numbers, texts or times; null over no values.
    Max(Expr),
    /// `count(distinct x)`: exact, null excluded.
    CountDistinct(Expr),
    /// `approx_count_distinct(x)`: HyperLogLog++ at precision 14, null excluded.
    ApproxCountDistinct(Expr),
    /// `percent(cond)`: 100 × rows where cond is true / rows, rounded to [`RATIO_SCALE`]; null over no rows.
    Percent(Expr),
    /// `quantile(e, q)` of numbers, 0 ≤ q ≤ 1: the smallest value whose rank is at least q × n (discrete, exact, as
    /// SQL's `percentile_disc` and DuckDB's `quantile`); null over no values.
    Quantile(Expr, Decimal),
}

impl Function {
    /// The argument; `None` for `count(*)`.
    pub fn argument(&self) -> Option<&Expr> {
        match self {
            Function::Count => None,
            Function::CountOf(e)
            | Function::Sum(e)
            | Function::Avg(e)
            | Function::Min(e)
            | Function::Max(e)
            | Function::CountDistinct(e)
            | Function::ApproxCountDistinct(e)
            | Function::Percent(e)
            | Function::Quantile(e, _) => Some(e),
        }
    }

    /// The SQL name.
    pub fn word(&self) -> &'static str {
        match self {
            Function::Count | Function::CountOf(_) => "count",
            Function::Sum(_) => "sum",
            Function::Avg(_) => "avg",
            Function::Min(_) => "min",
            Function::Max(_) => "max",
            Function::CountDistinct(_) => "count(distinct)",
            Function::ApproxCountDistinct(_) => "approx_count_distinct",
            Function::Percent(_) => "percent",
            Function::Quantile(..) => "quantile",
        }
    }

    /// Whether rows whose argument is null (absent, or of another type) are reported as skipped. Counts and shares
    /// have their own word for null; these leave a value out.
    pub fn reports_skipped(&self) -> bool {
        matches!(
            self,
            Function::Sum(_) | Function::Avg(_) | Function::Min(_) | Function::Max(_) | Function::Quantile(..)
        )
    }

    /// Whether groups add up to the total.
    pub fn is_additive(&self) -> bool {
        matches!(self, Function::Count | Function::CountOf(_) | Function::Sum(_))
    }

    /// The standard error of the result as a percentage; `None` when it is exact.
    pub fn error_percent(&self) -> Option<&'static str> {
        // 1.04 / sqrt(2^14), Flajolet et al. 2007.
        matches!(self, Function::ApproxCountDistinct(_)).then_some("0.81")
    }
}
