//! Weeks, months, quarters and years: folded from their days, held against the oracle; repaired, partial, healed.

use std::collections::BTreeMap;

use tidemill_ports::Queue;
use tidemill_rollups::merge::folded;
use tidemill_schemas::calendar::{self, Date, LONG_PERIODS, Period, Zone};
use tidemill_schemas::definition::{Definition, parse};
use tidemill_schemas::event::Event;
use tidemill_schemas::request::Reason;
use tidemill_schemas::time::{MICROS_PER_DAY, Timestamp};
use tidemill_schemas::value::Value;
use tidemill_tests::fault::Faults;
use tidemill_tests::generator::{self, Random, line};
use tidemill_tests::oracle::{Question, answer, compare};
use tidemill_tests::world::{World, json};

/// Faults per million calls, before and after their effect each.
const FAULTS_PER_MILLION: u32 = 6_000;

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is no time"))
}

pub(crate) fn date(text: &str) -> Date {
    text.parse().unwrap_or_else(|_| panic!("{text} is no date"))
}

pub(crate) fn parsed(text: &str) -> Definition {
    parse("any.yaml", text).unwrap_or_else(|why| panic!("{why:?}\n{text}"))[0].definition.clone()
}

/// The whole periods of a kind around the days from `first` to `last`.
pub(crate) fn around(definition: &Definition, period: Period, first: Date, last: Date) -> (Date, Date) {
    (period.first(first, definition.week_start), period.last(last, definition.week_start))
}

/// Each period's own span, within a span of whole ones.
pub(crate) fn each(definition: &Definition, period: Period, (first, last): (Date, Date)) -> Vec<(Date, Date)> {
    let mut all = Vec::new();
    let mut at = first;
    while at <= last {
        let end = period.last(at, definition.week_start);
        all.push((at, end));
        at = calendar::next(end);
    }
    all
}

/// What the API says of a span by `every` must be what the oracle says.
pub(crate) async fn assert_oracle(
    world: &World,
    definition: &Definition,
    copies: &[Event],
    every: Option<Period>,
    (first, last): (Date, Date),
) {
    for grouped in [false, true] {
        if grouped && definition.by.is_empty() {
            continue;
        }
        let mut parameters = format!("from={first}&to={}&limit=100000", calendar::next(last));
        parameters += &every.map_or_else(String::new, |every| format!("&every={}", every.word()));
        parameters += if grouped { "&by=*" } else { "" };
        let route = if grouped { "breakdown" } else { "series" };
        let body = world.query(&definition.name, route, &parameters).await;
        let by = if grouped { definition.by.clone() } else { Vec::new() };
        let question = Question { first, last, every, by, top: definition.top as usize };
        let expected = answer(definition, copies, &question).expect("worlds add up");
        let told = compare::differences(definition, &expected, &body);
        assert!(told.is_empty(), "{} {parameters}\n{}\n{body}", definition.name, told.join("\n"));
    }
}

/// A stored period must be whole, stand on the days there are, and say in its digest and detail what the oracle says.
pub(crate) async fn assert_stored(world: &World, definition: &Definition, period: Period, (first, last): (Date, Date)) {
    let stored = world.stored_periods(&definition.name, period, first, first).await;
    let days = world.stored(&definition.name, first, last).await;
    let days: BTreeMap<Date, _> = days.into_iter().map(|(date, (snapshot, _))| (date, snapshot)).collect();
    let with_events = days.values().any(|day| day.digest.events > 0);
    let name = format!("{} {} {first}", definition.name, period.word());
    let Some((snapshot, states)) = stored.get(&first) else {
        assert!(!with_events, "{name} is not there");
        return;
    };
    assert!(!snapshot.header.partial && snapshot.header.missing.is_empty(), "{name}: {:?}", snapshot.header);
    assert_eq!(snapshot.header.pages, folded(&days), "{name} stands on other days");
    assert_eq!(snapshot.header.window, definition.timezone.days(first, last), "{name}");
    assert_eq!(snapshot.header.states.as_ref().map_or(0, |range| range.bytes), states.len() as u64, "{name}");
}

/// A generated world and its definitions.
struct Case {
    events: generator::World,
    definitions: Vec<(Definition, String)>,
    first: Date,
    last: Date,
}

impl Case {
    fn of(seed: u64) -> Case {
        let events = generator::World::of(seed, 120);
        let texts = (0..4).map(|number| generator::definition(seed * 4 + number, events.scene));
        let definitions = texts.map(|text| (parsed(&text), text)).collect();
        let first = events.first.yesterday().expect("no scene is at the beginning of time");
        let last = calendar::next(events.last);
        Case { events, definitions, first, last }
    }

