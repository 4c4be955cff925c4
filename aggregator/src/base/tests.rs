use tidemill_ingest::manifest::PageRef;
use tidemill_schemas::calendar::Period;
use tidemill_schemas::snapshot::{BlobRange, SNAPSHOT_FORMAT};
use tidemill_schemas::window::{Position, Through};

use super::*;
use crate::testing::{at, date};

const ZONE: &str = "Europe/Berlin";

/// A page sealed at a position, with events between two instants.
fn page(position: u128, corrections: u64, (from, to): (&str, &str)) -> IndexedPage {
    IndexedPage {
        shard: "0".into(),
        after: Position(position - 1),
        through: Position(position),
        sealed_at: at(to),
        page: PageRef {
            tenant: "main".into(),
            source: "s".into(),
            day: calendar::utc_date(at(from)),
            object: format!("page-{position}"),
            bytes: 1,
            hash: String::new(),
            rows: 1,
            corrections,
            min_time: at(from),
            max_time: at(to),
        },
    }
}

fn set(pages: Vec<IndexedPage>) -> PageSet {
    let mut set = PageSet::default();
    for page in pages {
        set.through.advance(&page.shard, page.through);
        set.days.entry(page.page.day).or_default().push(page);
    }
    set
}

/// What a snapshot of a day says that was computed from `pages`.
fn header(day: &str, pages: &PageSet, verified: Option<bool>) -> Header {
    let zone = Zone::named(ZONE).unwrap();
    let (first, last) = utc_span(&zone, date(day), date(day));
    Header {
        format: SNAPSHOT_FORMAT,
        insight: "i".into(),
        fingerprint: "f".into(),
        period: Period::Day,
        start: date(day),
        window: zone.day(date(day)),
        tzdb: tzdb_version().into(),
        input: Input::Pages,
        through: pages.through.clone(),
        watermark: at("2026-06-01T00:00:00Z"),
        pages: pages.hash(first, last),
        computed_at: at("2026-06-01T00:00:00Z"),
        verified,
        version: 1,
        detail: None,
        states: Some(BlobRange { object: "o".into(), offset: 0, bytes: 1 }),
        content: Some("c".into()),
        partial: false,
        missing: Vec::new(),
        merge_millis: None,
    }
}

fn decide(set: &PageSet, days: &[&str], stored: Vec<Header>, now: &str) -> (Vec<String>, Vec<String>) {
    let wanted = days.iter().map(|day| date(day)).collect();
    let bases = bases(&Zone::named(ZONE).unwrap(), set, &wanted, stored, at(now));
    (bases.days.keys().map(Date::to_string).collect(), bases.included.into_iter().collect())
}

const NOON: (&str, &str) = ("2026-06-01T10:00:00Z", "2026-06-01T11:00:00Z");
const NOW: &str = "2026-06-01T12:00:00Z";
const DAY: &[&str] = &["2026-06-01"];

#[test]
fn a_day_starts_from_its_snapshot_and_only_new_pages_are_read() {
    let before = set(vec![page(1, 0, NOON), page(2, 0, NOON)]);
    let now = set(vec![page(1, 0, NOON), page(2, 0, NOON), page(3, 0, NOON)]);
    let stored = vec![header(DAY[0], &before, None)];
    assert_eq!(decide(&now, DAY, stored, NOW), (vec![DAY[0].into()], vec!["page-1".into(), "page-2".into()]));
}

#[test]
fn a_correction_sends_the_day_the_long_way() {
    let before = set(vec![page(1, 4, NOON)]);
    let after = |corrections| set(vec![page(1, 4, NOON), page(2, corrections, NOON)]);
    let stored = || vec![header(DAY[0], &before, None)];
    // Corrections the snapshot includes are in its states.
    assert_eq!(decide(&after(0), DAY, stored(), NOW).0, DAY);
    assert_eq!(decide(&after(1), DAY, stored(), NOW), (Vec::new(), Vec::new()));
}

#[test]
fn a_snapshot_that_does_not_stand_on_these_pages_is_no_start() {
    let before = set(vec![page(1, 0, NOON)]);
    let now = set(vec![page(1, 0, NOON), page(2, 0, NOON)]);
    let wrong: [fn(&mut Header); 7] = [
        |header| header.pages = "other".into(),
        |header| header.input = Input::Totals,
        |header| header.tzdb = "2020a".into(),
        |header| header.window.end = at("2026-06-01T21:00:00Z"),
        |header| header.states = None,
        |header| header.verified = Some(false),
        |header| header.through = Through::default(),
    ];
    for break_it in wrong {
        let mut stored = header(DAY[0], &before, None);
        break_it(&mut stored);
        assert_eq!(decide(&now, DAY, vec![stored], NOW), (Vec::new(), Vec::new()));
    }
}

#[test]
fn a_day_that_is_over_starts_only_from_what_was_verified() {
    let before = set(vec![page(1, 0, NOON)]);
    let now = set(vec![page(1, 0, NOON), page(2, 0, NOON)]);
    let later = "2026-06-03T00:00:00Z";
    assert_eq!(decide(&now, DAY, vec![header(DAY[0], &before, None)], later).0, Vec::<String>::new());
    assert_eq!(decide(&now, DAY, vec![header(DAY[0], &before, Some(true))], later).0, DAY);
}

#[test]
fn a_page_across_midnight_is_read_for_both_of_its_days_or_for_none() {
    // Berlin's midnight is 22:00 UTC.
    let across = ("2026-06-01T21:00:00Z", "2026-06-01T23:00:00Z");
    let next = ("2026-06-01T23:10:00Z", "2026-06-01T23:20:00Z");
    let days = &["2026-06-01", "2026-06-02"];
    let before = set(vec![page(1, 0, NOON), page(2, 0, across)]);
    let now = set(vec![page(1, 0, NOON), page(2, 0, across), page(3, 0, next)]);
    // The second day has no snapshot: the page across is read, and so the first day starts anew.
    assert_eq!(decide(&now, days, vec![header(days[0], &before, None)], NOW), (Vec::new(), Vec::new()));
    let both = vec![header(days[0], &before, None), header(days[1], &before, None)];
    let (starts, included) = decide(&now, days, both, NOW);
    assert_eq!(starts, days);
    assert_eq!(included, ["page-1", "page-2"]);
    // Nobody asks for the second day: the page belongs to the first alone.
    let alone = decide(&now, &days[..1], vec![header(days[0], &before, None)], NOW);
    assert_eq!(alone.1, ["page-1", "page-2"]);
}
