//! Worlds hold what they promise.

use std::collections::BTreeSet;

use tidemill_schemas::calendar::Zone;
use tidemill_schemas::event::{EVENT_AHEAD_MICROS_MAX, Event};
use tidemill_schemas::value::Value;

use super::*;
use crate::oracle;

#[test]
fn a_seed_is_a_world() {
    let (once, again) = (World::of(7, 300), World::of(7, 300));
    assert_eq!(once.arrivals, again.arrivals);
    assert_eq!(once.ndjson(), again.ndjson());
    assert_ne!(once.arrivals, World::of(8, 300).arrivals);
    assert_eq!(definition(7, once.scene), definition(7, again.scene));
}

#[test]
fn every_arrival_is_an_event_the_server_takes() {
    for seed in 0..20 {
        let world = World::of(seed, 200);
        for event in &world.arrivals {
            event.check(event.received).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
            assert!(event.deleted || event.time <= event.received.plus_micros(EVENT_AHEAD_MICROS_MAX), "seed {seed}");
        }
        assert!(world.arrivals.is_sorted_by_key(|event| event.received), "seed {seed}");
        assert!(world.arrivals.last().is_some_and(|event| event.received < world.end));
    }
}

#[test]
fn copies_of_one_revision_are_equal() {
    for seed in 0..20 {
        let world = World::of(seed, 200);
        let mut seen = std::collections::BTreeMap::new();
        for event in &world.arrivals {
            let copy = Event { received: world.end, ..event.clone() };
            let first = seen.entry((event.source.clone(), event.id.clone(), event.rev)).or_insert(copy.clone());
            assert_eq!(*first, copy, "seed {seed}");
        }
    }
}

#[test]
fn worlds_hold_what_goes_wrong_in_life() {
    let (mut corrected, mut moved, mut withdrawn, mut revived, mut stale, mut retried) = (0, 0, 0, 0, 0, 0);
    let mut scenes = BTreeSet::new();
    for seed in 0..40 {
        let world = World::of(seed, 100);
        scenes.insert((world.scene.zone, world.scene.date));
        let utc = Zone::utc();
        let mut held: std::collections::BTreeMap<(&str, &str), &Event> = Default::default();
        for event in &world.arrivals {
            let Some(before) = held.get(&(event.source.as_str(), event.id.as_str())).copied() else {
                held.insert((&event.source, &event.id), event);
                continue;
            };
            stale += usize::from(event.rev < before.rev);
            retried += usize::from(event.rev == before.rev);
            if event.rev > before.rev {
                held.insert((&event.source, &event.id), event);
                match (before.deleted, event.deleted) {
                    (false, false) => {
                        corrected += 1;
                        moved += usize::from(utc.date_of(before.time) != utc.date_of(event.time));
                    }
                    (false, true) => withdrawn += 1,
                    (true, false) => revived += 1,
                    (true, true) => {}
                }
            }
        }
    }
    assert_eq!(scenes.len(), world::SCENES.len());
    for (what, count) in [
        ("corrected", corrected),
        ("moved", moved),
        ("withdrawn", withdrawn),
        ("revived", revived),
        ("stale", stale),
        ("retried", retried),
    ] {
        assert!(count >= 20, "only {count} {what}");
    }
}

#[test]
fn properties_are_missing_and_change_their_type() {
    let world = World::of(1, 500);
    let live = oracle::live(&world.arrivals);
    for key in ["plan", "amount", "user_id"] {
        let types: BTreeSet<_> = live.iter().map(|event| event.properties.get(key).and_then(Value::type_of)).collect();
        assert!(types.len() >= 3, "{key}: {types:?}");
    }
    let digits = |event: &&&Event| match event.properties.get("huge") {
        Some(Value::Number(huge)) => huge.unscaled().unsigned_abs() >= 10u128.pow(37),
        _ => false,
    };
    assert!(live.iter().filter(digits).count() > 50);
}

#[test]
fn definitions_are_various() {
    let texts: BTreeSet<String> = (0..500).map(|seed| definition(seed, world::SCENES[0])).collect();
    assert_eq!(texts.len(), 500);
    let all = texts.into_iter().collect::<String>();
    for word in ["approx_count_distinct", "quantile", "percent", "filter", "where:", "by:", "top:", "monday", "source:"]
    {
        assert!(all.contains(word), "no definition has {word}");
    }
}
