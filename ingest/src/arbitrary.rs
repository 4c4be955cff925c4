//! Random events that pass every check, for the tests of this crate.

use proptest::prelude::*;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::Event;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

use crate::codec::native::tombstone;

/// The clock of every test.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-08-01T12:00:00Z").expect("an instant")
}

/// Any number: small ones most of the time, and the extremes.
pub(crate) fn number() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        3 => (-100i64..100).prop_map(Decimal::from),
        1 => any::<i64>().prop_map(Decimal::from),
        2 => (any::<i128>(), 0u32..38, 0u32..=18).prop_filter_map("too long", |(unscaled, shorter, scale)| {
            Decimal::new(unscaled / 10i128.pow(shorter), scale).ok()
        }),
        1 => Just(Decimal::new(10i128.pow(38) - 1, 0).expect("38 digits")),
        1 => Just(Decimal::new(-1, 18).expect("18 decimals")),
    ]
}

/// Any value a property may hold.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        Just(Value::Text(String::new())),
        "[ab]".prop_map(Value::Text),
        any::<String>().prop_map(Value::Text),
    ]
}

fn key() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.é😀$\"\\\\ -]{1,20}"
}

/// Keys that meet often, collide in letter case, or are named like columns.
fn property() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abAB]",
        1 => prop::sample::select(vec!["id", "Time", "properties.id", "$rare", "a$number", "a$2"]).prop_map(str::to_owned),
        1 => key(),
    ]
}

prop_compose! {
    /// Any event; one in ten is a tombstone.
    pub(crate) fn event()(
        id in key(), source in key(), name in key(), actor in proptest::option::of(key()),
        time in Timestamp::MIN.micros()..=now().micros(),
        properties in proptest::collection::btree_map(property(), value(), 0..12),
        rev in 0..=i64::MAX.unsigned_abs(), deleted in proptest::bool::weighted(0.1),
    ) -> Event {
        if deleted {
            return tombstone(id, source, rev, now());
        }
        let time = Timestamp::from_micros(time);
        Event { id, source, name, actor, time, properties, rev, deleted, received: now() }
    }
}
