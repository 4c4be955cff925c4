//! Patterns: what they mean, and what is said of those that mean nothing.

use super::*;

const WORDS: [&str; 3] = ["s", "c", "x"];

fn of(text: &str) -> Result<Vec<Element>, String> {
    parse(&Text::whole(text), &WORDS).map_err(|problem| problem.message)
}

fn element(event: usize, without: &[usize], (seconds_min, seconds_max): (u64, Option<u64>)) -> Element {
    Element { event, gap: Gap { without: without.to_vec(), nothing: false, seconds_min, seconds_max } }
}

#[test]
fn gaps_belong_to_what_follows_them() {
    let free = (0, None);
    assert_eq!(of("s x").unwrap(), [element(0, &[], free), element(2, &[], free)]);
    assert_eq!(of("s !c{0,30m} x").unwrap(), [element(0, &[], free), element(2, &[1], (0, Some(1_800)))]);
    assert_eq!(of(" s{1m,} !x !c x ").unwrap(), [element(0, &[], free), element(2, &[1, 2], (60, None))]);
    assert_eq!(of("s{,1d}s").unwrap(), [element(0, &[], free), element(0, &[], (0, Some(86_400)))]);
    assert!(of("s !* x").unwrap()[1].gap.nothing);
}

#[test]
fn what_means_nothing_is_refused() {
    for (text, why) in [
        ("s", "a pattern has 2 to 20 events, not 1"),
        ("", "a pattern has 2 to 20 events, not 0"),
        ("!c s x", "a pattern begins with an event"),
        ("s !c", "a pattern ends with an event"),
        ("s y", "`y` is not among `events`"),
        ("s !y x", "`y` is not among `events`"),
        ("s + x", "this is no part of a pattern"),
        ("s ! x", "this is no part of a pattern"),
        ("s {1m x", "this is no part of a pattern"),
        ("s {1m} x", "the time between two events has two ends"),
        ("s {soon,} x", "the time between two events has two ends"),
        ("s {2m,1m} x", "the time between two events has two ends"),
        ("s {1m,} {2m,} x", "the time between two events is said twice"),
        ("s é x", "this is no part of a pattern"),
    ] {
        assert_eq!(of(text).unwrap_err(), why, "{text}");
    }
}
