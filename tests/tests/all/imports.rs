//! Imports beside sends: one truth, whichever way an event came, in whatever order, under faults.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;
use tidemill_tests::fault::Faults;
use tidemill_tests::generator::{self, Random, line};
use tidemill_tests::memory::MemoryWorld;
use tidemill_tests::tables::{self, MAP};
use tidemill_tests::world::{World, json};

fn now() -> Timestamp {
    Timestamp::parse("2026-08-20T12:00:00Z").expect("a time")
}

fn event(id: &str, time: &str, rev: u64, amount: i64) -> Event {
    Event {
        id: id.to_owned(),
        source: "shop".to_owned(),
        name: "order_completed".to_owned(),
        actor: Some(format!("u-{}", amount % 3)),
        time: Timestamp::parse(time).expect("a time"),
        properties: BTreeMap::from([
            ("amount".to_owned(), Value::Number(amount.into())),
            ("country".to_owned(), Value::Text("IN".to_owned())),
        ]),
        rev,
        deleted: false,
        received: now(),
    }
}

fn withdrawn(id: &str, rev: u64) -> Event {
    Event { deleted: true, properties: BTreeMap::new(), ..event(id, "2026-08-01T00:00:00Z", rev, 0) }
}

async fn send(world: &World, events: &[Event]) -> serde_json::Value {
    world.send(&events.iter().map(|event| line(event) + "\n").collect::<String>()).await
}

async fn import(world: &World, events: &[Event]) -> serde_json::Value {
    world.import(MAP, &tables::files(&mut Random::of(7), events)).await
}

async fn import_lines(world: &World, events: &[Event]) -> serde_json::Value {
    let (first, second) = events.split_at(events.len() / 2);
    let text = |events: &[Event]| events.iter().map(|event| line(event) + "\n").collect::<String>();
    world.import_lines(&[text(first), text(second)]).await
}

/// (id, time, revision, amount) of every live event, by time and id, as the pages tell.
async fn live(world: &mut World) -> Vec<(String, String, u64, i64)> {
    world.settle(&mut Random::of(1)).await;
    let lines = world.must("GET", "/v1/events", "").await;
    let mut live: Vec<_> = lines
        .lines()
        .map(|line| {
            let event = json(line);
            let text = |key: &str| event[key].as_str().expect("text").to_owned();
            (
                text("id"),
                text("time"),
                event["rev"].as_u64().unwrap_or(0),
                event["properties"]["amount"].as_i64().expect("whole"),
            )
        })
        .collect();
    live.sort();
    live
}

fn shown(events: &[Event]) -> Vec<(String, String, u64, i64)> {
    let amount = |event: &Event| match &event.properties["amount"] {
        Value::Number(number) => i64::try_from(number.unscaled()).expect("whole"),
        other => panic!("{other:?}"),
    };
    let mut shown: Vec<_> =
        events.iter().map(|event| (event.id.clone(), event.time.to_string(), event.rev, amount(event))).collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn importing_again_adds_nothing() {
    let mut world = World::new(now(), 2);
    let events: Vec<Event> =
        (0..500).map(|at| event(&format!("e{at}"), &format!("2026-07-{:02}T08:00:00Z", 1 + at % 28), 0, at)).collect();
    let receipt = import(&world, &events).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&500.into(), &0.into()), "{receipt}");
    assert_eq!(receipt["pages"], 28, "{receipt}");
    for _ in 0..2 {
        let receipt = import(&world, &events).await;
        assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&0.into(), &500.into()), "{receipt}");
        assert_eq!(receipt["pages"], 0);
    }
    // A part of it, with some that are new.
    let more: Vec<Event> = (490..510).map(|at| event(&format!("e{at}"), "2026-07-30T08:00:00Z", 0, at)).collect();
    let receipt = import(&world, &more).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&10.into(), &10.into()), "{receipt}");
    assert_eq!(live(&mut world).await, shown(&[events, more[10..].to_vec()].concat()));
}

#[tokio::test]
async fn many_imports_fold_their_index() {
    let mut world = World::new(now(), 1);
    let mut all = Vec::new();
    for nth in 0..12 {
        let events: Vec<Event> =
            (0..40).map(|at| event(&format!("e{nth}-{at}"), "2026-07-01T08:00:00Z", 0, at)).collect();
        assert_eq!(import(&world, &events).await["accepted"], 40);
        all.extend(events);
    }
    assert_eq!(import(&world, &all).await["duplicates"], all.len());
    assert_eq!(send(&world, &all).await["duplicates"], all.len());
    assert_eq!(live(&mut world).await, shown(&all));
}

