use super::*;
use crate::testing::{date, day, through};

fn wanting(days: &BTreeMap<Date, Snapshot>, changes: &[(&str, u128)], sealed: &str) -> Vec<String> {
    let changes = changes.iter().map(|(day, position)| (date(day), through(*position))).collect();
    let sealed = Timestamp::parse(sealed).unwrap();
    let span = (date("2026-03-01"), date("2026-03-03"));
    let found = preflight(&Zone::utc(), span, days, &changes, sealed);
    found.wanting.iter().map(ToString::to_string).collect()
}

const SEALED: &str = "2026-03-04T00:00:00Z";

#[test]
fn a_day_is_there_when_its_snapshot_includes_its_last_change() {
    let days: BTreeMap<_, _> = [day("2026-03-01", "a", 5), day("2026-03-02", "b", 5)].into();
    assert!(wanting(&days, &[("2026-03-01", 5), ("2026-03-02", 4)], SEALED).is_empty());
    assert_eq!(wanting(&days, &[("2026-03-01", 6), ("2026-03-02", 4)], SEALED), ["2026-03-01"]);
}

#[test]
fn a_day_with_pages_and_no_snapshot_is_missing() {
    let days: BTreeMap<_, _> = [day("2026-03-01", "a", 5)].into();
    assert_eq!(wanting(&days, &[("2026-03-01", 5), ("2026-03-03", 1)], SEALED), ["2026-03-03"]);
}

#[test]
fn a_day_of_nothing_is_empty_only_once_it_is_sealed_to_its_end() {
    assert!(wanting(&BTreeMap::new(), &[], SEALED).is_empty());
    assert_eq!(wanting(&BTreeMap::new(), &[], "2026-03-03T23:59:59Z"), ["2026-03-03"]);
}

#[test]
fn a_day_that_was_not_finished_is_wanting() {
    let spoil: [fn(&mut Header); 4] = [
        |header| header.input = tidemill_schemas::snapshot::Input::Totals,
        |header| header.verified = None,
        |header| header.watermark = header.window.start,
        |header| header.window.start = header.window.start.plus_seconds(3_600),
    ];
    for spoil in spoil {
        let mut days: BTreeMap<_, _> = [day("2026-03-02", "b", 5)].into();
        spoil(&mut days.get_mut(&date("2026-03-02")).unwrap().header);
        assert_eq!(wanting(&days, &[("2026-03-02", 5)], SEALED), ["2026-03-02"]);
    }
}

#[test]
fn a_local_day_is_touched_by_the_utc_days_it_overlaps() {
    let zone = Zone::named("Asia/Kolkata").unwrap();
    let changes = BTreeMap::from([(date("2026-03-01"), through(1))]);
    assert_eq!(look(&zone, date("2026-03-01"), None, &changes), Found::Missing);
    assert_eq!(look(&zone, date("2026-03-02"), None, &changes), Found::Missing);
    assert_eq!(look(&zone, date("2026-03-03"), None, &changes), Found::Nothing);
}
