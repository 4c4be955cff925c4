//! A refresh costs what came since the last one, and gives what a recompute from nothing gives.

use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::event::Event;
use tidemill_schemas::request::Reason;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::fault::Faults;
use tidemill_tests::generator::Random;
use tidemill_tests::tables::{self, MAP};
use tidemill_tests::world::{World, json};

const DEFINITION: &str = "
insight: visitors
type: standard
from: [visit, order]
metrics:
  actors: count(distinct actor)
  about: approx_count_distinct(actor)
  mean: avg(amount)
  middle: quantile(amount, 0.5)
by: [country]
timezone: Europe/Berlin
";
const DAY: &str = "2026-06-01";
/// Portions of the day, each sealed and refreshed.
const PORTIONS: i64 = 24;

fn portion(at: i64, random: &mut Random) -> String {
    let mut body = String::new();
    for nth in 0..15 {
        let (actor, amount) = (random.below(40), random.below(9_000));
        let (name, country) = (["visit", "order", "other"][nth % 3], ["de", "fr", "pl"][random.below(3) as usize]);
        let minute = 20 * at + nth as i64;
        body.push_str(&format!(
            "{{\"id\":\"{at}-{nth}\",\"name\":\"{name}\",\"actor\":\"u{actor}\",\"time\":\"2026-06-01T{:02}:{:02}:00Z\",\
             \"properties\":{{\"country\":\"{country}\",\"amount\":{}.{:02}}}}}\n",
            minute / 60,
            minute % 60,
            amount / 100,
            amount % 100
        ));
    }
    body
}

fn now(at: i64) -> Timestamp {
    Timestamp::parse("2026-06-01T00:30:00Z").expect("a time").plus_seconds(20 * 60 * at)
}

async fn settle(world: &mut World, random: &mut Random) {
    while world.settle_feed(random).await | world.settle_requests(random).await {}
}

#[tokio::test]
async fn a_refresh_reads_the_new_pages_and_gives_the_bytes_of_a_recompute() {
    let (mut random, day): (Random, Date) = (Random::of(7), DAY.parse().expect("a date"));
    let faults = Faults::none();
    let mut grown = World::with(now(0), 1, faults.clone(), true);
    grown.apply("visitors", DEFINITION).await;
    let mut sent = Vec::new();
    let mut calls = Vec::new();
    for at in 0..PORTIONS {
        grown.ports.clock.set(now(at));
        let body = portion(at, &mut random);
        grown.send(&body).await;
        sent.push(body);
        settle(&mut grown, &mut random).await;
        let before = faults.calls();
        grown.refresh("visitors", day, day).await;
        settle(&mut grown, &mut random).await;
        calls.push(faults.calls() - before);

        let mut anew = World::new(now(at), 1);
        anew.apply("visitors", DEFINITION).await;
        for body in &sent {
            anew.send(body).await;
        }
        settle(&mut anew, &mut random).await;
        anew.request("visitors", Period::Day, (day, day), Reason::Rollup).await;
        settle(&mut anew, &mut random).await;
        let (grown, anew) = (grown.stored("visitors", day, day).await, anew.stored("visitors", day, day).await);
        assert_eq!(grown[&day].0.digest, anew[&day].0.digest, "after portion {at}");
        assert_eq!(grown[&day].1, anew[&day].1, "after portion {at}");
    }
    // The second refresh is the first that starts from a snapshot. A portion may come in a few more pages than another.
    let (early, late) = (calls[1..5].iter().sum::<u64>(), calls[calls.len() - 4..].iter().sum::<u64>());
    assert!(late <= early + 4 * 4, "port calls per refresh: {calls:?}");
}

#[tokio::test]
async fn a_correction_is_in_the_next_refresh() {
    let (mut random, day): (Random, Date) = (Random::of(8), DAY.parse().expect("a date"));
    let mut world = World::new(now(0), 1);
    world.apply("visitors", DEFINITION).await;
    for at in 0..4 {
        world.ports.clock.set(now(at));
        world.send(&portion(at, &mut random)).await;
        settle(&mut world, &mut random).await;
        world.refresh("visitors", day, day).await;
        settle(&mut world, &mut random).await;
    }
    let events = |stored: &std::collections::BTreeMap<Date, _>| -> u64 {
        let (snapshot, _): &(tidemill_aggregator::snapshot_store::Snapshot, Vec<u8>) = &stored[&day];
        snapshot.digest.events
    };
    let before = events(&world.stored("visitors", day, day).await);
    // One of the first portion's visits becomes something the insight does not read.
    world.send("{\"id\":\"0-0\",\"rev\":1,\"name\":\"other\",\"time\":\"2026-06-01T00:00:00Z\"}\n").await;
    settle(&mut world, &mut random).await;
    world.refresh("visitors", day, day).await;
    settle(&mut world, &mut random).await;
    assert_eq!(events(&world.stored("visitors", day, day).await), before - 1);
}

/// No totals count what an import brought. A day that was computed from pages says what of imports it includes; totals
/// that come after it must say as much, or no refresh would ever replace it.
#[tokio::test]
async fn totals_answer_again_after_an_import_of_older_days() {
    let (mut random, day): (Random, Date) = (Random::of(3), DAY.parse().expect("a date"));
    let mut world = World::new(now(0), 1);
    world.apply("visits", "insight: visits\ntype: standard\nfrom: '*'\nmetrics:\n  n: count(*)\n").await;
    let sent = |id: &str| format!("{{\"id\":\"{id}\",\"name\":\"visit\",\"time\":\"2026-06-01T00:10:00Z\"}}\n");
    world.send(&sent("a")).await;
    settle(&mut world, &mut random).await;
    let old = Event {
        id: "old".to_owned(),
        source: "default".to_owned(),
        name: "visit".to_owned(),
        actor: None,
        time: now(0).plus_seconds(-30 * 86_400),
        properties: Default::default(),
        rev: 0,
        deleted: false,
        received: now(0),
    };
    world.import(MAP, &tables::files(&mut random, &[old])).await;
    world.backfill().await;
    settle(&mut world, &mut random).await;
    world.send(&sent("b")).await;
    settle(&mut world, &mut random).await;
    world.refresh("visits", day, day).await;
    settle(&mut world, &mut random).await;
    let told = json(&world.query("visits", "series", "every=day&from=2026-06-01&to=2026-06-02").await);
    assert_eq!(told["rows"][0]["n"], 2, "{told}");
}
