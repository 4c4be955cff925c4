//! Insights over actors, through the whole system, against references that try everything.
//!
//! Events lie around a night in which clocks change, many of them at one instant, and come in any order, twice, and
//! corrected. A failure prints its seed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::definition::{Body, Definition, parse};
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::Column;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;
use tidemill_tests::generator::{Random, line};
use tidemill_tests::oracle::live;
use tidemill_tests::reference::{Did, by_actor, cohort, funnel, paths, pattern};
use tidemill_tests::world::{World, json};

/// Worlds tried, unless the environment says otherwise.
const WORLDS: u64 = 6;
/// Actors of a world.
const ACTORS: u64 = 60;
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const FIRST: Date = Date::constant(2026, 10, 24);
const LAST: Date = Date::constant(2026, 10, 27);
/// Late enough for every column of a cohort to have begun.
const NOW: &str = "2027-06-24T12:00:00Z";

fn seeds() -> Vec<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match read("TIDEMILL_WORLD") {
        Some(seed) => vec![seed],
        None => (0..read("TIDEMILL_WORLDS").unwrap_or(WORLDS)).collect(),
    }
}

/// Copies of events in order of arrival.
fn events(random: &mut Random) -> Vec<Event> {
    // 2026-10-25 has 25 hours in Berlin; instants cluster around both midnights and the change.
    let spots = ["2026-10-24T21:59:50Z", "2026-10-25T00:59:55Z", "2026-10-25T22:59:50Z", "2026-10-26T22:59:58Z"];
    let spots = spots.map(|text| Timestamp::parse(text).expect("it is a time"));
    let mut all = Vec::new();
    for actor in 0..ACTORS {
        for nth in 0..random.below(9) {
            let places = if random.chance(70) { 1 } else { spots.len() as u64 };
            let spot = spots[random.below(places) as usize];
            let mut properties = BTreeMap::from([("k".to_owned(), Value::Number(random.between(0, 3).into()))]);
            if random.chance(80) {
                properties.insert("g".to_owned(), Value::Text(random.pick(&["x", "y", "z"]).to_owned()));
            }
            all.push(Event {
                id: format!("{actor}-{nth}"),
                source: "s".to_owned(),
                name: NAMES[random.below(NAMES.len() as u64) as usize].to_owned(),
                actor: random.chance(95).then(|| format!("u{actor}")),
                time: spot.plus_seconds(random.between(0, 14)),
                properties,
                rev: 0,
                deleted: false,
                received: spot,
            });
        }
    }
    let mut copies = all.clone();
    for event in &all {
        if random.chance(10) {
            copies.push(event.clone());
        }
        if random.chance(5) {
            copies.push(Event { rev: 1, name: random.pick(&NAMES).to_owned(), ..event.clone() });
        }
        if random.chance(3) {
            copies.push(Event { rev: 2, deleted: true, ..event.clone() });
        }
    }
    random.shuffle(&mut copies);
    copies
}

fn steps(random: &mut Random, least: i64, most: i64) -> String {
    let step = |random: &mut Random| match random.below(6) {
        0 => "[a, b]".to_owned(),
        1 => "{ event: c, where: k > 1 }".to_owned(),
        2 => "{ where: k = 2, name: two }".to_owned(),
        _ => random.pick(&NAMES).to_owned(),
    };
    let steps: Vec<String> = (0..random.between(least, most)).map(|_| step(random)).collect();
    steps.join(", ")
}

