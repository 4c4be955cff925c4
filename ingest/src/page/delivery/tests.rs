use super::*;
use crate::arbitrary::now;
use crate::codec::native::tombstone;
use crate::event_store::{encode, images};
use crate::page::StoredChange;
use tidemill_ports::{Change, Item};
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::time::{MICROS_PER_DAY, Timestamp};
use tidemill_schemas::value::Value;
use tidemill_schemas::window::Position;

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

/// Takes a change as the feed gives it.
fn take(delivery: &mut Delivery, change: &StoredChange, bytes: usize) -> bool {
    let item = |event: &Event| Item { rank: event.rev, body: encode(event).expect("an event") };
    let (old, new) = (change.old.as_ref().map(item), change.new.as_ref().map(item));
    let change = Change { position: Position(1), key: keys::event(&Tenant::local(), "s", "a"), old, new };
    let images = images(&change).expect("readable");
    assert!(images.is_some(), "it is an event's");
    delivery.take(images.as_ref(), bytes)
}

fn numbers(delivery: &Delivery) -> Vec<(usize, Vec<usize>)> {
    let shares = delivery.sources.values().flat_map(BTreeMap::values).flat_map(Share::together);
    shares.map(|together| (together.days.len(), together.changes.into_iter().collect())).collect()
}

#[test]
fn a_change_concerns_the_days_it_leaves_and_enters() {
    let mut delivery = Delivery::default();
    let moved = StoredChange { old: Some(event("a", 0)), new: Some(event("a", 9)) };
    let gone = StoredChange { old: Some(event("a", 3)), new: Some(tombstone("a".into(), "s".into(), 1, now())) };
    for change in [new(0), moved, gone] {
        // Each fills what is built together on its own.
        assert!(take(&mut delivery, &change, TOGETHER_BYTES_MAX / 2));
    }
    assert!(delivery.take(None, 0));
    assert_eq!(delivery.taken, 4);
    assert_eq!(numbers(&delivery), [(1, vec![0, 1]), (2, vec![1, 2])]);
    let share = delivery.sources.values().find_map(|sources| sources.get("s")).expect("its share");
    assert_eq!(share.properties().keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn small_days_are_built_together() {
    let mut delivery = Delivery::default();
    for day in 0..10 {
        assert!(take(&mut delivery, &new(day), TOGETHER_BYTES_MAX / 4));
    }
    assert_eq!(numbers(&delivery), [(4, vec![0, 1, 2, 3]), (4, vec![4, 5, 6, 7]), (2, vec![8, 9])]);
}

#[test]
fn days_and_bytes_of_an_entry_are_bounded() {
    let mut many = Delivery::default();
    let days = SEAL_DAYS_MAX as i64;
    assert!((0..days).all(|day| take(&mut many, &new(day), 1)));
    assert!(take(&mut many, &new(5), 1));
    assert!(!take(&mut many, &new(days), 1));
    assert_eq!(many.taken, SEAL_DAYS_MAX + 1);

    let mut large = Delivery::default();
    assert!(take(&mut large, &new(0), 2 * PAGE_IMAGES_BYTES_MAX), "one alone is always taken");
    assert!(!take(&mut large, &new(0), 1));
    assert!(take(&mut large, &new(1), 1));
}
