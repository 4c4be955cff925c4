//! One step after the other; anything may lie between, but for exclusions.
//!
//! Of all chains of one length the one that began last can go on wherever another can, so one per length is kept. Events
//! of one instant are taken together: a chain goes on by as many of them as can be matched to its next steps. That is
//! what a pass with one slot per step gets wrong where events of one instant can be several steps.
//!
//! An event of an exclusion (a, b) at an instant x lies between step a and step b of a chain iff tₐ < x < t_b; of a
//! chain that ends between a and b, iff it lies before its last event. With `end_attempt` chains that have such an event
//! don't count. With `drop_actor` the actor is out of the bucket when at any such x it has an open chain of a to b − 1
//! events, and has not reached b before or at x.

use super::attempt::{Event, Found, NO_GROUP, Rules};
use super::matching::{Matching, group_of};

/// The chain of its length that began last.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Chain {
    start: i64,
    group: u32,
}

/// Looks for chains. Returns false when the actor is out.
pub(super) fn run(rules: &Rules<'_>, events: &[Event], end: i64, found: &mut Found) -> bool {
    let mut chains = Chains { rules, last: vec![None; rules.steps + 1], entered: None };
    let mut at = 0;
    while at < events.len() {
        let time = events[at].time;
        let to = at + events[at..].iter().take_while(|event| event.time == time).count();
        let together = &events[at..to];
        at = to;
        match together {
            [event] if event.count == 1 && event.mask & !rules.step_bits == 0 => chains.one(*event, end, found),
            _ => {
                if !chains.several(together, time, end, found) {
                    return false;
                }
            }
        }
    }
    true
}

struct Chains<'a> {
    rules: &'a Rules<'a>,
    /// By length.
    last: Vec<Option<Chain>>,
    /// When an attempt began first.
    entered: Option<i64>,
}

impl Chains<'_> {
    /// Whether an attempt may begin at this instant.
    fn may_enter(&self, time: i64, end: i64) -> bool {
        time < end && !(self.rules.only_first_entry() && self.entered.is_some_and(|entered| entered != time))
    }

    /// The chain of a length, if it may go on at this instant.
    fn open(&self, length: usize, time: i64) -> Option<Chain> {
        self.last[length].filter(|chain| time - chain.start <= self.rules.within)
    }

    /// Takes in one event, alone at its instant. Steps are tried from the last on, so that it is only one of them.
    fn one(&mut self, event: Event, end: i64, found: &mut Found) {
        for length in (1..=self.rules.steps).rev() {
            if event.mask & (1 << (length - 1)) == 0 {
                continue;
            }
            let before = match length {
                1 if self.may_enter(event.time, end) => {
                    self.entered.get_or_insert(event.time);
                    Some(Chain { start: event.time, group: NO_GROUP })
                }
                1 => None,
                _ => self.open(length - 1, event.time),
            };
            if let Some(Chain { start, group }) = before {
                let group = if self.rules.attributes(length - 1) { event.group } else { group };
                found.note(length, event.time - start, group);
                keep(&mut self.last[length], Chain { start, group });
            }
        }
    }

    /// Takes in several events of one instant. Returns false when the actor is out.
    fn several(&mut self, events: &[Event], time: i64, end: i64, found: &mut Found) -> bool {
        let rules = self.rules;
        let hit: Vec<(usize, usize)> = rules
            .exclusions
            .iter()
            .filter(|(bit, ..)| events.iter().any(|event| event.mask & bit != 0))
            .map(|(_, after, before)| (*after, *before))
            .collect();
        let ends = |length: usize, to: usize| {
            !rules.drops() && hit.iter().any(|(after, before)| *after <= length && to < *before)
        };
        let mut next: Vec<Option<Chain>> = self.last.clone();
        for (length, chain) in next.iter_mut().enumerate() {
            if ends(length, length) {
                *chain = None;
            }
        }
        for length in 0..rules.steps {
            let before = match length {
                0 if self.may_enter(time, end) => Some(Chain { start: time, group: NO_GROUP }),
                0 => None,
                _ => self.open(length, time),
            };
            let Some(Chain { start, group }) = before else { continue };
            let mut matching = Matching::new(events);
            for step in length..rules.steps {
                if !matching.add(step) {
                    break;
                }
                let to = step + 1;
                let group = group_of(rules, events, length, to, group);
                if length == 0 {
                    self.entered.get_or_insert(time);
                }
                found.note(to, time - start, group);
                if !ends(length, to) {
                    keep(&mut next[to], Chain { start, group });
                }
            }
        }
        let is_open = |(after, before): &(usize, usize)| {
            found.level() < *before && (*after..*before).any(|length| self.open(length, time).is_some())
        };
        if rules.drops() && hit.iter().any(is_open) {
            return false;
        }
        self.last = next;
        true
    }
}

/// Keeps the chain that began last; of those that began together, the one of the least group.
fn keep(held: &mut Option<Chain>, chain: Chain) {
    let is_better = |held: &Chain| chain.start > held.start || (chain.start == held.start && chain.group < held.group);
    if held.as_ref().is_none_or(is_better) {
        *held = Some(chain);
    }
}
