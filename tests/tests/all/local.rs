//! The embedded adapters: what survives, what is locked, and that they answer as memory does.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use redb::StorageBackend;
use tidemill_local::{Feed, LocalTable, Store};
use tidemill_ports::{Condition, Effect, Entry, Error, Query, Queue, Schedule, Table, When, Write};
use tidemill_schemas::keys::Key;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;
use tidemill_tests::conformance::feed::{history, read_feed};
use tidemill_tests::conformance::table::{item, key, put};
use tidemill_tests::generator::Random;
use tidemill_tests::memory::{MemoryTable, VirtualClock};

fn clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::at(Timestamp::from_millis(1_700_000_000_000)))
}

#[tokio::test]
async fn reopening_keeps_everything_acknowledged() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = Store::open(dir.path(), clock.clone()).unwrap();
    store.events.write(vec![put(&key("p", "a"), Condition::Absent, item(1, "event"))]).await.unwrap();
    store.items.write(vec![put(&key("p", "a"), Condition::Absent, item(2, "item"))]).await.unwrap();
    store.requests.send(vec![Bytes::from("x"), Bytes::from("later")], 0).await.unwrap();
    assert_eq!(store.requests.receive(1, 600).await.unwrap()[0].body, "x");
    let entry = Entry { name: "s".into(), when: When::EveryMinutes(5), payload: Bytes::from("p") };
    store.schedule.put(entry.clone()).await.unwrap();
    store.cursors.advance("c", "shard-0000", Position(1)).await.unwrap();
    let feed = read_feed(store.events.as_ref(), 10).await;
    drop(store);

    let store = Store::open(dir.path(), clock.clone()).unwrap();
    assert_eq!(store.events.get(&key("p", "a")).await, Ok(Some(item(1, "event"))));
    assert_eq!(store.items.get(&key("p", "a")).await, Ok(Some(item(2, "item"))));
    assert_eq!(read_feed(store.events.as_ref(), 10).await, feed);
    // The process that was working on a message is gone, so nobody waits for its time to run out.
    let mut received = store.requests.receive(10, 600).await.unwrap();
    received.sort_by_key(|message| message.deliveries);
    let received: Vec<_> = received.iter().map(|message| (message.body.clone(), message.deliveries)).collect();
    assert_eq!(received, [(Bytes::from("later"), 1), (Bytes::from("x"), 2)]);
    assert_eq!(store.schedule.list().await, Ok(vec![entry]));
    assert_eq!(store.cursors.get("c", "shard-0000"), Ok(Position(1)));
    store.events.write(vec![put(&key("p", "b"), Condition::Absent, item(1, ""))]).await.unwrap();
    assert_eq!(store.events.head("shard-0000"), Ok(Position(2)));
}

#[test]
fn a_project_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), clock()).unwrap();
    let Err(Error::Conflict(message)) = Store::open(dir.path(), clock()) else { panic!("opened twice") };
    assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
    drop(store);
    assert!(Store::open(dir.path(), clock()).is_ok());
}

#[tokio::test]
async fn a_trimmed_feed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.redb");
    let shard = "shard-0000";
    let fill = async |table: &LocalTable, from: u64| {
        let writes =
            (from..from + 100).map(|n| put(&key("p", n.to_be_bytes()), Condition::None, item(n, vec![0; 3_000])));
        assert!(table.write_each(writes.collect()).await.iter().all(Result::is_ok));
    };
    let table = LocalTable::open(&path, Feed::Shards(1)).unwrap();
    fill(&table, 0).await;
    table.trim(shard, Position(50)).await.unwrap();
    let rest = table.changes(shard, Position(50), 1_000).await.unwrap();
    assert_eq!(rest.iter().map(|change| change.position.0).collect::<Vec<_>>(), (51..=100).collect::<Vec<_>>());
    // What only the feed holds stays until everything is trimmed, which sweeps it into the tree first.
    table.trim(shard, Position(100)).await.unwrap();
    assert_eq!(table.changes(shard, Position(0), 1_000).await.unwrap(), []);
    drop(table);
    let table = LocalTable::open(&path, Feed::Shards(7)).unwrap();
    assert_eq!(table.shard_names(), [shard], "the number of shards is the file's");
    fill(&table, 100).await;
    assert_eq!(table.changes(shard, Position(100), 1_000).await.unwrap()[0].position, Position(101));
    assert_eq!(table.head(shard), Ok(Position(200)));
}

