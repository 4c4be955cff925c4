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

#[test]
fn every_day_has_to_be_there_and_include_as_much() {
    let old = days(&[(1, 5), (2, 7)]);
    let pages: BTreeSet<Date> = old.keys().copied().collect();
    assert_eq!(behind(&old, &days(&[(1, 5), (2, 9)]), &pages, &through(9)), 0);
    assert_eq!(behind(&old, &days(&[(1, 5), (2, 6)]), &pages, &through(9)), 1, "it would go back in time");
    assert_eq!(behind(&old, &days(&[(2, 7)]), &pages, &through(9)), 1, "a day is missing");
}

#[test]
fn a_day_without_pages_is_missed_by_nobody_once_that_is_certain() {
    let old = days(&[(1, 5)]);
    assert_eq!(behind(&old, &BTreeMap::new(), &BTreeSet::new(), &through(5)), 0);
    assert_eq!(behind(&old, &BTreeMap::new(), &BTreeSet::new(), &through(4)), 1, "its events are not sealed yet");
}
