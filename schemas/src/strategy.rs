//! Strategy: derived from the definition by [`strategy`] alone, never configured.

use serde::{Deserialize, Serialize};

use crate::definition::{Body, Definition};

/// Types of insight that follow actors.
const IS_OF_ACTORS: [&str; 3] = ["funnel", "event_sequence", "cohort"];

/// How a running day's numbers are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "strategy")]
pub enum Strategy {
    /// Read from the running totals.
    Incremental,
    /// Streamed from the pages.
    Recompute {
        /// The first metric that cannot be kept as a running total.
        metric: String,
        /// Its function.
        function: String,
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
            Strategy::Recompute { function, .. } if function == "comparative" => {
                "it reads the numbers of another insight; nothing is kept for it".to_owned()
            }
            Strategy::Recompute { function, .. } if function == "correlation" => {
                "series and drivers are read day by day; the days' pages are streamed".to_owned()
            }
            Strategy::Recompute { function, .. } if IS_OF_ACTORS.contains(&function.as_str()) => {
                let word = function.replace('_', " ");
                format!("{word}: the events of each actor are looked at together; the days' pages are streamed")
            }
            Strategy::Recompute { metric, function } => {
                format!("`{metric}` uses {function}, which cannot be added up; the day's pages are streamed")
            }
        }
    }
}

/// Counts and sums only → incremental; anything else → recompute.
pub fn strategy(definition: &Definition) -> Strategy {
    match &definition.body {
        Body::Standard(standard) => match standard.metrics.iter().find(|metric| !metric.function.is_additive()) {
            None => Strategy::Incremental,
            Some(metric) => {
                Strategy::Recompute { metric: metric.name.clone(), function: metric.function.word().to_owned() }
            }
        },
        body => Strategy::Recompute { metric: definition.name.clone(), function: body.type_word().to_owned() },
    }
}