#[tokio::test]
async fn sends_and_imports_know_each_other() {
    let mut world = World::new(now(), 2);
    let (day, other) = ("2026-07-01T08:00:00Z", "2026-07-02T09:00:00Z");
    send(&world, &[event("sent", day, 1, 10), event("both", day, 2, 20), withdrawn("gone", 5)]).await;
    // What was sent is there; a higher revision corrects it, a tombstone stands.
    let receipt = import(
        &world,
        &[event("sent", day, 1, 11), event("both", other, 3, 21), event("gone", day, 4, 1), event("new", day, 0, 30)],
    )
    .await;
    assert_eq!(
        (&receipt["accepted"], &receipt["corrected"], &receipt["duplicates"]),
        (&2.into(), &1.into(), &2.into()),
        "{receipt}"
    );
    assert_eq!(
        live(&mut world).await,
        shown(&[event("sent", day, 1, 10), event("both", other, 3, 21), event("new", day, 0, 30)])
    );
    // What was imported is there for sends, too.
    let receipt = send(&world, &[event("new", day, 0, 31), event("new", other, 2, 32), event("both", day, 1, 9)]).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&1.into(), &2.into()), "{receipt}");
    assert_eq!(
        live(&mut world).await,
        shown(&[event("sent", day, 1, 10), event("both", other, 3, 21), event("new", other, 2, 32)])
    );
    // Withdrawn, brought back, and withdrawn for good: each on its day.
    assert_eq!(send(&world, &[withdrawn("new", 3), withdrawn("sent", 2)]).await["accepted"], 2);
    assert_eq!(live(&mut world).await, shown(&[event("both", other, 3, 21)]));
    let receipt = import(&world, &[event("new", day, 4, 33), event("sent", day, 2, 12)]).await;
    assert_eq!((&receipt["corrected"], &receipt["duplicates"]), (&1.into(), &1.into()), "{receipt}");
    assert_eq!(live(&mut world).await, shown(&[event("both", other, 3, 21), event("new", day, 4, 33)]));
}

#[tokio::test]
async fn an_imported_event_is_withdrawn_from_its_day() {
    let mut world = World::new(now(), 1);
    let day = "2026-07-01T08:00:00Z";
    import(&world, &[event("a", day, 0, 1), event("b", day, 0, 2)]).await;
    assert_eq!(send(&world, &[withdrawn("a", 0)]).await["duplicates"], 1);
    assert_eq!(send(&world, &[withdrawn("a", 1), withdrawn("a", 1)]).await["accepted"], 1);
    assert_eq!(import(&world, &[event("a", day, 0, 1), event("a", day, 1, 1)]).await["duplicates"], 2);
    assert_eq!(live(&mut world).await, shown(&[event("b", day, 0, 2)]));
}

#[tokio::test]
async fn of_rows_of_one_identity_the_highest_revision_stands() {
    let mut world = World::new(now(), 1);
    let day = "2026-07-01T08:00:00Z";
    let rows = [event("a", day, 1, 1), event("a", day, 2, 2), event("a", day, 2, 3), event("a", day, 0, 4)];
    let receipt = import(&world, &rows).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&1.into(), &3.into()));
    assert_eq!(live(&mut world).await, shown(&rows[1..2]));
}

#[tokio::test]
async fn lines_are_imported_as_they_would_be_sent() {
    for seed in 0..12 {
        let mut random = Random::of(seed);
        let events = generator::World::of(seed, 120);
        let (mut sent, mut imported) = (World::new(events.end, 1), World::new(events.end, 2));
        send(&sent, &events.arrivals).await;
        // Some are there already; copies and withdrawals come in any order, in one import and over several.
        let (first, rest) = events.arrivals.split_at(events.arrivals.len() / 3);
        send(&imported, first).await;
        for part in rest.chunks(rest.len() / 2 + 1) {
            let receipt = import_lines(&imported, part).await;
            assert_eq!(receipt["rejected_count"], 0, "seed {seed}: {receipt}");
            let whole = |key: &str| receipt[key].as_u64().expect("a count");
            assert_eq!(whole("accepted") + whole("duplicates"), part.len() as u64, "seed {seed}: {receipt}");
        }
        let receipt = import_lines(&imported, &events.arrivals).await;
        assert_eq!((&receipt["accepted"], &receipt["pages"]), (&0.into(), &0.into()), "seed {seed}: {receipt}");
        sent.settle(&mut random).await;
        imported.settle(&mut random).await;
        let before = told(&sent).await;
        assert!(before.len() > 40);
        assert_eq!(before, told(&imported).await, "seed {seed}");
    }
}

