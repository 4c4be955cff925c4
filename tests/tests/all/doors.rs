//! The doors: what comes in that should not, and who may come in at all.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use tidemill_api::{BACKLOG_CHANGES_MAX, Right, add_key, router_before};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::Random;
use tidemill_tests::world::{World, json};
use tower::ServiceExt;

const DEFINITION: &str = "insight: orders\ntype: standard\nfrom: order\nmetrics: {n: count(*)}\n";

fn start() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").expect("a time")
}

fn event(id: &str, rest: &str) -> String {
    format!(r#"{{"id":"{id}","name":"order","time":"2026-03-01T11:00:00Z"{rest}}}"#)
}

/// Lines no event can be read from, each with the code it must be refused with.
fn bad_lines() -> Vec<(String, &'static str)> {
    let deep = format!(r#","properties":{{"a":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    vec![
        (r#"{"id":"#.to_owned(), "TM0101"),
        ("[1".to_owned(), "TM0101"),
        ("\"text\"".to_owned(), "TM0101"),
        (r#"{"name":"order","time":"2026-03-01T11:00:00Z"}"#.to_owned(), "TM0102"),
        (r#"{"id":"b","time":"2026-03-01T11:00:00Z"}"#.to_owned(), "TM0102"),
        (r#"{"id":"b","name":5,"time":"2026-03-01T11:00:00Z"}"#.to_owned(), "TM0103"),
        (event("b", r#","properties":[1]"#), "TM0103"),
        (event("b", &format!(r#","properties":{{"a":"{}"}}"#, "x".repeat(2 * 1024 * 1024))), "TM0104"),
        (event("b", &format!(r#","properties":{{"a":"{}"}}"#, "x".repeat(9 * 1024))), "TM0107"),
        (event("", ""), "TM0106"),
        (event(&"i".repeat(129), ""), "TM0106"),
        (event("b", &deep), "TM0108"),
        (event("b", r#","properties":{"a":1e400}"#), "TM0109"),
        (event("b", r#","properties":{"a\u0000":1}"#), "TM0110"),
        (r#"{"id":"b","name":"order","time":"yesterday"}"#.to_owned(), "TM0111"),
        (r#"{"id":"b","name":"order","time":"9999-06-01T00:00:00Z"}"#.to_owned(), "TM0112"),
        (event("b", r#","properties":{"a":1,"a":2}"#), "TM0113"),
        (event("b", r#","propertis":{"a":1}"#), "TM0114"),
    ]
}

#[tokio::test]
async fn a_bad_event_is_refused_by_its_code_and_harms_no_other() {
    let mut world = World::new(start(), 1);
    for (number, (line, code)) in bad_lines().iter().enumerate() {
        let shown: String = line.chars().take(80).collect();
        let (left, right) = (event(&format!("left{number}"), ""), event(&format!("right{number}"), ""));
        let receipt = world.send(&format!("{left}\n{line}\n{right}\n")).await;
        assert_eq!(receipt["accepted"], 2, "{shown}: {receipt}");
        assert_eq!(receipt["rejected"].as_array().map(Vec::len), Some(1), "{shown}: {receipt}");
        assert_eq!(receipt["rejected"][0]["index"], 1, "{shown}: {receipt}");
        assert_eq!(receipt["rejected"][0]["code"], *code, "{shown}: {receipt}");
        world.ports.clock.advance(1);
    }
    let listed = json(&world.must("GET", "/v1/quarantine?limit=1000", "").await);
    let listed = listed["quarantined"].as_array().cloned().unwrap_or_default();
    let codes: Vec<_> = listed.iter().map(|item| item["code"].as_str().unwrap_or_default()).collect();
    assert_eq!(codes, bad_lines().iter().map(|(_, code)| *code).collect::<Vec<_>>());
    world.settle_feed(&mut Random::of(1)).await;
    let lines = world.must("GET", "/v1/events", "").await;
    assert_eq!(lines.lines().count(), 2 * bad_lines().len());
}

#[tokio::test]
async fn numbers_beyond_64_bits_stay_exact() {
    let mut world = World::new(start(), 1);
    world
        .send(&event("a", r#","properties":{"n":18446744073709551616,"m":9007199254740993.000000000000000001}"#))
        .await;
    world.settle_feed(&mut Random::of(1)).await;
    let lines = world.must("GET", "/v1/events", "").await;
    assert!(lines.contains("18446744073709551616"), "{lines}");
    assert!(lines.contains("9007199254740993.000000000000000001"), "{lines}");
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[tokio::test]
async fn a_body_is_inflated_so_far_and_no_further() {
    let world = World::new(start(), 1);
    let (status, answer) = world.call("POST", "/v1/events", None, gzip(event("a", "").as_bytes())).await;
    assert_eq!((status.as_u16(), &json(&answer)["accepted"]), (200, &1.into()), "{answer}");
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024);
    let (status, answer) = world.call("POST", "/v1/events", None, bomb).await;
    assert_eq!((status.as_u16(), &json(&answer)["code"]), (413, &"TM0302".into()), "{answer}");
    let (status, answer) = world.call("POST", "/v1/events", None, vec![b' '; 17 * 1024 * 1024]).await;
    assert_eq!((status.as_u16(), &json(&answer)["code"]), (413, &"TM0302".into()), "{answer}");
    let (status, answer) = world.call("POST", "/v1/events", None, vec![0x1F, 0x8B, 0, 1, 2]).await;
    assert_eq!((status.as_u16(), &json(&answer)["code"]), (400, &"TM0301".into()), "{answer}");
}

#[tokio::test]
async fn nothing_is_taken_while_the_feed_is_too_far_behind() {
    let world = World::new(start(), 1);
    let behind = Arc::new(AtomicU64::new(BACKLOG_CHANGES_MAX + 1));
    let told = Arc::clone(&behind);
    let router = router_before(Arc::clone(&world.context), true, Arc::new(move || told.load(Ordering::Relaxed)));
    let send = async || {
        let request = Request::post("/v1/events").body(Body::from(event("a", ""))).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        let retry =
            response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("an answer");
        (status, retry, json(&String::from_utf8_lossy(&body)))
    };
    let calls = world.faults.calls();
    let (status, retry, answer) = send().await;
    assert_eq!((status, &answer["code"]), (429, &"TM0318".into()), "{answer}");
    assert!(retry.is_some_and(|seconds| seconds > 0), "{retry:?}");
    assert_eq!(world.faults.calls(), calls, "whoever is put off costs no port call");
    behind.store(BACKLOG_CHANGES_MAX, Ordering::Relaxed);
    let (status, _, answer) = send().await;
    assert_eq!((status, &answer["accepted"]), (200, &1.into()), "{answer}");
}

#[tokio::test]
async fn a_key_opens_its_own_doors_only() {
    let world = World::with(start(), 1, tidemill_tests::fault::Faults::none(), false);
    let tenant = Tenant::local();
    let key = async |right, source: Option<&str>| {
        add_key(&world.context, &tenant, "test", right, source.map(str::to_owned)).await.expect("memory takes it").0
    };
    let keys = [
        key(Right::Write, None).await,
        key(Right::Read, None).await,
        key(Right::Admin, None).await,
        "tm_no".to_owned(),
    ];
    let (status, answer) = world.call("PUT", "/v1/insights/orders", Some(&keys[2]), DEFINITION).await;
    assert_eq!(status.as_u16(), 201, "{answer}");
    // Method, path, body; then whether write, read and admin may.
    let doors = [
        ("POST", "/v1/events", event("a", ""), [true, false, true]),
        ("GET", "/v1/events", String::new(), [false, true, true]),
        ("GET", "/v1/quarantine", String::new(), [false, false, true]),
        ("GET", "/v1/insights", String::new(), [false, true, true]),
        ("GET", "/v1/insights/orders", String::new(), [false, true, true]),
        ("PUT", "/v1/insights/orders", DEFINITION.to_owned(), [false, false, true]),
        ("GET", "/v1/insights/orders/explain", String::new(), [false, true, true]),
        ("GET", "/v1/insights/orders/digest", String::new(), [false, true, true]),
        ("GET", "/v1/insights/orders/series", String::new(), [false, true, true]),
        ("POST", "/v1/plan", r#"{"files":[]}"#.to_owned(), [false, true, true]),
        ("GET", "/v1/backfills", String::new(), [false, true, true]),
        ("GET", "/v1/keys", String::new(), [false, false, true]),
        ("POST", "/v1/keys", r#"{"name":"n","right":"read"}"#.to_owned(), [false, false, true]),
        ("GET", "/v1/status", String::new(), [false, true, true]),
        ("DELETE", "/v1/insights/nothing", String::new(), [false, false, true]),
    ];
    for (method, path, body, rights) in doors {
        for key in [None, Some(keys[3].as_str())] {
            let (status, answer) = world.call(method, path, key, body.clone()).await;
            assert_eq!(status.as_u16(), 401, "{method} {path} {key:?}: {answer}");
            assert_eq!(json(&answer)["code"], "TM0303", "{method} {path}");
        }
        for (key, may) in keys.iter().zip(rights) {
            let (status, answer) = world.call(method, path, Some(key), body.clone()).await;
            assert_eq!(status.as_u16() != 403, may, "{method} {path} {key}: {status} {answer}");
            assert_ne!(status.as_u16(), 401, "{method} {path} {key}: {answer}");
            assert!(status.as_u16() < 500, "{method} {path} {key}: {answer}");
        }
    }
    let scoped = key(Right::Write, Some("shop")).await;
    let body = format!("{}\n{}\n", event("s1", r#","source":"shop""#), event("s2", r#","source":"app""#));
    let (_, receipt) = world.call("POST", "/v1/events", Some(&scoped), body).await;
    let receipt = json(&receipt);
    assert_eq!((&receipt["accepted"], &receipt["rejected"][0]["code"]), (&1.into(), &"TM0115".into()), "{receipt}");
}
