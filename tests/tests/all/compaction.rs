//! Compaction: fewer, sorted pages; nothing that anyone is told changes, whatever comes before, between or after.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use futures::TryStreamExt;
use object_store::ObjectStore;
use tidemill_aggregator::dispatch::upkeep_entry_name;
use tidemill_ingest::compaction::{COMPACT_AFTER_SECONDS, COMPACT_PAGES_MIN, COMPACTED, REPLACED_KEEP_SECONDS};
use tidemill_ingest::on_compact::{Verdict, remove_replaced, rewrite};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;
use tidemill_tests::generator::{Random, line};
use tidemill_tests::tables::{self, MAP};
use tidemill_tests::world::{World, json};

const SHOP: &str = "shop";
const INSIGHT: &str = "insight: revenue\nfrom: order_completed\nmetrics:\n  orders: count(*)\n  revenue: sum(amount)\n  buyers: count(distinct actor)\nby: [country]\n";

fn now() -> Timestamp {
    Timestamp::parse("2026-08-20T12:00:00Z").expect("a time")
}

fn day() -> Date {
    "2026-08-19".parse().expect("a date")
}

fn event(number: i64, rev: u64) -> Event {
    let time = now().plus_seconds(-24 * 3_600 + (number * 7_919).rem_euclid(7_200));
    Event {
        id: format!("e{number}"),
        source: SHOP.to_owned(),
        name: "order_completed".to_owned(),
        actor: Some(format!("u-{}", number % 5)),
        time,
        properties: BTreeMap::from([
            ("amount".to_owned(), Value::Number((number + 1_000 * rev as i64).into())),
            ("country".to_owned(), Value::Text(["IN", "FR"][number.rem_euclid(2) as usize].to_owned())),
        ]),
        rev,
        deleted: false,
        received: now(),
    }
}

fn withdrawn(number: i64, rev: u64) -> Event {
    Event { deleted: true, properties: BTreeMap::new(), ..event(number, rev) }
}

async fn send(world: &mut World, events: &[Event]) {
    world.send(&events.iter().map(|event| line(event) + "\n").collect::<String>()).await;
    world.settle_feed(&mut Random::of(1)).await;
}

/// A world whose day has sent, imported, corrected and withdrawn events.
async fn world() -> World {
    let mut world = World::new(now(), 2);
    world.apply("revenue", INSIGHT).await;
    send(&mut world, &(0..20).map(|number| event(number, 0)).collect::<Vec<_>>()).await;
    let imported: Vec<Event> = (100..120).map(|number| event(number, 0)).collect();
    world.import(MAP, &tables::files(&mut Random::of(7), &imported)).await;
    send(&mut world, &[event(3, 2), withdrawn(4, 1), event(101, 1)]).await;
    compute(&mut world).await;
    world
}

async fn compute(world: &mut World) {
    world.backfill().await;
    let mut random = Random::of(1);
    while world.settle_feed(&mut random).await
        || world.settle_firings(&mut random).await
        || world.settle_requests(&mut random).await
    {}
}

/// The live events, and the day's answer.
async fn told(world: &World) -> (String, String) {
    let body = world.query("revenue", "series", "from=2026-08-19&to=2026-08-20&every=day&by=*").await;
    (world.must("GET", "/v1/events", "").await, json(&body)["rows"].to_string())
}

async fn compact(world: &World) -> Verdict {
    rewrite(&world.context, &Tenant::local(), SHOP, day(), 0).await.expect("nothing fails")
}

async fn remove(world: &World) -> u64 {
    world.ports.clock.set(world.now().plus_micros(1));
    remove_replaced(&world.context, &Tenant::local(), 0).await.expect("nothing fails").removed
}

/// The objects of the day.
async fn objects(world: &World) -> BTreeSet<String> {
    let all: Vec<_> = world.ports.blobs.list(None).try_collect().await.expect("memory lists");
    let all = all.into_iter().map(|object| object.location.to_string());
    all.filter(|name| name.contains(&format!("dt={}", day()))).collect()
}

