//! The runner with toy handlers: order, redelivery, cursors, blocked lanes, requests, firings, draining.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tidemill_local::{Consumer, DELIVERY_CHANGES_MAX, Handlers, Runner, SEAL_DELAY_SECONDS, Status, Store};
use tidemill_ports::{Change, Condition, DELIVERIES_MAX, Entry, Error, Message, Outcome, Queue, Schedule, Table, When};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, ShardId};
use tidemill_tests::conformance::table::{item, key, put};
use tidemill_tests::memory::VirtualClock;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no toy panics while it holds a lock")
}

/// Records what it gets and answers by script.
#[derive(Default)]
struct Toy {
    /// Positions of each delivery, by consumer.
    deliveries: Mutex<BTreeMap<&'static str, Vec<Vec<u128>>>>,
    requests: Mutex<Vec<String>>,
    firings: Mutex<Vec<(String, Timestamp)>>,
    /// Answers of a consumer, first to last; then Done.
    script: Mutex<BTreeMap<&'static str, Vec<Outcome>>>,
    /// The consumer that never gets on.
    broken: Mutex<Option<&'static str>>,
    /// A delivery of requests under way must not overlap another lane's.
    busy: Mutex<BTreeMap<&'static str, Arc<AtomicBool>>>,
}

impl Toy {
    fn says(&self, who: &'static str, outcome: Outcome) {
        held(&self.script).entry(who).or_default().push(outcome);
    }

    fn breaks(&self, who: Option<&'static str>) {
        *held(&self.broken) = who;
    }

    fn answer(&self, who: &'static str) -> Outcome {
        if *held(&self.broken) == Some(who) {
            return Outcome::Park(format!("{who} is broken"));
        }
        let mut script = held(&self.script);
        let answers = script.entry(who).or_default();
        if answers.is_empty() { Outcome::Done } else { answers.remove(0) }
    }

    async fn delivered(&self, who: &'static str, changes: &[Change]) -> Outcome {
        let busy = Arc::clone(held(&self.busy).entry(who).or_default());
        assert!(!busy.swap(true, Ordering::SeqCst), "one delivery at a time");
        tokio::task::yield_now().await;
        let positions = changes.iter().map(|change| change.position.0).collect();
        held(&self.deliveries).entry(who).or_default().push(positions);
        busy.store(false, Ordering::SeqCst);
        self.answer(who)
    }

    fn seen(&self, who: &'static str) -> Vec<Vec<u128>> {
        held(&self.deliveries).get(who).cloned().unwrap_or_default()
    }

    fn requests(&self) -> Vec<String> {
        held(&self.requests).clone()
    }
}

#[async_trait]
impl Handlers for Toy {
    async fn on_changes(&self, _: &ShardId, changes: Vec<Change>) -> Outcome {
        self.delivered("on_changes", &changes).await
    }

    async fn on_seal(&self, _: &ShardId, changes: Vec<Change>) -> Outcome {
        self.delivered("on_seal", &changes).await
    }

    async fn on_request(&self, messages: &[Message]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for message in messages {
            let text = String::from_utf8(message.body.to_vec()).unwrap();
            assert_ne!(text, "panic", "a planned panic");
            outcomes.push(match text.as_str() {
                "later" => Outcome::RetryFrom(Position(0)),
                "never" => Outcome::Park("for a reason".to_owned()),
                _ => Outcome::Done,
            });
            held(&self.requests).push(text);
        }
        outcomes
    }

    async fn on_firing(&self, name: &str, _: &Bytes, scheduled: Timestamp) -> Outcome {
        held(&self.firings).push((name.to_owned(), scheduled));
        if name == "bad" { Outcome::RetryFrom(Position(0)) } else { self.answer("on_firing") }
    }
}

struct World {
    dir: TempDir,
    clock: Arc<VirtualClock>,
    toy: Arc<Toy>,
    store: Option<Arc<Store>>,
    runner: Option<Runner>,
}

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(VirtualClock::at(START));
        let mut world = World { dir, clock, toy: Arc::default(), store: None, runner: None };
        world.reopen();
        world
    }

    /// Ends the process and begins another.
    fn reopen(&mut self) {
        (self.runner, self.store) = (None, None);
        let store = Arc::new(Store::open(self.dir.path(), self.clock.clone()).unwrap());
        self.runner = Some(Runner::new(Arc::clone(&store), self.toy.clone()).unwrap());
        self.store = Some(store);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn runner(&self) -> &Runner {
        self.runner.as_ref().unwrap()
    }

    fn status(&self) -> Status {
        self.runner().status().unwrap()
    }

    async fn write(&self, numbers: std::ops::Range<u64>) {
        let writes = numbers.map(|n| put(&key("p", n.to_be_bytes()), Condition::None, item(n, "x"))).collect();
        assert!(self.store().events.write_each(writes).await.iter().all(Result::is_ok));
    }

    async fn send(&self, texts: &[&'static str]) {
        self.store()
            .requests
            .send(texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect(), 0)
            .await
            .unwrap();
    }

    /// Runs in the background until `reached`, with a limit in real time.
    async fn run_until(&self, reached: impl Fn() -> bool) {
        let shutdown = async {
            let polled = async {
                while !reached() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), polled).await.expect("reached in time");
        };
        self.runner().run(shutdown).await;
    }
}

