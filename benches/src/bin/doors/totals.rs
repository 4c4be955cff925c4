//! Stream records to updated totals: `on_changes` over deliveries as the feed gives them.

use tidemill_aggregator::on_changes::on_changes;
use tidemill_ingest::event_store;
use tidemill_ports::{Change, Outcome};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;
use tidemill_tests::generator::Random;
use tidemill_tests::world::World;

use crate::{cpu, shape, told};

/// Changes of one delivery.
const DELIVERY_CHANGES: usize = 10_000;

/// Measures with 0, 1 and 20 insights.
pub fn run(events: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for insights in [0, 1, 5, 20] {
        let mut took = Vec::new();
        for _ in 0..3 {
            took.push(runtime.block_on(once(events, insights)));
        }
        took.sort();
        told(
            &format!("on_changes, {insights} insights, {events} events, {DELIVERY_CHANGES} a delivery"),
            events,
            took[1],
        );
    }
    decode(events);
}

fn start() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").expect("a time")
}

async fn changes(events: usize) -> Vec<Change> {
    let world = World::new(start(), 1);
    let mut random = Random::of(7);
    for from in (0..events).step_by(5_000) {
        let body: String = (from..events.min(from + 5_000)).map(|_| shape::line(&mut random, start())).collect();
        world.send(&body).await;
    }
    world.context.events.changes("shard-0000", Position(0), events).await.expect("a feed in memory")
}

async fn once(events: usize, insights: usize) -> std::time::Duration {
    let changes = changes(events).await;
    let world = World::new(start(), 1);
    for at in 0..insights {
        world.apply(&format!("door_{at}"), &shape::definition(at)).await;
    }
    let before = cpu();
    for delivery in changes.chunks(DELIVERY_CHANGES) {
        assert_eq!(on_changes(&world.context, "shard-0000", delivery).await, Outcome::Done);
    }
    cpu() - before
}

/// Of that: reading the images.
fn decode(events: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let changes = runtime.block_on(changes(events));
    let before = cpu();
    let names: usize = changes
        .iter()
        .filter_map(|change| event_store::images(change).expect("readable")?.new.map(|image| image.name.len()))
        .sum();
    told(&format!("of that, images read ({names} bytes of names)"), events, cpu() - before);
}