/// A definition of each kind.
fn definitions(random: &mut Random) -> Vec<String> {
    let within = |random: &mut Random| random.pick(&["3s", "7s", "1d", "14d"]).to_owned();
    let by = |random: &mut Random| if random.chance(60) { "by: g\n" } else { "" };
    let zone = random.pick(&["UTC", "Europe/Berlin", "Asia/Kolkata"]).to_owned();
    let mut all = Vec::new();
    for nth in 0..4 {
        let order = ["ordered", "ordered", "strict", "any"][nth];
        let mut text = format!("insight: f{nth}\ntype: funnel\norder: {order}\nwithin: {}\n", within(random));
        let count = random.between(2, 4);
        text += &format!("steps: [{}]\n{}", steps(random, count, count), by(random));
        if order == "ordered" && random.chance(60) {
            let (after, before) = (random.between(1, count - 1), count);
            let rule = random.pick(&["drop_actor", "end_attempt"]);
            text += &format!("exclude: [{{ event: e, between: [{after}, {before}] }}]\nexclusion: {rule}\n");
        }
        text += if random.chance(30) { "entry: first\n" } else { "" };
        if order != "any" {
            text += &format!("attribution: {}\n", random.pick(&["first", "last", "step 2"]));
        }
        all.push(text);
    }
    for nth in 0..3 {
        let gap = |random: &mut Random| random.pick(&["", "!c ", "!* ", "{0,3s} ", "!d{2s,9s} ", "{1s,} "]).to_owned();
        let mut shape = "x".to_owned();
        for _ in 0..random.between(1, 2) {
            shape += &format!(" {}{}", gap(random), random.pick(&["x", "y", "c"]));
        }
        all.push(format!(
            "insight: p{nth}\ntype: event_sequence\nevents: {{ x: [a, b], y: {{ where: k > 1 }}, c: c, d: d }}\npattern: {shape}\nwithin: {}\n{}",
            within(random),
            by(random)
        ));
    }
    for (nth, anchors) in ["end: b\n", "start: a\n", "start: a\nend: { where: k = 3 }\n"].into_iter().enumerate() {
        all.push(format!(
            "insight: w{nth}\ntype: event_sequence\n{anchors}session_gap: {}\ndepth: {}\nignore: [d]\ntop: 1000\n{}",
            random.pick(&["2s", "5s", "1h"]),
            random.between(2, 5),
            by(random)
        ));
    }
    for nth in 0..2 {
        all.push(format!(
            "insight: c{nth}\ntype: cohort\nborn: {}\nreturns: {}\nevery: {}\nperiods: {}\nmode: {}\nmeasure: {}\n",
            random.pick(&["a", "[a, c]", "{ where: k > 0 }"]),
            random.pick(&["b", "a", "[a, b, c, d, e]"]),
            random.pick(&["day", "week", "month"]),
            random.between(1, 5),
            random.pick(&["first_time", "recurring"]),
            random.pick(&["on", "on_or_after"]),
        ));
    }
    all.into_iter().map(|text| text + &format!("timezone: {zone}\n")).collect()
}

/// A world with everything sent, defined and computed.
async fn lived(seed: u64, copies: &[Event], definitions: &[(Definition, String)]) -> World {
    let mut random = Random::of(seed ^ 0x5eed);
    let mut world = World::new(Timestamp::parse(NOW).expect("it is a time"), 2);
    let lines: Vec<String> = copies.iter().map(line).collect();
    for part in lines.chunks(1 + lines.len() / 3) {
        world.send(&part.join("\n")).await;
        world.settle(&mut random).await;
    }
    for (definition, text) in definitions {
        world.apply(&definition.name, text).await;
    }
    world.backfill().await;
    world.settle(&mut random).await;
    world
}

fn buckets(definition: &Definition, every: Option<Period>) -> Vec<(Date, (i64, i64))> {
    let zone = &definition.timezone;
    let span = |first, last| {
        let window = zone.days(first, last);
        (window.start.micros(), window.end.micros())
    };
    match every {
        None => vec![(FIRST, span(FIRST, LAST))],
        Some(_) => calendar::dates(FIRST, LAST).map(|date| (date, span(date, date))).collect(),
    }
}

/// A group as rows show it.
fn shown(group: &[Value]) -> String {
    let one = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        _ => "$null".to_owned(),
    };
    group.iter().map(one).collect::<Vec<_>>().join("/")
}

/// Durations in microseconds → median and mean in seconds, as rows show them.
fn typical(micros: &[i64]) -> (String, String) {
    if micros.is_empty() {
        return ("null".to_owned(), "null".to_owned());
    }
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let n = sorted.len();
    let median = (sorted[(n - 1) / 2] + sorted[n / 2]) as f64 / 2e6;
    (format!("{median:.6}"), format!("{:.6}", sorted.iter().sum::<i64>() as f64 / n as f64 / 1e6))
}

fn text_of(row: &Json, column: &str) -> String {
    match &row[column] {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        other => other.to_string(),
    }
}

fn seconds_of(row: &Json, column: &str) -> String {
    row[column].as_f64().map_or("null".to_owned(), |seconds| format!("{seconds:.6}"))
}

/// One line per row: what it is of, then its numbers. Rows of nothing are left out.
type Lines = BTreeSet<String>;

/// How many, by whom, and how long each took.
type Counted<'a> = (u64, BTreeSet<&'a Value>, Vec<i64>);

fn answered(definition: &Definition, body: &str, grouped: bool) -> Lines {
    let zone = &definition.timezone;
    let mut lines = Lines::new();
    for row in json(body)["rows"].as_array().expect("an answer has rows") {
        let day = |column: &str| {
            let time = Timestamp::parse(&text_of(row, column)).expect("rows have times");
            zone.date_of(time).to_string()
        };
        let group = if grouped { text_of(row, "g") } else { String::new() };
        let count = |column: &str| text_of(row, column);
        let line = match &definition.body {
            Body::Funnel(_) if count("actors") != "0" => {
                let (median, mean) = (seconds_of(row, "median_seconds"), seconds_of(row, "mean_seconds"));
                format!("{} {group} step {} {} {median} {mean}", day("time"), count("step"), count("actors"))
            }
            Body::Pattern(_) if count("matches") != "0" => {
                let (median, mean) = (seconds_of(row, "median_seconds"), seconds_of(row, "mean_seconds"));
                format!("{} {group} {} {} {median} {mean}", day("time"), count("matches"), count("actors"))
            }
            Body::Paths(_) => {
                format!("{} {group} {} {} {}", day("time"), text_of(row, "path"), count("count"), count("actors"))
            }
            Body::Cohort(_) => {
                format!("{} {} {} {}", day("cohort"), count("size"), count("offset"), count("actors"))
            }
            _ => continue,
        };
        lines.insert(line);
    }
    lines
}

