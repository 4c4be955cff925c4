//! Comparisons, correlations and drivers, through the whole system.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::Random;
use tidemill_tests::world::{self, World};

const NOW: &str = "2026-08-20T12:00:00Z";

async fn lived(events: &[String], definitions: &[(&str, &str)]) -> World {
    let mut random = Random::of(3);
    let mut world = World::new(Timestamp::parse(NOW).expect("it is a time"), 2);
    world.send(&events.join("\n")).await;
    world.settle(&mut random).await;
    for (name, text) in definitions {
        world.apply(name, text).await;
    }
    world.backfill().await;
    world.settle(&mut random).await;
    world
}

async fn rows(world: &World, path: &str, parameters: &str) -> Vec<Value> {
    let (insight, route) = path.split_once('/').expect("a path has an insight and a route");
    world::json(&world.query(insight, route, parameters).await)["rows"].as_array().expect("there are rows").clone()
}

fn event(id: usize, name: &str, actor: &str, time: &str, properties: Value) -> String {
    json!({ "id": id.to_string(), "name": name, "actor": actor, "time": time, "properties": properties }).to_string()
}

const SALES: &str =
    "insight: sales\ntype: standard\nfrom: sale\nmetrics: { n: count(*), people: count(distinct actor) }\nby: plan\n";

fn sales() -> Vec<String> {
    let mut events = vec![
        event(1, "sale", "u1", "2026-08-16T10:00:00Z", json!({ "plan": "pro" })),
        event(2, "sale", "u2", "2026-08-16T11:00:00Z", json!({ "plan": "pro" })),
        event(3, "sale", "u1", "2026-08-19T10:00:00Z", json!({ "plan": "free" })),
        event(4, "sale", "u1", "2026-08-10T10:00:00Z", json!({ "plan": "pro" })),
    ];
    // Behind the days that have passed of the running week.
    events.extend((5..10).map(|id| event(id, "sale", "u9", "2026-08-13T10:00:00Z", json!({}))));
    events
}

#[tokio::test]
async fn a_running_week_is_compared_with_as_many_days() {
    let wow = "insight: wow\ntype: comparative\nof: sales\ncompare: previous_week\nsegments: { pro: plan = 'pro', free: plan = 'free' }\n";
    let world = lived(&sales(), &[("sales", SALES), ("wow", wow)]).await;
    let found = rows(&world, "wow/comparison", "").await;
    let side = |at: usize, metric: &str, a: u64, b: u64| {
        let row = &found[at];
        assert_eq!((&row["metric"], &row["a"], &row["b"]), (&json!(metric), &json!(a), &json!(b)), "{row}");
    };
    side(0, "n", 3, 1);
    side(1, "people", 2, 1);
    side(2, "n", 3, 1);
    side(3, "people", 2, 1);
    assert_eq!(found[0]["change_percent"], json!(200));
    let ends = ["a_from", "a_to", "b_from", "b_to"].map(|end| found[0][end].as_str().unwrap_or_default().to_owned());
    assert_eq!(ends, ["2026-08-16", "2026-08-19", "2026-08-09", "2026-08-12"]);
    assert_eq!(found[2]["compare"], json!("pro vs free"));
}

#[tokio::test]
async fn a_comparison_of_what_is_not_there_is_refused() {
    let world = lived(&sales(), &[("sales", SALES)]).await;
    for (text, why) in [
        ("of: revenue\ncompare: previous_week\n", "there is no insight `revenue`"),
        ("of: sales\nmetrics: revenue\ncompare: previous_week\n", "`sales` has no metric `revenue`"),
        ("of: sales\nsegments: { a: country = 'IN', b: plan = 'pro' }\n", "is not broken down by it"),
    ] {
        let text = format!("insight: wow\ntype: comparative\n{text}");
        let (status, answer) = world.call("PUT", "/v1/insights/wow", None, text).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert!(answer.contains(why) && answer.contains("TM0243"), "{answer}");
    }
}

#[tokio::test]
async fn a_series_goes_with_the_one_it_leads() {
    // The target of a day is twice the ads of the day before.
    let mut events = Vec::new();
    let ads = |day: usize| 1 + day * day % 7;
    for day in 1..=18 {
        for _ in 0..ads(day) {
            events.push(event(events.len(), "ad", "x", &format!("2026-08-{day:02}T10:00:00Z"), json!({})));
        }
        for _ in 0..if day > 1 { 2 * ads(day - 1) } else { 0 } {
            events.push(event(events.len(), "order", "x", &format!("2026-08-{day:02}T12:00:00Z"), json!({})));
        }
    }
    let text = "insight: lead\ntype: correlation\nlookback: 18d\ntarget: { from: order, metric: count(*) }\nwith: { ads: { from: ad, metric: count(*) } }\nmax_lag: 2\n";
    let world = lived(&events, &[("lead", text)]).await;
    let found = rows(&world, "lead/correlations", "").await;
    let of = |row: &Value| (row["lag"].as_u64(), row["n"].as_u64());
    assert_eq!(
        found.iter().map(of).collect::<Vec<_>>(),
        [(Some(0), Some(18)), (Some(1), Some(17)), (Some(2), Some(16))]
    );
    assert_eq!((&found[1]["pearson"], &found[1]["spearman"], &found[1]["p"]), (&json!(1), &json!(1), &json!(0)));
    assert!(found[0]["pearson"].as_f64().is_some_and(|r| r < 0.9), "{found:?}");
}

#[tokio::test]
async fn what_comes_before_the_target_drives_it() {
    let mut events = Vec::new();
    for actor in 0..100 {
        let who = format!("u{actor}");
        let mut did = |name: &str, clock: &str| {
            events.push(event(events.len(), name, &who, &format!("2026-08-01T{clock}:00:00Z"), json!({})));
        };
        did("seen", "08");
        // Of those with help 40 of 50 reach the target, of the others 10 of 50.
        if actor < 50 {
            did("helped", "09");
        }
        if actor < 40 || (50..60).contains(&actor) {
            did("paid", "10");
            did("thanked", "11");
        }
    }
    let text = "insight: why\ntype: correlation\nlookback: 30d\ndrivers: { target: paid, candidates: events }\n";
    let world = lived(&events, &[("why", text)]).await;
    let found = rows(&world, "why/correlations", "").await;
    // Everybody saw it, and thanks came afterwards.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["candidate"], &found[0]["support"]), (&json!("helped"), &json!(50)));
    assert_eq!(found[0]["odds_ratio"], json!(13.892562));
}