#[tokio::test]
async fn both_consumers_get_every_change_in_order_and_once() {
    let world = World::new();
    let count = DELIVERY_CHANGES_MAX as u64 * 2 + 5;
    world.write(0..count).await;
    world.runner().drain_feed().await.unwrap();
    let expected: Vec<u128> = (1..=u128::from(count)).collect();
    assert_eq!(world.toy.seen("on_changes").iter().map(Vec::len).collect::<Vec<_>>(), [10_000, 10_000, 5]);
    assert_eq!(world.toy.seen("on_changes").concat(), expected);
    assert_eq!(world.toy.seen("on_seal"), [expected]);
    world.runner().drain_feed().await.unwrap();
    assert_eq!(world.toy.seen("on_seal").len(), 1, "an idle feed is not delivered");
    assert!(world.status().lanes.iter().all(|lane| lane.behind == 0 && lane.blocked.is_none()));
    let left = world.store().events.changes("shard-0000", Position(0), 10).await.unwrap();
    assert_eq!(left, [], "what everybody has is trimmed");
}

#[tokio::test]
async fn a_retry_begins_where_the_handler_said() {
    let world = World::new();
    world.write(0..10).await;
    world.toy.says("on_changes", Outcome::RetryFrom(Position(4)));
    world.toy.says("on_changes", Outcome::RetryFrom(Position(4)));
    world.toy.says("on_changes", Outcome::RetryFrom(Position(99)));
    world.runner().drain_feed().await.unwrap();
    let all: Vec<u128> = (1..=10).collect();
    assert_eq!(world.toy.seen("on_changes"), [all.clone(), all[3..].to_vec(), all[3..].to_vec()]);
}

#[tokio::test]
async fn a_cursor_survives_and_what_was_not_done_comes_again() {
    let mut world = World::new();
    world.write(0..10).await;
    world.toy.says("on_changes", Outcome::RetryFrom(Position(7)));
    for _ in 0..3 {
        world.toy.says("on_changes", Outcome::RetryFrom(Position(7)));
    }
    let failures = world.runner().drain_feed().await.unwrap_err();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].what, "on_changes of shard-0000");
    world.reopen();
    assert_eq!(world.status().lanes.iter().map(|lane| lane.behind).collect::<Vec<_>>(), [4, 0]);
    world.runner().drain_feed().await.unwrap();
    assert_eq!(world.toy.seen("on_changes").last().unwrap(), &[7, 8, 9, 10]);
    assert_eq!(world.toy.seen("on_seal").concat().len(), 10);
}

#[tokio::test]
async fn a_parked_lane_is_blocked_and_loses_nothing() {
    let world = World::new();
    world.write(0..3).await;
    world.toy.breaks(Some("on_seal"));
    let failures = world.runner().drain(|_| {}).await.unwrap_err();
    assert_eq!(failures[0].reason, "on_seal is broken");
    let lane = world.status().lanes.into_iter().find(|lane| lane.consumer == Consumer::Seal).unwrap();
    assert_eq!((lane.behind, lane.blocked.as_deref()), (3, Some("on_seal is broken")));
    assert!(lane.attempts >= 3);
    assert_eq!(world.toy.seen("on_changes").len(), 1, "the other lane went on");
    world.toy.breaks(None);
    world.runner().drain(|_| {}).await.unwrap();
    assert_eq!(world.toy.seen("on_seal").last().unwrap(), &[1, 2, 3]);
    assert!(world.status().lanes.iter().all(|lane| lane.blocked.is_none()));
}

#[tokio::test]
async fn requests_end_as_their_outcomes_say() {
    let world = World::new();
    world.send(&["a", "later", "never", "b"]).await;
    let failures = world.runner().drain(|_| {}).await.unwrap_err();
    assert_eq!(failures.len(), 2, "{failures:?}");
    let requests = world.toy.requests();
    let count = |text: &str| requests.iter().filter(|request| *request == text).count();
    assert_eq!((count("a"), count("b"), count("never"), count("later")), (1, 1, 1, 3));
    assert_eq!(world.store().requests.dead_letters(10).await, Ok(vec![Bytes::from("never")]));
    let status = world.status();
    assert_eq!((status.requests_waiting, status.dead_letters), (1, 1));
    for _ in 0..DELIVERIES_MAX {
        world.clock.advance(600);
        let _ = world.runner().drain(|_| {}).await;
    }
    let status = world.status();
    assert_eq!((status.requests_waiting, status.dead_letters), (0, 2));
    assert_eq!(world.toy.requests().iter().filter(|request| *request == "later").count(), DELIVERIES_MAX as usize);
}

