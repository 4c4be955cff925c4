//! The system held against the oracle: any world, any definition, any arrival, any delivery, any fault, one answer.
//!
//! A failure prints its seed; `TIDEMILL_WORLDS=n` tries n worlds a property, `TIDEMILL_WORLD=seed` one alone.

use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::definition::{Definition, parse};
use tidemill_schemas::event::Event;
use tidemill_tests::fault::Faults;
use tidemill_tests::generator::{self, Random, line};
use tidemill_tests::memory::MemoryWorld;
use tidemill_tests::oracle::{Question, answer, compare};
use tidemill_tests::tables::{self, MAP};
use tidemill_tests::world::World;

/// Worlds a property is tried in, unless the environment says otherwise.
const WORLDS: u64 = 16;
/// Identities of a world.
const WORLD_EVENTS: usize = 120;
/// Definitions of a world.
const DEFINITIONS: u64 = 4;
/// Faults per million calls, before and after their effect each.
const FAULTS_PER_MILLION: u32 = 20_000;

fn seeds() -> Vec<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match read("TIDEMILL_WORLD") {
        Some(seed) => vec![seed],
        None => (0..read("TIDEMILL_WORLDS").unwrap_or(WORLDS)).collect(),
    }
}

/// One seed's events and definitions.
struct Case {
    seed: u64,
    events: generator::World,
    definitions: Vec<(Definition, String)>,
    first: Date,
    last: Date,
    /// Whether checks cost on its tables.
    checks_cost: bool,
}

/// Names the seed when a test fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: TIDEMILL_WORLD={} runs it alone", self.0, self.0);
        }
    }
}

impl Case {
    fn of(seed: u64) -> Case {
        let events = generator::World::of(seed, WORLD_EVENTS);
        let mut definitions = Vec::new();
        for number in 0..DEFINITIONS {
            let text = generator::definition(seed * DEFINITIONS + number, events.scene);
            let parsed = parse("any.yaml", &text).unwrap_or_else(|why| panic!("seed {seed}: {why:?}\n{text}"));
            definitions.push((parsed[0].definition.clone(), text));
        }
        // Other zones have the first and last events a day to either side.
        let first = events.first.yesterday().expect("no scene is at the beginning of time");
        let last = calendar::next(events.last);
        Case { seed, events, definitions, first, last, checks_cost: seed % 4 >= 2 }
    }

    /// Applies the definitions that `waiting` lists by number; those stay that read a property as what it has not been
    /// seen as yet. Whoever writes them tries again when more has come.
    async fn apply(&self, world: &World, waiting: &mut Vec<usize>) {
        let mut refused = Vec::new();
        for at in waiting.drain(..) {
            let (definition, text) = &self.definitions[at];
            if world.try_apply(&definition.name, text).await.is_none() {
                refused.push(at);
            }
        }
        *waiting = refused;
    }

    async fn apply_all(&self, world: &World) {
        let mut waiting = (0..self.definitions.len()).collect();
        self.apply(world, &mut waiting).await;
        assert!(waiting.is_empty(), "seed {}: refused although everything has come: {waiting:?}", self.seed);
    }

    fn parameters(&self, definition: &Definition) -> Vec<(String, Option<Period>, bool)> {
        let all = [None, Some(Period::Day), Some(Period::Week), Some(Period::Month), Some(Period::Year)];
        let mut out = Vec::new();
        for every in all {
            for grouped in [false, true] {
                if grouped && definition.by.is_empty() {
                    continue;
                }
                let mut text = format!("from={}&to={}&limit=100000", self.first, calendar::next(self.last));
                text += &every.map_or_else(String::new, |every| format!("&every={}", every.word()));
                text += if grouped { "&by=*" } else { "" };
                out.push((text, every, grouped));
            }
        }
        out
    }

    async fn bodies(&self, world: &World) -> Vec<String> {
        let mut out = Vec::new();
        for (definition, _) in &self.definitions {
            for (parameters, _, grouped) in self.parameters(definition) {
                let route = if grouped { "breakdown" } else { "series" };
                out.push(world.query(&definition.name, route, &parameters).await);
            }
        }
        out
    }

    /// Every question to every insight against the oracle.
    async fn check(&self, world: &World, copies: &[Event], verified: bool) {
        for (definition, text) in &self.definitions {
            for (parameters, every, grouped) in self.parameters(definition) {
                let route = if grouped { "breakdown" } else { "series" };
                let body = world.query(&definition.name, route, &parameters).await;
                let by = if grouped { definition.by.clone() } else { Vec::new() };
                let question = Question { first: self.first, last: self.last, every, by, top: definition.top as usize };
                let expected = answer(definition, copies, &question).expect("worlds add up");
                let told = compare::differences(definition, &expected, &body);
                assert!(told.is_empty(), "seed {}: {parameters}\n{text}\n{}\n{body}", self.seed, told.join("\n"));
                let at = tidemill_tests::world::json(&body);
                let completeness = &at["completeness"];
                assert_eq!(completeness["partial"], false, "seed {}: {parameters}\n{text}\n{body}", self.seed);
                if verified {
                    assert_eq!(completeness["verified"], true, "seed {}: {parameters}\n{text}\n{body}", self.seed);
                }
            }
        }
    }

