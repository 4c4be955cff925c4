use super::*;
use crate::arbitrary::now;
use crate::codec::native::tombstone;
use tidemill_schemas::time::{MICROS_PER_DAY, Timestamp};
use tidemill_schemas::value::Value;

fn event(id: &str, day: i64) -> Event {
    Event {
        id: id.to_owned(),
        source: "s".to_owned(),
        name: "n".to_owned(),
        actor: None,
        time: Timestamp::from_micros(day * MICROS_PER_DAY),
        properties: BTreeMap::from([("a".to_owned(), Value::Bool(true))]),
        rev: 0,
        deleted: false,
        received: now(),
    }
}

fn new(day: i64) -> StoredChange {
    StoredChange { old: None, new: Some(event("a", day)) }
}

fn numbers(delivery: &Delivery) -> Vec<(usize, Vec<usize>)> {
    let shares = delivery.sources.values().flat_map(Share::together);
    shares.map(|together| (together.days.len(), together.changes.into_iter().collect())).collect()
}

#[test]
fn a_change_concerns_the_days_it_leaves_and_enters() {
    let tenant = Tenant::local();
    let mut delivery = Delivery::default();
    let moved = StoredChange { old: Some(event("a", 0)), new: Some(event("a", 9)) };
    let gone = StoredChange { old: Some(event("a", 3)), new: Some(tombstone("a".into(), "s".into(), 1, now())) };
    for change in [new(0), moved, gone] {
        // Each fills what is built together on its own.
        assert!(delivery.take(Some((&tenant, &change)), TOGETHER_BYTES_MAX / 2));
    }
    assert!(delivery.take(None, 0));
    assert_eq!(delivery.taken, 4);
    assert_eq!(numbers(&delivery), [(1, vec![0, 1]), (2, vec![1, 2])]);
    let share = &delivery.sources[&(tenant, "s".to_owned())];
    assert_eq!(share.properties().keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn small_days_are_built_together() {
    let tenant = Tenant::local();
    let mut delivery = Delivery::default();
    for day in 0..10 {
        assert!(delivery.take(Some((&tenant, &new(day))), TOGETHER_BYTES_MAX / 4));
    }
    assert_eq!(numbers(&delivery), [(4, vec![0, 1, 2, 3]), (4, vec![4, 5, 6, 7]), (2, vec![8, 9])]);
}

#[test]
fn days_and_bytes_of_an_entry_are_bounded() {
    let tenant = Tenant::local();
    let mut many = Delivery::default();
    let days = SEAL_DAYS_MAX as i64;
    assert!((0..days).all(|day| many.take(Some((&tenant, &new(day))), 1)));
    assert!(many.take(Some((&tenant, &new(5))), 1));
    assert!(!many.take(Some((&tenant, &new(days))), 1));
    assert_eq!(many.taken, SEAL_DAYS_MAX + 1);

    let mut large = Delivery::default();
    assert!(large.take(Some((&tenant, &new(0))), 2 * PAGE_IMAGES_BYTES_MAX), "one alone is always taken");
    assert!(!large.take(Some((&tenant, &new(0))), 1));
    assert!(large.take(Some((&tenant, &new(1))), 1));
}
