//! Worlds: events as they arrive around a day on which clocks change.
//!
//! Every event has copies: the first, perhaps corrections (also to another day or source of truth), withdrawals,
//! re-insertions, retries of the same copy and stale revisions that come too late. Copies of one revision are equal in
//! everything but the time they were received, as a producer's retries are.

use std::collections::BTreeMap;

use tidemill_schemas::calendar::{Date, Zone};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::Event;
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::value::Value;

use super::Random;

/// Days on each side of the day the clocks change.
const SPAN_DAYS: i64 = 6;

/// A zone and a date in it that is worth a look: a DST change, a midnight that does not exist, an odd offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// IANA name.
    pub zone: &'static str,
    /// The date, `YYYY-MM-DD`.
    pub date: &'static str,
}

/// The scenes worlds play in.
pub const SCENES: [Scene; 10] = [
    Scene { zone: "Europe/Berlin", date: "2026-03-29" },
    Scene { zone: "Europe/Berlin", date: "2025-10-26" },
    Scene { zone: "America/New_York", date: "2025-11-02" },
    Scene { zone: "America/Santiago", date: "2026-09-06" },
    Scene { zone: "America/Santiago", date: "2026-04-05" },
    Scene { zone: "Australia/Lord_Howe", date: "2025-10-05" },
    Scene { zone: "America/St_Johns", date: "2026-03-08" },
    Scene { zone: "Asia/Kolkata", date: "2025-12-31" },
    Scene { zone: "Pacific/Kiritimati", date: "2024-02-29" },
    Scene { zone: "UTC", date: "2026-01-01" },
];

/// A seed's world.
#[derive(Clone, Debug)]
pub struct World {
    /// What made it.
    pub seed: u64,
    /// Where it plays.
    pub scene: Scene,
    /// Copies of events in order of arrival; `received` never falls.
    pub arrivals: Vec<Event>,
    /// First local date (in the scene's zone) with events; other zones may have some a day to either side.
    pub first: Date,
    /// Last local date with events.
    pub last: Date,
    /// A clock reading after everything has arrived and every day has closed.
    pub end: Timestamp,
}

impl World {
    /// The world of a seed, with about `events` identities.
    ///
    /// # Panics
    /// Never: the scenes' zones and dates are known.
    pub fn of(seed: u64, events: usize) -> World {
        let mut random = Random::of(seed);
        let scene = SCENES[random.below(SCENES.len() as u64) as usize];
        let zone = Zone::named(scene.zone).expect("every scene has a known zone");
        let date: Date = scene.date.parse().expect("every scene has a date");
        let from = zone.start_of(date).plus_micros(-SPAN_DAYS * MICROS_PER_DAY);
        let to = zone.start_of(date).plus_micros((SPAN_DAYS + 1) * MICROS_PER_DAY);
        let mut arrivals = Vec::new();
        for at in 0..events {
            copies(&mut random, &zone, date, at, &mut arrivals);
        }
        // Ties stay in the order made, so the order is the seed's alone.
        arrivals.sort_by_key(|copy| copy.received);
        let end = arrivals.last().map_or(to, |copy| copy.received).max(to).plus_micros(3 * MICROS_PER_DAY);
        World { seed, scene, arrivals, first: zone.date_of(from), last: zone.date_of(to), end }
    }

    /// The arrivals as NDJSON in the native shape of the API, without what the server decides.
    pub fn ndjson(&self) -> String {
        self.arrivals.iter().map(|event| line(event) + "\n").collect()
    }
}

/// All copies of one identity.
fn copies(random: &mut Random, zone: &Zone, date: Date, at: usize, out: &mut Vec<Event>) {
    let source = random.pick(&["shop", "shop", "shop", "app", "Läden & Co"]).to_owned();
    // Ids repeat across sources: identity is the pair.
    let id = format!("{}{}", random.pick(&["e", "e", "order:", "ß"]), at / 2 * 2 + usize::from(source != "app"));
    let id = if random.chance(90) { format!("{id}-{at}") } else { id };
    let taken = |out: &Vec<Event>| out.iter().any(|copy| copy.source == source && copy.id == id);
    if taken(out) {
        return;
    }
    let mut revision = random.below(3);
    let mut event = first_copy(random, zone, date, &source, &id, revision);
    let mut mine = vec![event.clone()];
    while random.chance(18) && mine.len() < 6 {
        revision += 1 + random.below(2);
        let received = event.received.plus_micros(delay(random) + MICROS_PER_SECOND);
        event = match random.below(4) {
            // Withdrawn; a later round may bring it back.
            0 => tombstone(&source, &id, revision, received),
            // Corrected, also to another time.
            1 => Event { received, ..first_copy(random, zone, date, &source, &id, revision) },
            // Corrected in place.
            _ if !event.deleted => Event { rev: revision, received, properties: properties(random), ..event.clone() },
            _ => Event { received, ..first_copy(random, zone, date, &source, &id, revision) },
        };
        event.received = event.received.max(event.time.plus_micros(-60 * MICROS_PER_SECOND));
        mine.push(event.clone());
    }
    // Retries and stale revisions: a copy once more, after any of the others.
    while random.chance(12) {
        let again = mine[random.below(mine.len() as u64) as usize].clone();
        let received = again.received.plus_micros(delay(random));
        mine.push(Event { received, ..again });
    }
    out.extend(mine);
}

fn tombstone(source: &str, id: &str, rev: u64, received: Timestamp) -> Event {
    Event {
        id: id.to_owned(),
        source: source.to_owned(),
        name: String::new(),
        actor: None,
        time: Timestamp::from_micros(0),
        properties: BTreeMap::new(),
        rev,
        deleted: true,
        received,
    }
}

