//! Golden scenarios: a definition, what is sent when, and the rows that must come out, a file each.
//!
//! Every scenario is lived through three ways: as it stands; with everything sent and delivered again; and applied only
//! afterwards, as a backfill. The rows are compared as text, digit by digit.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::random::Random;
use tidemill_tests::world::World;

/// A scenario.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows.
    title: String,
    /// The clock.
    now: String,
    /// The insight's name.
    insight: String,
    /// Its definition.
    definition: String,
    /// Requests of NDJSON, in order.
    sends: Vec<String>,
    /// What is asked.
    ask: String,
    /// The rows, as JSON texts.
    rows: Vec<String>,
}

/// A way to live through a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Straight,
    Again,
    Backfill,
}

async fn live(scenario: &Scenario, way: Way) -> String {
    let now = Timestamp::parse(&scenario.now).expect("`now` is a time");
    let mut world = World::new(now, if way == Way::Again { 3 } else { 1 });
    let mut random = Random::of(7);
    if way != Way::Backfill {
        world.apply(&scenario.insight, &scenario.definition).await;
    }
    for send in &scenario.sends {
        world.send(send).await;
        world.settle(&mut random).await;
    }
    if way == Way::Again {
        for send in &scenario.sends {
            world.send(send).await;
            world.settle(&mut random).await;
        }
    }
    if way == Way::Backfill {
        world.apply(&scenario.insight, &scenario.definition).await;
    }
    world.backfill().await;
    world.settle(&mut random).await;
    world.query(&scenario.insight, "series", &scenario.ask).await
}

fn rows(body: &str) -> Vec<String> {
    let body: BTreeMap<String, &RawValue> = serde_json::from_str(body).expect("a JSON object");
    let rows: Vec<&RawValue> = serde_json::from_str(body["rows"].get()).expect("a list of rows");
    rows.into_iter().map(|row| row.get().to_owned()).collect()
}

#[tokio::test]
async fn every_scenario_ends_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of scenarios") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        for way in [Way::Straight, Way::Again, Way::Backfill] {
            let body = live(&scenario, way).await;
            assert_eq!(rows(&body), scenario.rows, "{} ({way:?}): {}\n{body}", path.display(), scenario.title);
            assert!(body.contains("\"partial\":false"), "{} ({way:?}): {body}", path.display());
            assert!(body.contains("\"verified\":true"), "{} ({way:?}): {body}", path.display());
        }
        count += 1;
    }
    assert!(count >= 6, "scenarios are missing: {count}");
}