#[tokio::test]
async fn rows_that_stand_are_put_together_and_nothing_is_computed_again() {
    let mut world = world().await;
    let (before, stored) = (told(&world).await, world.stored("revenue", day(), day()).await);
    let sealed = objects(&world).await;
    let Verdict::Done(done) = compact(&world).await else { panic!("it was left") };
    assert_eq!((done.rows_before, done.rows, done.pages), (43, 39, 1), "{done:?}");
    assert_eq!(done.pages_before, sealed.len() as u64);
    assert!(matches!(compact(&world).await, Verdict::Left("TM0152", _)), "there is nothing new");
    assert_eq!(remove(&world).await, sealed.len() as u64);
    assert_eq!(objects(&world).await.len(), 1);
    assert_eq!(told(&world).await, before);
    world
        .request(
            "revenue",
            tidemill_schemas::calendar::Period::Day,
            (day(), day()),
            tidemill_schemas::request::Reason::Refresh,
        )
        .await;
    compute(&mut world).await;
    let again = world.stored("revenue", day(), day()).await;
    assert_eq!(again.keys().collect::<Vec<_>>(), stored.keys().collect::<Vec<_>>());
    assert_eq!(again[&day()].0.header, stored[&day()].0.header, "the snapshot is the one it was");
    // From nothing, over the compacted page.
    world.lose("revenue", tidemill_schemas::calendar::Period::Day, &[day()]).await;
    compute(&mut world).await;
    let again = world.stored("revenue", day(), day()).await;
    assert_eq!((&again[&day()].1, &again[&day()].0.digest), (&stored[&day()].1, &stored[&day()].0.digest));
    assert_eq!(again[&day()].0.header.pages, stored[&day()].0.header.pages);
    assert_eq!(told(&world).await, before);
}

#[tokio::test]
async fn what_comes_later_supersedes_what_was_compacted() {
    let mut changes: Vec<Vec<Event>> = vec![
        vec![event(1, 3), event(2, 1), withdrawn(5, 7)],
        // A second revision of what was compacted as a correction; an import corrected for the first time.
        vec![event(3, 5), event(105, 4), withdrawn(106, 2)],
        // Withdrawn before, and back; moved to the day after.
        vec![event(4, 9), Event { time: now().plus_seconds(-3_600), ..event(6, 1) }],
        (200..210).map(|number| event(number, 0)).collect(),
    ];
    let mut plain = world().await;
    let mut compacted = world().await;
    for (nth, change) in changes.drain(..).enumerate() {
        compact(&compacted).await;
        if nth % 2 == 1 {
            remove(&compacted).await;
        }
        send(&mut plain, &change).await;
        send(&mut compacted, &change).await;
        // Imported again: all of it is there, whatever lies in which page.
        let again: Vec<Event> = (100..120).map(|number| event(number, 0)).collect();
        let receipt = compacted.import(MAP, &tables::files(&mut Random::of(7), &again)).await;
        assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&0.into(), &20.into()), "{receipt}");
        compute(&mut plain).await;
        compute(&mut compacted).await;
        assert_eq!(told(&compacted).await, told(&plain).await, "change {nth}");
    }
    assert!(matches!(compact(&compacted).await, Verdict::Done(_)));
    remove(&compacted).await;
    assert_eq!(told(&compacted).await, told(&plain).await);
}

/// Stopped for good at its nth port call, before or after the effect: readers see the day as it was or as it is to be,
/// which is the same; the next one comes through, and nothing is left over.
#[tokio::test]
async fn a_compaction_that_dies_anywhere_changes_nothing() {
    let before = told(&world().await).await;
    for nth in 0.. {
        let mut survived = false;
        for after in [false, true] {
            let world = world().await;
            world.faults.die_at(nth, after);
            survived |= rewrite(&world.context, &Tenant::local(), SHOP, day(), 0).await.is_ok();
            world.faults.live_again();
            assert_eq!(told(&world).await, before, "call {nth}, after its effect: {after}");
            world.ports.clock.set(world.now().plus_seconds(60));
            compact(&world).await;
            world.faults.die_at(nth, after);
            world.ports.clock.set(world.now().plus_seconds(60));
            survived &= remove_replaced(&world.context, &Tenant::local(), 0).await.is_ok();
            world.faults.live_again();
            assert_eq!(told(&world).await, before, "removing, call {nth}, after its effect: {after}");
            remove(&world).await;
            assert_eq!(objects(&world).await.len(), 1, "call {nth}, after its effect: {after}");
            assert_eq!(told(&world).await, before, "call {nth}, after its effect: {after}");
        }
        if survived && nth > 8 {
            return;
        }
        assert!(nth < 500, "it never gets through");
    }
}

