//! Samples of every stored JSON format, kept for ever: each must load as the value it was written from, and be written
//! as the same bytes. `UPDATE=1` writes samples that are missing; it never touches one that is there.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_schemas::calendar::{Date, Period, WeekStart, Zone};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::definition::known::Catalogue;
use tidemill_schemas::definition::{Definition, parse};
use tidemill_schemas::fingerprint::fingerprint;
use tidemill_schemas::request::{ComputeSnapshotRequest, Firing, Lease, Reason};
use tidemill_schemas::snapshot::{BlobRange, Detail, Digest, Group, GroupRow, Header, Input, SNAPSHOT_FORMAT};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::{Type, Value};
use tidemill_schemas::window::{Position, Through};

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/v1").join(name);
    let written = serde_json::to_string(value).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() && !path.exists() {
        std::fs::write(&path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(&serde_json::from_str::<T>(&kept).unwrap(), value, "{name}");
    assert_eq!(kept, written, "{name}");
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn number(text: &str) -> Value {
    Value::Number(Decimal::parse(text).unwrap())
}

fn day() -> Date {
    Date::new(2026, 3, 29).unwrap()
}

/// A definition with every kind of expression and function in it.
fn definition() -> Definition {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/v1/definition.yaml")).unwrap();
    parse("definition.yaml", &text).unwrap_or_else(|found| panic!("{}", found[0])).remove(0).definition
}

#[test]
fn definition_loads() {
    check("definition.json", &definition());
}

/// A definition of every kind but the standard one.
fn kinds() -> Vec<Definition> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/v1/kinds.yaml");
    let parsed = parse("kinds.yaml", &std::fs::read_to_string(path).unwrap());
    parsed.unwrap_or_else(|found| panic!("{}", found[0])).into_iter().map(|parsed| parsed.definition).collect()
}

#[test]
fn definitions_of_every_kind_load() {
    check("kinds.json", &kinds());
}

#[test]
fn fingerprints_of_every_kind_stand() {
    check("kinds_fingerprints.json", &kinds().iter().map(fingerprint).collect::<Vec<_>>());
}

#[test]
fn fingerprint_stands() {
    check("fingerprint.json", &fingerprint(&definition()));
}

#[test]
fn header_loads() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    check(
        "header.json",
        &Header {
            format: SNAPSHOT_FORMAT,
            insight: "revenue".to_owned(),
            fingerprint: "0123456789abcdef0123456789abcdef".to_owned(),
            period: Period::Day,
            start: day(),
            window: zone.day(day()),
            tzdb: "2026a".to_owned(),
            input: Input::Pages,
            through: Through(BTreeMap::from([
                ("shard-0".to_owned(), Position(u128::MAX)),
                ("shard-1".to_owned(), Position(7)),
            ])),
            watermark: time("2026-03-30T00:00:00Z"),
            pages: "fedcba9876543210fedcba9876543210".to_owned(),
            computed_at: time("2026-03-30T01:00:00.000001Z"),
            verified: Some(true),
            version: 3,
            detail: Some(BlobRange { object: "ab/cd".to_owned(), offset: 12, bytes: 345 }),
            states: None,
            content: None,
            partial: false,
            missing: Vec::new(),
            merge_millis: None,
        },
    );
}

#[test]
fn header_of_a_period_loads() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let (first, last) = (Date::new(2026, 3, 1).unwrap(), Date::new(2026, 3, 31).unwrap());
    check(
        "header_period.json",
        &Header {
            format: SNAPSHOT_FORMAT,
            insight: "revenue".to_owned(),
            fingerprint: "0123456789abcdef0123456789abcdef".to_owned(),
            period: Period::Month,
            start: first,
            window: zone.days(first, last),
            tzdb: "2026a".to_owned(),
            input: Input::Days,
            through: Through(BTreeMap::from([("shard-0".to_owned(), Position(9))])),
            watermark: time("2026-04-01T00:00:00Z"),
            pages: "fedcba9876543210fedcba9876543210".to_owned(),
            computed_at: time("2026-04-01T02:00:00.000001Z"),
            verified: None,
            version: 2,
            detail: None,
            states: Some(BlobRange { object: "ab/cd".to_owned(), offset: 0, bytes: 80_000_000 }),
            content: Some("00112233445566778899aabbccddeeff".to_owned()),
            partial: true,
            missing: vec![day(), last],
            merge_millis: Some(1_234),
        },
    );
}