fn first_copy(random: &mut Random, zone: &Zone, date: Date, source: &str, id: &str, rev: u64) -> Event {
    let time = time(random, zone, date);
    // Most arrive within seconds, some ahead of our clock by less than is allowed, some days late.
    let behind = if random.chance(5) { -60 * MICROS_PER_SECOND } else { delay(random) };
    let name = random.pick(&["order_completed", "order_completed", "page_viewed", "refund", "Größe gewählt"]);
    let actor = random.pick(&["ada", "bob", "Zoë", "李", "", "", "carol", "dave", "eve", "heidi"]);
    Event {
        id: id.to_owned(),
        source: source.to_owned(),
        name: name.to_owned(),
        actor: (!actor.is_empty()).then(|| actor.to_owned()),
        time,
        properties: properties(random),
        rev,
        deleted: false,
        received: time.plus_micros(behind),
    }
}

/// How long something takes to arrive, in microseconds.
fn delay(random: &mut Random) -> i64 {
    match random.below(20) {
        0 => random.between(0, 20 * MICROS_PER_DAY),
        1..=3 => random.between(0, 2 * MICROS_PER_DAY),
        _ => random.between(0, 90 * MICROS_PER_SECOND),
    }
}

/// An event's time: mostly anywhere, often at or beside a local or a UTC midnight, often on the full hour (ties).
fn time(random: &mut Random, zone: &Zone, date: Date) -> Timestamp {
    let days = random.between(-SPAN_DAYS, SPAN_DAYS);
    let day = zone.start_of(date).plus_micros(days * MICROS_PER_DAY + MICROS_PER_DAY / 2);
    match random.below(10) {
        0 | 1 => zone.day(zone.date_of(day)).start.plus_micros(random.between(-1, 1)),
        2 => Timestamp::from_micros(day.micros().div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY + random.between(-1, 1)),
        3 | 4 => {
            let hour = 3_600 * MICROS_PER_SECOND;
            Timestamp::from_micros(day.micros().div_euclid(hour) * hour)
        }
        5 => zone.start_of(date).plus_micros(random.between(-4, 28) * 1_800 * MICROS_PER_SECOND),
        _ => day.plus_micros(random.between(-MICROS_PER_DAY / 2, MICROS_PER_DAY / 2)),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(text: &str) -> Value {
    Value::Number(Decimal::parse(text).expect("the generator writes numbers that fit"))
}

/// The vocabulary: every property is missing now and then, several change their type from event to event.
fn properties(random: &mut Random) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    if random.chance(85) {
        put("status", text(random.pick(&["paid", "paid", "open", "", "Paid", "PAID ", "void", "paıd"])));
    }
    if random.chance(85) {
        put(
            "country",
            text(random.pick(&["IN", "IN", "IN", "DE", "DE", "US", "", "日本", "Åland", "$other", "br", "FR"])),
        );
    }
    match random.below(8) {
        0 => put("plan", number("34")),
        1 => put("plan", text("34")),
        2 => put("plan", Value::Bool(true)),
        3 => None,
        _ => put("plan", text(random.pick(&["pro", "free", ""]))),
    };
    match random.below(12) {
        0 => None,
        1 => put("amount", text("12.5")),
        2 => put("amount", number("0")),
        3 => put("amount", number(&format!("-{}.{}", random.digits(3), random.digits(2)))),
        4 => put("amount", number(&format!("{}.{}", random.digits(12), random.digits(18)))),
        5 => put("amount", number("0.000000000000000001")),
        _ => put("amount", number(&format!("{}.{}", random.below(200), random.below(100)))),
    };
    if random.chance(80) {
        put("quantity", number(&random.between(0, 5).to_string()));
    }
    if random.chance(70) {
        put("price", number(&format!("{}.{:02}", random.below(50), random.below(100))));
    }
    if random.chance(40) {
        let digits = random.between(1, 30) as usize;
        put("balance", number(&format!("{}{}", random.pick(&["", "-"]), random.digits(digits))));
    }
    if random.chance(30) {
        put("huge", number(&format!("{}{}", random.pick(&["", "-"]), random.digits(38))));
    }
    if random.chance(90) {
        let user = random.below(40).to_string();
        put("user_id", if random.chance(30) { number(&user) } else { text(&user) });
    }
    if random.chance(80) {
        put("device", text(random.pick(&["mobile", "mobile", "desktop", "Mobile"])));
    }
    if random.chance(60) {
        put("vip", Value::Bool(random.chance(40)));
    }
    if random.chance(40) {
        put(
            "note",
            text(random.pick(&[
                "größer",
                "ÄRGER",
                "100%",
                "a_b",
                "say \"hi\"\n",
                "🙂",
                "it's",
                "ΑΣ",
                "x1",
                "back\\slash",
            ])),
        );
    }
    if random.chance(30) {
        put("weird key", text(random.pick(&["a", "b", ""])));
    }
    if random.chance(30) {
        put("cart.items", number(&random.below(9).to_string()));
    }
    out
}

/// An event as one line of NDJSON in the API's native shape.
pub fn line(event: &Event) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut out = format!("{{\"id\":{},\"source\":{},\"rev\":{}", quoted(&event.id), quoted(&event.source), event.rev);
    if event.deleted {
        return out + ",\"deleted\":true}";
    }
    out += &format!(",\"name\":{},\"time\":\"{}\"", quoted(&event.name), event.time);
    if let Some(actor) = &event.actor {
        out += &format!(",\"actor\":{}", quoted(actor));
    }
    out += ",\"properties\":{";
    for (at, (key, value)) in event.properties.iter().enumerate() {
        out += if at == 0 { "" } else { "," };
        out += &quoted(key);
        out.push(':');
        value.write_json(&mut out);
    }
    out + "}}"
}