#[tokio::test]
async fn bad_lines_are_named_and_the_rest_goes_in() {
    let mut world = World::new(now(), 1);
    let good = event("a", "2026-07-01T08:00:00Z", 0, 1);
    let text =
        format!("{}\n\n{{\"id\":\"b\"}}\nnot JSON\n{}", line(&good), line(&event("c", "2026-07-01T08:00:00Z", 0, 2)));
    let receipt = world.import_lines(&[text]).await;
    assert_eq!((&receipt["accepted"], &receipt["rejected_count"]), (&2.into(), &2.into()), "{receipt}");
    let told = |nth: usize, key: &str| receipt["rejected"][nth][key].clone();
    assert_eq!((told(0, "row"), told(0, "id"), told(0, "code")), (3.into(), "b".into(), "TM0102".into()), "{receipt}");
    assert_eq!((told(1, "row"), told(1, "code")), (4.into(), "TM0101".into()), "{receipt}");
    let kept = json(&world.must("GET", "/v1/quarantine", "").await);
    assert!(kept.to_string().contains("line 4: "), "{kept}");
    assert_eq!(live(&mut world).await.len(), 2);
    let gone = world.import_lines(&[line(&withdrawn("a", 1)) + "\n" + &line(&withdrawn("z", 1))]).await;
    assert_eq!((&gone["accepted"], &gone["corrected"]), (&2.into(), &2.into()), "{gone}");
    assert_eq!(live(&mut world).await.len(), 1);
}

/// Pages are written before it is known which rows are new: whatever was, the right ones are left.
#[tokio::test]
async fn pages_that_turn_out_to_hold_old_rows_are_cut_down() {
    for seed in 0..8 {
        let mut random = Random::of(seed);
        let mut world = World::new(now(), 1);
        let day = |at: i64| format!("2026-07-{:02}T08:00:00Z", 1 + at % 5);
        let all: Vec<Event> = (0..200).map(|at| event(&format!("e{at}"), &day(at), 0, at)).collect();
        // Few of them known: written while read. Most of them known: read twice.
        let known = if seed % 2 == 0 { 30 } else { 80 };
        let some: Vec<Event> = all.iter().filter(|_| random.chance(known)).cloned().collect();
        // Alternating days, and a property that has another type in what was there first.
        let mut odd = event("odd", &day(0), 0, 1);
        odd.properties.insert("country".to_owned(), Value::Bool(true));
        send(&world, &[odd.clone()]).await;
        import(&world, &some).await;
        let receipt = import_lines(&world, &all).await;
        assert_eq!(receipt["duplicates"], some.len(), "seed {seed}: {receipt}");
        assert_eq!(receipt["accepted"], all.len() - some.len(), "seed {seed}: {receipt}");
        let mut expected = shown(&all);
        expected.extend(shown(&[odd]));
        expected.sort();
        assert_eq!(live(&mut world).await, expected, "seed {seed}");
    }
}

/// Every live event as `GET /v1/events` tells it, without when it was received.
async fn told(world: &World) -> Vec<String> {
    world.must("GET", "/v1/events", "").await.lines().map(str::to_owned).collect()
}

/// The days of a world as Parquet files.
async fn exported(world: &World) -> Vec<Vec<u8>> {
    let days = json(&world.must("GET", "/v1/events/days", "").await);
    let mut files = Vec::new();
    for day in days["days"].as_array().expect("days") {
        let (source, date) = (day["source"].as_str().expect("a source"), day["day"].as_str().expect("a day"));
        let source: String = source.bytes().map(|byte| format!("%{byte:02X}")).collect();
        files.push(world.bytes(&format!("/v1/events/parquet?source={source}&day={date}")).await);
    }
    files
}

#[tokio::test]
async fn what_is_exported_comes_in_again_as_it_was() {
    for seed in 0..12 {
        let mut random = Random::of(seed);
        let events = generator::World::of(seed, 120);
        let mut world = World::new(events.end, 1);
        // What came by a send, a correction and a withdrawal, and what came by an import.
        let (sent, imported) = events.arrivals.split_at(events.arrivals.len() / 2);
        send(&world, sent).await;
        let rows: Vec<Event> = imported.iter().filter(|event| !event.deleted).cloned().collect();
        world.import(MAP, &tables::files(&mut random, &rows)).await;
        send(&world, imported).await;
        world.settle(&mut random).await;
        let mut other = World::new(events.end, 2);
        let receipt = other.import("", &exported(&world).await).await;
        assert_eq!(receipt["rejected_count"], 0, "seed {seed}: {receipt}");
        assert_eq!(receipt["files"], serde_json::json!([]), "seed {seed}: {receipt}");
        other.settle(&mut random).await;
        let before = told(&world).await;
        assert!(before.len() > 40);
        assert_eq!(before, told(&other).await, "seed {seed}");
    }
}

