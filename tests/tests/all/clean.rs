//! The clean-up: what nobody needs goes, what somebody may need never does.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::ObjectStore;
use tidemill_aggregator::blob_name::BLOB_KEEP_SECONDS;
use tidemill_aggregator::on_clean::on_clean;
use tidemill_schemas::calendar::{self, Date, LONG_PERIODS, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::snapshot::BlobRange;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::fault::Faults;
use tidemill_tests::generator::{self, Random, line};
use tidemill_tests::world::World;

/// Worlds that are lived through.
const WORLDS: u64 = 6;
/// Identities of a world.
const WORLD_EVENTS: usize = 60;
/// Faults per million calls, before and after their effect each.
const FAULTS_PER_MILLION: u32 = 20_000;

/// The blobs there are, pages left out.
async fn blobs(world: &World) -> BTreeSet<String> {
    let all: Vec<_> = world.ports.blobs.list(None).try_collect().await.expect("memory lists");
    all.into_iter().map(|object| object.location.to_string()).filter(|name| !name.starts_with("pages/")).collect()
}

/// What the current snapshots of insights refer to.
async fn referred(world: &World, insights: &[String], first: Date, last: Date) -> Vec<BlobRange> {
    let mut ranges = Vec::new();
    for insight in insights {
        for period in [Period::Day].into_iter().chain(LONG_PERIODS) {
            // A longer period may have begun before the first event.
            let first = if period.is_day() { first } else { Date::constant(1, 1, 1) };
            // Reading the states of every snapshot fails if one is gone.
            for (snapshot, _) in world.stored_periods(insight, period, first, last).await.into_values() {
                ranges.extend([snapshot.header.detail, snapshot.header.states].into_iter().flatten());
            }
        }
    }
    ranges
}

/// A reader that has read headers and comes for the blobs only now.
struct Slow {
    since: Timestamp,
    ranges: Vec<BlobRange>,
}

impl Slow {
    async fn finish(self, world: &World) {
        for range in self.ranges {
            let path = object_store::path::Path::from(range.object.as_str());
            let end = range.offset + range.bytes;
            let read = world.ports.blobs.get_range_within(&path, range.offset, end).await;
            assert!(read, "{} was taken from under a reader since {}", range.object, self.since);
        }
    }
}

/// Whether a range can be read.
trait Readable {
    async fn get_range_within(&self, path: &object_store::path::Path, from: u64, to: u64) -> bool;
}

impl<S: ObjectStore> Readable for S {
    async fn get_range_within(&self, path: &object_store::path::Path, from: u64, to: u64) -> bool {
        let ranges = self.get_ranges(path, std::slice::from_ref(&(from..to))).await;
        ranges.is_ok_and(|ranges| ranges.iter().map(|bytes| bytes.len() as u64).sum::<u64>() == to - from)
    }
}

#[tokio::test]
async fn what_a_reader_needs_is_never_removed() {
    let mut replaced = 0;
    for seed in 0..WORLDS {
        let mut random = Random::of(seed ^ 0xC1EA);
        let events = generator::World::of(seed, WORLD_EVENTS);
        let (first, last) = (events.first.yesterday().expect("not the first day"), calendar::next(events.last));
        let faults = Faults::new(seed, FAULTS_PER_MILLION, FAULTS_PER_MILLION);
        let mut world = World::with(events.arrivals[0].received, 1, faults, true);
        let mut insights = Vec::new();
        for number in 0..3 {
            let text = generator::definition(seed * 3 + number, events.scene);
            insights.push(format!("i{}", seed * 3 + number));
            world.apply(&insights[insights.len() - 1], &text).await;
        }
        let (mut removed, mut slow) = (0, Vec::new());
        for cut in events.arrivals.chunks(15) {
            world.ports.clock.set(cut[0].received.max(world.now()));
            world.send(&cut.iter().map(|event| line(event) + "\n").collect::<String>()).await;
            world.settle(&mut random).await;
            world.backfill().await;
            world.settle(&mut random).await;
            let ranges = referred(&world, &insights, first, last).await;
            slow.push(Slow { since: world.now(), ranges });
            // As long as a read may take, and no longer.
            let later = world.now().plus_seconds(random.between(1, BLOB_KEEP_SECONDS - 1));
            world.ports.clock.set(later);
            if let Ok(cleaned) = on_clean(&world.context, &Tenant::local()).await {
                removed += cleaned.removed;
            }
            let (in_time, late): (Vec<Slow>, Vec<Slow>) =
                slow.into_iter().partition(|slow| slow.since.plus_seconds(BLOB_KEEP_SECONDS) > world.now());
            drop(late);
            slow = in_time;
            if random.chance(50) {
                for slow in slow.drain(..) {
                    slow.finish(&world).await;
                }
            }
        }
        world.faults.stop();
        world.ports.clock.set(world.now().plus_seconds(2 * BLOB_KEEP_SECONDS));
        removed += on_clean(&world.context, &Tenant::local()).await.expect("nothing fails any more").removed;
        let needed: BTreeSet<String> =
            referred(&world, &insights, first, last).await.into_iter().map(|range| range.object).collect();
        assert_eq!(
            blobs(&world).await,
            needed,
            "seed {seed}: all that is left is needed, and all that is needed is left"
        );
        replaced += u64::from(removed > 0);
        let again = on_clean(&world.context, &Tenant::local()).await.expect("nothing fails any more");
        assert_eq!((again.removed, again.kept), (0, needed.len() as u64));
    }
    // A world whose insights read few of its events may never have a day twice.
    assert!(2 * replaced > WORLDS, "in {replaced} of {WORLDS} worlds something was replaced");
}

#[tokio::test]
async fn a_computation_that_finds_the_same_writes_nothing() {
    let mut world = World::new(Timestamp::parse("2026-03-03T12:00:00Z").expect("a time"), 1);
    world
        .apply("n", "insight: n\nfrom: '*'\nmetrics:\n  n: count(*)\n  people: count(distinct actor)\nby: [name]\n")
        .await;
    world.send(r#"{"id":"a","name":"x","actor":"ann","time":"2026-03-01T00:00:00Z"}"#).await;
    let mut random = Random::of(1);
    world.settle(&mut random).await;
    world.backfill().await;
    world.settle(&mut random).await;
    let before = blobs(&world).await;
    assert!(!before.is_empty());
    for _ in 0..3 {
        world.ports.clock.set(world.now().plus_seconds(60));
        world.backfill().await;
        world.settle(&mut random).await;
    }
    assert_eq!(blobs(&world).await, before);
}
