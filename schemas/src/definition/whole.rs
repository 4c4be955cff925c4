//! What every kind of insight can be asked: its type, its expressions, the events it reads.

use super::actors::{Actors, DriversTarget, Selection};
use super::{Body, From};
use crate::expression::Expr;

impl Body {
    /// The `type` users write.
    pub fn type_word(&self) -> &'static str {
        match self {
            Body::Standard(_) => "standard",
            Body::Funnel(_) => "funnel",
            Body::Pattern(_) | Body::Paths(_) => "event_sequence",
            Body::Cohort(_) => "cohort",
            Body::Drivers(_) | Body::Correlation(_) => "correlation",
            Body::Comparative(_) => "comparative",
        }
    }

    /// Whose events an insight over actors looks at; `None` for the others.
    pub fn actors(&self) -> Option<&Actors> {
        match self {
            Body::Funnel(funnel) => Some(&funnel.actors),
            Body::Pattern(pattern) => Some(&pattern.actors),
            Body::Paths(paths) => Some(&paths.actors),
            Body::Cohort(cohort) => Some(&cohort.actors),
            Body::Drivers(drivers) => Some(&drivers.actors),
            Body::Standard(_) | Body::Correlation(_) | Body::Comparative(_) => None,
        }
    }

    /// The events an insight over actors tells apart, by the bit each has in a state.
    pub fn selections(&self) -> Vec<&Selection> {
        match self {
            Body::Funnel(funnel) => {
                let steps = funnel.steps.iter().map(|step| &step.on);
                steps.chain(funnel.exclude.iter().map(|exclusion| &exclusion.on)).collect()
            }
            Body::Pattern(pattern) => pattern.events.iter().map(|event| &event.on).collect(),
            Body::Paths(paths) => paths.start.iter().chain(&paths.end).collect(),
            Body::Cohort(cohort) => vec![&cohort.born, &cohort.returns],
            Body::Drivers(drivers) => match &drivers.target {
                DriversTarget::Event(target) => vec![target],
                DriversTarget::Return { born, returns, .. } => vec![born, returns],
            },
            Body::Standard(_) | Body::Correlation(_) | Body::Comparative(_) => Vec::new(),
        }
    }

    /// Whether events that are none of [`Body::selections`] matter too.
    pub fn reads_all(&self) -> bool {
        match self {
            Body::Funnel(funnel) => funnel.order == super::actors::Order::Strict,
            Body::Paths(_) | Body::Drivers(_) => true,
            _ => false,
        }
    }

    /// Every expression over one event.
    pub fn expressions(&self) -> Vec<&Expr> {
        let base = match self {
            Body::Standard(standard) => return standard.expressions().collect(),
            Body::Correlation(correlation) => {
                let metrics = correlation
                    .series
                    .iter()
                    .flat_map(|metric| metric.function.argument().into_iter().chain(&metric.filter));
                return correlation.base.filter.iter().chain(metrics).collect();
            }
            _ => self.actors().map(|actors| &actors.base),
        };
        base.into_iter().chain(self.selections()).filter_map(|selection| selection.filter.as_ref()).collect()
    }

    /// The names of events it reads; `None`: all of them.
    pub fn event_names(&self) -> Option<Vec<String>> {
        let base = match self {
            Body::Standard(standard) => &standard.from,
            Body::Correlation(correlation) => &correlation.base.from,
            Body::Comparative(_) => return Some(Vec::new()),
            _ => match self.actors() {
                Some(actors) => &actors.base.from,
                None => return None,
            },
        };
        let base = match base {
            From::All => None,
            From::Names(names) => Some(names.clone()),
        };
        if self.actors().is_none() || self.reads_all() {
            return base;
        }
        let mut named = Vec::new();
        for selection in self.selections() {
            match &selection.from {
                From::All => return base,
                From::Names(names) => named.extend(names.iter().cloned()),
            }
        }
        named.retain(|name| base.as_ref().is_none_or(|base| base.contains(name)));
        named.sort();
        named.dedup();
        Some(named)
    }
}