    async fn assert_same(&self, left: &World, right: &World) {
        let (lefts, rights) = (self.bodies(left).await, self.bodies(right).await);
        for (left, right) in lefts.iter().zip(&rights) {
            assert_eq!(left, right, "seed {}", self.seed);
        }
        for (definition, text) in &self.definitions {
            let (lefts, rights) = (
                left.stored(&definition.name, self.first, self.last).await,
                right.stored(&definition.name, self.first, self.last).await,
            );
            let mut dates: Vec<_> = lefts.keys().chain(rights.keys()).copied().collect();
            dates.sort();
            dates.dedup();
            for date in dates {
                // A day all events have left has a snapshot of nothing, or none.
                let (Some((left, left_states)), Some((right, right_states))) = (lefts.get(&date), rights.get(&date))
                else {
                    let only = lefts.get(&date).or(rights.get(&date)).expect("one of them has it");
                    assert_eq!(only.0.digest.events, 0, "seed {} {date}\n{text}", self.seed);
                    continue;
                };
                assert_eq!(left.digest, right.digest, "seed {} {date}\n{text}", self.seed);
                assert_eq!(left_states, right_states, "seed {} {date}\n{text}", self.seed);
            }
        }
    }
}

fn ndjson(events: &[Event]) -> String {
    events.iter().map(|event| line(event) + "\n").collect()
}

/// Sends arrivals in cuts, each at the time its last one was received, and hands every cut to `after`. What was sent,
/// with the times it was really received.
fn cuts(random: &mut Random, arrivals: &[Event]) -> Vec<Vec<Event>> {
    let mut out = Vec::new();
    let mut left = arrivals;
    while !left.is_empty() {
        let (cut, rest) = left.split_at((1 + random.below(60) as usize).min(left.len()));
        let received = cut[cut.len() - 1].received;
        out.push(cut.iter().map(|event| Event { received, ..event.clone() }).collect());
        left = rest;
    }
    out
}

/// Lives through a world: definitions come before cut `apply_at`, days are refreshed after each cut, everything is
/// computed at the end.
async fn live(case: &Case, shards: u16, apply_at: usize, faults: std::sync::Arc<Faults>) -> (World, Vec<Event>) {
    let mut random = Random::of(case.seed ^ 0xC0FFEE);
    let mut deliveries = Random::of(case.seed ^ u64::from(shards) ^ apply_at as u64);
    let cuts = cuts(&mut random, &case.events.arrivals);
    let ports = MemoryWorld::with(case.events.arrivals[0].received, shards, case.checks_cost);
    let mut world = World::over(ports, faults, true);
    let mut sent: Vec<Event> = Vec::new();
    let mut waiting: Vec<usize> = (0..case.definitions.len()).collect();
    for (at, cut) in cuts.iter().enumerate() {
        world.ports.clock.set(cut[0].received);
        if at >= apply_at {
            case.apply(&world, &mut waiting).await;
        }
        let receipt = world.send(&ndjson(cut)).await;
        assert_eq!(receipt["rejected"], serde_json::json!([]), "seed {}", case.seed);
        sent.extend(cut.iter().cloned());
        if deliveries.chance(70) {
            world.settle(&mut deliveries).await;
        }
    }
    if !waiting.is_empty() {
        world.settle(&mut deliveries).await;
        case.apply(&world, &mut waiting).await;
        assert!(waiting.is_empty(), "seed {}: refused although everything has come: {waiting:?}", case.seed);
    }
    world.ports.clock.set(case.events.end);
    world.settle(&mut deliveries).await;
    (world, sent)
}

async fn finish(case: &Case, world: &mut World) {
    world.backfill().await;
    world.settle(&mut Random::of(case.seed)).await;
}

#[tokio::test]
async fn whenever_a_definition_is_applied_the_numbers_are_the_oracles() {
    for seed in seeds() {
        let _told = Told(seed);
        let case = Case::of(seed);
        for apply_at in [0, 2, usize::MAX] {
            let shards = if seed % 2 == 0 { 1 } else { 3 };
            let (mut world, sent) = live(&case, shards, apply_at, Faults::none()).await;
            finish(&case, &mut world).await;
            case.check(&world, &sent, true).await;
        }
    }
}

#[tokio::test]
async fn running_totals_give_what_pages_give() {
    for seed in seeds() {
        let _told = Told(seed);
        let case = Case::of(seed);
        let (mut world, sent) = live(&case, 1 + 2 * (seed % 2) as u16, 0, Faults::none()).await;
        for (definition, _) in &case.definitions {
            world.refresh(&definition.name, case.first, case.last).await;
        }
        world.settle(&mut Random::of(seed)).await;
        case.check(&world, &sent, false).await;
        let rows = |bodies: Vec<String>| -> Vec<serde_json::Value> {
            bodies.iter().map(|body| tidemill_tests::world::json(body)["rows"].clone()).collect()
        };
        let totals = rows(case.bodies(&world).await);
        finish(&case, &mut world).await;
        assert_eq!(totals, rows(case.bodies(&world).await), "seed {seed}");
        // Days outside the events' span were refreshed and never backfilled: closing those is the daily rollup's work.
        case.check(&world, &sent, false).await;
        let explained = world.query(&case.definitions[0].0.name, "explain", "").await;
        assert_eq!(tidemill_tests::world::json(&explained)["drift"], 0, "seed {seed}: {explained}");
    }
}

