use tidemill_schemas::calendar::Zone;

use super::*;
use crate::testing::{date, day};

const SPAN: (&str, &str) = ("2026-03-01", "2026-03-07");

fn window() -> Window {
    Zone::utc().days(date(SPAN.0), date(SPAN.1))
}

/// A week that was folded from `days`.
fn week(days: &BTreeMap<Date, Snapshot>, missing: &[&str]) -> Snapshot {
    let (_, mut snapshot) = day(SPAN.0, "w", 9);
    snapshot.header.period = Period::Week;
    snapshot.header.window = window();
    snapshot.header.pages = folded(days);
    snapshot.header.missing = missing.iter().map(|day| date(day)).collect();
    snapshot.header.partial = !missing.is_empty();
    snapshot
}

fn step(stored: Option<&Snapshot>, days: &BTreeMap<Date, Snapshot>, wanting: &[&str], attempts: u32) -> Next {
    let found = Preflight { days, wanting: wanting.iter().map(|day| date(day)).collect() };
    next(stored, window(), &found, &Reason::Rollup, attempts, 2)
}

#[test]
fn days_are_asked_for_while_the_budget_lasts_and_then_named() {
    let days: BTreeMap<_, _> = [day("2026-03-01", "a", 5)].into();
    assert_eq!(step(None, &days, &["2026-03-03"], 0), Next::Ask);
    assert_eq!(step(None, &days, &["2026-03-03"], 1), Next::Ask);
    assert_eq!(step(None, &days, &["2026-03-03"], 2), Next::Fold);
    let partial = week(&days, &["2026-03-03"]);
    assert_eq!(step(Some(&partial), &days, &["2026-03-03"], 2), Next::Leave);
    assert_eq!(step(Some(&partial), &days, &["2026-03-03", "2026-03-04"], 2), Next::Fold);
    assert_eq!(step(Some(&partial), &days, &[], 2), Next::Fold, "it is whole now");
}

#[test]
fn a_whole_period_is_never_replaced_by_a_partial_one() {
    let days: BTreeMap<_, _> = [day("2026-03-01", "a", 5)].into();
    let whole = week(&[day("2026-03-01", "a", 5), day("2026-03-02", "b", 5)].into(), &[]);
    assert_eq!(step(Some(&whole), &days, &["2026-03-02"], 2), Next::Leave);
    assert_eq!(step(Some(&whole), &days, &["2026-03-02"], 0), Next::Ask);
}

#[test]
fn equal_days_leave_a_period_alone() {
    let days: BTreeMap<_, _> = [day("2026-03-01", "a", 5), day("2026-03-02", "b", 5)].into();
    let stored = week(&days, &[]);
    assert_eq!(step(Some(&stored), &days, &[], 0), Next::Leave);
    let again: BTreeMap<_, _> = [day("2026-03-01", "a", 50), day("2026-03-02", "b", 60)].into();
    assert_eq!(step(Some(&stored), &again, &[], 0), Next::Leave, "computed again, and the same");
    let changed: BTreeMap<_, _> = [day("2026-03-01", "a", 5), day("2026-03-02", "c", 5)].into();
    assert_eq!(step(Some(&stored), &changed, &[], 0), Next::Fold);
    let moved: BTreeMap<_, _> = [day("2026-03-01", "a", 5), day("2026-03-03", "b", 5)].into();
    assert_eq!(step(Some(&stored), &moved, &[], 0), Next::Fold);
}

#[test]
fn a_day_without_events_counts_like_no_day() {
    let mut days: BTreeMap<_, _> = [day("2026-03-01", "a", 5), day("2026-03-02", "b", 5)].into();
    let stored = week(&[day("2026-03-01", "a", 5)].into(), &[]);
    days.get_mut(&date("2026-03-02")).unwrap().digest.events = 0;
    assert_eq!(step(Some(&stored), &days, &[], 0), Next::Leave);
    days.get_mut(&date("2026-03-01")).unwrap().digest.events = 0;
    assert_eq!(step(None, &days, &[], 0), Next::Leave, "nothing to say");
    assert_eq!(step(Some(&stored), &days, &[], 0), Next::Fold, "all of its events have left");
}

#[test]
fn history_nobody_rolled_up_is_left_to_a_backfill() {
    let days: BTreeMap<_, _> = [day("2026-03-01", "a", 5)].into();
    let found = Preflight { days: &days, wanting: vec![date("2026-03-03")] };
    assert_eq!(next(None, window(), &found, &Reason::Repair, 0, 2), Next::Leave);
    let found = Preflight { days: &days, wanting: Vec::new() };
    assert_eq!(next(None, window(), &found, &Reason::Repair, 0, 2), Next::Fold, "all of it is there");
}

#[test]
fn what_is_included_by_all_is_the_least() {
    let of = |a, b| Through([("a", a), ("b", b)].map(|(shard, at)| (shard.to_owned(), Position(at))).into());
    let least = included_by_all([of(3, 9), of(5, 2)].iter());
    assert_eq!(least, of(3, 2));
    assert_eq!(included_by_all([of(3, 9), Through::default()].iter()), of(0, 0));
}

use tidemill_schemas::window::Position;
