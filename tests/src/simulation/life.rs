//! The life of a world: what is due is begun, some task moves, something goes wrong; until nothing is left to do.
//!
//! In: a seed. Out: a report. First everything goes wrong that the seed says; then nothing does any more, what was given
//! up is put back as an operator would, history is asked for, and what the system says is held against the oracle.

mod begin;
mod upset;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use futures::FutureExt;
use tidemill_ports::{Clock, Context, Outcome, Queue};
use tidemill_schemas::event::Event;
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::Position;

use super::chaos::Chaos;
use super::check;
use super::executor::{Executor, Stepped};
use super::hub::{Hub, Stats};
use super::ports::{self, Broken};
use super::script::{Act, Script};
use super::start::{Consumer, End, Flight};
use super::witness::Witness;
use crate::generator::Random;
use crate::memory::{MemoryTable, MemoryWorld};
use crate::pump::{Answer, Mapping, Mode, TableShards, settle};

/// Steps of a world before it must be going in circles.
const STEPS_MAX: u64 = 3_000_000;
/// Steps between two looks at what is due.
const LOOK_STEPS: u64 = 24;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The seed.
    pub seed: u64,
    /// Whether a line per call is kept.
    pub is_logged: bool,
    /// A protocol taken away.
    pub broken: Option<Broken>,
}

/// What a world came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was done to it.
    pub stats: Stats,
    /// Hash of every call with its time, actor and outcome.
    pub trace: u64,
    /// Promises that were broken; none is what is wanted.
    pub broken: Vec<String>,
    /// A line per call.
    pub log: Vec<String>,
    /// Events that are live at the end.
    pub events: usize,
}

/// Runs the world of a seed.
///
/// # Panics
/// When the world itself is wrong, or a handler panics.
pub fn run(setting: Setting) -> Report {
    // Timeouts want a runtime around them; nothing of it ever runs but work aside.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let mut life = Life::new(setting);
    life.live();
    let events = check::finally(&life);
    Report {
        seed: setting.seed,
        stats: life.hub.stats(),
        trace: life.hub.hash(),
        broken: life.hub.broken(),
        log: life.hub.log(),
        events,
    }
}

pub(super) struct Life {
    pub(super) ports: MemoryWorld,
    pub(super) hub: Arc<Hub>,
    pub(super) witness: Arc<Witness>,
    pub(super) script: Script,
    /// Insights whose definition was refused to the end.
    pub(super) refused: BTreeSet<usize>,
    context: Arc<Context>,
    router: axum::Router,
    executor: Executor<End>,
    flights: BTreeMap<u64, Flight>,
    chaos: Chaos,
    random: Random,
    mappings: Vec<(Consumer, Mapping)>,
    /// The stream of events, as a table whose feed it is.
    log: Arc<MemoryTable>,
    records: Vec<Vec<Event>>,
    /// Steps still to do, with when to try next.
    open: BTreeMap<usize, Timestamp>,
    /// Firings that are due, with when they come.
    due: BTreeMap<(String, Timestamp), Timestamp>,
    broken: Option<Broken>,
    renumbered: u128,
    begun: BTreeSet<(usize, String, Position)>,
    /// Where the lanes of the feed stood when: what is older than a day is forgotten.
    heads: Vec<(Timestamp, Vec<Position>)>,
    is_calm: bool,
}

