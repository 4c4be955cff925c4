//! What a backfill will take, from one day that was really computed. Pure.
//!
//! In: its units, the day's rows, and how long a pass over it took. Out: time here and cost on AWS.

use serde::Serialize;
use tidemill_schemas::calendar::Date;

use crate::backfill::{Amount, Unit};
use crate::price::{self, Cost, Prices};
use crate::progress::{Costs, FOLD_DAYS};

/// Engines that work side by side in one local process.
pub const LOCAL_ENGINES: f64 = 2.0;
/// Microseconds that publishing one insight's day adds to computing it.
pub const PUBLISH_DAY_MICROS: f64 = 350.0;
/// Rows whose folding takes as long as what a pass does for each day anyway.
const DAY_ROWS: f64 = 300.0;

/// A day that was computed to see how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rehearsed {
    /// The UTC day.
    pub day: Date,
    /// Rows of its pages.
    pub rows: u64,
    /// Insights it was computed for.
    pub insights: usize,
    /// Microseconds of the pass.
    pub micros: u64,
    /// Microseconds of a pass over no pages at all: what every unit costs beside its days.
    pub empty_micros: u64,
}

/// What a backfill will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The day it is estimated from; `None`: there is no day with pages.
    pub rehearsed: Option<Rehearsed>,
    /// Rows of all pages, counted once per insight.
    pub rows: u64,
    /// Seconds of engines.
    pub engine_seconds: f64,
    /// Seconds in one local process.
    pub local_seconds: f64,
    /// Seconds on AWS, as many engines as the budget allows.
    pub aws_seconds: f64,
    /// US dollars on AWS.
    pub aws_dollars: Cost,
    /// When and where the prices hold.
    pub prices: String,
}

/// What units will take within a budget.
pub fn estimate(units: &[Unit], rehearsed: Option<Rehearsed>, budget: u32) -> Estimate {
    let total = units.iter().fold(Amount::default(), |sum, unit| sum.plus(unit.amount));
    let costs = costs(rehearsed);
    let empty_micros = rehearsed.map_or(0, |day| day.empty_micros);
    let engine_seconds = (costs.of(total) + empty_micros as f64 * units.len() as f64) / 1e6;
    let budget = f64::from(budget.max(1));
    let at_most = units.len().max(1) as f64;
    Estimate {
        rehearsed,
        rows: total.rows,
        engine_seconds,
        local_seconds: engine_seconds / budget.min(LOCAL_ENGINES).min(at_most),
        aws_seconds: engine_seconds / budget.min(at_most),
        aws_dollars: price::cost(units, engine_seconds),
        prices: format!("{}, {}", Prices::shipped().region, Prices::shipped().as_of),
    }
}

/// One day gives one equation: what a day costs beside its rows is taken to be what [`DAY_ROWS`] rows cost.
fn costs(rehearsed: Option<Rehearsed>) -> Costs {
    let Some(Rehearsed { rows, insights, micros, empty_micros, .. }) = rehearsed else {
        return Costs { row: 0.0, day: PUBLISH_DAY_MICROS, fold: PUBLISH_DAY_MICROS * FOLD_DAYS };
    };
    let row = micros.saturating_sub(empty_micros) as f64 / insights.max(1) as f64 / (rows as f64 + DAY_ROWS);
    let day = row * DAY_ROWS + PUBLISH_DAY_MICROS;
    Costs { row, day, fold: day * FOLD_DAYS }
}
