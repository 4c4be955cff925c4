//! What `explain` says of how an insight looks at events.

use serde_json::{Value, json};
use tidemill_schemas::definition::actors::{DriversTarget, Order};
use tidemill_schemas::definition::{Body, Definition, duration};

/// In words a reader can check the numbers by; null of a standard insight, whose metrics say it.
pub(super) fn looks_at(definition: &Definition) -> Value {
    let mut told = match &definition.body {
        Body::Standard(_) => return Value::Null,
        Body::Funnel(funnel) => json!({
            "steps": funnel.steps.iter().map(|step| &step.name).collect::<Vec<_>>(),
            "order": match funnel.order {
                Order::Ordered => "one after the other, anything may lie between",
                Order::Strict => "one after the other, nothing of the base between",
                Order::Any => "in any order",
            },
            "within": duration::shown(funnel.within_seconds),
            "bucket": "of the first step; it keeps changing until `within` has passed",
        }),
        Body::Pattern(pattern) => json!({
            "elements": pattern.elements.iter().map(|element| &pattern.events[element.event].name).collect::<Vec<_>>(),
            "within": duration::shown(pattern.within_seconds),
            "bucket": "of a match's first event; matches of one actor don't overlap",
        }),
        Body::Paths(paths) => json!({
            "stations": paths.node.name(),
            "depth": paths.depth,
            "session_gap": duration::shown(paths.session_gap_seconds),
            "bucket": if paths.end.is_some() { "of the end" } else { "of the start" },
        }),
        Body::Cohort(cohort) => json!({
            "bucket": cohort.every.word(),
            "periods": cohort.periods,
            "first_time": "the first of all history, late events included",
        }),
        Body::Correlation(correlation) => json!({
            "series": correlation.series.iter().map(|metric| &metric.name).collect::<Vec<_>>(),
            "lookback_days": correlation.lookback_days,
            "lag_days_max": correlation.lag_days_max,
        }),
        Body::Drivers(drivers) => json!({
            "candidates": drivers.candidates.iter().map(|column| column.name()).collect::<Vec<_>>(),
            "lookback_days": drivers.lookback_days,
            "target": match drivers.target {
                DriversTarget::Event(_) => "that the event happens; candidates count if they came before",
                DriversTarget::Return { .. } => "that the actor comes back; candidates count in its first bucket",
            },
        }),
        Body::Comparative(comparative) => json!({
            "of": comparative.of,
            "compare": comparative.compare.iter().map(|compare| compare.word()).collect::<Vec<_>>(),
        }),
    };
    if let Some(actors) = definition.body.actors() {
        told["actor"] = json!(actors.actor.name());
        told["same_instant"] = json!("events of one actor at one instant have no order but that of the definition");
    }
    told
}
