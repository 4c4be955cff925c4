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