/// Everything a table says of a partition, read forwards in steps and backwards at once.
async fn whole(table: &dyn Table, partition: &str) -> Vec<(Vec<u8>, u64)> {
    let mut query = Query { partition: partition.as_bytes().to_vec(), limit: 700, ..Query::default() };
    let mut all = Vec::new();
    loop {
        let slice = table.query(&query).await.unwrap();
        all.extend(slice.items.into_iter().map(|(sort, item)| (sort, item.rank)));
        let Some(next) = slice.next else { break };
        query.after = Some(next);
    }
    let mut backwards = Vec::new();
    let mut query = Query { backwards: true, limit: 0, after: None, ..query };
    loop {
        let slice = table.query(&query).await.unwrap();
        backwards.extend(slice.items.into_iter().map(|(sort, item)| (sort, item.rank)));
        let Some(next) = slice.next else { break };
        query.after = Some(next);
    }
    backwards.reverse();
    assert_eq!(all, backwards);
    all
}

/// A copy of the file at any time is what a killed process leaves: what was answered is in it, whether a sweep had
/// brought it into the tree or not.
#[tokio::test]
async fn a_killed_table_has_what_only_its_feed_held() {
    let seed = 7;
    let (dir, mut random) = (tempfile::tempdir().unwrap(), Random::of(seed));
    let path = dir.path().join("t.redb");
    let table = LocalTable::open(&path, Feed::Shards(2)).unwrap();
    let memory = MemoryTable::new(2);
    for round in 0..40u64 {
        // Large enough that sweeps begin and end on the way; some items are replaced, some removed.
        let writes: Vec<Write> = (0..500)
            .map(|_| {
                let at = key("p", random.below(20_000).to_be_bytes());
                match random.below(10) {
                    0 => Write { key: at, condition: Condition::None, effect: Effect::Delete },
                    _ => put(&at, Condition::AbsentOrRankBelow(round), item(round, vec![round as u8; 3_000])),
                }
            })
            .collect();
        let answers = table.write_each(writes.clone()).await;
        let expected = memory.write_each(writes).await;
        assert_eq!(
            answers.iter().map(Result::is_ok).collect::<Vec<_>>(),
            expected.iter().map(Result::is_ok).collect::<Vec<_>>(),
            "seed {seed}, round {round}"
        );
        if round % 13 == 12 {
            let copy = dir.path().join(format!("killed-{round}.redb"));
            std::fs::copy(&path, &copy).unwrap();
            let reopened = LocalTable::open(&copy, Feed::Shards(2)).unwrap();
            assert_eq!(whole(&reopened, "p").await, whole(&memory, "p").await, "seed {seed}, round {round}");
            assert_eq!(history(&reopened).await, history(&memory).await, "seed {seed}, round {round}");
            drop(reopened);
            let closed = LocalTable::open(&copy, Feed::Shards(2)).unwrap();
            assert_eq!(whole(&closed, "p").await, whole(&memory, "p").await, "after closing it properly");
        }
    }
    assert_eq!(whole(&table, "p").await, whole(&memory, "p").await);
    let all: Vec<Key> = (0..20_000u64).map(|at| key("p", at.to_be_bytes())).collect();
    assert_eq!(table.get_each(&all).await, memory.get_each(&all).await);
    // What the tree has not got yet is kept however far the consumers are.
    for shard in table.shard_names() {
        let most = Position(table.head(&shard).unwrap().0.saturating_sub(1));
        table.trim(&shard, most).await.unwrap();
    }
    let copy = dir.path().join("trimmed.redb");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(whole(&LocalTable::open(&copy, Feed::Shards(2)).unwrap(), "p").await, whole(&memory, "p").await);
}

