//! Every law on the adapters of AWS, against an emulator: `cargo ci --only aws` serves one and runs these.

use tidemill_tests::conformance::{blobs, queue, schedule};
use tidemill_tests::emulator::Emulator;
use tidemill_tests::fault::{Faults, FaultyTable};
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