const INSIGHT: &str =
    "insight: revenue\ntype: standard\nfrom: order_completed\nmetrics:\n  orders: count(*)\n  revenue: sum(amount)\n";

#[tokio::test]
async fn an_incremental_insight_counts_imported_days_with_live_events() {
    let mut world = World::new(now(), 2);
    let mut random = Random::of(3);
    world.apply("revenue", INSIGHT).await;
    let today = "2026-08-20T08:00:00Z";
    let sent =
        |ids: std::ops::Range<i64>| -> Vec<Event> { ids.map(|at| event(&format!("s{at}"), today, 0, at)).collect() };
    send(&world, &sent(0..10)).await;
    world.settle(&mut random).await;
    let imported: Vec<Event> = (100..120).map(|at| event(&format!("i{at}"), today, 0, at)).collect();
    import(&world, &imported).await;
    send(&world, &sent(10..20)).await;
    send(&world, &[event("i100", today, 1, 1_000)]).await;
    world.settle(&mut random).await;
    for _ in 0..2 {
        let day = "2026-08-20".parse().expect("a date");
        world.refresh("revenue", day, day).await;
        world.settle(&mut random).await;
        let body = json(&world.query("revenue", "series", "from=2026-08-20&to=2026-08-21&every=day").await);
        let revenue: i64 = (0..20).sum::<i64>() + (101..120).sum::<i64>() + 1_000;
        assert_eq!(body["rows"][0]["orders"], 40, "{body}");
        assert_eq!(body["rows"][0]["revenue"], revenue, "{body}");
        world.backfill().await;
        world.settle(&mut random).await;
    }
}

/// Random copies of a few identities, half of them imported, half of them sent, with every port call failing now and
/// then: what is live in the end is the highest revision of each.
#[tokio::test]
async fn faults_lose_and_double_nothing() {
    for seed in 0..24 {
        let mut random = Random::of(seed);
        let faults = if seed == 0 { Faults::none() } else { Faults::new(seed, 25_000, 25_000) };
        let mut world = World::over(MemoryWorld::with(now(), 2, seed % 4 >= 2), faults, true);
        let mut best: BTreeMap<String, Event> = BTreeMap::new();
        for _ in 0..6 {
            let mut events = Vec::new();
            for _ in 0..1 + random.below(12) {
                let (id, rev) = (format!("e{}", random.below(14)), random.below(4));
                // Copies of one revision are alike.
                let mut alike = Random::of(rev * 1_000 + id.len() as u64 * 7 + id.as_bytes()[1] as u64);
                let time = format!("2026-07-0{}T08:00:00Z", 1 + alike.below(3));
                let copy = event(&id, &time, rev, alike.below(1_000) as i64);
                if best.get(&id).is_none_or(|held| held.rev < rev) {
                    best.insert(id, copy.clone());
                }
                events.push(copy);
            }
            match random.below(3) {
                0 => import(&world, &events).await,
                1 => import_lines(&world, &events).await,
                _ => send(&world, &events).await,
            };
            if random.chance(30) {
                world.settle(&mut random).await;
            }
        }
        world.faults.stop();
        let expected: Vec<Event> = best.into_values().collect();
        assert_eq!(live(&mut world).await, shown(&expected), "seed {seed}");
    }
}

/// One import, stopped for good at its nth port call, before or after the effect: the one that comes next, or a send,
/// goes on as if nothing had been, or as if all of it had.
#[tokio::test]
async fn an_import_that_dies_anywhere_leaves_all_or_nothing() {
    let (day, other) = ("2026-07-01T08:00:00Z", "2026-07-02T09:00:00Z");
    let rows = [event("a", day, 0, 1), event("b", day, 0, 2), event("c", other, 1, 3)];
    for nth in 0.. {
        let mut survived = true;
        for (after, checks_cost) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut world = World::over(MemoryWorld::with(now(), 2, checks_cost), Faults::none(), true);
            send(&world, &[event("c", day, 0, 30)]).await;
            let path = world.upload(MAP, &tables::files(&mut Random::of(7), &rows)).await;
            world.faults.die_at(nth, after);
            // Where checks cost, an import comes twice: it is announced, and waits.
            let mut status = StatusCode::SERVICE_UNAVAILABLE;
            for _ in 0..2 {
                status = world.call("POST", &format!("{path}/commit"), None, "").await.0;
                if status == StatusCode::OK {
                    break;
                }
                world.ports.clock.set(world.now().plus_seconds(91));
            }
            survived &= status == StatusCode::OK;
            world.faults.live_again();
            world.ports.clock.set(world.now().plus_seconds(61));
            // A send finds the gate, whatever state it is in.
            send(&world, &[event("b", other, 1, 22), event("d", day, 0, 4)]).await;
            import(&world, &rows).await;
            let expected =
                [event("a", day, 0, 1), event("b", other, 1, 22), event("c", other, 1, 3), event("d", day, 0, 4)];
            assert_eq!(live(&mut world).await, shown(&expected), "call {nth}, after its effect: {after}");
        }
        if survived && nth > 20 {
            return;
        }
        assert!(nth < 2_000, "it never gets through");
    }
}