#[tokio::test]
async fn a_drain_leaves_what_is_delayed() {
    let world = World::new();
    world.store().requests.send(vec![Bytes::from("delayed")], 60).await.unwrap();
    world.runner().drain(|_| {}).await.unwrap();
    assert_eq!(world.toy.requests(), Vec::<String>::new());
    world.clock.advance(60);
    world.runner().drain(|_| {}).await.unwrap();
    assert_eq!(world.toy.requests(), ["delayed"]);
}

#[tokio::test]
async fn a_panicking_handler_ends_in_the_dead_letters_and_harms_nothing_else() {
    let world = World::new();
    world.send(&["panic", "good"]).await;
    for _ in 0..DELIVERIES_MAX {
        world.clock.advance(600);
        let _ = world.runner().drain(|_| {}).await;
    }
    assert!(world.toy.requests().iter().all(|request| request == "good"));
    assert!(!world.toy.requests().is_empty());
    assert_eq!(world.store().requests.dead_letters(10).await, Ok(vec![Bytes::from("panic")]));
    assert_eq!(world.status().requests_waiting, 0);
}

#[tokio::test]
async fn due_firings_fire_once_and_failing_ones_are_told() {
    let world = World::new();
    let entry = |name: &str, when| Entry { name: name.into(), when, payload: Bytes::new() };
    world.store().schedule.put(entry("once", When::At(START.plus_seconds(60)))).await.unwrap();
    world.store().schedule.put(entry("rate", When::EveryMinutes(5))).await.unwrap();
    world.runner().drain(|_| {}).await.unwrap();
    assert_eq!(*held(&world.toy.firings), []);
    world.clock.advance(11 * 60);
    world.runner().drain(|_| {}).await.unwrap();
    world.runner().drain(|_| {}).await.unwrap();
    let expected = [("once".to_owned(), START.plus_seconds(60)), ("rate".to_owned(), START.plus_seconds(600))];
    assert_eq!(*held(&world.toy.firings), expected);
    world.store().schedule.put(entry("bad", When::At(START))).await.unwrap();
    let failures = world.runner().drain(|_| {}).await.unwrap_err();
    assert_eq!(failures[0].what, "firing bad");
    assert!(world.status().firings_failing.contains_key("bad"));
    assert_eq!(world.store().schedule.list().await.unwrap().len(), 2, "it is due still");
}

#[tokio::test]
async fn progress_ends_at_nothing() {
    let world = World::new();
    world.write(0..20).await;
    world.send(&["a"]).await;
    let seen = Mutex::new(Vec::new());
    world.runner().drain(|progress| held(&seen).push(progress)).await.unwrap();
    assert_eq!(held(&seen).last(), Some(&Default::default()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_background_changes_are_told_at_once_and_sealed_after_a_while() {
    let world = World::new();
    world.write(0..3).await;
    world.run_until(|| world.toy.seen("on_changes").len() == 1).await;
    assert_eq!(world.toy.seen("on_seal").len(), 0, "too young to seal");
    // The first background may have ended before it noticed the changes, so there may have to be another.
    for _ in 0..50 {
        world.clock.advance(i64::from(SEAL_DELAY_SECONDS));
        world.runner().run(tokio::time::sleep(Duration::from_millis(20))).await;
    }
    assert_eq!(world.toy.seen("on_seal"), [[1, 2, 3]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_background_wakes_for_what_arrives() {
    let world = World::new();
    let arrivals = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        world.write(0..1).await;
        world.send(&["a"]).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        world.write(1..2).await;
        world.send(&["b"]).await;
        let now = When::At(START);
        world.store().schedule.put(Entry { name: "s".into(), when: now, payload: Bytes::new() }).await.unwrap();
    };
    let done = || {
        let fired = held(&world.toy.firings).len() == 1;
        fired && world.toy.requests().len() == 2 && world.toy.seen("on_changes").concat().len() == 2
    };
    tokio::join!(arrivals, world.run_until(done));
    assert_eq!(world.toy.seen("on_changes").concat(), [1, 2]);
    assert_eq!(world.toy.requests(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_lane_pauses_in_the_background() {
    let world = World::new();
    world.toy.breaks(Some("on_changes"));
    world.write(0..1).await;
    world.run_until(|| world.toy.seen("on_changes").len() == 1).await;
    // The clock stands still, so the pause does not end, however long this takes.
    let once = world.toy.seen("on_changes").len();
    world.runner().run(tokio::time::sleep(Duration::from_millis(50))).await;
    assert!(world.toy.seen("on_changes").len() <= once + 1, "no busy polling");
    world.toy.breaks(None);
    world.clock.advance(600);
    world.run_until(|| world.status().lanes[0].behind == 0).await;
}

#[tokio::test]
async fn a_store_is_given_back_when_it_is_dropped() {
    let mut world = World::new();
    world.send(&["a"]).await;
    assert!(matches!(Store::open(world.dir.path(), world.clock.clone()), Err(Error::Conflict(_))));
    world.reopen();
    world.runner().drain(|_| {}).await.unwrap();
    assert_eq!(world.toy.requests(), ["a"]);
}
