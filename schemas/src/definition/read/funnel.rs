//! `type: funnel`.

use super::{Draft, Kinded, Reading};
use crate::definition::actors::{
    Attribution, EXCLUSIONS_MAX, Entry, Exclusion, ExclusionRule, Funnel, Order, STEPS_MAX, Step,
    WITHIN_SECONDS_DEFAULT, WITHIN_SECONDS_MAX,
};
use crate::definition::diagnostic::code;
use crate::definition::document::{Kind, Node};
use crate::definition::standard::Uses;
use crate::definition::{Body, duration, fields};
use crate::expression::typing::Hints;

pub(super) const KIND: Kinded = Kinded {
    word: "funnel",
    keys: &[
        "from",
        "where",
        "by",
        "top",
        "actor",
        "order",
        "within",
        "steps",
        "exclude",
        "exclusion",
        "entry",
        "attribution",
    ],
    daily: false,
    read,
};

fn read(mut reading: Reading<'_>, hints: &Hints) -> Option<(Body, Uses)> {
    let reader = &mut reading;
    let (base, actor) = (reader.base()?, reader.actor()?);
    reader.by()?;
    let order = reader.word("order", &[("ordered", Order::Ordered), ("strict", Order::Strict), ("any", Order::Any)])?;
    let entry = reader.word("entry", &[("any", Entry::Any), ("first", Entry::First)])?;
    let rules = [("drop_actor", ExclusionRule::DropActor), ("end_attempt", ExclusionRule::EndAttempt)];
    let exclusion = reader.word("exclusion", &rules)?;
    let within_seconds = within(reader)?;
    let steps = steps(reader)?;
    let exclude = exclusions(reader, steps.len(), order)?;
    let attribution = attribution(reader, steps.len(), order)?;
    let settled = reading.settle(hints)?;
    let funnel = Funnel {
        actors: settled.actors(actor, &base),
        order,
        within_seconds,
        steps: steps.iter().map(|step| Step { name: step.name.clone(), on: settled.selection(step) }).collect(),
        exclude: exclude
            .iter()
            .map(|(draft, after, before)| Exclusion { on: settled.selection(draft), after: *after, before: *before })
            .collect(),
        exclusion,
        entry,
        attribution,
    };
    Some((Body::Funnel(funnel), settled.uses))
}

/// `within`, of funnels and patterns.
pub(super) fn within(reader: &mut Reading<'_>) -> Option<u64> {
    match reader.find("within") {
        Some(entry) => duration::read(&entry.value, "within", 1..=WITHIN_SECONDS_MAX, reader.problems),
        None => Some(WITHIN_SECONDS_DEFAULT),
    }
}

fn steps(reader: &mut Reading<'_>) -> Option<Vec<Draft>> {
    let entry = reader.due("steps", "such as `steps: [product_viewed, cart_added, order_completed]`")?;
    let Kind::List(list) = &entry.value.kind else {
        let at = entry.value.at.start..entry.value.at.start + 1;
        reader.refuse(code::WRONG_SHAPE, at, "`steps` must be a list", "one step a line, each beginning with `- `");
        return None;
    };
    if list.len() < 2 || list.len() > STEPS_MAX {
        let message = format!("a funnel has 2 to {STEPS_MAX} steps, not {}", list.len());
        reader.refuse(code::RANGE, entry.key_at.clone(), message, "a single step is a standard insight");
        return None;
    }
    let steps: Vec<Option<Draft>> = list.iter().map(|node| reader.selection(node, "a step", &[])).collect();
    steps.into_iter().collect()
}

fn exclusions(reader: &mut Reading<'_>, steps: usize, order: Order) -> Option<Vec<(Draft, usize, usize)>> {
    let Some(entry) = reader.find("exclude") else { return Some(Vec::new()) };
    if order != Order::Ordered {
        let help = "with `strict` nothing may lie between anyway; with `any` nothing is between";
        reader.refuse(code::UNSUPPORTED, entry.key_at.clone(), "`exclude` goes with `order: ordered`", help);
        return None;
    }
    let nodes: Vec<&Node> = match &entry.value.kind {
        Kind::List(list) => list.iter().collect(),
        _ => vec![&entry.value],
    };
    if nodes.len() > EXCLUSIONS_MAX {
        let message = format!("{} exclusions; the limit is {EXCLUSIONS_MAX}", nodes.len());
        reader.refuse(code::RANGE, entry.key_at.clone(), message, "name several events in one: `event: [a, b]`");
        return None;
    }
    let read: Vec<_> = nodes.into_iter().map(|node| exclusion(reader, node, steps)).collect();
    read.into_iter().collect()
}

fn exclusion(reader: &mut Reading<'_>, node: &Node, steps: usize) -> Option<(Draft, usize, usize)> {
    let draft = reader.selection(node, "an exclusion", &["between"])?;
    let between = match &node.kind {
        Kind::Map(entries) => entries.iter().find(|entry| entry.key == "between"),
        _ => None,
    };
    let Some(between) = between else { return Some((draft, 1, steps)) };
    let numbers: Vec<Option<usize>> = match &between.value.kind {
        Kind::List(list) => list
            .iter()
            .map(|item| fields::whole(item, "between", 1..=steps as u32, reader.problems).map(|step| step as usize))
            .collect(),
        _ => Vec::new(),
    };
    match numbers.as_slice() {
        [Some(after), Some(before)] if after < before => Some((draft, *after, *before)),
        _ => {
            let at = between.value.at.start..between.value.at.start + 1;
            let help = "two numbers of steps, the earlier one first: `between: [2, 3]`";
            reader.refuse(code::RANGE, at, format!("`between` names two of the {steps} steps"), help);
            None
        }
    }
}

fn attribution(reader: &mut Reading<'_>, steps: usize, order: Order) -> Option<Attribution> {
    let Some(entry) = reader.find("attribution") else { return Some(Attribution::First) };
    let (word, at) = fields::text(&entry.value, "`attribution`", reader.problems)?;
    let step = word.strip_prefix("step").and_then(|step| step.trim().parse::<usize>().ok());
    match (word.as_str(), step) {
        ("first", _) => Some(Attribution::First),
        ("last", _) => Some(Attribution::Last),
        (_, Some(_)) if order == Order::Any => {
            let help = "with `order: any` it is `first` or `last`";
            reader.refuse(code::UNSUPPORTED, at, "steps in any order have no step of a number", help);
            None
        }
        (_, Some(step)) if (1..=steps).contains(&step) => Some(Attribution::Step(step)),
        _ => {
            let help = format!("possible are first, last, and step 1 to step {steps}");
            reader.refuse(code::WORD, at, format!("`attribution` cannot be `{}`", fields::shown(&word)), &help);
            None
        }
    }
}