fn expected(definition: &Definition, events: &[&Event], every: Option<Period>, grouped: bool) -> Lines {
    let by: Vec<Column> = if grouped { definition.by.clone() } else { Vec::new() };
    let actors = by_actor(&definition.body, &by, events);
    let mut lines = Lines::new();
    if let Body::Cohort(body) = &definition.body {
        let found = cohort::cohorts(body, &definition.timezone, definition.week_start, &actors);
        let first = body.every.first(FIRST, definition.week_start);
        for (start, (size, columns)) in found.range(first..=LAST) {
            let column = |(offset, actors): (usize, &u64)| format!("{start} {size} {offset} {actors}");
            lines.extend(columns.iter().enumerate().map(column));
        }
        return lines;
    }
    for (start, bucket) in buckets(definition, every) {
        // By group and level (or path): how many, by how many, how long.
        let mut counted: BTreeMap<(String, String), Counted<'_>> = BTreeMap::new();
        for (actor, did) in &actors {
            for (group, what, micros) in found(&definition.body, did, bucket, by.len()) {
                let held = counted.entry((shown(&group), what)).or_default();
                held.0 += 1;
                held.1.insert(actor);
                held.2.extend(micros);
            }
        }
        for ((group, what), (count, actors, micros)) in counted {
            let ((median, mean), actors) = (typical(&micros), actors.len());
            lines.insert(match &definition.body {
                Body::Funnel(_) => format!("{start} {group} step {what} {actors} {median} {mean}"),
                Body::Pattern(_) => format!("{start} {group} {count} {actors} {median} {mean}"),
                _ => format!("{start} {group} {what} {count} {actors}"),
            });
        }
    }
    lines
}

/// What one actor adds to a bucket: under which group, to which row, taking how long.
fn found(body: &Body, did: &[Did], bucket: (i64, i64), columns: usize) -> Vec<(Vec<Value>, String, Option<i64>)> {
    match body {
        Body::Funnel(body) => {
            let Some(reached) = funnel::reached(body, did, bucket, columns) else { return Vec::new() };
            let level = |(at, micros): (usize, &i64)| {
                (reached.group.clone(), (at + 1).to_string(), (at > 0).then_some(*micros))
            };
            reached.micros.iter().enumerate().map(level).collect()
        }
        Body::Pattern(body) => {
            let matches = pattern::matches(body, did, bucket).into_iter();
            matches.map(|(micros, group)| (group, String::new(), Some(micros))).collect()
        }
        Body::Paths(body) => {
            let paths = paths::paths(body, did, bucket).into_iter();
            paths
                .map(|(stations, group)| {
                    (
                        group,
                        stations
                            .iter()
                            .map(|station| shown(std::slice::from_ref(station)))
                            .collect::<Vec<_>>()
                            .join(" → "),
                        None,
                    )
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_kind_is_what_its_reference_says() {
    let mut compared = 0;
    for seed in seeds() {
        let mut random = Random::of(seed);
        let copies = events(&mut random);
        let texts = definitions(&mut random);
        let definitions: Vec<(Definition, String)> = texts
            .into_iter()
            .map(|text| {
                let parsed = parse("any.yaml", &text).unwrap_or_else(|why| panic!("seed {seed}: {why:?}\n{text}"));
                (parsed[0].definition.clone(), text)
            })
            .collect();
        let world = lived(seed, &copies, &definitions).await;
        let live = live(&copies);
        for (definition, text) in &definitions {
            let is_cohort = matches!(definition.body, Body::Cohort(_));
            for every in [None, Some(Period::Day)].into_iter().filter(|every| !(is_cohort && every.is_some())) {
                for grouped in [false, true].into_iter().filter(|grouped| !grouped || !definition.by.is_empty()) {
                    let mut parameters = format!("from={FIRST}&to={}&limit=100000", calendar::next(LAST));
                    parameters += if every.is_some() { "&every=day" } else { "" };
                    parameters += if grouped { "&by=g" } else { "" };
                    let body = world.query(&definition.name, "series", &parameters).await;
                    assert!(body.contains("\"partial\":false"), "seed {seed}: {body}");
                    let (ours, theirs) =
                        (answered(definition, &body, grouped), expected(definition, &live, every, grouped));
                    assert_eq!(ours, theirs, "seed {seed}: {parameters}\n{text}");
                    compared += ours.len();
                }
            }
        }
    }
    assert!(compared > 500, "too little to compare: {compared}");
}