/// Everything at one time, in this order; then computed from nothing.
async fn at_once(case: &Case, events: &[Event], shards: u16, before: bool) -> World {
    let mut random = Random::of(case.seed ^ u64::from(shards));
    let mut world = World::new(case.events.end, shards);
    if before {
        case.apply_all(&world).await;
    }
    let mut left = events;
    while !left.is_empty() {
        let (cut, rest) = left.split_at((1 + random.below(80) as usize).min(left.len()));
        world.send(&ndjson(cut)).await;
        if random.chance(50) {
            world.settle(&mut random).await;
        }
        left = rest;
    }
    world.settle(&mut random).await;
    if !before {
        case.apply_all(&world).await;
    }
    finish(case, &mut world).await;
    world
}

#[tokio::test]
async fn any_order_duplicates_and_cuts_give_the_same_bytes() {
    for seed in seeds() {
        let _told = Told(seed);
        let case = Case::of(seed);
        let straight = at_once(&case, &case.events.arrivals, 1, true).await;
        let mut shuffled = [case.events.arrivals.clone(), case.events.arrivals.clone()].concat();
        Random::of(seed).shuffle(&mut shuffled);
        let mut other = at_once(&case, &shuffled, 3, seed % 2 == 0).await;
        case.assert_same(&straight, &other).await;
        let received: Vec<Event> =
            shuffled.iter().map(|event| Event { received: case.events.end, ..event.clone() }).collect();
        case.check(&other, &received, true).await;
        let before = case.bodies(&other).await;
        let receipt = other.send(&ndjson(&case.events.arrivals)).await;
        assert_eq!(receipt["accepted"], 0, "seed {seed}");
        assert_eq!(receipt["duplicates"], case.events.arrivals.len(), "seed {seed}");
        other.settle(&mut Random::of(seed)).await;
        assert_eq!(before, case.bodies(&other).await, "seed {seed}");
    }
}

/// Copies in any order, each by a send or by an import: the numbers are the oracle's.
#[tokio::test]
async fn whichever_way_events_come_the_numbers_are_the_oracles() {
    let mut compacted = (0, 0);
    for seed in seeds() {
        let _told = Told(seed);
        let case = Case::of(seed);
        let mut random = Random::of(seed ^ 0x1417);
        let mut copies = case.events.arrivals.clone();
        random.shuffle(&mut copies);
        let faults =
            if seed % 2 == 0 { Faults::none() } else { Faults::new(seed, FAULTS_PER_MILLION, FAULTS_PER_MILLION) };
        let ports = MemoryWorld::with(case.events.end, 1 + 2 * (seed % 2) as u16, case.checks_cost);
        let mut world = World::over(ports, faults, true);
        let mut left = copies.as_slice();
        while !left.is_empty() {
            let (cut, rest) = left.split_at((1 + random.below(80) as usize).min(left.len()));
            let (rows, others): (Vec<Event>, Vec<Event>) =
                cut.iter().cloned().partition(|event| !event.deleted && random.chance(60));
            if !rows.is_empty() {
                let receipt = world.import(MAP, &tables::files(&mut random, &rows)).await;
                assert_eq!(receipt["rejected_count"], 0, "seed {seed}: {receipt}");
            }
            if !others.is_empty() {
                world.send(&ndjson(&others)).await;
            }
            if random.chance(40) {
                world.settle(&mut random).await;
            }
            left = rest;
        }
        world.settle(&mut random).await;
        case.apply_all(&world).await;
        finish(&case, &mut world).await;
        world.faults.stop();
        // All of them were received after every day had closed.
        let received: Vec<Event> =
            copies.iter().map(|event| Event { received: case.events.end, ..event.clone() }).collect();
        case.check(&world, &received, true).await;
        compacted = (compacted.0 + world.compacted.0, compacted.1 + world.compacted.1);
    }
    assert!(seeds().len() == 1 || compacted.0 > 20 && compacted.1 > 20, "these worlds compact: {compacted:?}");
}

#[tokio::test]
async fn faults_change_nothing() {
    for seed in seeds() {
        let _told = Told(seed);
        let case = Case::of(seed);
        let faults = Faults::new(seed, FAULTS_PER_MILLION, FAULTS_PER_MILLION);
        let (mut world, sent) = live(&case, 1 + 2 * (seed % 2) as u16, (seed % 3) as usize, faults).await;
        finish(&case, &mut world).await;
        world.faults.stop();
        case.check(&world, &sent, true).await;
    }
}
