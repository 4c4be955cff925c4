//! One step after the other, and nothing of the base between: every other event of the actor lies at or before the
//! instant of the chain's first event, or at or after that of its last.
//!
//! A chain takes some of the events of its first instant, all of those of the instants within, and some of its last.

use super::attempt::{Event, Found, NO_GROUP, Rules};
use super::matching::{Matching, group_of};

/// Looks for chains from every instant of the bucket on.
pub(super) fn run(rules: &Rules<'_>, events: &[Event], end: i64, found: &mut Found) {
    let mut at = 0;
    let mut is_entered = false;
    while let Some(first) = events.get(at).filter(|event| event.time < end) {
        let to = at + instant(&events[at..]);
        let is_entry = events[at..to].iter().any(|event| event.mask & 1 != 0);
        if is_entry && !(rules.only_first_entry() && is_entered) {
            is_entered = true;
            from(rules, &events[at..to], &events[to..], first.time, found);
        }
        at = to;
    }
}

/// How many entries are of the first one's instant.
fn instant(events: &[Event]) -> usize {
    events.iter().take_while(|event| event.time == events[0].time).count()
}

fn from(rules: &Rules<'_>, first: &[Event], mut rest: &[Event], start: i64, found: &mut Found) {
    // The lengths chains can have when all events up to here are taken in or lie at the first instant, with the group.
    let mut open: Vec<(usize, u32)> = go_on(rules, first, 0, NO_GROUP, 0, found);
    while !open.is_empty() && !rest.is_empty() {
        let together = &rest[..instant(rest)];
        rest = &rest[together.len()..];
        let time = together[0].time;
        if time - start > rules.within {
            return;
        }
        let events: usize = together.iter().map(|event| event.count as usize).sum();
        let mut next: Vec<(usize, u32)> = Vec::new();
        for (length, group) in open {
            for (to, group) in go_on(rules, together, length, group, time - start, found) {
                // Only a chain that took them all may go on.
                if to - length == events {
                    match next.iter_mut().find(|(held, _)| *held == to) {
                        Some((_, held)) => *held = group.min(*held),
                        None => next.push((to, group)),
                    }
                }
            }
        }
        open = next;
    }
}

/// A chain of `length` events that goes on by some of one instant: the lengths it can reach.
fn go_on(
    rules: &Rules<'_>,
    events: &[Event],
    length: usize,
    group: u32,
    micros: i64,
    found: &mut Found,
) -> Vec<(usize, u32)> {
    let mut matching = Matching::new(events);
    let mut reached = Vec::new();
    for step in length..rules.steps {
        if !matching.add(step) {
            break;
        }
        let group = group_of(rules, events, length, step + 1, group);
        found.note(step + 1, micros, group);
        reached.push((step + 1, group));
    }
    reached
}
