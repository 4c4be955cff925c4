//! A day of the system: what arms it, what fires when, what is made good, and silence.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::additive::AdditiveCell;
use tidemill_aggregator::definition_store::DefinitionStore;
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::total_store::{TotalStore, TotalsOf};
use tidemill_ports::{Context, Entry, Error, Queue, Schedule};
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::Reason;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::Random;
use tidemill_tests::world::{World, json};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is no time"))
}

fn definition(zone: &str) -> String {
    format!(
        "insight: orders\ntype: standard\nfrom: order\nmetrics:\n  n: count(*)\n  total: sum(amount)\nby: [country]\nrefresh: 5m\ntimezone: {zone}\n"
    )
}

fn order(id: &str, time: &str) -> String {
    format!(r#"{{"id":"{id}","name":"order","time":"{time}","properties":{{"amount":2.5,"country":"IN"}}}}"#)
}

/// Lets time pass from firing to firing.
async fn live_until(world: &mut World, until: &str) {
    world.live_until(at(until), &mut Random::of(7), 0).await;
}

async fn started(now: &str, zone: &str) -> World {
    let world = World::new(at(now), 1);
    world.apply("orders", &definition(zone)).await;
    world
}

async fn day(world: &World, day: &str, next: &str) -> serde_json::Value {
    json(&world.query("orders", "series", &format!("from={day}&to={next}&every=day")).await)
}

fn fired(world: &World, name: &str) -> Vec<Timestamp> {
    let mut times: Vec<_> =
        world.firings.iter().filter(|(fired, _)| fired.ends_with(name)).map(|(_, time)| *time).collect();
    // A firing may be delivered twice.
    times.dedup();
    times
}

#[tokio::test]
async fn the_first_event_arms_and_silence_disarms() {
    let mut world = started("2026-03-01T12:00:00Z", "UTC").await;
    world.compacts = false;
    assert_eq!(world.ports.schedule.list().await, Ok(vec![]), "nothing is armed before the first event");
    world.send(&order("a", "2026-03-01T11:59:00Z")).await;
    world.settle(&mut Random::of(1)).await;
    let armed = world.ports.schedule.list().await.expect("memory lists");
    let names: Vec<_> = armed.iter().filter_map(|entry| entry.name.split('.').nth(1)).collect();
    let rollups = ["rollup-UTC", "rollup-month-UTC", "rollup-quarter-UTC", "rollup-week-UTC", "rollup-year-UTC"];
    assert_eq!(names, [["refresh-5m", "repair"].as_slice(), &rollups, &["upkeep"]].concat());
    let answer = day(&world, "2026-03-01", "2026-03-02").await;
    assert_eq!(answer["rows"][0]["total"].to_string(), "2.5", "the first look comes at once: {answer}");
    live_until(&mut world, "2026-03-01T12:12:00Z").await;
    let expected = [at("2026-03-01T12:05:00Z"), at("2026-03-01T12:10:00Z")];
    assert_eq!(fired(&world, "refresh-5m"), expected);
    live_until(&mut world, "2026-03-01T23:00:00Z").await;
    assert!(fired(&world, "refresh-5m").len() <= 5, "{:?}", fired(&world, "refresh-5m"));
    live_until(&mut world, "2026-03-03T00:00:00Z").await;
    assert_eq!(fired(&world, "rollup-UTC"), [at("2026-03-02T01:00:00Z")]);
    let answer = day(&world, "2026-03-01", "2026-03-02").await;
    assert_eq!(answer["completeness"]["verified"], true, "{answer}");
    let armed = world.ports.schedule.list().await.expect("memory lists");
    assert!(
        armed.iter().all(|entry| entry.name.contains("rollup-")),
        "a quiet spell disarms all that repeats: {armed:?}"
    );
    live_until(&mut world, "2026-04-02T00:00:00Z").await;
    let once =
        [("week", "2026-03-08T01:30:00Z"), ("month", "2026-04-01T02:00:00Z"), ("quarter", "2026-04-01T03:00:00Z")];
    for (period, time) in once {
        assert_eq!(fired(&world, &format!("rollup-{period}-UTC")), [at(time)]);
    }
    let calls = world.faults.calls();
    live_until(&mut world, "2026-05-03T00:00:00Z").await;
    assert_eq!(world.faults.calls(), calls, "an idle month makes no call");
    world.send(&order("b", "2026-05-03T00:00:00Z")).await;
    world.settle(&mut Random::of(2)).await;
    live_until(&mut world, "2026-05-04T02:00:00Z").await;
    assert_eq!(fired(&world, "rollup-UTC").last(), Some(&at("2026-05-04T01:00:00Z")));
    let answer = day(&world, "2026-05-03", "2026-05-04").await;
    assert_eq!(answer["completeness"]["verified"], true, "{answer}");
}

#[tokio::test]
async fn a_local_day_is_rolled_up_an_hour_after_its_end() {
    // The day the clocks go forward, the day they go back, and a plain one.
    let days = [
        ("2026-03-08T18:00:00Z", "2026-03-09T05:00:00Z", "2026-03-08", "2026-03-09"),
        ("2026-11-01T18:00:00Z", "2026-11-02T06:00:00Z", "2026-11-01", "2026-11-02"),
        ("2026-07-01T18:00:00Z", "2026-07-02T05:00:00Z", "2026-07-01", "2026-07-02"),
    ];
    for (now, rollup, date, next) in days {
        let mut world = started(now, "America/New_York").await;
        world.send(&order("a", now)).await;
        world.settle(&mut Random::of(1)).await;
        live_until(&mut world, &format!("{next}T12:00:00Z")).await;
        assert_eq!(fired(&world, "rollup-America.New_York"), [at(rollup)]);
        let answer = day(&world, date, next).await;
        assert_eq!(answer["rows"][0]["n"], 1, "{answer}");
        assert_eq!(answer["completeness"]["verified"], true, "{answer}");
    }
}

#[tokio::test]
async fn rollups_that_were_missed_are_made_good() {
    let mut world = started("2026-03-01T12:00:00Z", "UTC").await;
    world.send(&order("a", "2026-03-01T12:00:00Z")).await;
    live_until(&mut world, "2026-03-01T23:59:00Z").await;
    live_until(&mut world, "2026-03-02T02:00:00Z").await;
    // The dispatcher is down for three days; events come all the same.
    for day in ["2026-03-02", "2026-03-03", "2026-03-04"] {
        let time = format!("{day}T12:00:00Z");
        world.ports.clock.set(at(&time));
        world.send(&order(day, &time)).await;
        world.settle_feed(&mut Random::of(3)).await;
    }
    live_until(&mut world, "2026-03-05T02:00:00Z").await;
    let answer = json(&world.query("orders", "series", "from=2026-03-01&to=2026-03-05&every=day").await);
    assert_eq!(answer["completeness"]["verified"], true, "{answer}");
    let counts: Vec<_> = answer["rows"].as_array().expect("rows").iter().map(|row| row["n"].to_string()).collect();
    assert_eq!(counts, ["1", "1", "1", "1"]);
}

#[tokio::test]
async fn a_wrong_running_total_is_found_and_healed() {
    let mut world = started("2026-03-01T12:00:00Z", "UTC").await;
    world.compacts = false;
    world.send(&order("a", "2026-03-01T12:00:00Z")).await;
    world.settle(&mut Random::of(1)).await;
    let context = world.ports.context();
    let tenant = Tenant::local();
    let held = DefinitionStore::new(&context).get(&tenant, "orders").await.expect("readable").expect("applied");
    let of = TotalsOf { tenant: &tenant, insight: "orders", fingerprint: &held.applied.fingerprint };
    let store = TotalStore::new(&context);
    let date = "2026-03-01".parse().expect("a date");
    let mut wrong = store.day(&of, date).await.expect("readable");
    for cell in wrong.iter_mut().flat_map(|held| held.chunk.cells.values_mut()) {
        *cell = AdditiveCell::zero(&Plan::new(&held.applied.definition));
    }
    assert!(store.put_each(wrong).await.expect("writable").iter().all(Result::is_ok));
    live_until(&mut world, "2026-03-02T02:00:00Z").await;
    let explained = json(&world.query("orders", "explain", "").await);
    assert_eq!(explained["drift"], 1, "{explained}");
    let answer = day(&world, "2026-03-01", "2026-03-02").await;
    assert_eq!(answer["rows"][0]["total"].to_string(), "2.5", "the pages are right: {answer}");
    world.backfill().await;
    world.settle(&mut Random::of(2)).await;
    let answer = day(&world, "2026-03-01", "2026-03-02").await;
    assert_eq!(answer["completeness"]["verified"], true, "healed: {answer}");
    let explained = json(&world.query("orders", "explain", "").await);
    assert_eq!(explained["drift"], 1, "counted once: {explained}");
}

#[tokio::test]
async fn the_day_that_the_last_refreshes_began_is_closed_too() {
    let mut world = started("2026-03-01T23:50:00Z", "UTC").await;
    world.send(&order("a", "2026-03-01T23:49:00Z")).await;
    live_until(&mut world, "2026-03-02T00:30:00Z").await;
    let answer = day(&world, "2026-03-02", "2026-03-03").await;
    assert_eq!(answer["completeness"]["verified"], false, "a refresh has begun it: {answer}");
    live_until(&mut world, "2026-03-04T00:00:00Z").await;
    let answer = day(&world, "2026-03-02", "2026-03-03").await;
    assert_eq!(answer["completeness"]["verified"], true, "{answer}");
    assert_eq!(answer["completeness"]["complete_through"], "2026-03-03T00:00:00Z", "{answer}");
}

#[tokio::test]
async fn a_refresh_that_comes_after_its_day_is_over_takes_nothing_back() {
    let mut world = started("2026-03-01T12:00:00Z", "UTC").await;
    world.send(&order("a", "2026-03-01T11:59:00Z")).await;
    live_until(&mut world, "2026-03-02T03:00:00Z").await;
    let closed = day(&world, "2026-03-01", "2026-03-02").await;
    assert_eq!(closed["completeness"]["verified"], true, "{closed}");
    // The totals have seen more than the pages had when the day was closed.
    world.send(&order("b", "2026-03-02T02:59:00Z")).await;
    world.settle_feed(&mut Random::of(1)).await;
    let first: Date = "2026-03-01".parse().expect("a date");
    world.refresh("orders", first, first).await;
    world.settle_requests(&mut Random::of(2)).await;
    assert_eq!(day(&world, "2026-03-01", "2026-03-02").await["completeness"], closed["completeness"]);
}

/// Notes that events came, as whoever counts them does.
async fn touch(context: &Context) {
    let definitions = DefinitionStore::new(context).list(&Tenant::local()).await.expect("readable");
    ActivityStore::new(context).touch(&Tenant::local(), &definitions).await.expect("noted");
}

async fn is_scheduled(world: &World, name: &str) -> bool {
    world.ports.schedule.list().await.expect("memory lists").iter().any(|entry| entry.name == name)
}

/// A schedule in which events come just before an entry is removed.
struct Interrupted {
    context: Context,
}

#[async_trait]
impl Schedule for Interrupted {
    async fn put(&self, entry: Entry) -> Result<(), Error> {
        self.context.schedule.put(entry).await
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        touch(&self.context).await;
        self.context.schedule.remove(name).await
    }

    async fn list(&self) -> Result<Vec<Entry>, Error> {
        self.context.schedule.list().await
    }
}

#[tokio::test]
async fn events_that_come_while_a_schedule_is_removed_have_it_put_again() {
    let mut world = started("2026-03-01T12:00:00Z", "UTC").await;
    world.send(&order("a", "2026-03-01T11:59:00Z")).await;
    world.settle(&mut Random::of(1)).await;
    for name in ["main.refresh-5m", "main.repair", "main.rollup-UTC"] {
        // Silence.
        world.ports.clock.advance(3_600);
        let context = world.ports.context();
        let interrupted = Context { schedule: Arc::new(Interrupted { context: context.clone() }), ..context };
        ActivityStore::new(&interrupted).disarm_if_quiet(&Tenant::local(), name).await.expect("disarmed or not");
        assert!(is_scheduled(&world, name).await, "{name} is gone although events came");
    }
}

#[tokio::test]
async fn arming_again_leaves_a_rollup_that_is_under_way_a_successor() {
    let mut world = started("2026-03-01T12:00:00Z", "UTC").await;
    world.send(&order("a", "2026-03-01T11:59:00Z")).await;
    world.settle(&mut Random::of(1)).await;
    world.ports.clock.set(at("2026-03-02T01:00:10Z"));
    let due = world.ports.schedule.due(at("2026-03-02T01:00:10Z"));
    let under_way = due.into_iter().find(|(entry, _)| entry.name == "main.rollup-UTC");
    let (_, scheduled) = under_way.expect("the rollup is due");
    // It is under way when events end the silence; then it ends.
    touch(&world.ports.context()).await;
    world.ports.schedule.done("main.rollup-UTC", scheduled);
    assert!(is_scheduled(&world, "main.rollup-UTC").await, "nothing will close the next day");
}

#[tokio::test]
async fn a_rollup_lets_an_edited_definition_answer_that_nothing_else_would() {
    let mut world = started("2026-03-01T12:00:00Z", "UTC").await;
    world.send(&order("a", "2026-03-01T11:59:00Z")).await;
    live_until(&mut world, "2026-03-04T00:00:00Z").await;
    let old = day(&world, "2026-03-01", "2026-03-02").await["fingerprint"].clone();
    world.apply("orders", &definition("UTC").replace("by: [country]", "where: amount > 1")).await;
    // Its backfill is given up before it did anything.
    let listed = json(&world.must("GET", "/v1/backfills", "").await);
    let id = listed["backfills"][0]["id"].as_str().expect("an edit has one").to_owned();
    world.must("DELETE", &format!("/v1/backfills/{id}"), "").await;
    let units = world.ports.requests.receive(10, 1).await.expect("memory receives");
    world.ports.requests.delete(units.into_iter().map(|unit| unit.receipt).collect()).await.expect("memory deletes");
    assert_eq!(day(&world, "2026-03-01", "2026-03-02").await["fingerprint"], old);
    let first: Date = "2026-03-01".parse().expect("a date");
    world.request("orders", Period::Day, (first, first), Reason::Rollup).await;
    world.settle_requests(&mut Random::of(3)).await;
    assert_ne!(day(&world, "2026-03-01", "2026-03-02").await["fingerprint"], old);
}
