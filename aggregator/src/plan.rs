//! A definition compiled for execution.
//!
//! In: a checked [`Definition`]. Out: a [`Plan`] that every fold of it shares: compiled filters and arguments, the
//! columns to read, the zone. Compiling never fails: what cannot be compiled fails when it is evaluated, and then
//! only its own snapshot.

use std::collections::BTreeSet;

use tidemill_schemas::calendar::{self, Date, WeekStart, Zone};
use tidemill_schemas::definition::actors::{DriversTarget, Selection};
use tidemill_schemas::definition::{Body, Definition};
use tidemill_schemas::expression::{Column, Comparison, Expr, Read};
use tidemill_schemas::metric::Metric;
use tidemill_schemas::value::{Type, Value};
use tidemill_schemas::window::Window;

use crate::eval::Node;
use crate::metric::Kind;

/// One insight, ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The insight's name.
    pub insight: String,
    /// The source it reads; `None`: all.
    pub source: Option<String>,
    /// The event names it reads, ascending; `None`: all.
    pub names: Option<Vec<String>>,
    /// The zone of its days.
    pub zone: Zone,
    /// The day its weeks start on.
    pub week_start: WeekStart,
    /// The breakdown.
    pub by: Vec<Column>,
    /// Groups listed before `$other`.
    pub top: usize,
    /// The metrics, in the definition's order.
    pub metrics: Vec<PlanMetric>,
    /// Names and source, as one test; `None`: every event.
    pub(crate) base: Option<(Base, Node)>,
    /// `where`.
    pub(crate) filter: Option<Node>,
    columns: BTreeSet<Column>,
}

/// Which events an insight reads, before any filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// Their names; `None`: all.
    pub names: Option<Vec<String>>,
    /// Their source; `None`: all.
    pub source: Option<String>,
}

/// One metric, ready to run.
#[derive(Clone, Debug)]
pub struct PlanMetric {
    /// The metric's name.
    pub name: String,
    /// What it computes.
    pub kind: Kind,
    /// Whether rows whose argument is null are counted as skipped.
    pub reports_skipped: bool,
    pub(crate) filter: Option<Node>,
    pub(crate) argument: Option<Node>,
    /// Of an insight over actors: the selections it tells apart, by their bit.
    pub(crate) bits: Vec<Node>,
    /// Of an insight over actors: whether it needs to know when, not only on which day.
    pub(crate) needs_times: bool,
}

impl Plan {
    /// Compiles a definition.
    pub fn new(definition: &Definition) -> Plan {
        let names = definition.event_names();
        let base = base(names.as_deref(), definition.source.as_deref());
        let reads = Base { names: names.clone(), source: definition.source.clone() };
        let by = breakdown(definition);
        let mut columns: BTreeSet<Column> = by.iter().cloned().collect();
        let mut want = |expr: &Expr| {
            expr.reads(&mut |read| {
                columns.insert(read.column.clone());
            });
        };
        let filter = filter(definition);
        base.iter().chain(&filter).for_each(&mut want);
        for metric in definition.metrics() {
            metric.filter.iter().chain(metric.function.argument()).for_each(&mut want);
        }
        let metrics = match definition.body.actors() {
            None => definition.metrics().iter().map(PlanMetric::new).collect(),
            Some(actors) => {
                let bits: Vec<Expr> = definition.body.selections().into_iter().map(selected).collect();
                bits.iter().for_each(&mut want);
                columns.insert(actors.actor.clone());
                columns.extend(needs_times(definition).then_some(Column::Time));
                vec![PlanMetric::of_actors(definition, &actors.actor, &bits)]
            }
        };
        Plan {
            insight: definition.name.clone(),
            source: definition.source.clone(),
            names,
            zone: definition.timezone.clone(),
            week_start: definition.week_start,
            by,
            top: definition.top as usize,
            metrics,
            base: base.as_ref().map(|base| (reads, Node::compile(base))),
            filter: filter.as_ref().map(Node::compile),
            columns,
        }
    }

    /// The columns its expressions read. `time` and `received` ([`tidemill_schemas::page`]) come on top of them where
    /// they decide which day a row belongs to and whether it was late, and `$rare` where a page has it.
    pub fn columns(&self) -> &BTreeSet<Column> {
        &self.columns
    }

    /// The columns whose distinct values, with the number of rows, are all this insight needs of rows that lie within
    /// one day; `None` when it looks at rows.
    pub(crate) fn counts_values(&self) -> Option<Vec<Column>> {
        if self.base.is_some() || self.filter.is_some() || !self.by.is_empty() {
            return None;
        }
        let columns = self.metrics.iter().map(PlanMetric::counts_values).collect::<Option<Vec<_>>>()?;
        Some(columns.into_iter().flatten().collect())
    }

    /// Whether it keeps what actors did, which is no number and has no rows of its own.
    pub fn follows_actors(&self) -> bool {
        self.metrics.iter().any(|metric| matches!(metric.kind, Kind::Trail | Kind::Presence(_)))
    }

    /// Whether the states of longer periods are kept. What actors did, event by event, would only be there twice: an
    /// answer walks the days'.
    pub fn keeps_period_states(&self) -> bool {
        !self.metrics.iter().any(|metric| metric.kind == Kind::Trail)
    }

