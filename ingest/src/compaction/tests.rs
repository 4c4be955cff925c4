use super::{COMPACTION_FORMAT, Compaction, Replaced, Seconds, Slice, is_worth_it};
use crate::manifest::PageDay;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::{Position, Through};

fn day(pages: u64, rows: u64) -> PageDay {
    PageDay { through: Through::default(), rows, pages }
}

fn compaction(replaced_pages: u64, replaced_rows: u64) -> Compaction {
    Compaction {
        format: COMPACTION_FORMAT,
        compacted_at: Timestamp::from_micros(1_790_000_000_000_000),
        through: Through([("shard-0".to_owned(), Position(7))].into()),
        replaced_pages,
        replaced_rows,
        replaced: Replaced::Kept,
        pages: Vec::new(),
    }
}

#[test]
fn small_days_and_small_changes_are_left_alone() {
    assert!(!is_worth_it(&day(1, 50), None));
    assert!(is_worth_it(&day(8, 50), None) && is_worth_it(&day(1, 20_000), None));
    let held = compaction(8, 100_000);
    assert!(!is_worth_it(&day(8, 100_000), Some(&held)), "nothing came");
    assert!(!is_worth_it(&day(20, 110_000), Some(&held)), "a tenth came");
    assert!(is_worth_it(&day(9, 130_000), Some(&held)), "a third came");
    assert!(is_worth_it(&day(80, 100_100), Some(&held)), "many pages came");
}

#[test]
fn slices_hold_every_row_once_in_order_of_time() {
    let mut seconds = Seconds::default();
    let counts = [(0usize, 3u64), (5, 2), (6, 11), (7, 1), (80_000, 4), (86_399, 4)];
    for (second, rows) in counts {
        for row in 0..rows {
            seconds.add(second as i64 * MICROS_PER_SECOND + row as i64);
        }
    }
    assert_eq!(seconds.rows(), 25);
    let slice = |from, to, skip, take| Slice { from, to, skip, take };
    let expected = [
        slice(0, 6, 0, 5),
        slice(6, 7, 0, 5),
        slice(6, 7, 5, 5),
        slice(6, 7, 10, 1),
        slice(7, 80_001, 0, 5),
        slice(86_399, 86_400, 0, 4),
    ];
    assert_eq!(seconds.slices(5), expected);
    assert!(Seconds::default().slices(5).is_empty());
}

#[test]
fn a_stored_compaction_loads() {
    let kept = concat!(
        r#"{"format":1,"compacted_at":1790000000000000,"through":{"shard-0":7},"replaced_pages":8,"#,
        r#""replaced_rows":100,"replaced":"kept","pages":[]}"#
    );
    let held = compaction(8, 100);
    assert_eq!(serde_json::to_string(&held).expect("plain"), kept);
    assert_eq!(Compaction::decode(&held.encode().expect("plain")), Ok(held.clone()));
    let newer = Compaction { format: 2, ..held };
    assert_eq!(Compaction::decode(&newer.encode().expect("plain")), Err("format 2".to_owned()));
}
