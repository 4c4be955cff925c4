//! Backfills in the whole system: interrupted anywhere, beside live events, and computing an edited definition aside.

use std::sync::Arc;

use tidemill_rollups::backfill_store::BackfillStore;
use tidemill_rollups::wave::{State, Wave};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::definition::{Definition, parse};
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::value::Value;
use tidemill_tests::fault::Faults;
use tidemill_tests::generator::{Random, line};
use tidemill_tests::oracle::{Question, answer, compare};
use tidemill_tests::world::{World, json};

const NOW: &str = "2026-03-10T12:00:00Z";
const FIRST: &str = "2025-11-20";
const LAST: &str = "2026-03-10";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is no time"))
}

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

fn day_before(day: &str) -> String {
    date(day).yesterday().expect("not the first day there is").to_string()
}

const SUMS: &str =
    "insight: orders\ntype: standard\nfrom: order\nmetrics:\n  n: count(*)\n  total: sum(amount)\nby: [country]\n";
const BUYERS: &str = "insight: buyers\ntype: standard\nfrom: order\nmetrics:\n  buyers: count(distinct actor)\n  middle: quantile(amount, 0.5)\ntimezone: Asia/Kolkata\n";
/// Another meaning for `orders`.
const EDITED: &str = "insight: orders\ntype: standard\nfrom: order\nwhere: country != 'IN'\nmetrics:\n  n: count(*)\n  total: sum(amount)\n  buyers: count(distinct actor)\nby: [country]\n";
/// And another one.
const OTHER: &str = "insight: orders\ntype: standard\nfrom: order\nmetrics:\n  n: count(*)\n  top: max(amount)\n";

fn event(random: &mut Random, at: usize, time: Timestamp, received: Timestamp) -> Event {
    let amount = Decimal::parse(&format!("{}.{:02}", random.below(90), random.below(100))).expect("it fits");
    let country = Value::Text(random.pick(&["IN", "IN", "DE", "BR"]).to_owned());
    Event {
        id: format!("o{at}"),
        source: "shop".to_owned(),
        name: random.pick(&["order", "order", "order", "view"]).to_owned(),
        actor: Some(format!("a{}", random.below(9))),
        time,
        properties: [("amount".to_owned(), Value::Number(amount)), ("country".to_owned(), country)].into(),
        rev: 0,
        deleted: false,
        received,
    }
}

/// Events over the whole history.
fn history(random: &mut Random, count: usize) -> Vec<Event> {
    let (first, last) = (at(&format!("{FIRST}T00:00:00Z")).micros(), at(NOW).micros());
    let mut one = |number| {
        let time = Timestamp::from_micros(random.between(first, last));
        event(random, number, time, at(NOW))
    };
    (0..count).map(&mut one).collect()
}

fn ndjson(events: &[Event]) -> String {
    events.iter().map(|event| line(event) + "\n").collect()
}

/// A world with history in its pages, and nothing computed.
async fn filled(events: &[Event], faults: Arc<Faults>) -> World {
    let mut world = World::with(at(NOW), 1, faults, true);
    world.send(&ndjson(events)).await;
    world.settle(&mut Random::of(1)).await;
    world.apply("orders", SUMS).await;
    world.apply("buyers", BUYERS).await;
    world
}

/// Everything a reader can see of the history, and the stored bytes behind it.
async fn seen(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    let to = date(LAST).tomorrow().expect("not the last day there is");
    for (insight, by) in [("orders", "&by=*"), ("buyers", "")] {
        for every in ["day", "week", "month"] {
            let parameters = format!("from={FIRST}&to={to}&every={every}{by}");
            let body = world.query(insight, if by.is_empty() { "series" } else { "breakdown" }, &parameters).await;
            // How far a running day goes depends on when it was looked at; its numbers do not.
            all.push(body.split("\"completeness\"").next().unwrap_or_default().to_owned());
        }
        for (date, (snapshot, states)) in world.stored(insight, date(&day_before(FIRST)), date(LAST)).await {
            // A day all events have left has a snapshot of nothing, or none.
            if snapshot.digest.events > 0 {
                all.push(format!("{insight} {date} {:?} {states:?}", snapshot.digest));
            }
        }
    }
    all
}

fn assert_same(left: &[String], right: &[String], told: &str) {
    let different = left.iter().zip(right).find(|(left, right)| left != right);
    if let Some((left, right)) = different {
        panic!("{told}:\n{left}\n{right}");
    }
    assert_eq!(left.len(), right.len(), "{told}");
}