    /// Everything sent and sealed, and every year around it long over.
    async fn lived(&self, faults: std::sync::Arc<Faults>, shards: u16) -> (World, Vec<Event>) {
        let mut world = World::with(self.events.end, shards, faults, true);
        for (definition, text) in &self.definitions {
            world.apply(&definition.name, text).await;
        }
        let lines: String = self.events.arrivals.iter().map(|event| line(event) + "\n").collect();
        world.send(&lines).await;
        let received = self.events.end;
        world.settle(&mut Random::of(5)).await;
        world.ports.clock.set(received.plus_micros(800 * MICROS_PER_DAY));
        let sent = self.events.arrivals.iter().map(|event| Event { received, ..event.clone() }).collect();
        (world, sent)
    }

    async fn roll_up(&self, world: &mut World, random: &mut Random) {
        for (definition, _) in &self.definitions {
            for period in LONG_PERIODS {
                let span = around(definition, period, self.first, self.last);
                for span in each(definition, period, span) {
                    world.request(&definition.name, period, span, Reason::Rollup).await;
                }
            }
        }
        let until = world.now().plus_seconds(4 * 3_600);
        world.live_until(until, random, 0).await;
    }

    async fn assert_rolled_up(&self, world: &World, sent: &[Event]) {
        for (definition, _) in &self.definitions {
            for period in LONG_PERIODS {
                let span = around(definition, period, self.first, self.last);
                for span in each(definition, period, span) {
                    assert_stored(world, definition, period, span).await;
                }
                assert_oracle(world, definition, sent, Some(period), span).await;
                assert_oracle(world, definition, sent, None, span).await;
            }
        }
    }
}

#[tokio::test]
async fn a_rollup_of_days_is_what_the_oracle_computes_directly() {
    for seed in [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13] {
        let case = Case::of(seed);
        let (mut world, sent) = case.lived(Faults::none(), 1 + 2 * (seed % 2) as u16).await;
        // No backfill: every day is asked for because a period wants it.
        case.roll_up(&mut world, &mut Random::of(seed)).await;
        case.assert_rolled_up(&world, &sent).await;
        let status = json(&world.must("GET", "/v1/status", "").await);
        assert_eq!(status["partial_rollups"], 0, "seed {seed}: {status}");
    }
}

#[tokio::test]
async fn faults_before_and_after_any_call_change_nothing() {
    for seed in [0, 3, 5, 10] {
        let case = Case::of(seed);
        let faults = Faults::new(seed, FAULTS_PER_MILLION, FAULTS_PER_MILLION);
        let (mut world, sent) = case.lived(faults, 1).await;
        case.roll_up(&mut world, &mut Random::of(seed)).await;
        world.faults.stop();
        let mut random = Random::of(seed);
        let until = world.now().plus_seconds(4 * 3_600);
        world.live_until(until, &mut random, 0).await;
        case.assert_rolled_up(&world, &sent).await;
    }
}

const ORDERS: &str = "insight: orders
type: standard
from: order
metrics:
  n: count(*)
  total: sum(amount)
  buyers: count(distinct user)
  typical: quantile(amount, 0.5)
by: [country]
";

pub(crate) fn order(at: usize, time: Timestamp) -> Event {
    let text = |value: &str| Value::Text(value.to_owned());
    let amount = tidemill_schemas::decimal::Decimal::new(i128::try_from(at % 97).expect("small"), 1).expect("small");
    let properties = [
        ("amount".to_owned(), Value::Number(amount)),
        ("user".to_owned(), text(&format!("u{}", at * 7 % 31))),
        ("country".to_owned(), text(["IN", "DE", "US"][at % 3])),
    ];
    Event {
        id: format!("o{at}"),
        source: "default".to_owned(),
        name: "order".to_owned(),
        actor: None,
        time,
        properties: properties.into(),
        rev: 0,
        deleted: false,
        received: time,
    }
}

/// A month of orders in UTC, days computed, the month not rolled up.
async fn a_month_of_days(budget: u32) -> (World, Vec<Event>, Definition) {
    let mut world = World::new(at("2026-04-20T12:00:00Z"), 1);
    world.repair_attempts = budget;
    world.apply("orders", ORDERS).await;
    let start = at("2026-03-01T00:00:00Z");
    let sent: Vec<Event> = (0..300)
        .map(|n| Event { received: world.now(), ..order(n, start.plus_micros(n as i64 * 31 * MICROS_PER_DAY / 300)) })
        .collect();
    world.send(&sent.iter().map(|event| line(event) + "\n").collect::<String>()).await;
    world.settle(&mut Random::of(1)).await;
    world.backfill().await;
    world.settle(&mut Random::of(2)).await;
    world.lose("orders", Period::Month, &[march().0]).await;
    (world, sent, parsed(ORDERS))
}