/// Sends and imports of one source at the same time, each retried until it is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn sends_and_imports_at_once_stay_exact() {
    for seed in 0..6 {
        let mut world = World::new(now(), 2);
        let day = "2026-07-01T08:00:00Z";
        let copies = |rev: u64, from: i64| -> Vec<Event> {
            (from..from + 60).map(|at| event(&format!("e{at}"), day, rev, at * 10 + rev as i64)).collect()
        };
        let until_taken = async |method: &str, path: &str, body: String| loop {
            let (status, answer) = world.call(method, path, None, body.clone()).await;
            if status == StatusCode::OK {
                return answer;
            }
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            tokio::task::yield_now().await;
        };
        let sending = async {
            for (rev, from) in [(0, 0), (1, 30), (0, 60), (2, 20)] {
                for event in copies(rev, from).chunks(7) {
                    let body = event.iter().map(|event| line(event) + "\n").collect::<String>();
                    until_taken("POST", "/v1/events", body).await;
                    tokio::task::yield_now().await;
                }
            }
        };
        let importing = async {
            for (rev, from) in [(0, 10), (1, 0), (0, 50), (1, 70)] {
                let files = tables::files(&mut Random::of(seed), &copies(rev, from));
                let path = world.upload(MAP, &files).await;
                until_taken("POST", &format!("{path}/commit"), String::new()).await;
            }
        };
        tokio::join!(sending, importing);
        let mut best: BTreeMap<String, Event> = BTreeMap::new();
        let all = [(0, 0), (1, 30), (0, 60), (2, 20), (0, 10), (1, 0), (0, 50), (1, 70)];
        for copy in all.iter().flat_map(|(rev, from)| copies(*rev, *from)) {
            if best.get(&copy.id).is_none_or(|held| held.rev < copy.rev) {
                best.insert(copy.id.clone(), copy);
            }
        }
        let expected: Vec<Event> = best.into_values().collect();
        assert_eq!(live(&mut world).await, shown(&expected), "seed {seed}");
    }
}

#[tokio::test]
async fn nobody_elses_import_is_seen() {
    let world = World::with(now(), 1, Faults::none(), false);
    let tenant = Tenant::local();
    let key = |right, source: Option<&str>| {
        let (context, tenant, source) = (world.context.clone(), tenant.clone(), source.map(str::to_owned));
        async move { tidemill_api::add_key(&context, &tenant, "k", right, source).await.expect("added").0 }
    };
    let reader = key(tidemill_api::Right::Read, None).await;
    let writer = key(tidemill_api::Right::Write, Some("shop")).await;
    let (status, _) = world.call("POST", "/v1/imports", Some(&reader), "{}").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, answer) = world.call("POST", "/v1/imports", Some(&writer), r#"{"source":"app"}"#).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    // A column may not name another source either.
    let body = serde_json::json!({ "map": MAP }).to_string();
    let (_, begun) = world.call("POST", "/v1/imports", Some(&writer), body).await;
    let path = format!("/v1/imports/{}", json(&begun)["id"].as_str().expect("an id"));
    let alien = Event { source: "app".to_owned(), ..event("a", "2026-07-01T08:00:00Z", 0, 1) };
    for (nth, file) in tables::files(&mut Random::of(1), &[alien]).into_iter().enumerate() {
        world.call("PUT", &format!("{path}/files/{nth}"), Some(&writer), file).await;
    }
    let (status, answer) = world.call("POST", &format!("{path}/commit"), Some(&writer), "").await;
    assert_eq!((status, json(&answer)["code"].as_str()), (StatusCode::FORBIDDEN, Some("TM0115")), "{answer}");
    let (status, _) = world.call("POST", "/v1/imports/unknown/commit", Some(&writer), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
