//! Every law on the adapters of AWS, against an emulator: `cargo ci --only aws` serves one and runs these.

use std::sync::Arc;

use object_store::memory::InMemory;
use tidemill_aws::blobs::TwoTier;
use tidemill_tests::conformance::{blobs, queue, schedule};
use tidemill_tests::emulator::Emulator;
use tidemill_tests::express::Express;
use tidemill_tests::fault::{Faults, FaultyBlobs, FaultyTable};
use tidemill_tests::{blob_laws, feed_laws, queue_laws, schedule_laws, table_laws};

/// Waits for a future where laws open their stores.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn events() -> (FaultyTable, ()) {
    (FaultyTable::new(wait(Emulator::of_environment().stores()).context.events, Faults::none()), ())
}

fn items() -> (FaultyTable, ()) {
    (FaultyTable::new(wait(Emulator::of_environment().stores()).context.items, Faults::none()), ())
}

fn queue() -> (queue::Subject, ()) {
    let emulator = Emulator::of_environment();
    let queue = wait(emulator.stores()).context.requests;
    (queue::Subject { queue, pass: Box::new(move |seconds| wait(emulator.pass(seconds))) }, ())
}

fn schedule() -> (schedule::Subject, ()) {
    (wait(Emulator::of_environment().stores()).context.schedule, ())
}

fn blobs() -> (blobs::Subject, ()) {
    (wait(Emulator::of_environment().stores()).context.blobs, ())
}

/// The directory bucket alone, behind its door.
fn express() -> (blobs::Subject, Express) {
    wait(async {
        let emulator = Emulator::of_environment();
        let express = Express::serve(&emulator).await;
        let name = emulator.bucket("*--use1-az4--x-s3").await;
        let bucket = emulator.connection().await.bucket(&name, Some(express.connector()));
        (bucket.expect("the name is good"), express)
    })
}

/// A bucket whose copies lie behind the door.
fn two_tiers() -> (blobs::Subject, Express) {
    let (copies, express) = express();
    (Arc::new(TwoTier::new(blobs().0, copies)), express)
}

mod express_alone {
    tidemill_tests::blob_laws!(
        #[ignore = "needs an emulator"]
        super::express
    );
}
mod express_as_copy {
    tidemill_tests::blob_laws!(
        #[ignore = "needs an emulator"]
        super::two_tiers
    );
}
mod with_feed {
    tidemill_tests::table_laws!(
        #[ignore = "needs an emulator"]
        super::events
    );
}
table_laws!(
    #[ignore = "needs an emulator"]
    items
);
feed_laws!(
    #[ignore = "needs an emulator"]
    events
);
queue_laws!(
    #[ignore = "needs an emulator"]
    queue
);
schedule_laws!(
    #[ignore = "needs an emulator"]
    schedule
);
blob_laws!(
    #[ignore = "needs an emulator"]
    blobs
);

/// Copies in a zone that is gone: every law holds of the truth alone.
mod zone_lost {
    use super::*;

    fn without_copies() -> (blobs::Subject, ()) {
        let copies = FaultyBlobs::new(Arc::new(InMemory::new()), Faults::new(0, 1_000_000, 0));
        (Arc::new(TwoTier::new(Arc::new(InMemory::new()), Arc::new(copies))), ())
    }

    tidemill_tests::laws!(
        blobs,
        without_copies,
        what_is_put_is_read_back,
        ranges_are_read,
        putting_again_replaces,
        creating_what_exists_is_a_conflict,
        of_concurrent_creators_exactly_one_wins,
        reading_what_is_missing_says_so,
        objects_are_listed_under_a_prefix,
        many_puts_run_at_once,
    );
}