async fn latest(world: &World) -> Wave {
    let context = world.ports.context();
    let store = BackfillStore::new(&context);
    let backfill = store.latest(&Tenant::local(), 1).await.expect("readable").remove(0);
    store.wave(&Tenant::local(), &backfill.id).await.expect("readable").expect("it began").0
}

async fn begin(world: &World, budget: u32) {
    world.must("POST", "/v1/backfills", &format!("{{\"budget\":{budget}}}")).await;
}

#[tokio::test]
async fn a_backfill_ends_in_units_within_its_budget() {
    let events = history(&mut Random::of(5), 90);
    let mut world = filled(&events, Faults::none()).await;
    begin(&world, 2).await;
    assert_eq!(latest(&world).await.leases.len(), 2, "it begins at once");
    world.settle(&mut Random::of(2)).await;
    let wave = latest(&world).await;
    assert_eq!((wave.state, wave.high_water), (State::Done, 2), "{wave:?}");
    let list = json(&world.must("GET", "/v1/backfills", "").await);
    let id = list["backfills"][0]["id"].as_str().expect("an id").to_owned();
    let status = json(&world.must("GET", &format!("/v1/backfills/{id}"), "").await);
    assert_eq!(status["state"], "done", "{status}");
    assert_eq!(status["days_done"], status["days_total"], "{status}");
    assert_eq!(status["months"].as_array().map(Vec::len), Some(5), "{status}");
    for insight in ["orders", "buyers"] {
        let text = if insight == "orders" { SUMS } else { BUYERS };
        let definition = &parse("any.yaml", text).expect("valid")[0].definition;
        check(&world, definition, &events).await;
    }
}

/// The days of a definition's insight, as the oracle has them.
async fn check(world: &World, definition: &Definition, events: &[Event]) {
    let to = date(LAST).tomorrow().expect("not the last day there is");
    let body = world.query(&definition.name, "series", &format!("from={FIRST}&to={to}&every=day")).await;
    let told = differences(definition, events, &body);
    assert!(told.is_empty(), "{}\n{body}", told.join("\n"));
}

fn differences(definition: &Definition, events: &[Event], body: &str) -> Vec<String> {
    let every = Some(tidemill_schemas::calendar::Period::Day);
    let question =
        Question { first: date(FIRST), last: date(LAST), every, by: Vec::new(), top: definition.top as usize };
    let expected = answer(definition, events, &question).expect("it adds up");
    compare::differences(definition, &expected, body)
}

/// Runs a backfill in which the `call`th port call fails once; how many calls there were.
async fn interrupted(events: &[Event], fails: Option<(u64, bool)>) -> (World, u64) {
    let mut world = filled(events, Faults::none()).await;
    let before = world.faults.calls();
    if let Some((call, is_after)) = fails {
        world.faults.fail_once(call, is_after);
    }
    begin(&world, 2).await;
    let mut random = Random::of(3);
    world.settle(&mut random).await;
    // What got lost is found again at the end of its lease, if not before.
    world.ports.clock.advance(31 * 60);
    world.settle(&mut random).await;
    world.ports.clock.set(at(NOW));
    let calls = world.faults.calls() - before;
    (world, calls)
}

#[tokio::test]
async fn interrupted_at_any_port_call_it_ends_with_the_same_bytes() {
    let events = history(&mut Random::of(6), 40);
    let (straight, calls) = interrupted(&events, None).await;
    let wanted = seen(&straight).await;
    // All of them on request; in a plain run every so many, another set for before than for after.
    let step = std::env::var("TIDEMILL_CRASHES").map_or(23, |_| 1);
    for is_after in [false, true] {
        for call in (1 + u64::from(is_after) * (step / 2)..=calls).step_by(step as usize) {
            let (world, _) = interrupted(&events, Some((call, is_after))).await;
            let wave = latest(&world).await;
            assert_eq!(wave.state, State::Done, "call {call} of {calls}, after its effect: {is_after}: {wave:?}");
            assert!(wave.high_water <= 2, "{wave:?}");
            assert_same(&seen(&world).await, &wanted, &format!("call {call} of {calls}, after its effect: {is_after}"));
        }
    }
}

