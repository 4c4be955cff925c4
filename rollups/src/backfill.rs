//! A backfill: what of history to compute, cut into units. Pure.
//!
//! In: insights, a span, what the pages hold. Out: units in the order they are to be run: days before weeks before
//! months, quarters and years, the newest first. Nothing here knows how far a backfill has come.

use serde::{Deserialize, Serialize};
use tidemill_aggregator::definition_store::Applied;
use tidemill_aggregator::dispatch::apart;
use tidemill_schemas::calendar::{self, Date, Period, WeekStart};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Lease, Reason};
use tidemill_schemas::time::Timestamp;

/// The version of a stored backfill. Version 1 held days only, cut into years, and knew nothing of their pages.
pub const BACKFILL_FORMAT: u32 = 2;
/// Insights one unit computes in one pass.
pub const UNIT_INSIGHTS_MAX: usize = 10;
/// Insights one backfill may be for.
pub const BACKFILL_INSIGHTS_MAX: usize = 1_000;
/// The phases, in order.
pub const PHASES: [Period; 5] = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];

/// A backfill as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// [`BACKFILL_FORMAT`].
    pub format: u32,
    /// Its id; ids ascend with time.
    pub id: String,
    /// What is computed.
    pub parts: Vec<Part>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// What the pages held then; tells how much work each month is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<Load>,
    /// Whether it computes an edited definition aside, to answer once it is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_lineage: bool,
}

/// One insight of a backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The insight.
    pub insight: String,
    /// Its definition's fingerprint.
    pub fingerprint: String,
    /// First local day.
    pub first: Date,
    /// Last local day, included.
    pub last: Date,
    /// The source it reads; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which longer periods; `None`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub periods: Option<Periods>,
}

/// Longer periods are computed when they lie within these bounds and hold a day that is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periods {
    /// No period begins before this day.
    pub from: Date,
    /// No period ends after this day.
    pub to: Date,
    /// The day weeks start on.
    pub week_start: WeekStart,
}

/// What the pages of a source hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The source; `None`: all together.
    pub source: Option<String>,
    /// By month, ascending; months without pages are left out.
    pub months: Vec<MonthLoad>,
}

/// What the pages of one month hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthLoad {
    /// Its first day.
    pub month: Date,
    /// Rows.
    pub rows: u64,
    /// UTC days that have pages.
    pub days: u32,
}

/// How much there is to do, in the terms its time depends on. Each counted once per insight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Rows folded.
    pub rows: u64,
    /// Days with pages that are computed.
    pub days: u64,
    /// Days that are folded into longer periods.
    pub folds: u64,
    /// Longer periods that are published.
    #[serde(default)]
    pub periods: u64,
}

impl Amount {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Amount) -> Amount {
        Amount {
            rows: self.rows + other.rows,
            days: self.days + other.days,
            folds: self.folds + other.folds,
            periods: self.periods + other.periods,
        }
    }

    /// What is left without `other`.
    #[must_use]
    pub fn minus(self, other: Amount) -> Amount {
        Amount {
            rows: self.rows.saturating_sub(other.rows),
            days: self.days.saturating_sub(other.days),
            folds: self.folds.saturating_sub(other.folds),
            periods: self.periods.saturating_sub(other.periods),
        }
    }
}

/// What is leased, delivered and reported as one: a span of one kind of period, of a few insights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The kind of period.
    pub period: Period,
    /// The month or the year it belongs to, as its first day.
    pub at: Date,
    /// Each insight's place in the backfill's parts, with its first and last day.
    pub members: Vec<(usize, Date, Date)>,
    /// Days or periods, counted per insight.
    pub count: u64,
    /// How much work it is.
    pub amount: Amount,
}

impl Part {
    /// The part of a definition's history from `first` to `last`; `closed`: the last day that is over. `cut`: whether
    /// history goes on before and behind, so that periods reaching over the ends are not all there.
    pub fn of(applied: &Applied, first: Date, last: Date, closed: Date, cut: (bool, bool)) -> Part {
        let definition = &applied.definition;
        let from = if cut.0 { first } else { Date::constant(1, 1, 1) };
        let to = if cut.1 { last.min(closed) } else { closed };
        Part {
            insight: definition.name.clone(),
            fingerprint: applied.fingerprint.clone(),
            first,
            last,
            source: definition.source.clone(),
            periods: Some(Periods { from, to, week_start: definition.week_start }),
        }
    }

    /// Local days.
    pub fn days(&self) -> u64 {
        days(self.first, self.last)
    }

    /// The days of this part's periods that begin within `first..=last`, and how many periods that is.
    fn periods(&self, kind: Period, first: Date, last: Date) -> Option<(Date, Date, u64)> {
        let Periods { from, to, week_start } = self.periods?;
        let mut found: Option<(Date, Date, u64)> = None;
        let mut at = kind.first(first, week_start);
        if at < first {
            at = calendar::next(kind.last(at, week_start));
        }
        while at <= last {
            let end = kind.last(at, week_start);
            if at >= from && end <= to && end >= self.first && at <= self.last {
                let (begun, count) = found.map_or((at, 0), |(begun, _, count)| (begun, count));
                found = Some((begun, end, count + 1));
            }
            at = calendar::next(end);
        }
        found
    }
}

