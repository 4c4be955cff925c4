//! Sends and imports of one source, interleaved at every port call, on tables whose checks cost: what is live in the end
//! is the highest revision of each identity.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tidemill_ingest::gate::{Announced, Gate};
use tidemill_ports::Table;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;
use tidemill_tests::fault::Faults;
use tidemill_tests::generator::{Random, line};
use tidemill_tests::interleave::{Pace, Turns};
use tidemill_tests::memory::MemoryWorld;
use tidemill_tests::tables::{self, MAP};
use tidemill_tests::world::{World, json};
use tower::ServiceExt;

/// Worlds of the property.
const WORLDS: u64 = 16;
/// Identities of a world.
const IDENTITIES: u64 = 40;
/// Attempts of one request before something must be going in circles.
const ATTEMPTS_MAX: u32 = 2_000;

fn now() -> Timestamp {
    Timestamp::parse("2026-08-20T12:00:00Z").expect("a time")
}

/// A copy of an identity: its revision says which day it lies on.
fn copy(id: u64, rev: u64) -> Event {
    Event {
        id: format!("e{id}"),
        source: "shop".to_owned(),
        name: "order_completed".to_owned(),
        actor: None,
        time: Timestamp::parse(&format!("2026-07-0{}T08:00:00Z", 1 + rev)).expect("a time"),
        properties: BTreeMap::from([("amount".to_owned(), Value::Number((id as i64 * 10 + rev as i64).into()))]),
        rev,
        deleted: false,
        received: now(),
    }
}

async fn call(router: &axum::Router, method: &str, path: &str, body: Vec<u8>) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let Ok(response) = router.clone().oneshot(request.body(Body::from(body)).expect("a request")).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("answers end");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

