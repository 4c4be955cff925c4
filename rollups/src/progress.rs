//! How far a backfill has come, how fast it is, and when it will be over. Pure.
//!
//! In: its units, its wave. Out: counts, and times by the work that is left: rows to fold, days to publish, days to
//! fold into periods. What each costs is fitted from what has ended. Estimates are floats; nothing a user measures is.

use std::collections::BTreeMap;

use serde::Serialize;
use tidemill_aggregator::request_store::RequestOutcome;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::time::Timestamp;

use crate::backfill::{Amount, Backfill, Unit};
use crate::wave::{Spent, Wave};

/// Rows whose folding takes as long as publishing one day, where months do not tell the two apart.
const DAY_ROWS: f64 = 8_000.0;
/// The part of publishing a day that folding it into one period takes, before anything was measured.
pub const FOLD_DAYS: f64 = 0.45;
/// Days folded in the time that publishing one period takes. Like the other two, from twenty insights over four years of
/// three million events, in a release build.
const PERIOD_FOLDS: f64 = 10.0;
/// Failures a status names.
pub const FAILURES_LISTED_MAX: usize = 100;

/// What each kind of work costs, in microseconds of an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// A row.
    pub row: f64,
    /// A day.
    pub day: f64,
    /// A day folded into a period; publishing one costs [`PERIOD_FOLDS`] of them.
    pub fold: f64,
}

impl Costs {
    /// Fitted from what was spent: least squares over months, neither cost negative.
    pub fn fit(months: &BTreeMap<Date, Spent>, folding: &Spent) -> Costs {
        let all = || months.values().filter(|spent| spent.amount.days > 0);
        let sum = |of: &dyn Fn(&Spent) -> f64| all().map(of).sum::<f64>();
        let (rows, days) = (|spent: &Spent| spent.amount.rows as f64, |spent: &Spent| spent.amount.days as f64);
        let micros = |spent: &Spent| spent.micros as f64;
        let (rr, rd, dd) = (sum(&|s| rows(s) * rows(s)), sum(&|s| rows(s) * days(s)), sum(&|s| days(s) * days(s)));
        let (rm, dm) = (sum(&|s| rows(s) * micros(s)), sum(&|s| days(s) * micros(s)));
        let determinant = rr * dd - rd * rd;
        let (mut row, mut day) = (
            (rm * dd - dm * rd) / determinant.max(f64::MIN_POSITIVE),
            (dm * rr - rm * rd) / determinant.max(f64::MIN_POSITIVE),
        );
        // Months too much alike tell the two apart by chance only.
        let is_clear = determinant > 0.01 * rr * dd;
        if !is_clear || !row.is_finite() || !day.is_finite() || row < 0.0 || day < 0.0 {
            let weight = sum(&|s| rows(s) + DAY_ROWS * days(s));
            row = if weight > 0.0 { (sum(&micros) / weight).max(f64::MIN_POSITIVE) } else { 1.0 };
            day = row * DAY_ROWS;
        }
        if row + day <= 0.0 {
            (row, day) = (1.0, DAY_ROWS);
        }
        let folds = weight(folding.amount);
        let fold = if folds > 0.0 && folding.micros > 0 { folding.micros as f64 / folds } else { FOLD_DAYS * day };
        Costs { row, day, fold }
    }

    /// What an amount costs.
    pub fn of(&self, amount: Amount) -> f64 {
        self.row * amount.rows as f64 + self.day * amount.days as f64 + self.fold * weight(amount)
    }
}

/// An amount of folding and publishing periods, in days folded.
fn weight(amount: Amount) -> f64 {
    amount.folds as f64 + PERIOD_FOLDS * amount.periods as f64
}

/// The time one month of history took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonthTime {
    /// The month, `2026-08`.
    pub month: String,
    /// Rows of its pages, counted once per insight.
    pub rows: u64,
    /// Milliseconds of engines.
    pub millis: u64,
}

