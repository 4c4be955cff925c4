//! Every law on every adapter.

use std::sync::Arc;

use object_store::memory::InMemory;
use tempfile::TempDir;
use tidemill_local::{Feed, LocalTable, Store, local_blobs};
use tidemill_schemas::time::Timestamp;
use tidemill_tests::conformance::{blobs, queue, schedule};
use tidemill_tests::fault::{Faults, FaultyBlobs, FaultyQueue, FaultySchedule, FaultyTable};
use tidemill_tests::memory::{MemoryQueue, MemorySchedule, MemoryTable, VirtualClock};
use tidemill_tests::{blob_laws, feed_laws, queue_laws, schedule_laws, table_laws};

/// Shards of the feeds under test.
const SHARDS: u16 = 3;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::at(Timestamp::from_millis(1_700_000_000_000)))
}

mod local {
    use super::*;

    pub fn table() -> (LocalTable, TempDir) {
        let dir = folder();
        (LocalTable::open(&dir.path().join("t.redb"), Feed::Shards(SHARDS)).expect("a table"), dir)
    }

    pub fn table_without_feed() -> (LocalTable, TempDir) {
        let dir = folder();
        (LocalTable::open(&dir.path().join("t.redb"), Feed::None).expect("a table"), dir)
    }

    pub fn queue() -> (queue::Subject, TempDir) {
        let (dir, clock) = (folder(), clock());
        let queue = Store::open(dir.path(), clock.clone()).expect("a store").requests;
        (queue::Subject { queue, pass: Box::new(move |seconds| clock.advance(seconds.into())) }, dir)
    }

    pub fn schedule() -> (schedule::Subject, TempDir) {
        let dir = folder();
        (Store::open(dir.path(), clock()).expect("a store").schedule, dir)
    }

    pub fn blobs() -> (blobs::Subject, TempDir) {
        let dir = folder();
        (local_blobs(&dir.path().join("blobs")).expect("blobs"), dir)
    }

    mod with_feed {
        tidemill_tests::table_laws!(super::table);
    }
    table_laws!(table_without_feed);
    feed_laws!(table);
    queue_laws!(queue);
    schedule_laws!(schedule);
    blob_laws!(blobs);
}

mod memory {
    use super::*;

    pub fn table() -> (MemoryTable, ()) {
        (MemoryTable::new(SHARDS), ())
    }

    pub fn queue() -> (queue::Subject, ()) {
        let clock = clock();
        let queue = Arc::new(MemoryQueue::new(clock.clone()));
        (queue::Subject { queue, pass: Box::new(move |seconds| clock.advance(seconds.into())) }, ())
    }

    pub fn schedule() -> (schedule::Subject, ()) {
        (Arc::new(MemorySchedule::new(clock())), ())
    }

    pub fn blobs() -> (blobs::Subject, ()) {
        (Arc::new(InMemory::new()), ())
    }

    table_laws!(table);
    feed_laws!(table);
    queue_laws!(queue);
    schedule_laws!(schedule);
    blob_laws!(blobs);
}

mod faultless_local {
    use super::*;

    fn table() -> (FaultyTable, TempDir) {
        let (table, dir) = local::table();
        (FaultyTable::new(Arc::new(table), Faults::none()), dir)
    }

    fn queue() -> (queue::Subject, TempDir) {
        let (subject, dir) = local::queue();
        let queue = Arc::new(FaultyQueue::new(subject.queue, Faults::none()));
        (queue::Subject { queue, pass: subject.pass }, dir)
    }

    fn schedule() -> (schedule::Subject, TempDir) {
        let (schedule, dir) = local::schedule();
        (Arc::new(FaultySchedule::new(schedule, Faults::none())), dir)
    }

    fn blobs() -> (blobs::Subject, TempDir) {
        let (blobs, dir) = local::blobs();
        (Arc::new(FaultyBlobs::new(blobs, Faults::none())), dir)
    }

    table_laws!(table);
    feed_laws!(table);
    queue_laws!(queue);
    schedule_laws!(schedule);
    blob_laws!(blobs);
}

mod faultless_memory {
    use super::*;

    fn table() -> (FaultyTable, ()) {
        (FaultyTable::new(Arc::new(memory::table().0), Faults::none()), ())
    }

    fn queue() -> (queue::Subject, ()) {
        let (subject, kept) = memory::queue();
        let queue = Arc::new(FaultyQueue::new(subject.queue, Faults::none()));
        (queue::Subject { queue, pass: subject.pass }, kept)
    }