    /// The local days from `first` to `last`, both included, as windows of event time.
    pub fn days(&self, first: Date, last: Date) -> impl Iterator<Item = (Date, Window)> + '_ {
        calendar::dates(first, last).map(|date| (date, self.zone.day(date)))
    }

    /// The UTC dates whose pages hold events of those local days.
    pub fn utc_dates(&self, first: Date, last: Date) -> impl Iterator<Item = Date> + use<> {
        calendar::utc_dates(self.zone.days(first, last))
    }

    /// Whether every metric can be kept as a running total.
    pub fn is_additive(&self) -> bool {
        self.metrics.iter().all(|metric| matches!(metric.kind, Kind::Count | Kind::CountOf | Kind::Sum))
    }
}

impl PlanMetric {
    /// The column whose distinct values it needs, if any; `None` when it needs rows.
    fn counts_values(&self) -> Option<Option<Column>> {
        match (self.kind, &self.filter, &self.argument) {
            (Kind::Count, None, None) => Some(None),
            (Kind::Distinct | Kind::Approx, None, Some(Node::Read(read))) => {
                let is_text = read.at.is_none_or(|at| at == Type::Text);
                let is_envelope = matches!(read.column, Column::Actor | Column::Name | Column::Source);
                (is_text && is_envelope).then(|| Some(read.column.clone()))
            }
            _ => None,
        }
    }

    /// The column it reads as it is.
    pub(crate) fn column(&self) -> Option<&Column> {
        match &self.argument {
            Some(Node::Read(read)) => Some(&read.column),
            _ => None,
        }
    }

    fn new(metric: &Metric) -> PlanMetric {
        PlanMetric {
            name: metric.name.clone(),
            kind: Kind::of(&metric.function),
            reports_skipped: metric.function.reports_skipped(),
            filter: metric.filter.as_ref().map(Node::compile),
            argument: metric.function.argument().map(Node::compile),
            bits: Vec::new(),
            needs_times: false,
        }
    }

    /// What an insight over actors keeps. It is named by the column that tells actors apart, which is what events are
    /// skipped for.
    fn of_actors(definition: &Definition, actor: &Column, bits: &[Expr]) -> PlanMetric {
        let kind = match &definition.body {
            Body::Cohort(cohort) => Kind::Presence(Some(cohort.every)),
            Body::Drivers(drivers) => Kind::Presence(match &drivers.target {
                DriversTarget::Event(_) => None,
                DriversTarget::Return { every, .. } => Some(*every),
            }),
            _ => Kind::Trail,
        };
        PlanMetric {
            name: actor.name().to_owned(),
            kind,
            reports_skipped: true,
            filter: None,
            argument: Some(Node::Read(Read { column: actor.clone(), at: actor.fixed_type() })),
            bits: bits.iter().map(Node::compile).collect(),
            needs_times: needs_times(definition),
        }
    }
}

/// Whether an insight over actors needs to know when things happened, not only on which day: without a breakdown by what
/// came first, buckets tell all.
fn needs_times(definition: &Definition) -> bool {
    match &definition.body {
        Body::Cohort(_) => !definition.by.is_empty(),
        Body::Drivers(drivers) => matches!(drivers.target, DriversTarget::Event(_)),
        _ => true,
    }
}

/// The columns that make groups of the states: the breakdown, and before it what paths lead through and drivers are
/// looked for among.
fn breakdown(definition: &Definition) -> Vec<Column> {
    match &definition.body {
        Body::Paths(paths) => std::iter::once(&paths.node).chain(&definition.by).cloned().collect(),
        Body::Drivers(drivers) => drivers.candidates.clone(),
        _ => definition.by.clone(),
    }
}

/// Which events count, beyond their names and source.
fn filter(definition: &Definition) -> Option<Expr> {
    let mut parts: Vec<Expr> = Vec::new();
    match &definition.body {
        Body::Standard(standard) => parts.extend(standard.filter.clone()),
        Body::Correlation(correlation) => parts.extend(correlation.base.filter.clone()),
        body => {
            parts.extend(body.actors().and_then(|actors| actors.base.filter.clone()));
            if let Body::Paths(paths) = body
                && !paths.ignore.is_empty()
            {
                parts.push(Expr::Not(Box::new(Expr::named(&paths.ignore))));
            }
            let selections = body.selections();
            let is_any = selections.iter().any(|selection| selection.filter.is_some());
            // Without conditions of their own the names say it already.
            if !body.reads_all() && is_any {
                parts.push(Expr::Or(selections.into_iter().map(selected).collect()));
            }
        }
    }
    Expr::all(parts)
}

/// A selection as a condition that is there even if it asks nothing.
fn selected(selection: &Selection) -> Expr {
    selection.condition().unwrap_or(Expr::Literal(Value::Bool(true)))
}

/// `name in (…) and source = …`.
fn base(names: Option<&[String]>, source: Option<&str>) -> Option<Expr> {
    let mut parts = Vec::new();
    parts.extend(names.map(Expr::named));
    if let Some(source) = source {
        let read = Box::new(Expr::Read(Read { column: Column::Source, at: Some(Type::Text) }));
        let source = Box::new(Expr::Literal(Value::Text(source.to_owned())));
        parts.push(Expr::Compare(Comparison::Eq, read, source));
    }
    Expr::all(parts)
}
