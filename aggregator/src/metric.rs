//! States of metrics: exact, mergeable values, and what they show.
//!
//! A [`Cell`] is one day (or period) and group. States merge associatively and commutatively; only [`State::value`]
//! rounds, and only it can find that a result does not fit.

pub mod accumulate;
pub mod sketch;
pub mod sorted;
pub mod table;
pub mod trail;
pub mod wide;

use std::collections::BTreeMap;
use std::io;

use tidemill_schemas::calendar::Period;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::metric::{Function, RATIO_SCALE};
use tidemill_schemas::value::Value;

use crate::fold::FoldError;
use crate::plan::Plan;
use crate::spill::SharedSpill;
use sketch::Sketch;
use sorted::{Counted, Member, Sorted};
use trail::{Moment, Presence};
use wide::Wide;

/// A breakdown's values, one per column; null where the event has none.
pub type GroupKey = Vec<Value>;

/// What a metric computes, without its expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `count(*)`
    Count,
    /// `count(x)`
    CountOf,
    /// `sum(e)`
    Sum,
    /// `avg(e)`
    Avg,
    /// `min(e)`
    Min,
    /// `max(e)`
    Max,
    /// `percent(cond)`
    Percent,
    /// `count(distinct x)`
    Distinct,
    /// `approx_count_distinct(x)`
    Approx,
    /// `quantile(e, q)`
    Quantile(Decimal),
    /// When each actor did what an insight tells apart.
    Trail,
    /// In which buckets each actor did so; `None`: there is only one.
    Presence(Option<Period>),
}

impl Kind {
    /// The kind of a function.
    pub fn of(function: &Function) -> Kind {
        match function {
            Function::Count => Kind::Count,
            Function::CountOf(_) => Kind::CountOf,
            Function::Sum(_) => Kind::Sum,
            Function::Avg(_) => Kind::Avg,
            Function::Min(_) => Kind::Min,
            Function::Max(_) => Kind::Max,
            Function::Percent(_) => Kind::Percent,
            Function::CountDistinct(_) => Kind::Distinct,
            Function::ApproxCountDistinct(_) => Kind::Approx,
            Function::Quantile(_, q) => Kind::Quantile(*q),
        }
    }

    /// The state over no rows.
    pub fn empty(self) -> State {
        match self {
            Kind::Count | Kind::CountOf => State::Count(0),
            Kind::Sum | Kind::Avg => State::Sum { sum: Wide::default(), n: 0 },
            Kind::Min => State::Min(None),
            Kind::Max => State::Max(None),
            Kind::Percent => State::Percent { part: 0, whole: 0 },
            Kind::Distinct => State::Distinct(Sorted::default()),
            Kind::Approx => State::Approx(Box::default()),
            Kind::Quantile(_) => State::Quantile(Sorted::default()),
            Kind::Trail => State::Trail(Sorted::default()),
            Kind::Presence(_) => State::Presence(Sorted::default()),
        }
    }
}

/// The exact value of one metric in one cell.
#[derive(Clone, Debug)]
pub enum State {
    /// Rows.
    Count(u64),
    /// The sum and how many values it has: of `sum` and `avg`.
    Sum {
        /// The exact sum.
        sum: Wide,
        /// Values.
        n: u64,
    },
    /// The least value.
    Min(Option<Value>),
    /// The greatest value.
    Max(Option<Value>),
    /// Rows where the condition is true, of all.
    Percent {
        /// True.
        part: u64,
        /// All.
        whole: u64,
    },
    /// The values seen, by their hashes.
    Distinct(Sorted<Member>),
    /// The values seen, as a sketch.
    Approx(Box<Sketch>),
    /// The values and how often each was seen.
    Quantile(Sorted<Counted>),
    /// What each actor did, and when.
    Trail(Sorted<Moment>),
    /// In which buckets each actor did something.
    Presence(Sorted<Presence>),
}