    fn schedule() -> (schedule::Subject, ()) {
        (Arc::new(FaultySchedule::new(memory::schedule().0, Faults::none())), ())
    }

    fn blobs() -> (blobs::Subject, ()) {
        (Arc::new(FaultyBlobs::new(memory::blobs().0, Faults::none())), ())
    }

    table_laws!(table);
    feed_laws!(table);
    queue_laws!(queue);
    schedule_laws!(schedule);
    blob_laws!(blobs);
}

mod counted_local {
    use super::*;
    use tidemill_ports::counted::{CountedBlobs, CountedQueue, CountedSchedule, CountedTable, Counter};

    fn table() -> (CountedTable, TempDir) {
        let (table, dir) = local::table();
        (CountedTable::new(Arc::new(table), Counter::new()), dir)
    }

    fn queue() -> (queue::Subject, TempDir) {
        let (subject, dir) = local::queue();
        let queue = Arc::new(CountedQueue::new(subject.queue, Counter::new()));
        (queue::Subject { queue, pass: subject.pass }, dir)
    }

    fn schedule() -> (schedule::Subject, TempDir) {
        let (schedule, dir) = local::schedule();
        (Arc::new(CountedSchedule::new(schedule, Counter::new())), dir)
    }

    fn blobs() -> (blobs::Subject, TempDir) {
        let (blobs, dir) = local::blobs();
        (Arc::new(CountedBlobs::new(blobs, Counter::new())), dir)
    }

    table_laws!(table);
    feed_laws!(table);
    queue_laws!(queue);
    schedule_laws!(schedule);
    blob_laws!(blobs);
}

/// Wrappers pass on what a table says of its checks: whoever did not would let sends go unchecked past imports.
#[test]
fn wrappers_pass_on_whether_checks_cost() {
    use tidemill_ports::Table;
    use tidemill_ports::counted::{CountedTable, Counter};
    for checks_cost in [false, true] {
        let table: Arc<dyn Table> = Arc::new(MemoryTable::with(SHARDS, checks_cost));
        let wrapped: Arc<dyn Table> = Arc::new(FaultyTable::new(table, Faults::none()));
        let wrapped = CountedTable::new(wrapped, Counter::new());
        assert_eq!(wrapped.checks_cost(), checks_cost);
    }
    assert!(!local::table().0.checks_cost());
    assert!(local::table().0.where_checks_cost().checks_cost());
}

/// What calls of known sizes are counted as, for every adapter alike.
#[tokio::test]
async fn units_are_those_that_are_billed() {
    use tidemill_ports::counted::{Call, Counter, Tally};
    use tidemill_ports::{Condition, Effect, Item, Write};
    use tidemill_schemas::keys::{self, Tenant};
    use tidemill_tests::memory::MemoryWorld;
    let counter = Counter::new();
    let context = counter.around(&MemoryWorld::new(Timestamp::from_millis(0), 1).context());
    let key = |id: &str| keys::event(&Tenant::local(), "shop", id);
    let write = |id: &str, bytes: usize| Write {
        key: key(id),
        condition: Condition::None,
        effect: Effect::Put(Item { rank: 100, body: vec![7; bytes].into() }),
    };
    // Names 4, key, and a number of one significant digit 2.
    let beside = key("a").partition.len() + key("a").sort.len() + 6;
    let events = &context.events;
    events.write_each(vec![write("a", 1024 - beside), write("b", 1025 - beside)]).await;
    let check = Write { effect: Effect::Check, ..write("c", 0) };
    events.write(vec![check, write("d", 10), write("e", 2_000)]).await.expect("written");
    events.write(vec![write("f", 10)]).await.expect("written");
    events.get_each(&[key("a"), key("e"), key("nothing")]).await.expect("read");
    let counts = counter.take();
    let of = |call| counts.0.get(&(call, "event".to_owned())).copied().unwrap_or_default();
    assert_eq!(of(Call::TablePut), Tally { calls: 3, units: 1 + 2 + 1, bytes: 2_049 + 10 + beside as u64, trips: 2 });
    assert_eq!((of(Call::TableGroup).calls, of(Call::TableGroup).units), (2, 2 + 4));
    assert_eq!(of(Call::TableCheck), Tally { calls: 1, units: 2, bytes: 0, trips: 1 });
    assert_eq!((of(Call::TableGet).calls, of(Call::TableGet).units, of(Call::TableGet).trips), (3, 3, 1));
    assert_eq!(counter.take().calls(), 0);
}
