use tidemill_schemas::snapshot::{Digest, Header, SNAPSHOT_FORMAT};
use tidemill_schemas::window::Position;

use super::*;

fn through(position: u128) -> Through {
    Through([("s".to_owned(), Position(position))].into())
}

fn days(of: &[(i8, u128)]) -> BTreeMap<Date, Snapshot> {
    let snapshot = |day: i8, position| {
        let start = Date::constant(2026, 3, day);
        let sample = include_str!("../../../schemas/samples/v1/header.json");
        let sample: Header = serde_json::from_str(sample).expect("a header");
        let header = Header { start, through: through(position), ..sample };
        let digest =
            Digest { format: SNAPSHOT_FORMAT, events: 0, late: 0, skipped: BTreeMap::new(), values: Vec::new() };
        (start, Snapshot { header, digest })
    };
    of.iter().map(|&(day, position)| snapshot(day, position)).collect()
}

fn changes(of: &[(i8, u128)]) -> BTreeMap<Date, Through> {
    of.iter().map(|&(day, position)| (Date::constant(2026, 3, day), through(position))).collect()
}

/// Days the edited lineage is behind one that has the first at 5 and the second at 7.
fn behind_old(edited: &[(i8, u128)], changed: &[(i8, u128)], sealed: u128) -> usize {
    behind(&Zone::utc(), &days(&[(1, 5), (2, 7)]), &days(edited), &changes(changed), &through(sealed))
}

#[test]
fn every_day_has_to_be_there_and_include_as_much() {
    let pages = [(1, 5), (2, 7)];
    assert_eq!(behind_old(&[(1, 5), (2, 9)], &pages, 9), 0);
    assert_eq!(behind_old(&[(1, 5), (2, 6)], &pages, 9), 1, "it would go back in time");
    assert_eq!(behind_old(&[(2, 7)], &pages, 9), 1, "a day is missing");
}

#[test]
fn a_day_without_pages_is_missed_by_nobody_once_that_is_certain() {
    assert_eq!(behind_old(&[(2, 7)], &[(2, 7)], 7), 0);
    assert_eq!(behind_old(&[(2, 7)], &[(2, 7)], 4), 1, "its events are not sealed yet");
}

#[test]
fn what_the_old_one_saw_of_other_days_is_not_missed() {
    assert_eq!(behind_old(&[(1, 4), (2, 6)], &[(1, 4), (2, 6)], 7), 0);
    assert_eq!(behind_old(&[(1, 4), (2, 6)], &[(1, 4), (2, 6)], 6), 1, "what it saw may be of this day");
}