async fn until_taken(router: &axum::Router, method: &str, path: &str, body: Vec<u8>) -> String {
    for _ in 0..ATTEMPTS_MAX {
        let (status, answer) = call(router, method, path, body.clone()).await;
        if status == StatusCode::OK {
            return answer;
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        // Whoever comes again comes later.
        for _ in 0..40 {
            tokio::task::yield_now().await;
        }
    }
    panic!("{method} {path} is never taken");
}

async fn send(router: axum::Router, batches: Vec<Vec<Event>>) {
    for batch in batches {
        let lines: String = batch.iter().map(|event| line(event) + "\n").collect();
        until_taken(&router, "POST", "/v1/events", lines.into_bytes()).await;
    }
}

async fn import(router: axum::Router, seed: u64, batches: Vec<Vec<Event>>) {
    for batch in batches {
        let body = serde_json::json!({ "map": MAP }).to_string().into_bytes();
        let begun = json(&until_taken(&router, "POST", "/v1/imports", body).await);
        let path = format!("/v1/imports/{}", begun["id"].as_str().expect("an id"));
        for (nth, file) in tables::files(&mut Random::of(seed), &batch).into_iter().enumerate() {
            until_taken(&router, "PUT", &format!("{path}/files/{nth}?name=f{nth}"), file).await;
        }
        until_taken(&router, "POST", &format!("{path}/commit"), Vec::new()).await;
    }
}

/// Lives through a seed; what is live, and what should be, as (id, day, revision).
async fn live_through(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut random = Random::of(seed);
    let faults = if seed % 2 == 1 { Faults::new(seed, 5_000, 5_000) } else { Faults::none() };
    let ports = MemoryWorld::with(now(), 1, true);
    let mut world = World::over(ports, Arc::clone(&faults), true);
    let turns = Turns::of(seed ^ 0x7EA5, Arc::clone(&world.ports.clock));
    let slow = turns.around(&world.context, Pace { turns_max: 3, slow_percent: 20, slow_turns_max: 2_000 });
    let quick = turns.around(&world.context, Pace { turns_max: 2, slow_percent: 1, slow_turns_max: 30 });
    let (mut best, mut of_all) = (BTreeMap::<u64, u64>::new(), Vec::new());
    for batches in [5, 5, 5, 2, 2] {
        let mut all = Vec::new();
        for _ in 0..batches {
            let copies = (0..1 + random.below(5)).map(|_| (random.below(IDENTITIES), random.below(4)));
            let copies: Vec<(u64, u64)> = copies.collect();
            for (id, rev) in &copies {
                best.entry(*id).and_modify(|held| *held = (*held).max(*rev)).or_insert(*rev);
            }
            all.push(copies.into_iter().map(|(id, rev)| copy(id, rev)).collect::<Vec<_>>());
        }
        of_all.push(all);
    }
    let sending = tidemill_api::router(Arc::new(slow), true);
    let imports = Arc::new(quick);
    let is_over = AtomicBool::new(false);
    let mut tasks = tokio::task::JoinSet::new();
    for (nth, batches) in of_all.into_iter().enumerate() {
        // Every importer is a process of its own.
        let (sending, importing) = (sending.clone(), tidemill_api::router(Arc::clone(&imports), true));
        tasks.spawn(async move {
            if nth < 3 {
                send(sending, batches).await;
            } else {
                import(importing, seed, batches).await;
            }
        });
    }
    let ending = async {
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        }
        is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(turns.pass(60, 25, || is_over.load(Ordering::SeqCst)), ending);
    faults.stop();
    world.ports.clock.advance(2 * 60);
    world.settle(&mut Random::of(1)).await;
    let lines = world.must("GET", "/v1/events", "").await;
    let mut live: Vec<String> = lines
        .lines()
        .map(|line| {
            let event = json(line);
            format!("{} {} {}", event["id"], event["time"], event["rev"].as_u64().unwrap_or(0))
        })
        .collect();
    live.sort();
    let mut expected: Vec<String> =
        best.into_iter().map(|(id, rev)| format!("\"e{id}\" \"{}\" {rev}", copy(id, rev).time)).collect();
    expected.sort();
    (live, expected)
}

#[tokio::test]
async fn sends_without_checks_and_imports_stay_exact() {
    for seed in 0..WORLDS {
        let (live, expected) = live_through(seed).await;
        assert_eq!(live, expected, "seed {seed}");
    }
}

async fn gate(world: &World) -> Option<(u64, Gate)> {
    let held = world.ports.events.get(&keys::import_gate(&Tenant::local(), "shop")).await.expect("memory reads");
    held.map(|item| (item.rank, serde_json::from_slice(&item.body).expect("a gate")))
}

async fn upload(world: &World, copies: &[Event]) -> String {
    world.upload(MAP, &tables::files(&mut Random::of(1), copies)).await
}

#[tokio::test]
async fn an_import_is_announced_waits_and_opens_its_gate() {
    let world = World::over(MemoryWorld::with(now(), 1, true), Faults::none(), true);
    let path = upload(&world, &[copy(1, 0)]).await;
    let (status, answer) = world.call("POST", &format!("{path}/commit"), None, "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json(&answer)["code"], "TM0142", "{answer}");
    assert!(answer.contains("90 s"), "{answer}");
    let (rank, held) = gate(&world).await.expect("announced");
    assert_eq!((rank, held.announced, held.closing_until), (2, Some(Announced::Seen(now())), None));
    // A send meanwhile checks the gate, and is taken; the import does not forget it.
    world.send(&(line(&copy(1, 2)) + "\n")).await;
    world.ports.clock.advance(89);
    let (status, answer) = world.call("POST", &format!("{path}/commit"), None, "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.contains(" 1 s"), "{answer}");
    world.ports.clock.advance(1);
    let (status, answer) = world.call("POST", &format!("{path}/commit"), None, "").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(json(&answer)["duplicates"], 1, "{answer}");
    let (rank, held) = gate(&world).await.expect("open");
    assert_eq!((rank, held.announced, held.closing_until), (4, None, None));
}

#[tokio::test]
async fn an_announcement_in_vain_is_taken_back_by_the_next_send() {
    let world = World::over(MemoryWorld::with(now(), 1, true), Faults::none(), true);
    let path = upload(&world, &[copy(1, 0)]).await;
    world.call("POST", &format!("{path}/commit"), None, "").await;
    world.ports.clock.advance(60 * 60 - 1);
    world.send(&(line(&copy(2, 0)) + "\n")).await;
    assert!(gate(&world).await.expect("announced").1.announced.is_some());
    world.ports.clock.advance(1);
    world.send(&(line(&copy(3, 0)) + "\n")).await;
    assert_eq!(gate(&world).await.expect("open").1.announced, None);
    // Whoever comes back after that waits again.
    let path = upload(&world, &[copy(1, 0)]).await;
    let (status, _) = world.call("POST", &format!("{path}/commit"), None, "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn where_checks_are_free_nobody_waits() {
    let world = World::new(now(), 1);
    let path = upload(&world, &[copy(1, 0)]).await;
    let (status, answer) = world.call("POST", &format!("{path}/commit"), None, "").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    // Closed and opened: nothing else was written.
    assert_eq!(gate(&world).await.expect("open").0, 2);
}