/// Two at once, and one that sleeps for longer than replaced objects are kept.
#[tokio::test]
async fn of_several_compactions_one_comes_through() {
    let mut world = world().await;
    let before = told(&world).await;
    let (one, other) = tokio::join!(compact(&world), compact(&world));
    let done = [&one, &other].into_iter().filter(|verdict| matches!(verdict, Verdict::Done(_))).count();
    assert!(done >= 1, "{one:?} {other:?}");
    remove(&world).await;
    assert_eq!((told(&world).await, objects(&world).await.len()), (before, 1));
    send(&mut world, &[event(300, 0)]).await;
    compute(&mut world).await;
    let before = told(&world).await;
    let tenant = Tenant::local();
    for _ in 0..3 {
        let (removed, verdict) =
            tokio::join!(remove_replaced(&world.context, &tenant, 0), rewrite(&world.context, &tenant, SHOP, day(), 0));
        assert!(removed.is_ok() && verdict.is_ok(), "{removed:?} {verdict:?}");
        world.ports.clock.set(world.now().plus_micros(1));
        assert_eq!(told(&world).await, before);
    }
}

#[tokio::test]
async fn a_day_is_compacted_by_itself_once_it_is_over_and_then_left_alone() {
    let mut world = World::new(now(), 1);
    world.compacts = false;
    world.apply("revenue", INSIGHT).await;
    let mut random = Random::of(3);
    for number in 0..COMPACT_PAGES_MIN as i64 {
        let late = Event { time: world.now(), ..event(number, 0) };
        send(&mut world, &[late]).await;
        world.ports.clock.set(world.now().plus_seconds(60));
    }
    let today = Timestamp::parse("2026-08-21T00:00:00Z").expect("a time");
    let compacted = |objects: &BTreeSet<String>| objects.iter().filter(|name| name.contains(COMPACTED)).count();
    let objects = async |world: &World| -> BTreeSet<String> {
        let all: Vec<_> = world.ports.blobs.list(None).try_collect().await.expect("memory lists");
        let all = all.into_iter().map(|object| object.location.to_string());
        all.filter(|name| name.contains("dt=2026-08-20")).collect()
    };
    world.live_until(today.plus_seconds(COMPACT_AFTER_SECONDS - 1), &mut Random::of(0), 0).await;
    let (_, answer) = world.call("POST", "/v1/compact?source=shop&day=2026-08-21", None, "").await;
    assert_eq!(json(&answer)["left"]["code"], "TM0150", "{answer}");
    world.live_until(today.plus_seconds(COMPACT_AFTER_SECONDS + 3_601), &mut random, 0).await;
    let held = objects(&world).await;
    assert!(compacted(&held) >= 1 && held.len() > COMPACT_PAGES_MIN as usize, "{held:?}");
    let before = world.must("GET", "/v1/events", "").await;
    world.live_until(world.now().plus_seconds(REPLACED_KEEP_SECONDS + 3_601), &mut random, 0).await;
    let held = objects(&world).await;
    assert_eq!((compacted(&held), held.len()), (1, 1), "{held:?}");
    assert_eq!(world.must("GET", "/v1/events", "").await, before);
    let entries = world.context.schedule.list().await.expect("memory lists");
    let name = upkeep_entry_name(&Tenant::local());
    assert!(entries.iter().all(|entry| entry.name != name), "nothing is left to do");
    let fired = |world: &World| world.firings.iter().filter(|(fired, _)| *fired == name).count();
    let before = fired(&world);
    world.live_until(world.now().plus_seconds(10 * 86_400), &mut random, 0).await;
    assert_eq!(fired(&world), before, "an idle tenant's pages are left alone");
}

#[tokio::test]
async fn a_day_is_compacted_on_demand() {
    let world = world().await;
    let path = format!("/v1/compact?source=shop&day={}", day());
    assert_eq!(json(&world.must("POST", &path, "").await)["left"]["code"], "TM0154");
    let answer = json(&world.must("POST", &format!("{path}&all=true"), "").await);
    assert_eq!((&answer["compacted"]["rows"], &answer["compacted"]["pages"]), (&39.into(), &1.into()), "{answer}");
    let (status, answer) = world.call("POST", "/v1/compact?source=shop&day=yesterday", None, "").await;
    assert_eq!((status, json(&answer)["code"].as_str()), (StatusCode::BAD_REQUEST, Some("TM0306")), "{answer}");
    let sql = json(&world.must("GET", "/v1/sql", "").await)["sql"].to_string();
    assert!(sql.contains(COMPACTED) && !sql.contains("shard"), "views name the pages there are: {sql}");
}