#[tokio::test]
async fn events_that_come_meanwhile_are_counted_once() {
    for seed in 0..4 {
        let mut random = Random::of(seed);
        let events = history(&mut random, 120);
        let (early, late) = events.split_at(60);
        let correct = |event: &Event| Event { rev: 1, deleted: random_of(seed, event).chance(40), ..event.clone() };
        let corrections: Vec<Event> = early.iter().step_by(3).map(correct).collect();
        let mut live = filled(early, Faults::new(seed, 3_000, 3_000)).await;
        begin(&live, 1).await;
        let mut pending: Vec<Event> = [late, &corrections].concat();
        random.shuffle(&mut pending);
        while !pending.is_empty() {
            let cut: Vec<Event> = pending.drain(..pending.len().min(7)).collect();
            live.send(&ndjson(&cut)).await;
            if random.chance(70) {
                live.settle_feed(&mut random).await;
            }
            live.settle_requests(&mut random).await;
        }
        finish(&mut live, &mut random).await;
        let mut after = filled(&[early, late, &corrections].concat(), Faults::none()).await;
        begin(&after, 4).await;
        finish(&mut after, &mut Random::of(9)).await;
        assert_same(&seen(&live).await, &seen(&after).await, &format!("seed {seed}"));
    }
}

fn random_of(seed: u64, event: &Event) -> Random {
    Random::of(seed ^ event.time.micros().unsigned_abs())
}

/// Lets everything settle, the looks at changed days included.
async fn finish(world: &mut World, random: &mut Random) {
    world.faults.stop();
    for _ in 0..3 {
        world.settle(random).await;
        world.ports.clock.advance(31 * 60);
    }
    world.settle(random).await;
    world.ports.clock.set(at(NOW).plus_micros(2 * 3_600 * MICROS_PER_SECOND));
}

#[tokio::test]
async fn cancelled_it_leases_nothing_new_and_goes_on_when_resumed() {
    let mut world = filled(&history(&mut Random::of(7), 60), Faults::none()).await;
    begin(&world, 1).await;
    let id =
        json(&world.must("GET", "/v1/backfills", "").await)["backfills"][0]["id"].as_str().expect("an id").to_owned();
    let status = json(&world.must("DELETE", &format!("/v1/backfills/{id}"), "").await);
    assert_eq!(status["state"], "cancelled", "{status}");
    world.settle(&mut Random::of(1)).await;
    let wave = latest(&world).await;
    assert_eq!((wave.state, wave.next, wave.leases.len()), (State::Cancelled, 1, 0), "what was in flight has ended");
    world.must("POST", &format!("/v1/backfills/{id}/resume?budget=3"), "").await;
    world.settle(&mut Random::of(1)).await;
    let wave = latest(&world).await;
    assert_eq!((wave.state, wave.budget, wave.high_water), (State::Done, 3, 3), "{wave:?}");
}