/// A file of the layout before opens, and has everything.
#[tokio::test]
async fn a_table_of_the_layout_before_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.redb");
    let table = LocalTable::open(&path, Feed::Shards(1)).unwrap();
    table.write(vec![put(&key("p", "a"), Condition::Absent, item(1, "event"))]).await.unwrap();
    drop(table);
    // Closed properly, its tree has everything: only the layout's number and the notes of positions differ.
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    let file = redb::Database::open(&path).unwrap();
    let transaction = file.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(meta).unwrap();
        meta.insert("format", 1).unwrap();
        meta.remove("applied-0000").unwrap();
    }
    transaction.commit().unwrap();
    drop(file);
    let table = LocalTable::open(&path, Feed::Shards(1)).unwrap();
    assert_eq!(table.get(&key("p", "a")).await, Ok(Some(item(1, "event"))));
    table.trim("shard-0000", Position(1)).await.unwrap();
    assert_eq!(table.changes("shard-0000", Position(0), 10).await.unwrap(), []);
    drop(table);
    let table = LocalTable::open(&path, Feed::Shards(1)).unwrap();
    assert_eq!(table.get(&key("p", "a")).await, Ok(Some(item(1, "event"))));
}

#[tokio::test]
async fn a_rate_keeps_its_beat_and_an_instant_fires_once() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let start = Timestamp::from_millis(1_700_000_000_000);
    let minute = |minutes: i64| start.plus_seconds(minutes * 60);
    let schedule = Store::open(dir.path(), clock.clone()).unwrap().schedule;
    let entry = |name: &str, when| Entry { name: name.into(), when, payload: Bytes::from("p") };
    schedule.put(entry("rate", When::EveryMinutes(5))).await.unwrap();
    schedule.put(entry("once", When::At(minute(5)))).await.unwrap();
    let due = |at: i64| -> Vec<(String, Timestamp)> {
        schedule.due(minute(at)).unwrap().into_iter().map(|(entry, time)| (entry.name, time)).collect()
    };
    assert_eq!(due(4), []);
    assert_eq!(due(5), [("once".to_owned(), minute(5)), ("rate".to_owned(), minute(5))]);
    clock.set(minute(4));
    schedule.put(entry("rate", When::EveryMinutes(5))).await.unwrap();
    schedule.done("once", minute(5)).await.unwrap();
    assert_eq!(due(5), [("rate".to_owned(), minute(5))], "arming again does not postpone");
    assert_eq!(due(33), [("rate".to_owned(), minute(30))], "missed firings are one");
    schedule.done("rate", minute(30)).await.unwrap();
    assert_eq!(due(34), []);
    clock.set(minute(34));
    schedule.put(entry("rate", When::EveryMinutes(1))).await.unwrap();
    schedule.done("rate", minute(30)).await.unwrap();
    assert_eq!(due(34), []);
    assert_eq!(due(35), [("rate".to_owned(), minute(35))], "another rate begins anew");
}