const MARCH: (&str, &str) = ("2026-03-01", "2026-03-31");

fn march() -> (Date, Date) {
    (date(MARCH.0), date(MARCH.1))
}

#[tokio::test]
async fn days_lost_under_a_rollup_are_asked_for_and_made_again() {
    for seed in 0..4 {
        let (mut world, sent, definition) = a_month_of_days(1 + (seed % 3) as u32).await;
        let mut random = Random::of(seed);
        let lost: Vec<Date> = calendar::dates(march().0, march().1).filter(|_| random.chance(20 + 20 * seed)).collect();
        world.lose("orders", Period::Day, &lost).await;
        world.request("orders", Period::Month, march(), Reason::Rollup).await;
        let until = world.now().plus_seconds(3_600);
        world.live_until(until, &mut random, 0).await;
        assert_eq!(world.stored("orders", march().0, march().1).await.len(), 31);
        assert_stored(&world, &definition, Period::Month, march()).await;
        assert_oracle(&world, &definition, &sent, Some(Period::Month), march()).await;
    }
}

#[tokio::test]
async fn without_a_budget_a_rollup_is_partial_names_its_days_and_heals() {
    let (mut world, sent, definition) = a_month_of_days(0).await;
    let mut random = Random::of(4);
    let lost = ["2026-03-03", "2026-03-17", "2026-03-18"].map(date);
    world.lose("orders", Period::Day, &lost).await;
    world.request("orders", Period::Month, march(), Reason::Rollup).await;
    world.settle(&mut random).await;
    let stored = world.stored_periods("orders", Period::Month, march().0, march().0).await;
    let (snapshot, _) = &stored[&march().0];
    assert!(snapshot.header.partial);
    assert_eq!(snapshot.header.missing, lost);
    let parameters = "from=2026-03&to=2026-04&every=month";
    let answered = json(&world.query("orders", "series", parameters).await);
    assert_eq!(answered["completeness"]["partial"], true, "{answered}");
    assert_eq!(answered["completeness"]["missing"], serde_json::json!(lost.map(|day| day.to_string())), "{answered}");
    let kept: Vec<Event> =
        sent.iter().filter(|event| !lost.contains(&Zone::utc().date_of(event.time))).cloned().collect();
    assert_oracle(&world, &definition, &kept, Some(Period::Month), march()).await;
    let (refused, _) =
        world.call("GET", &format!("/v1/insights/orders/series?{parameters}&partial=refuse"), None, "").await;
    assert!(refused.is_client_error() || refused.is_server_error(), "{refused}");
    let status = json(&world.must("GET", "/v1/status", "").await);
    assert_eq!(status["partial_rollups"], 1, "{status}");
    // A request that finds the same days missing changes nothing.
    world.request("orders", Period::Month, march(), Reason::Rollup).await;
    world.settle(&mut random).await;
    let again = world.stored_periods("orders", Period::Month, march().0, march().0).await;
    assert_eq!(again, stored);
    // One of the days comes: still partial, one day fewer. Then the others.
    world.request("orders", Period::Day, (lost[0], lost[0]), Reason::Repair).await;
    heal(&mut world, &mut random).await;
    let (snapshot, _) = &world.stored_periods("orders", Period::Month, march().0, march().0).await[&march().0];
    assert_eq!((snapshot.header.version, &snapshot.header.missing), (2, &lost[1..].to_vec()));
    world.request("orders", Period::Day, (lost[1], lost[2]), Reason::Repair).await;
    heal(&mut world, &mut random).await;
    assert_stored(&world, &definition, Period::Month, march()).await;
    assert_oracle(&world, &definition, &sent, Some(Period::Month), march()).await;
    let status = json(&world.must("GET", "/v1/status", "").await);
    assert_eq!(status["partial_rollups"], 0, "{status}");
}

#[tokio::test]
async fn a_partial_period_promises_nothing_from_its_first_missing_day_on() {
    let all: Vec<Date> = calendar::dates(march().0, march().1).collect();
    for lost in [&all[16..18], &all] {
        let (mut world, ..) = a_month_of_days(0).await;
        world.lose("orders", Period::Day, lost).await;
        world.request("orders", Period::Month, march(), Reason::Rollup).await;
        world.settle(&mut Random::of(5)).await;
        let (snapshot, _) = &world.stored_periods("orders", Period::Month, march().0, march().0).await[&march().0];
        assert!(snapshot.header.partial);
        assert!(snapshot.header.watermark <= Zone::utc().start_of(lost[0]), "{:?}", snapshot.header);
    }
}