fn days(first: Date, last: Date) -> u64 {
    u64::try_from(apart(first, last) + 1).unwrap_or(0)
}

/// The stretches a phase is cut into, newest first: months for days, quarters for weeks, years for all others.
fn stretches(kind: Period, first: Date, last: Date) -> Vec<(Date, Date)> {
    let by = match kind {
        Period::Day => Period::Month,
        Period::Week => Period::Quarter,
        Period::Month | Period::Quarter | Period::Year => Period::Year,
    };
    let mut all = Vec::new();
    let mut at = by.first(last, WeekStart::Sunday);
    loop {
        all.push((at, by.last(at, WeekStart::Sunday)));
        match at.yesterday() {
            Ok(before) if before >= first => at = by.first(before, WeekStart::Sunday),
            _ => return all,
        }
    }
}

impl Backfill {
    /// Its units, in the order they are to be run. The same backfill always has the same units.
    pub fn units(&self) -> Vec<Unit> {
        if self.format < BACKFILL_FORMAT {
            return self.parts.iter().enumerate().map(|(at, part)| of_old(at, part)).collect();
        }
        let ends = |of: fn(&Part) -> Date| self.parts.iter().map(of);
        let (Some(first), Some(last)) = (ends(|part| part.first).min(), ends(|part| part.last).max()) else {
            return Vec::new();
        };
        let mut units = Vec::new();
        let groups = self.groups();
        for kind in PHASES {
            // A period that holds the first day may begin in the stretch before.
            let from =
                if kind.is_day() { first } else { kind.first(first, WeekStart::Sunday).yesterday().unwrap_or(first) };
            for (from, to) in stretches(kind, from, last) {
                units.extend(groups.iter().filter_map(|group| self.unit(kind, from, to, group)));
            }
        }
        units
    }

    /// Places of parts that share passes: those that read the same source, a few at a time.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut places: Vec<usize> = (0..self.parts.len()).collect();
        places.sort_by_key(|at| (&self.parts[*at].source, &self.parts[*at].insight));
        let same = |a: &usize, b: &usize| self.parts[*a].source == self.parts[*b].source;
        places.chunk_by(same).flat_map(|group| group.chunks(UNIT_INSIGHTS_MAX)).map(<[usize]>::to_vec).collect()
    }

    fn unit(&self, kind: Period, from: Date, to: Date, group: &[usize]) -> Option<Unit> {
        let mut unit = Unit { period: kind, at: from, members: Vec::new(), count: 0, amount: Amount::default() };
        for &at in group {
            let part = &self.parts[at];
            let (first, last, count) = if kind.is_day() {
                let (first, last) = (from.max(part.first), to.min(part.last));
                (first, last, days(first, last))
            } else if let Some(periods) = part.periods(kind, from, to) {
                periods
            } else {
                continue;
            };
            if first > last {
                continue;
            }
            unit.members.push((at, first, last));
            unit.count += count;
            unit.amount = unit.amount.plus(self.amount(part, kind, (first, last), count));
        }
        (!unit.members.is_empty()).then_some(unit)
    }

    fn amount(&self, part: &Part, kind: Period, (first, last): (Date, Date), count: u64) -> Amount {
        let load = self.loads.iter().find(|load| load.source == part.source);
        let (first, last) = (first.first_of_month(), last.last_of_month());
        let within = load.into_iter().flat_map(|load| &load.months).filter(|load| (first..=last).contains(&load.month));
        let (rows, days) = within.fold((0, 0), |(rows, days), load| (rows + load.rows, days + u64::from(load.days)));
        let none = Amount::default();
        if kind.is_day() { Amount { rows, days, ..none } } else { Amount { folds: days, periods: count, ..none } }
    }

    /// The requests of a unit under a lease.
    pub fn requests(&self, tenant: &Tenant, unit: &Unit, lease: &Lease) -> Vec<ComputeSnapshotRequest> {
        let request = |&(at, first, last): &(usize, Date, Date)| ComputeSnapshotRequest {
            tenant: tenant.0.clone(),
            insight: self.parts[at].insight.clone(),
            fingerprint: self.parts[at].fingerprint.clone(),
            period: unit.period,
            first,
            last,
            reason: Reason::Unit(lease.clone()),
            requested_at: self.requested_at,
        };
        unit.members.iter().map(request).collect()
    }
}

/// A part of a backfill of before there were waves: one unit of days.
fn of_old(at: usize, part: &Part) -> Unit {
    let days = part.days();
    let amount = Amount { days, ..Amount::default() };
    Unit { period: Period::Day, at: part.first, members: vec![(at, part.first, part.last)], count: days, amount }
}

#[cfg(test)]
mod tests;