impl Life {
    fn new(setting: Setting) -> Life {
        let mut random = Random::of(setting.seed ^ 0x51AD);
        let chaos = Chaos::of(&mut random);
        let script = Script::of(setting.seed, &chaos, &mut random);
        let ports = MemoryWorld::new(script.begin, 1 + random.below(2) as u16);
        let log = Arc::new(MemoryTable::new(1));
        ports.events.make_sparse();
        log.make_sparse();
        let hub = Arc::new(Hub::new(setting.seed, chaos.clone(), Arc::clone(&ports.clock), setting.is_logged));
        let witness = Arc::new(Witness::new(Arc::clone(&hub), &ports));
        let context = Arc::new(ports::around(&ports, &hub, &witness, setting.broken));
        let router = tidemill_api::router(Arc::clone(&context), true);
        let open = script.steps.iter().enumerate().map(|(at, step)| (at, step.at)).collect();
        let mut mappings = Vec::new();
        for consumer in [Consumer::Changes, Consumer::Seal, Consumer::Records] {
            let copies = if chaos.doubled && consumer != Consumer::Records { 2 } else { 1 };
            for _ in 0..copies {
                let window_micros = if consumer == Consumer::Seal { 30 * MICROS_PER_SECOND } else { 0 };
                let batch_max = if random.chance(50) { 100 } else { 5 };
                let mode = Mode { window_micros, batch_max, bisects: chaos.bisects, ..Mode::patient() };
                mappings.push((consumer, Mapping::new(mode)));
            }
        }
        Life {
            ports,
            hub,
            witness,
            script,
            refused: BTreeSet::new(),
            context,
            router,
            executor: Executor::new(),
            flights: BTreeMap::new(),
            chaos,
            random,
            mappings,
            log,
            records: Vec::new(),
            open,
            due: BTreeMap::new(),
            broken: setting.broken,
            renumbered: 0,
            begun: BTreeSet::new(),
            heads: Vec::new(),
            is_calm: false,
        }
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    fn live(&mut self) {
        self.go_on_until(self.script.end);
        self.hub.note("calm", String::new);
        self.hub.calm();
        self.chaos.calm();
        self.is_calm = true;
        self.go_on_until(self.script.end.plus_micros(3 * MICROS_PER_DAY));
        self.redrive();
        self.open.insert(self.script.steps.len(), self.now());
        self.script.steps.push(super::script::Step { at: self.now(), act: Act::Backfill });
        self.go_on_until(self.now().plus_micros(MICROS_PER_DAY));
        self.redrive();
        self.go_on_until(self.now().plus_micros(MICROS_PER_DAY));
    }

    /// Lives until nothing is left to do before `until`; then it is `until`.
    fn go_on_until(&mut self, until: Timestamp) {
        for step in 0.. {
            if step == STEPS_MAX {
                self.hub.breaks("it never comes to rest".to_owned());
                return;
            }
            if step % LOOK_STEPS == 0 || self.executor.awake(self.now()) == 0 {
                self.look();
            }
            let now = self.now();
            match self.executor.step(now, &mut self.random) {
                Stepped::Ended(id, end) => self.ended(id, end),
                Stepped::Moved(id, place) => self.mishap(id, place),
                Stepped::Nothing => match self.next_time().filter(|next| *next <= until) {
                    Some(next) => self.ports.clock.set(next.max(now)),
                    None => break,
                },
            }
        }
        self.ports.clock.set(until.max(self.now()));
    }

    /// When something is due next; nothing can move now.
    fn next_time(&self) -> Option<Timestamp> {
        let now = self.now();
        let mappings = self.mappings.iter().filter_map(|(_, mapping)| mapping.next_time().filter(|time| *time > now));
        let in_flight = |name: &str| self.is_firing(name);
        let firings = self.due.iter().filter(|((name, _), _)| !in_flight(name)).map(|(_, at)| *at);
        mappings
            .chain(firings)
            .chain(self.open_steps().map(|(_, at)| at))
            .chain(self.executor.next_time())
            .chain(self.ports.schedule.next().filter(|next| *next > now))
            .chain(self.ports.requests.next_visible())
            .min()
    }

    /// Steps that may begin: of two definitions of one name the second waits for the first.
    fn open_steps(&self) -> impl Iterator<Item = (usize, Timestamp)> + '_ {
        let name = |at: usize| match &self.script.steps[at].act {
            Act::Apply(wanted) => Some(&self.script.wanted[*wanted].definition.name),
            _ => None,
        };
        let is_out = |at: usize| {
            self.flights.values().any(|flight| matches!(flight, Flight::Step { at: out, .. } if *out == at))
        };
        let waits = move |at: usize| {
            name(at).is_some_and(|own| self.open.range(..at).any(|(before, _)| name(*before) == Some(own)))
        };
        self.open.iter().map(|(at, time)| (*at, *time)).filter(move |(at, _)| !is_out(*at) && !waits(*at))
    }

    fn is_firing(&self, name: &str) -> bool {
        self.flights.values().any(|flight| matches!(flight, Flight::Firing { name: out, .. } if out == name))
    }

    /// Begins what is due, and lets the seed upset something.
    fn look(&mut self) {
        self.upset();
        self.begin_steps();
        for at in 0..self.mappings.len() {
            self.begin_deliveries(at);
        }
        self.begin_requests();
        self.begin_firings();
    }

    fn fly(&mut self, flight: Flight, name: impl FnOnce() -> String, future: impl Future<Output = End> + 'static) {
        let id = self.executor.start(future);
        self.hub.name(id, name);
        self.flights.insert(id, flight);
    }

    /// Whoever waits for a task learns that it failed.
    fn failed(&mut self, flight: Flight) {
        let now = self.now();
        match flight {
            Flight::Feed { mapping, range, count } => {
                self.mappings[mapping].1.ended(&range, count, Answer::Failed, now, &mut self.random);
            }
            Flight::Firing { name, scheduled } => {
                self.due.insert((name, scheduled), now.plus_seconds(self.random.between(1, 120)));
            }
            Flight::Step { at, .. } => {
                self.open.insert(at, now.plus_seconds(self.random.between(1, 30)));
            }
            Flight::Queue(_) | Flight::Orphan => {}
        }
    }

