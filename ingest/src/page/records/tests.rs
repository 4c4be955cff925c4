use super::*;
use crate::arbitrary::now;
use crate::codec::native::tombstone;
use tidemill_schemas::time::{MICROS_PER_DAY, Timestamp};

fn event(id: &str, day: i64, rev: u64) -> Event {
    Event {
        id: id.to_owned(),
        source: "s".to_owned(),
        name: format!("name{rev}"),
        actor: Some("ann".to_owned()),
        time: Timestamp::from_micros(day * MICROS_PER_DAY + 5),
        properties: BTreeMap::from([("a".to_owned(), tidemill_schemas::value::Value::Bool(true))]),
        rev,
        deleted: false,
        received: now().plus_micros(rev as i64),
    }
}

fn gone(id: &str, rev: u64) -> Event {
    tombstone(id.to_owned(), "s".to_owned(), rev, now())
}

/// A delivery's records by day, built as a seal does.
fn all(changes: &[(Option<Event>, Option<Event>)]) -> Vec<(Date, Vec<Record>)> {
    let mut firsts: HashMap<&str, bool> = HashMap::new();
    let mut days = BTreeSet::new();
    let changes: Vec<(StoredChange, bool)> = changes
        .iter()
        .map(|(old, new)| {
            days.extend([old, new].into_iter().flatten().map(|event| utc_date(event.time)));
            let id = new.as_ref().or(old.as_ref()).map_or("", |event| event.id.as_str());
            let correction = *firsts.entry(id).or_insert(old.is_some());
            (StoredChange { old: old.clone(), new: new.clone() }, correction)
        })
        .collect();
    let together = records(changes.clone(), &days);
    // One day at a time, or all at once: the same records.
    for day in days {
        let alone = records(changes.clone(), &BTreeSet::from([day]));
        assert_eq!(alone.get(&day), together.get(&day));
    }
    together.into_iter().collect()
}

/// A delivery's records, one word each: day, id, revision, `-` withdrawn, `!` correction.
fn told(changes: &[(Option<Event>, Option<Event>)]) -> Vec<String> {
    let mut out = Vec::new();
    for (day, records) in all(changes) {
        for Record { event, correction } in records {
            assert_eq!(event.deleted, event.properties.is_empty());
            assert_eq!(utc_date(event.time), day);
            let (gone, again) = (if event.deleted { "-" } else { "" }, if correction { "!" } else { "" });
            out.push(format!("{}:{}{}{gone}{again}", day.day(), event.id, event.rev));
        }
    }
    out
}

#[test]
fn each_kind_of_change_leaves_its_records() {
    let (a, b) = (event("a", 0, 0), event("b", 0, 0));
    for (changes, expected) in [
        (vec![(None, Some(a.clone())), (None, Some(b.clone()))], "1:a0 1:b0"),
        // Same day: the new copy outdoes the old one.
        (vec![(Some(a.clone()), Some(event("a", 0, 1)))], "1:a1!"),
        // Another day: withdrawn from the old one.
        (vec![(Some(a.clone()), Some(event("a", 1, 1)))], "1:a1-! 2:a1!"),
        (vec![(Some(a.clone()), Some(gone("a", 1)))], "1:a1-!"),
        (vec![(Some(gone("a", 1)), Some(gone("a", 2)))], ""),
        (vec![(None, Some(gone("a", 2)))], ""),
        // Back from the dead.
        (vec![(Some(gone("a", 1)), Some(event("a", 0, 2)))], "1:a2!"),
        // Removal by age retracts nothing.
        (vec![(Some(a.clone()), None)], ""),
        (vec![(Some(a.clone()), None), (None, Some(event("a", 0, 1)))], "1:a1!"),
        // Within one delivery.
        (vec![(None, Some(a.clone())), (Some(a.clone()), Some(event("a", 0, 1)))], "1:a1"),
        (vec![(None, Some(a.clone())), (Some(a.clone()), Some(event("a", 1, 1)))], "2:a1"),
        (vec![(None, Some(a.clone())), (Some(a.clone()), Some(gone("a", 1)))], ""),
        (
            vec![(Some(a.clone()), Some(event("a", 1, 1))), (Some(event("a", 1, 1)), Some(event("a", 0, 2)))],
            "1:a2! 2:a2-!",
        ),
        // Corrections come first.
        (vec![(None, Some(b.clone())), (Some(a.clone()), Some(event("a", 0, 1)))], "1:a1! 1:b0"),
    ] {
        assert_eq!(told(&changes).join(" "), expected, "{changes:?}");
    }
}

#[test]
fn a_withdrawal_bears_the_old_copy_and_the_new_revision() {
    let all = all(&[(Some(event("a", 0, 3)), Some(gone("a", 4)))]);
    let record = &all[0].1[0].event;
    assert_eq!((record.name.as_str(), record.actor.as_deref(), record.rev), ("name3", Some("ann"), 4));
    assert_eq!(record.time, event("a", 0, 3).time);
}