/// What the minute's look at what changed does, whether or not it is armed.
async fn heal(world: &mut World, random: &mut Random) {
    world.settle(random).await;
    let tenant = tidemill_schemas::keys::Tenant::local();
    let outcome = tidemill_rollups::on_repair::on_repair(&world.context, &tenant).await;
    assert_eq!(outcome, tidemill_ports::Outcome::Done);
    let until = world.now().plus_seconds(3_600);
    world.live_until(until, random, 0).await;
}

#[tokio::test]
async fn a_changed_day_changes_its_periods_and_no_others() {
    let (mut world, mut sent, definition) = a_month_of_days(3).await;
    let mut random = Random::of(9);
    let span = |period| around(&definition, period, march().0, march().1);
    let closed = [Period::Week, Period::Month];
    for period in closed {
        for span in each(&definition, period, span(period)) {
            world.request("orders", period, span, Reason::Rollup).await;
        }
    }
    let until = world.now().plus_seconds(3_600);
    world.live_until(until, &mut random, 0).await;
    let versions = async |world: &World| {
        let mut versions = BTreeMap::new();
        for period in closed {
            let (first, last) = span(period);
            for (start, (snapshot, _)) in world.stored_periods("orders", period, first, last).await {
                versions.insert((period, start), snapshot.header.version);
            }
        }
        versions
    };
    let before = versions(&world).await;
    // Late, corrected, withdrawn: on one day each.
    let now = world.now();
    let late = Event { received: now, ..order(1_000, at("2026-03-11T10:00:00Z")) };
    let corrected = Event { rev: 5, received: now, ..order(105, sent[105].time) };
    let withdrawn = Event { rev: 9, deleted: true, received: now, name: String::new(), ..sent[110].clone() };
    let touched: Vec<Date> = [late.time, corrected.time, sent[110].time].map(|time| Zone::utc().date_of(time)).into();
    world.send(&format!("{}\n{}\n{}\n", line(&late), line(&corrected), line(&withdrawn))).await;
    sent.extend([late, corrected, withdrawn]);
    let until = world.now().plus_seconds(3_600);
    world.live_until(until, &mut random, 0).await;
    let after = versions(&world).await;
    for ((period, start), version) in &before {
        let end = period.last(*start, definition.week_start);
        let is_touched = touched.iter().any(|day| (*start..=end).contains(day));
        let changed = after[&(*period, *start)] > *version;
        assert_eq!(changed, is_touched, "{period:?} {start}: {version} → {}", after[&(*period, *start)]);
    }
    for period in closed {
        assert_oracle(&world, &definition, &sent, Some(period), span(period)).await;
        for span in each(&definition, period, span(period)) {
            assert_stored(&world, &definition, period, span).await;
        }
    }
    // Sending all of it again is nobody's business.
    world.send(&sent.iter().map(|event| line(event) + "\n").collect::<String>()).await;
    let until = world.now().plus_seconds(3_600);
    world.live_until(until, &mut random, 0).await;
    assert_eq!(versions(&world).await, after);
}

#[tokio::test]
async fn a_late_look_goes_by_schedule_when_no_queue_keeps_it() {
    let (mut world, _, _) = a_month_of_days(10).await;
    world.compacts = false;
    // A page that cannot be read: the day can never be computed.
    world.lose("orders", Period::Day, &[date("2026-03-03")]).await;
    let pages = tidemill_ingest::page_store::PageStore::new(&world.ports.context())
        .pages(
            &tidemill_schemas::keys::Tenant::local(),
            &["default".to_owned()],
            date("2026-03-03"),
            date("2026-03-03"),
        )
        .await
        .expect("readable");
    let object = pages.days.values().flatten().next().expect("a page").page.object.clone();
    let path = object_store::path::Path::from(object);
    object_store::ObjectStoreExt::put(&*world.ports.blobs, &path, "no page".into()).await.expect("memory puts");
    world.request("orders", Period::Month, march(), Reason::Rollup).await;
    let mut random = Random::of(3);
    let until = world.now().plus_seconds(40 * 60);
    world.live_until(until, &mut random, 0).await;
    let again = world.firings.iter().filter(|(name, _)| name.contains(".again-")).count();
    assert_eq!(again, 0, "an hour has not passed");
    let until = world.now().plus_seconds(12 * 3_600);
    world.live_until(until, &mut random, 0).await;
    let again = world.firings.iter().filter(|(name, _)| name.contains(".again-")).count();
    assert!(again >= 5, "{:?}", world.firings);
    let (snapshot, _) = &world.stored_periods("orders", Period::Month, march().0, march().0).await[&march().0];
    assert_eq!(snapshot.header.missing, [date("2026-03-03")]);
    assert!(world.ports.requests.dead_letters(10).await.expect("memory reads").is_empty());
}