#[test]
fn firings_load() {
    let rollup = |period, week_start| Firing::Rollup {
        tenant: "default".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        period,
        week_start,
    };
    let again = ComputeSnapshotRequest {
        tenant: "default".to_owned(),
        insight: "revenue".to_owned(),
        fingerprint: "0123456789abcdef0123456789abcdef".to_owned(),
        period: Period::Month,
        first: Date::new(2026, 3, 1).unwrap(),
        last: Date::new(2026, 3, 31).unwrap(),
        reason: Reason::Rollup,
        requested_at: time("2026-04-02T12:00:00Z"),
    };
    let firings = [
        rollup(Period::Day, WeekStart::Sunday),
        rollup(Period::Week, WeekStart::Monday),
        rollup(Period::Year, WeekStart::Sunday),
        Firing::Again { request: again },
        Firing::Repair { tenant: "default".to_owned() },
        Firing::Wave { tenant: "default".to_owned(), backfill: "b1".to_owned() },
    ];
    check("firings.json", &firings.to_vec());
    // As it was stored before there were longer periods.
    let before = r#"{"fire":"rollup","tenant":"default","zone":"Europe/Berlin"}"#;
    assert_eq!(serde_json::from_str::<Firing>(before).unwrap(), firings[0]);
    assert_eq!(serde_json::to_string(&firings[0]).unwrap(), before);
}

#[test]
fn digest_loads() {
    check(
        "digest.json",
        &Digest {
            format: SNAPSHOT_FORMAT,
            events: 12,
            late: 1,
            skipped: BTreeMap::from([("revenue".to_owned(), 2)]),
            values: vec![
                number("12"),
                number("99999999999999999999.999999999999999999"),
                number("-0.000000000000000001"),
                Value::Null,
                Value::Text("a \"b\"\nü".to_owned()),
                Value::Time(time("2026-03-29T01:30:00Z")),
            ],
        },
    );
}

#[test]
fn detail_loads() {
    let row = |group, events, value: &str| GroupRow { group, events, values: vec![number(value)] };
    check(
        "detail.json",
        &Detail {
            format: SNAPSHOT_FORMAT,
            groups: 40,
            rows: vec![
                row(Group::Key(vec![Value::Text("IN".to_owned()), Value::Bool(true)]), 7, "70.25"),
                row(Group::Key(vec![Value::Text(String::new()), number("1.5")]), 3, "2"),
                row(Group::Other, 90, "1234.5"),
                row(Group::Key(vec![Value::Null, Value::Null]), 1, "0"),
            ],
        },
    );
}

#[test]
fn requests_load() {
    let request = |reason| ComputeSnapshotRequest {
        tenant: "default".to_owned(),
        insight: "revenue".to_owned(),
        fingerprint: "0123456789abcdef0123456789abcdef".to_owned(),
        period: Period::Day,
        first: day(),
        last: Date::new(2026, 4, 2).unwrap(),
        reason,
        requested_at: time("2026-04-02T12:00:00Z"),
    };
    let reasons = [Reason::Refresh, Reason::Rollup, Reason::Repair, Reason::Backfill("b1".to_owned())];
    check("request.json", &reasons.map(request).to_vec());
    let lease = Lease { backfill: "b1".to_owned(), unit: 7, epoch: 2 };
    check("request_unit.json", &request(Reason::Unit(lease)));
}

#[test]
fn catalogue_loads() {
    let types = |of: &[Type]| of.iter().copied().collect();
    let properties = [("amount", types(&[Type::Number, Type::Text])), ("paid", types(&[Type::Bool]))];
    let properties: BTreeMap<_, _> = properties.map(|(key, of)| (key.to_owned(), of)).into();
    check("catalogue.json", &Catalogue { events: BTreeMap::from([("order_completed".to_owned(), properties)]) });
}
