//! The encoding of every kind of insight but the standard one.

use super::Encoding;
use crate::calendar::{Date, Period};
use crate::definition::Body;
use crate::definition::actors::{
    Actors, Attribution, Cohort, CohortMeasure, CohortMode, Drivers, DriversTarget, Element, Entry, ExclusionRule,
    Funnel, Order, Paths, Pattern, Selection,
};
use crate::definition::relations::{Comparative, Compare, Correlation, Method};

/// Encodes a body; the tags of bodies and of what is in them are never reused.
pub(super) fn encode(body: &Body, out: &mut Encoding) {
    match body {
        // Encoded where the format began.
        Body::Standard(_) => {}
        Body::Funnel(body) => {
            out.tag(1);
            funnel(body, out);
        }
        Body::Pattern(body) => {
            out.tag(2);
            pattern(body, out);
        }
        Body::Paths(body) => {
            out.tag(3);
            paths(body, out);
        }
        Body::Cohort(body) => {
            out.tag(4);
            cohort(body, out);
        }
        Body::Drivers(body) => {
            out.tag(5);
            drivers(body, out);
        }
        Body::Correlation(body) => {
            out.tag(6);
            correlation(body, out);
        }
        Body::Comparative(body) => {
            out.tag(7);
            comparative(body, out);
        }
    }
}

fn selection(out: &mut Encoding, selection: &Selection) {
    out.from(&selection.from);
    out.option(selection.filter.as_ref(), Encoding::expr);
}

fn actors(out: &mut Encoding, actors: &Actors) {
    out.column(&actors.actor);
    selection(out, &actors.base);
}

fn count(out: &mut Encoding, count: u64) {
    out.0.extend_from_slice(&count.to_le_bytes());
}

fn funnel(funnel: &Funnel, out: &mut Encoding) {
    actors(out, &funnel.actors);
    out.tag(match funnel.order {
        Order::Ordered => 0,
        Order::Strict => 1,
        Order::Any => 2,
    });
    count(out, funnel.within_seconds);
    out.list(&funnel.steps, |out, step| {
        out.text(&step.name);
        selection(out, &step.on);
    });
    out.list(&funnel.exclude, |out, exclusion| {
        selection(out, &exclusion.on);
        count(out, exclusion.after as u64);
        count(out, exclusion.before as u64);
    });
    out.tag(match funnel.exclusion {
        ExclusionRule::DropActor => 0,
        ExclusionRule::EndAttempt => 1,
    });
    out.tag(match funnel.entry {
        Entry::Any => 0,
        Entry::First => 1,
    });
    match funnel.attribution {
        Attribution::First => out.tag(0),
        Attribution::Last => out.tag(1),
        Attribution::Step(step) => {
            out.tag(2);
            count(out, step as u64);
        }
    }
}

fn pattern(pattern: &Pattern, out: &mut Encoding) {
    actors(out, &pattern.actors);
    count(out, pattern.within_seconds);
    // What an event is called in the pattern changes nothing.
    out.list(&pattern.events, |out, event| selection(out, &event.on));
    out.list(&pattern.elements, element);
}

fn element(out: &mut Encoding, element: &Element) {
    count(out, element.event as u64);
    out.list(&element.gap.without, |out, event| count(out, *event as u64));
    out.tag(u8::from(element.gap.nothing));
    count(out, element.gap.seconds_min);
    out.option(element.gap.seconds_max, count);
}

fn paths(paths: &Paths, out: &mut Encoding) {
    actors(out, &paths.actors);
    out.option(paths.start.as_ref(), selection);
    out.option(paths.end.as_ref(), selection);
    out.column(&paths.node);
    count(out, paths.session_gap_seconds);
    count(out, u64::from(paths.depth));
    out.list(&paths.ignore, |out, name| out.text(name));
}

fn cohort(cohort: &Cohort, out: &mut Encoding) {
    actors(out, &cohort.actors);
    selection(out, &cohort.born);
    selection(out, &cohort.returns);
    period(out, cohort.every);
    count(out, u64::from(cohort.periods));
    out.tag(match cohort.mode {
        CohortMode::FirstTime => 0,
        CohortMode::Recurring => 1,
    });
    out.tag(match cohort.measure {
        CohortMeasure::On => 0,
        CohortMeasure::OnOrAfter => 1,
    });
}

fn period(out: &mut Encoding, period: Period) {
    out.tag(match period {
        Period::Day => 0,
        Period::Week => 1,
        Period::Month => 2,
        Period::Quarter => 3,
        Period::Year => 4,
    });
}

fn drivers(drivers: &Drivers, out: &mut Encoding) {
    actors(out, &drivers.actors);
    count(out, u64::from(drivers.lookback_days));
    match &drivers.target {
        DriversTarget::Event(target) => {
            out.tag(0);
            selection(out, target);
        }
        DriversTarget::Return { born, returns, every, offset } => {
            out.tag(1);
            selection(out, born);
            selection(out, returns);
            period(out, *every);
            count(out, u64::from(*offset));
        }
    }
    out.list(&drivers.candidates, Encoding::column);
}

fn correlation(correlation: &Correlation, out: &mut Encoding) {
    selection(out, &correlation.base);
    count(out, u64::from(correlation.lookback_days));
    out.list(&correlation.series, Encoding::metric);
    out.tag(match correlation.method {
        Method::Pearson => 0,
        Method::Spearman => 1,
    });
    count(out, u64::from(correlation.lag_days_max));
}

fn comparative(comparative: &Comparative, out: &mut Encoding) {
    out.text(&comparative.of);
    out.list(&comparative.metrics, |out, name| out.text(name));
    out.list(&comparative.compare, |out, compare| match compare {
        Compare::Previous(of) => {
            out.tag(0);
            period(out, *of);
        }
        Compare::SameLastYear(of) => {
            out.tag(1);
            period(out, *of);
        }
        Compare::Custom { a, b } => {
            out.tag(2);
            [a.0, a.1, b.0, b.1].into_iter().for_each(|date| day(out, date));
        }
        Compare::Segments { a, b } => {
            out.tag(3);
            for (name, on) in [a, b] {
                out.text(name);
                out.expr(on);
            }
        }
    });
}

fn day(out: &mut Encoding, date: Date) {
    out.text(&date.to_string());
}