/// How far a backfill has come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// Its id.
    pub id: String,
    /// `running`, `done`, `failed` or `cancelled`.
    pub state: &'static str,
    /// The kind of period it is at; `None`: at none.
    pub phase: Option<&'static str>,
    /// Insights it is for.
    pub insights: usize,
    /// Whether it computes an edited definition aside.
    pub is_lineage: bool,
    /// First local day.
    pub first: Option<Date>,
    /// Last local day, included.
    pub last: Option<Date>,
    /// Units there are.
    pub units_total: usize,
    /// Of them, done.
    pub units_done: usize,
    /// Local days, counted per insight.
    pub days_total: u64,
    /// Of them, done.
    pub days_done: u64,
    /// Longer periods, counted per insight.
    pub periods_total: u64,
    /// Of them, done.
    pub periods_done: u64,
    /// Units in flight.
    pub in_flight: usize,
    /// The most units that were ever in flight at once.
    pub high_water: u32,
    /// Units in flight at most.
    pub budget: u32,
    /// Days a second, while units were in flight.
    pub days_per_second: f64,
    /// Seconds in which units were in flight.
    pub elapsed_seconds: f64,
    /// Seconds it will take still; `None`: nothing has ended yet, or it is over.
    pub eta_seconds: Option<f64>,
    /// The time each month of history took, newest first.
    pub months: Vec<MonthTime>,
    /// Units that failed.
    pub failed_units: usize,
    /// What failed, with the reason.
    pub failures: Vec<RequestOutcome>,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// How far a backfill has come. Without a wave it is one of before there were waves, and was not gone on with since.
pub fn progress(backfill: &Backfill, units: &[Unit], wave: Option<&Wave>, failures: Vec<RequestOutcome>) -> Progress {
    let nothing = Wave { state: crate::wave::State::Cancelled, ..Wave::begin(1, backfill.requested_at) };
    let wave = wave.unwrap_or(&nothing);
    let count = |of_days: bool, units: &mut dyn Iterator<Item = &Unit>| -> u64 {
        units.filter(|unit| unit.period.is_day() == of_days).map(|unit| unit.count).sum()
    };
    let done = || wave.done_units().filter_map(|at| units.get(at));
    let days_done = count(true, &mut done());
    let elapsed = wave.active_micros as f64 / 1e6;
    let month = |(month, spent): (&Date, &Spent)| MonthTime {
        month: format!("{:04}-{:02}", month.year(), month.month()),
        rows: spent.amount.rows,
        millis: spent.micros / 1_000,
    };
    Progress {
        id: backfill.id.clone(),
        state: wave.state.word(),
        phase: wave.phase(units).map(tidemill_schemas::calendar::Period::word),
        insights: backfill.parts.iter().map(|part| &part.insight).collect::<std::collections::BTreeSet<_>>().len(),
        is_lineage: backfill.is_lineage,
        first: backfill.parts.iter().map(|part| part.first).min(),
        last: backfill.parts.iter().map(|part| part.last).max(),
        units_total: units.len(),
        units_done: done().count(),
        days_total: count(true, &mut units.iter()),
        days_done,
        periods_total: count(false, &mut units.iter()),
        periods_done: count(false, &mut done()),
        in_flight: wave.leases.len(),
        high_water: wave.high_water,
        budget: wave.budget,
        days_per_second: if elapsed > 0.0 { days_done as f64 / elapsed } else { 0.0 },
        elapsed_seconds: elapsed,
        eta_seconds: eta_seconds(units, wave),
        months: wave.months.iter().rev().map(month).collect(),
        failed_units: wave.failed.len(),
        failures,
        requested_at: backfill.requested_at,
    }
}

/// Seconds until everything is done: the work there is at the pace since the first unit had ended, less the time that
/// has passed. What is half done in flight now was half done in flight then, so it cancels out.
pub fn eta_seconds(units: &[Unit], wave: &Wave) -> Option<f64> {
    let anchor = wave.anchor?;
    if wave.phase(units).is_none() || !matches!(wave.state, crate::wave::State::Running) {
        return None;
    }
    let costs = Costs::fit(&wave.months, &wave.folding);
    let total = units.iter().fold(Amount::default(), |sum, unit| sum.plus(unit.amount));
    let done = wave.done(units);
    let (since, micros) = (costs.of(done.minus(anchor.done)), wave.active_micros.saturating_sub(anchor.active_micros));
    let (work, micros) =
        if since > 0.0 && micros > 0 { (since, micros as f64) } else { (costs.of(done), wave.active_micros as f64) };
    if work <= 0.0 {
        return None;
    }
    let pace = work / micros;
    // Early on a unit more or less sways the pace: the engines seen at work say more then.
    let done = (costs.of(done) / costs.of(total)).clamp(0.0, 1.0);
    let engines = if wave.engines == 0 { pace } else { f64::from(wave.engines) * (1.0 - done) + pace * done };
    let whole = costs.of(total) / engines;
    Some(((whole - wave.active_micros as f64) / 1e6).max(0.0))
}

#[cfg(test)]
mod tests;