    fn ended(&mut self, id: u64, end: End) {
        let Some(flight) = self.flights.remove(&id) else { return };
        if let End::Fired(Outcome::Park(why)) = &end {
            self.hub.breaks(format!("parked: {flight:?}: {why}"));
        }
        let lost =
            !matches!(flight, Flight::Orphan | Flight::Step { .. }) && self.random.chance(self.chaos.answer_lost);
        if lost {
            self.hub.count(|stats| stats.repeats += 1);
            self.hub.note("answer lost", || format!("{flight:?}"));
            self.failed(flight);
            return;
        }
        let now = self.now();
        match (flight, end) {
            (Flight::Feed { mapping, range, count }, End::Answer(answer)) => {
                self.mappings[mapping].1.ended(&range, count, answer, now, &mut self.random);
            }
            (Flight::Queue(messages), End::Outcomes(outcomes)) => {
                let settled = settle(&messages, Some(outcomes));
                for why in &settled.parked {
                    self.hub.breaks(format!("request parked: {why}"));
                }
                self.ports.requests.delete(settled.done).now_or_never().expect("memory is at once").expect("deletes");
            }
            (Flight::Firing { name, scheduled }, End::Fired(Outcome::Done)) => {
                self.due.remove(&(name.clone(), scheduled));
                if self.random.chance(self.chaos.tick_twice) {
                    self.hub.count(|stats| stats.repeats += 1);
                } else {
                    self.ports.schedule.done(&name, scheduled);
                }
            }
            (Flight::Step { at, .. }, End::Told(status, body)) => self.told(at, status, &body),
            (flight, _) => self.failed(flight),
        }
    }

    /// A request was answered.
    fn told(&mut self, at: usize, status: StatusCode, body: &str) {
        let act = self.script.steps[at].act.clone();
        let again = self.now().plus_seconds(self.random.between(1, 30));
        match act {
            _ if status.is_success() => {
                if let Act::Ask(wanted) = act {
                    check::meanwhile(self, wanted, body);
                }
                let is_sent = matches!(self.script.steps[at].act, Act::Send(_));
                if is_sent && self.random.chance(self.chaos.send_twice) {
                    self.hub.count(|stats| stats.repeats += 1);
                    self.open.insert(at, again);
                } else {
                    self.open.remove(&at);
                }
            }
            // A property that has not been seen as that yet: whoever wrote it tries again when more has come.
            Act::Apply(wanted) if status == StatusCode::UNPROCESSABLE_ENTITY => {
                if self.is_calm {
                    self.refused.insert(wanted);
                    self.open.remove(&at);
                } else {
                    self.open.insert(at, self.now().plus_seconds(3_600));
                }
            }
            // Nothing is there to ask for or of yet.
            Act::Ask(_) | Act::Backfill if status.is_client_error() => drop(self.open.remove(&at)),
            _ if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS => {
                self.open.insert(at, again);
            }
            _ => {
                self.hub.breaks(format!("{:?} was answered {status}: {body}", self.script.steps[at].act));
                self.open.remove(&at);
            }
        }
    }

    /// Puts dead letters back into the queue and has failed backfills go on, as an operator does once the cause is gone.
    fn redrive(&mut self) {
        for body in self.ports.requests.take_dead_letters() {
            self.hub.count(|stats| stats.redriven += 1);
            self.ports.requests.send(vec![body], 0).now_or_never().expect("memory is at once").expect("sends");
        }
        let listed: serde_json::Value =
            serde_json::from_str(&check::ask(self, Method::GET, "/v1/backfills")).unwrap_or_default();
        for failed in listed["backfills"].as_array().into_iter().flatten().filter(|one| one["state"] == "failed") {
            self.hub.count(|stats| stats.redriven += 1);
            let path = format!("/v1/backfills/{}/resume", failed["id"].as_str().unwrap_or_default());
            check::ask(self, Method::POST, &path);
        }
    }

    /// Whether everything that was sent so far was acknowledged.
    pub(super) fn is_all_acknowledged(&self) -> bool {
        let now = self.now();
        let is_send = |at: &usize| matches!(self.script.steps[*at].act, Act::Send(_) | Act::Put(_));
        let log = TableShards(Arc::clone(&self.log));
        let records = self.mappings.iter().filter(|(consumer, _)| *consumer == Consumer::Records);
        let mut read = records.map(|(_, mapping)| mapping.is_idle(&log).now_or_never().expect("memory is at once"));
        read.all(|idle| idle.expect("memory reads"))
            && !self.open.iter().any(|(at, time)| *time <= now && is_send(at))
            && !self.flights.values().any(|flight| matches!(flight, Flight::Step { at, .. } if is_send(at)))
    }

    /// What is not done although everything should be.
    pub(super) fn left_over(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.open.keys().map(|at| format!("step {:?}", self.script.steps[*at].act)).collect();
        for (consumer, mapping) in &self.mappings {
            let table = if *consumer == Consumer::Records { &self.log } else { &self.ports.events };
            let idle = mapping.is_idle(&TableShards(Arc::clone(table))).now_or_never().expect("memory is at once");
            if !idle.expect("memory reads") {
                left.push(format!("deliveries to {consumer:?}"));
            }
        }
        if self.executor.len() > 0 {
            left.push(format!("{} tasks", self.executor.len()));
        }
        if !self.ports.requests.is_empty() {
            left.push(format!("{} requests", self.ports.requests.len()));
        }
        left
    }
}