impl State {
    /// Takes in the same metric's state over other events.
    ///
    /// # Errors
    /// The spill's own. States of two kinds are `InvalidData`: they come from two definitions.
    pub fn merge(&mut self, other: State) -> io::Result<()> {
        match (self, other) {
            (State::Count(count), State::Count(more)) => *count += more,
            (State::Sum { sum, n }, State::Sum { sum: more, n: times }) => {
                *sum = sum.plus(more);
                *n += times;
            }
            (State::Min(least), State::Min(other)) => {
                if other.is_some() && (least.is_none() || other < *least) {
                    *least = other;
                }
            }
            (State::Max(greatest), State::Max(other)) => {
                if other > *greatest {
                    *greatest = other;
                }
            }
            (State::Percent { part, whole }, State::Percent { part: more, whole: rows }) => {
                *part += more;
                *whole += rows;
            }
            (State::Distinct(members), State::Distinct(more)) => members.merge(more)?,
            (State::Approx(sketch), State::Approx(more)) => sketch.merge(&more),
            (State::Quantile(values), State::Quantile(more)) => values.merge(more)?,
            (State::Trail(moments), State::Trail(more)) => moments.merge(more)?,
            (State::Presence(buckets), State::Presence(more)) => buckets.merge(more)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "states of two different metrics")),
        }
        Ok(())
    }

    /// See [`Sorted::bound`].
    ///
    /// # Errors
    /// The spill's own.
    pub fn bound(&mut self, spill: &SharedSpill) -> io::Result<()> {
        match self {
            State::Distinct(members) => members.bound(spill),
            State::Quantile(values) => values.bound(spill),
            State::Trail(moments) => moments.bound(spill),
            State::Presence(buckets) => buckets.bound(spill),
            _ => Ok(()),
        }
    }

    /// See [`Sorted::settle`].
    ///
    /// # Errors
    /// The spill's own.
    pub fn settle(&mut self, spill: &SharedSpill) -> io::Result<()> {
        match self {
            State::Distinct(members) => members.settle(spill),
            State::Quantile(values) => values.settle(spill),
            State::Trail(moments) => moments.settle(spill),
            State::Presence(buckets) => buckets.settle(spill),
            _ => Ok(()),
        }
    }

    /// What the metric shows. `metric` names it in errors.
    ///
    /// # Errors
    /// [`FoldError::Overflow`] when the result needs more than 38 digits; the spill's own.
    pub fn value(&self, kind: Kind, metric: &str) -> Result<Value, FoldError> {
        let overflow = || FoldError::Overflow { metric: metric.to_owned() };
        let ratio = |numerator: Decimal, n: u64| {
            Decimal::ratio(numerator, Decimal::from(n), RATIO_SCALE).map(Value::Number).ok_or_else(overflow)
        };
        Ok(match self {
            State::Count(count) => Value::Number(Decimal::from(*count)),
            State::Sum { n: 0, .. } | State::Percent { whole: 0, .. } => Value::Null,
            State::Sum { sum, n } => {
                let sum = sum.decimal().ok_or_else(overflow)?;
                if kind == Kind::Avg { ratio(sum, *n)? } else { Value::Number(sum) }
            }
            State::Min(value) | State::Max(value) => value.clone().unwrap_or(Value::Null),
            State::Percent { part, whole } => {
                let hundred = Decimal::from(*part).checked_mul(Decimal::from(100u64)).ok_or_else(overflow)?;
                ratio(hundred, *whole)?
            }
            State::Distinct(members) => Value::Number(Decimal::from(members.count()?)),
            State::Approx(sketch) => Value::Number(Decimal::from(sketch.count())),
            State::Quantile(values) => match kind {
                Kind::Quantile(q) => quantile(values, q)?,
                _ => Value::Null,
            },
            // What actors did is no number; see `crate::actors`.
            State::Trail(_) | State::Presence(_) => Value::Null,
        })
    }
}

