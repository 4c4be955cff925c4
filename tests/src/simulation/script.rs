//! What happens to a world from outside: who sends what when, which insights are wanted, who asks.
//!
//! In: a seed. Out: steps in order of time. A few days around one on which clocks change, a dozen or two events with
//! their corrections, withdrawals, retries and late copies, over HTTP and through a stream.

use tidemill_schemas::calendar::{self, Date, Zone};
use tidemill_schemas::definition::{Definition, parse};
use tidemill_schemas::event::Event;
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};

use super::chaos::Chaos;
use crate::generator::{self, Random};

/// Identities drawn; those that play in the days of the world stay.
const IDENTITIES: usize = 70;
/// Copies sent together at most.
const TOGETHER_MAX: u64 = 6;

/// Something that happens from outside.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Events over HTTP.
    Send(Vec<Event>),
    /// Events into a stream, as one record.
    Put(Vec<Event>),
    /// A definition is put into effect.
    Apply(usize),
    /// All of history is asked for.
    Backfill,
    /// Somebody asks an insight.
    Ask(usize),
}

/// What happens when.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub at: Timestamp,
    pub act: Act,
}

/// A definition with its text.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub definition: Definition,
    pub text: String,
}

/// A seed's script.
#[derive(Debug)]
pub(super) struct Script {
    pub steps: Vec<Step>,
    pub wanted: Vec<Wanted>,
    pub begin: Timestamp,
    /// Everything has been sent.
    pub end: Timestamp,
    pub first: Date,
    pub last: Date,
}

impl Script {
    pub(super) fn of(seed: u64, chaos: &Chaos, random: &mut Random) -> Script {
        let world = generator::World::of(seed, IDENTITIES);
        let zone = Zone::named(world.scene.zone).expect("every scene has a known zone");
        let date: Date = world.scene.date.parse().expect("every scene has a date");
        let begin = zone.start_of(date).plus_micros(-MICROS_PER_DAY / 2);
        let end = begin.plus_micros(5 * MICROS_PER_DAY / 2);
        let is_in = |event: &Event| begin <= event.received && event.received < end;
        let outside =
            |event: &&Event| !is_in(event) || !event.deleted && event.time < begin.plus_micros(-MICROS_PER_DAY);
        let gone: Vec<(String, String)> =
            world.arrivals.iter().filter(outside).map(|event| (event.source.clone(), event.id.clone())).collect();
        let stays = |event: &&Event| !gone.contains(&(event.source.clone(), event.id.clone()));
        let arrivals: Vec<Event> = world.arrivals.iter().filter(stays).cloned().collect();
        let wanted = wanted(seed, chaos, &world.scene);
        let mut steps = sends(&arrivals, random);
        applies(&wanted, begin, end, random, &mut steps);
        for _ in 0..3 {
            let at = begin.plus_micros(random.between(MICROS_PER_DAY / 4, 5 * MICROS_PER_DAY / 2));
            steps.push(Step { at, act: Act::Ask(random.below(wanted.len() as u64) as usize) });
        }
        if random.chance(50) {
            let at = begin.plus_micros(random.between(MICROS_PER_DAY, 2 * MICROS_PER_DAY));
            steps.push(Step { at, act: Act::Backfill });
        }
        steps.sort_by_key(|step| step.at);
        let day = |at: Timestamp, by: i64| calendar::utc_date(at.plus_micros(by * MICROS_PER_DAY));
        Script { steps, wanted, begin, end, first: day(begin, -3), last: day(end, 2) }
    }
}

/// Two insights that count everything, one of each strategy, and one or two of the generator's.
fn wanted(seed: u64, chaos: &Chaos, scene: &generator::Scene) -> Vec<Wanted> {
    let zone = scene.zone;
    let totals = format!(
        "insight: totals\ntype: standard\nfrom: '*'\nmetrics:\n  n: count(*)\n  pieces: sum(quantity)\nby: [source]\ntimezone: {zone}\nrefresh: 1h\n"
    );
    let distinct = format!(
        "insight: distinct\ntype: standard\nfrom: '*'\nmetrics:\n  n: count(*)\n  ids: count(distinct id)\n  who: count(distinct actor)\ntimezone: {zone}\nrefresh: 6h\n"
    );
    let mut texts = vec![totals, distinct, generator::definition(seed, *scene) + "refresh: 6h\n"];
    for edit in 1..=chaos.edits {
        // Another meaning under the name of the one before.
        let other = generator::definition(seed ^ (edit << 40), *scene);
        let rest = other.split_once('\n').map_or("", |(_, rest)| rest);
        texts.push(format!("insight: i{seed}\n{rest}refresh: 6h\n"));
    }
    let parsed = |text: String| {
        let definition = parse("any.yaml", &text).unwrap_or_else(|why| panic!("{why:?}\n{text}"))[0].definition.clone();
        Wanted { definition, text }
    };
    texts.into_iter().map(parsed).collect()
}

fn sends(arrivals: &[Event], random: &mut Random) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left = arrivals;
    while !left.is_empty() {
        let (some, rest) = left.split_at((1 + random.below(TOGETHER_MAX) as usize).min(left.len()));
        let copies = some.to_vec();
        let at = some[some.len() - 1].received;
        let act = if random.chance(35) { Act::Put(copies) } else { Act::Send(copies) };
        steps.push(Step { at, act });
        left = rest;
    }
    steps
}

fn applies(wanted: &[Wanted], begin: Timestamp, end: Timestamp, random: &mut Random, steps: &mut Vec<Step>) {
    let mut edited: Vec<Timestamp> = Vec::new();
    for (at, one) in wanted.iter().enumerate() {
        let is_edit = wanted[..at].iter().any(|before| before.definition.name == one.definition.name);
        if is_edit {
            edited.push(end.plus_micros(-random.between(MICROS_PER_SECOND, MICROS_PER_DAY)));
            continue;
        }
        let first = if random.chance(60) { 0 } else { random.between(0, MICROS_PER_DAY) };
        steps.push(Step { at: begin.plus_micros(first), act: Act::Apply(at) });
    }
    // The last edit in time is the last in the list.
    edited.sort();
    let edits = wanted.len() - edited.len()..;
    steps.extend(edits.zip(edited).map(|(edit, at)| Step { at, act: Act::Apply(edit) }));
}