/// Storage that can be made to fail.
#[derive(Debug)]
struct Failing {
    inner: redb::backends::InMemoryBackend,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> Result<(), std::io::Error> {
        if self.fails.load(Ordering::SeqCst) { Err(std::io::Error::other("a planned fault")) } else { Ok(()) }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.check()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.check()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.inner.write(offset, data)
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_unknown_to_all_who_wait_for_it() {
    let fails = Arc::new(AtomicBool::new(false));
    let backend = Failing { inner: redb::backends::InMemoryBackend::new(), fails: Arc::clone(&fails) };
    let table =
        LocalTable::on(redb::Database::builder().create_with_backend(backend).unwrap(), Feed::Shards(1)).unwrap();
    let write = |sort: &str| put(&key("p", sort), Condition::None, item(1, ""));
    table.write(vec![write("a")]).await.unwrap();
    fails.store(true, Ordering::SeqCst);
    let (group, each) = tokio::join!(table.write(vec![write("b")]), table.write_each(vec![write("c"), write("d")]));
    assert!(matches!(group, Err(Error::Unknown(_))), "{group:?}");
    assert_eq!(each.len(), 2);
    for answer in &each {
        assert!(matches!(answer, Err(Error::Unknown(_) | Error::Unavailable(_))), "{answer:?}");
    }
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Group(Vec<Write>),
    Each(Vec<Write>),
    Query(Query),
    GetEach(Vec<Key>),
}

fn any_key() -> impl Strategy<Value = Key> {
    let half = prop_oneof![Just(vec![0]), Just(vec![0, 0]), Just(vec![1]), Just(vec![255]), Just(b"ab".to_vec())];
    (half.clone(), half).prop_map(|(partition, sort)| Key { partition, sort })
}

fn any_write() -> impl Strategy<Value = Write> {
    let condition = prop_oneof![
        4 => Just(Condition::None),
        1 => Just(Condition::Absent),
        1 => (0..4_u64).prop_map(Condition::RankIs),
        2 => (0..4_u64).prop_map(Condition::AbsentOrRankBelow),
    ];
    let effect = prop_oneof![
        6 => (0..4_u64, 0..3_u8).prop_map(|(rank, fill)| Effect::Put(item(rank, vec![fill; usize::from(fill)]))),
        2 => Just(Effect::Delete),
        1 => Just(Effect::Check),
    ];
    (any_key(), condition, effect).prop_map(|(key, condition, effect)| Write { key, condition, effect })
}

fn any_step() -> impl Strategy<Value = Step> {
    let sort = || proptest::option::of(any_key().prop_map(|key| key.sort));
    let query = (any_key(), sort(), sort(), sort(), any::<bool>(), 0..3_usize).prop_map(
        |(key, from, to, after, backwards, limit)| {
            Step::Query(Query { partition: key.partition, from, to, after, backwards, limit })
        },
    );
    prop_oneof![
        3 => proptest::collection::vec(any_write(), 0..5).prop_map(Step::Group),
        3 => proptest::collection::vec(any_write(), 0..12).prop_map(Step::Each),
        3 => query,
        1 => proptest::collection::vec(any_key(), 0..5).prop_map(Step::GetEach),
    ]
}

/// What kind of answer it was; texts may differ.
fn kind<T>(answer: Result<T, Error>) -> Result<T, &'static str> {
    answer.map_err(|error| match error {
        Error::Conflict(_) => "conflict",
        Error::Unavailable(_) => "unavailable",
        Error::Unknown(_) => "unknown",
        Error::Invalid(_) => "invalid",
    })
}

async fn answer(table: &dyn Table, step: Step) -> String {
    match step {
        Step::Group(group) => format!("{:?}", kind(table.write(group).await)),
        Step::Each(writes) => {
            format!("{:?}", table.write_each(writes).await.into_iter().map(kind).collect::<Vec<_>>())
        }
        Step::Query(query) => format!("{:?}", kind(table.query(&query).await)),
        Step::GetEach(keys) => format!("{:?}", kind(table.get_each(&keys).await)),
    }
}

#[test]
fn random_histories_give_the_same_answers_locally_and_in_memory() {
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    TestRunner::new_with_rng(config, rng)
        .run(&proptest::collection::vec(any_step(), 1..40), |steps| {
            runtime.block_on(async {
                let file = redb::Database::builder().create_with_backend(redb::backends::InMemoryBackend::new());
                let local = LocalTable::on(file.unwrap(), Feed::Shards(2)).unwrap();
                let memory = MemoryTable::new(2);
                for step in steps {
                    let expected = answer(&memory, step.clone()).await;
                    prop_assert_eq!(answer(&local, step.clone()).await, expected, "{:?}", step);
                }
                prop_assert_eq!(history(&local).await, history(&memory).await);
                let counts = |feed: std::collections::BTreeMap<String, Vec<_>>| -> Vec<usize> {
                    feed.values().map(Vec::len).collect()
                };
                prop_assert_eq!(counts(read_feed(&local, 3).await), counts(read_feed(&memory, 3).await));
                Ok(())
            })
        })
        .unwrap();
}
