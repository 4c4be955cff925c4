//! Strategy: derived from the definition by [`strategy`] alone, never configured.

use serde::{Deserialize, Serialize};

use crate::definition::{Body, Definition};

/// How a running day's numbers are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "strategy")]
pub enum Strategy {
    /// Read from the running totals.
    Incremental,
    /// Streamed from the pages.
    Recompute {
        /// What cannot be kept as a running total, and why: the first metric of its kind, or the type of insight.
        why: String,
    },
}

impl Strategy {
    /// The word users read.
    pub fn word(&self) -> &'static str {
        match self {
            Strategy::Incremental => "incremental",
            Strategy::Recompute { .. } => "recompute",
        }
    }

    /// Why, in one sentence.
    pub fn reason(&self) -> String {
        match self {
            Strategy::Incremental => "every metric is a count or a sum, so running totals are exact".to_owned(),
            Strategy::Recompute { why } => why.clone(),
        }
    }
}

/// Counts and sums only → incremental; anything else → recompute.
pub fn strategy(definition: &Definition) -> Strategy {
    let why = match &definition.body {
        Body::Standard(standard) => match standard.metrics.iter().find(|metric| !metric.function.is_additive()) {
            None => return Strategy::Incremental,
            Some(metric) => {
                let (name, function) = (&metric.name, metric.function.word());
                format!("`{name}` uses {function}, which cannot be added up; the day's pages are streamed")
            }
        },
        Body::Comparative(_) => "it reads the numbers of another insight; nothing is kept for it".to_owned(),
        Body::Correlation(_) => "series are read day by day; the days' pages are streamed".to_owned(),
        Body::Funnel(_) | Body::Pattern(_) | Body::Paths(_) | Body::Cohort(_) | Body::Drivers(_) => {
            "the events of each actor are looked at together; the days' pages are streamed".to_owned()
        }
    };
    Strategy::Recompute { why }
}