/// The smallest value whose rank is at least q × n.
fn quantile(values: &Sorted<Counted>, q: Decimal) -> io::Result<Value> {
    let mut n: u64 = 0;
    values.scan(|entry| {
        n += entry.count;
        true
    })?;
    // 10^18 × 2^64 fits 128 bits.
    let unit = 10i128.pow(u32::from(q.scale()));
    let product = q.unscaled().clamp(0, unit) * i128::from(n);
    let rank = (product / unit + i128::from(product % unit > 0)).max(1);
    let (mut seen, mut found) = (0i128, Value::Null);
    values.scan(|entry| {
        seen += i128::from(entry.count);
        found = Value::Number(entry.value);
        seen < rank
    })?;
    Ok(found)
}

/// One day (or period) and group.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Events that passed the insight's filters.
    pub events: u64,
    /// Of them, received after the local day's end and its grace.
    pub late: u64,
    /// Rows left out per metric, in the definition's order; 0 where a metric leaves none out.
    pub skipped: Vec<u64>,
    /// One state per metric, in the definition's order.
    pub states: Vec<State>,
}

impl Cell {
    /// The cell of no events.
    pub fn empty(plan: &Plan) -> Cell {
        Cell {
            events: 0,
            late: 0,
            skipped: vec![0; plan.metrics.len()],
            states: plan.metrics.iter().map(|metric| metric.kind.empty()).collect(),
        }
    }

    /// Takes in the cell of other events.
    ///
    /// # Errors
    /// As [`State::merge`].
    pub fn merge(&mut self, other: Cell) -> io::Result<()> {
        if self.states.len() != other.states.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "states of two different definitions"));
        }
        self.events += other.events;
        self.late += other.late;
        for (held, more) in self.skipped.iter_mut().zip(other.skipped) {
            *held += more;
        }
        for (held, more) in self.states.iter_mut().zip(other.states) {
            held.merge(more)?;
        }
        Ok(())
    }

    /// See [`Sorted::bound`].
    ///
    /// # Errors
    /// The spill's own.
    pub fn bound(&mut self, spill: &SharedSpill) -> io::Result<()> {
        self.states.iter_mut().try_for_each(|state| state.bound(spill))
    }

    /// See [`Sorted::settle`].
    ///
    /// # Errors
    /// The spill's own.
    pub fn settle(&mut self, spill: &SharedSpill) -> io::Result<()> {
        self.states.iter_mut().try_for_each(|state| state.settle(spill))
    }

    /// The metric values, in the definition's order.
    ///
    /// # Errors
    /// As [`State::value`].
    pub fn values(&self, plan: &Plan) -> Result<Vec<Value>, FoldError> {
        self.states.iter().zip(&plan.metrics).map(|(state, metric)| state.value(metric.kind, &metric.name)).collect()
    }
}

/// All cells of one local day, or of days merged.
#[derive(Clone, Debug)]
pub struct DayCells {
    /// Everything.
    pub total: Cell,
    /// By group, in key order; empty when the insight has no breakdown.
    pub groups: BTreeMap<GroupKey, Cell>,
}

impl DayCells {
    /// The day without events.
    pub fn empty(plan: &Plan) -> DayCells {
        DayCells { total: Cell::empty(plan), groups: BTreeMap::new() }
    }

    /// Takes in other days of the same definition.
    ///
    /// # Errors
    /// As [`State::merge`].
    pub fn merge(&mut self, other: DayCells) -> io::Result<()> {
        self.total.merge(other.total)?;
        for (key, cell) in other.groups {
            match self.groups.entry(key) {
                std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().merge(cell)?,
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(cell);
                }
            }
        }
        Ok(())
    }

    /// Checks that every number shown fits.
    ///
    /// # Errors
    /// [`FoldError::Overflow`].
    pub fn check(&self, plan: &Plan) -> Result<(), FoldError> {
        for cell in std::iter::once(&self.total).chain(self.groups.values()) {
            for (state, metric) in cell.states.iter().zip(&plan.metrics) {
                if let State::Sum { sum, .. } = state
                    && sum.decimal().is_none()
                {
                    return Err(FoldError::Overflow { metric: metric.name.clone() });
                }
            }
        }
        Ok(())
    }
}
