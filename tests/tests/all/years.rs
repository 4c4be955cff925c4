//! Four years on a virtual clock: leap day, clocks that change in both hemispheres, late events, corrections, ticks that
//! come twice or never. At the end every period is what the oracle computes, and a late event changes only its own.

use std::collections::BTreeMap;

use tidemill_schemas::calendar::{self, Date, LONG_PERIODS, Period, Zone};
use tidemill_schemas::definition::Definition;
use tidemill_schemas::event::Event;
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};
use tidemill_tests::generator::{Random, line};
use tidemill_tests::world::{World, json};

use super::periods::{assert_oracle, assert_stored, at, date, each, order, parsed};

const YEARS: [(&str, &str, &str); 4] = [
    ("utc", "UTC", "sunday"),
    ("berlin", "Europe/Berlin", "monday"),
    ("santiago", "America/Santiago", "sunday"),
    ("lord_howe", "Australia/Lord_Howe", "monday"),
];

fn of_years((name, zone, week_start): (&str, &str, &str)) -> (Definition, String) {
    let text = format!(
        "insight: {name}\ntype: standard\nfrom: order\nmetrics:\n  n: count(*)\n  buyers: count(distinct user)\n  \
         typical: quantile(amount, 0.5)\n  about: approx_count_distinct(user)\n  share: percent(amount > 3)\n\
         by: [country]\ntop: 2\nrefresh: 12h\ntimezone: {zone}\nweek_start: {week_start}\n"
    );
    (parsed(&text), text)
}

/// The events of four years: most when they happen, some weeks late, many around midnights, clock changes and leap day.
fn four_years(random: &mut Random, start: Timestamp, end: Timestamp) -> Vec<Event> {
    let special = ["2024-02-29", "2024-03-31", "2024-04-07", "2024-10-27", "2024-12-31", "2026-09-06", "2026-10-04"];
    let mut events = Vec::new();
    for at_ in 0..420 {
        let time = if random.chance(12) {
            let midnight = Zone::utc().start_of(date(random.pick(&special)));
            midnight.plus_micros(random.between(-14 * 3_600, 38 * 3_600) * MICROS_PER_SECOND)
        } else {
            start.plus_micros(random.between(0, end.micros() - start.micros()))
        };
        let late = if random.chance(15) { random.between(0, 90 * MICROS_PER_DAY) } else { 1_000 };
        let first = order(at_, time);
        let received = time.plus_micros(late);
        if random.chance(8) {
            let later = received.plus_micros(random.between(1, 200 * MICROS_PER_DAY));
            let moved = time.plus_micros(random.between(-40, 40) * MICROS_PER_DAY / 10);
            let moved = moved.min(later);
            events.push(Event { rev: 1, received: later, time: moved, ..first.clone() });
        }
        events.push(Event { received, ..first });
    }
    events.sort_by_key(|event| event.received);
    events
}

#[tokio::test]
async fn four_years_of_ticks_doubled_and_lost_end_as_the_oracle_says() {
    let (start, end) = (at("2024-01-02T00:00:00Z"), at("2027-12-30T00:00:00Z"));
    let mut random = Random::of(2024);
    let events = four_years(&mut random, start, end);
    let mut world = World::new(start, 1);
    let definitions: Vec<_> = YEARS.map(of_years).into();
    for (definition, text) in &definitions {
        world.apply(&definition.name, text).await;
    }
    let mut sent: Vec<Event> = Vec::new();
    for event in &events {
        if event.received > world.now() {
            world.live_until(event.received, &mut random, 4).await;
        }
        let received = world.now();
        world.send(&(line(event) + "\n")).await;
        sent.push(Event { received, ..event.clone() });
    }
    // The last event after everything, so that whatever was lost is armed again.
    world.live_until(at("2028-05-01T00:00:00Z"), &mut random, 4).await;
    let last = order(9_999, world.now());
    world.send(&(line(&last) + "\n")).await;
    sent.push(last);
    world.live_until(at("2029-02-01T00:00:00Z"), &mut random, 0).await;
    let years = (date("2024-01-01"), date("2027-12-31"));
    for (definition, _) in &definitions {
        for period in LONG_PERIODS {
            // From the first whole period on: what was before the first event was nobody's to roll up.
            let first = period.first(years.0, definition.week_start);
            let first =
                if first < years.0 { calendar::next(period.last(years.0, definition.week_start)) } else { first };
            let span = (first, period.last(years.1, definition.week_start));
            for span in each(definition, period, span) {
                assert_stored(&world, definition, period, span).await;
            }
            assert_oracle(&world, definition, &sent, Some(period), span).await;
        }
        assert_oracle(&world, definition, &sent, None, (date("2024-02-29"), date("2027-03-04"))).await;
    }
    let fired = |name: &str| world.firings.iter().filter(|(fired, _)| fired.ends_with(name)).count();
    assert!(fired("rollup-month-Europe.Berlin") >= 40, "{}", fired("rollup-month-Europe.Berlin"));
    let status = json(&world.must("GET", "/v1/status", "").await);
    assert_eq!(status["partial_rollups"], 0, "{status}");
    assert_one_late_event_touches_only_its_periods(world, definitions, sent).await;
}

async fn assert_one_late_event_touches_only_its_periods(
    mut world: World,
    definitions: Vec<(Definition, String)>,
    mut sent: Vec<Event>,
) {
    let mut random = Random::of(1);
    let before = all_versions(&world, &definitions).await;
    let time = at("2025-06-15T12:00:00Z");
    let late = Event { received: world.now(), ..order(20_000, time) };
    world.send(&(line(&late) + "\n")).await;
    sent.push(late);
    let until = world.now().plus_seconds(3_600);
    world.live_until(until, &mut random, 0).await;
    for ((name, period, start), version) in all_versions(&world, &definitions).await {
        let (definition, _) = definitions.iter().find(|(of, _)| of.name == name).expect("ours");
        let day = definition.timezone.date_of(time);
        let is_touched = (start..=period.last(start, definition.week_start)).contains(&day);
        // A period without events was not kept before.
        let expected = before.get(&(name.clone(), period, start)).copied().unwrap_or(0) + u64::from(is_touched);
        assert_eq!(version, expected, "{name} {period:?} {start}");
    }
    for (definition, _) in &definitions {
        assert_oracle(&world, definition, &sent, Some(Period::Year), (date("2025-01-01"), date("2025-12-31"))).await;
    }
}

async fn all_versions(world: &World, definitions: &[(Definition, String)]) -> BTreeMap<(String, Period, Date), u64> {
    let mut versions = BTreeMap::new();
    for (definition, _) in definitions {
        for period in LONG_PERIODS {
            let stored = world.stored_periods(&definition.name, period, date("2024-01-01"), date("2027-12-31")).await;
            for (start, (snapshot, _)) in stored {
                versions.insert((definition.name.clone(), period, start), snapshot.header.version);
            }
        }
    }
    versions
}