#[tokio::test]
async fn a_dry_run_computes_and_keeps_nothing() {
    let world = filled(&history(&mut Random::of(8), 60), Faults::none()).await;
    let planned = json(&world.must("POST", "/v1/backfills", r#"{"dry_run":true,"budget":2}"#).await);
    assert_eq!(planned["estimate"]["rehearsed"]["insights"], 2, "{planned}");
    assert!(planned["estimate"]["aws_dollars"]["total"].as_f64().is_some_and(|dollars| dollars > 0.0), "{planned}");
    assert_eq!(planned["id"], serde_json::Value::Null);
    assert!(world.stored("orders", date(FIRST), date(LAST)).await.is_empty());
    assert_eq!(json(&world.must("GET", "/v1/backfills", "").await)["backfills"], serde_json::json!([]));
    let (status, body) = world.call("POST", "/v1/backfills", None, r#"{"budget":65}"#).await;
    assert_eq!(status, 400, "{body}");
}

/// Whether an answer's numbers stand at all the events there are.
fn is_settled(body: &serde_json::Value) -> bool {
    let reasons = body["completeness"]["reasons"].as_array().cloned().unwrap_or_default();
    let is_waiting = |reason: &serde_json::Value| reason.as_str().is_some_and(|text| text.contains("about to be"));
    body["completeness"]["partial"] == false && !reasons.iter().any(is_waiting)
}

/// An insight that is edited while events stream in: which definition answered how often.
async fn edited(seed: u64, faults: Arc<Faults>) -> [usize; 2] {
    let definitions = [SUMS, EDITED].map(|text| parse("any.yaml", text).expect("valid").remove(0).definition);
    let prints = definitions.each_ref().map(tidemill_schemas::fingerprint::fingerprint);
    let mut random = Random::of(seed);
    let events = history(&mut random, 200);
    let (early, streaming) = events.split_at(80);
    let mut world = filled(early, Arc::clone(&faults)).await;
    begin(&world, 4).await;
    world.settle(&mut random).await;
    let mut sent = early.to_vec();
    let mut answers = [0; 2];
    for (round, cut) in streaming.chunks(8).enumerate() {
        world.ports.clock.advance(61);
        if round == 2 {
            world.apply("orders", EDITED).await;
        }
        let received = world.now();
        let cut: Vec<Event> = cut.iter().map(|event| Event { received, ..event.clone() }).collect();
        world.send(&ndjson(&cut)).await;
        sent.extend(cut);
        world.settle_feed(&mut random).await;
        world.settle_firings(&mut random).await;
        world.settle_requests(&mut random).await;
        let to = date(LAST).tomorrow().expect("not the last day there is");
        let body = world.query("orders", "series", &format!("from={FIRST}&to={to}&every=day")).await;
        let told = json(&body);
        let which = prints.iter().position(|print| told["fingerprint"] == print.as_str()).expect("one of the two");
        assert!(round >= 2 || which == 0, "seed {seed} round {round}: {body}");
        assert!(which >= usize::from(answers[1] > 0), "seed {seed} round {round}: it went back: {body}");
        if is_settled(&told) {
            let differences = differences(&definitions[which], &sent, &body);
            assert!(differences.is_empty(), "seed {seed} round {round}: {}\n{body}", differences.join("\n"));
            answers[which] += 1;
        }
        let is_behind = told["completeness"]["reasons"].to_string().contains("a new definition is catching up");
        assert_eq!(is_behind, which == 0 && round >= 2, "seed {seed} round {round}: {body}");
    }
    world.faults.stop();
    for _ in 0..3 {
        world.settle(&mut random).await;
        world.ports.clock.advance(31 * 60);
    }
    world.settle(&mut random).await;
    let to = date(LAST).tomorrow().expect("not the last day there is");
    let parameters = format!("from={FIRST}&to={to}&every=day");
    let body = world.query("orders", "series", &parameters).await;
    assert_eq!(json(&body)["fingerprint"], prints[1].as_str(), "seed {seed}: the edited one answers at last: {body}");
    let told = differences(&definitions[1], &sent, &body);
    assert!(told.is_empty(), "seed {seed}: {}\n{body}", told.join("\n"));
    let old = json(&world.query("orders", "series", &format!("{parameters}&fingerprint={}", prints[0])).await);
    assert_eq!(old["fingerprint"], prints[0].as_str(), "the old one stays readable: {old}");
    answers
}

#[tokio::test]
async fn reads_never_mix_two_definitions() {
    let mut answers = [0; 2];
    for seed in 0..3 {
        let [old, new] = edited(seed, Faults::none()).await;
        answers = [answers[0] + old, answers[1] + new];
    }
    assert!(answers.iter().all(|count| *count > 5), "both have answered: {answers:?}");
    for seed in 3..8 {
        edited(seed, Faults::new(seed, 4_000, 4_000)).await;
    }
}

#[tokio::test]
async fn an_edit_can_be_edited_again_or_taken_back() {
    let mut world = filled(&history(&mut Random::of(4), 90), Faults::none()).await;
    begin(&world, 4).await;
    world.settle(&mut Random::of(1)).await;
    let shown = |body: String| json(&body)["catching_up"].clone();
    let first = world.apply("orders", EDITED).await;
    assert!(first["catching_up"].is_string(), "{first}");
    let second = world.apply("orders", OTHER).await;
    assert_ne!(first["catching_up"], second["catching_up"], "{second}");
    let cancelled = first["catching_up"].as_str().expect("an id");
    let status = json(&world.must("GET", &format!("/v1/backfills/{cancelled}"), "").await);
    assert_eq!(status["state"], "cancelled", "{status}");
    assert_eq!(shown(world.must("GET", "/v1/insights/orders", "").await)["backfill"], second["catching_up"]);
    let back = world.apply("orders", SUMS).await;
    assert_eq!((back["change"].as_str(), back["catching_up"].is_null()), (Some("update"), true), "{back}");
    assert!(shown(world.must("GET", "/v1/insights/orders", "").await).is_null());
    world.apply("orders", OTHER).await;
    let titled = world.apply("orders", &format!("{OTHER}title: Orders\n")).await;
    assert!(titled["catching_up"].is_string(), "a title changes no lineage: {titled}");
    world.settle(&mut Random::of(2)).await;
    assert!(shown(world.must("GET", "/v1/insights/orders", "").await).is_null(), "it has caught up");
    let (status, body) = world.call("GET", "/v1/insights/orders/series?fingerprint=abc", None, "").await;
    assert_eq!(status, 404, "{body}");
    assert!(body.contains("TM0313"), "{body}");
}
