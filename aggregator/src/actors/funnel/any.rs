//! In any order: k distinct events that are k distinct steps.
//!
//! Events from an instant on are matched to steps as they come. An event that cannot be matched when it comes never
//! can: sets of events that can be matched are a transversal matroid (Edmonds and Fulkerson 1965), and what a set spans
//! stays spanned. Attributed is the first event, or the one that completed the level.

use tidemill_schemas::definition::actors::Attribution;

use super::attempt::{Event, Found, Rules};

/// Looks for chains from every instant of the bucket on.
pub(super) fn run(rules: &Rules<'_>, events: &[Event], end: i64, found: &mut Found) {
    let mut at = 0;
    let mut is_entered = false;
    while let Some(first) = events.get(at).filter(|event| event.time < end) {
        let start = first.time;
        let to = at + events[at..].iter().take_while(|event| event.time == start).count();
        let is_step = |event: &&Event| event.mask & rules.step_bits != 0;
        let entry = events[at..to].iter().filter(is_step).map(|event| event.group).min();
        if let Some(group) = entry
            && !(rules.only_first_entry() && is_entered)
        {
            is_entered = true;
            from(rules, &events[at..], start, group, found);
        }
        at = to;
    }
}

fn from(rules: &Rules<'_>, events: &[Event], start: i64, entry: u32, found: &mut Found) {
    let mut steps = Steps { of: vec![None; rules.steps] };
    let mut spanned: Vec<u32> = Vec::new();
    let mut level = 0;
    for event in events.iter().take_while(|event| event.time - start <= rules.within) {
        let mask = event.mask & rules.step_bits;
        for _ in 0..event.count.min(rules.steps as u32) {
            if mask == 0 || spanned.contains(&mask) {
                break;
            }
            if !steps.add(mask, &mut vec![false; rules.steps]) {
                spanned.push(mask);
                break;
            }
            level += 1;
            let group = if rules.funnel.attribution == Attribution::Last { event.group } else { entry };
            found.note(level, event.time - start, group);
        }
        if level == rules.steps {
            return;
        }
    }
}

/// The mask of the event each step is matched to.
struct Steps {
    of: Vec<Option<u32>>,
}

impl Steps {
    /// Matches one more event, if need be by matching others anew.
    fn add(&mut self, mask: u32, visited: &mut [bool]) -> bool {
        for step in 0..self.of.len() {
            if mask & (1 << step) == 0 || visited[step] {
                continue;
            }
            visited[step] = true;
            let is_free = match self.of[step] {
                None => true,
                Some(held) => self.add(held, visited),
            };
            if is_free {
                self.of[step] = Some(mask);
                return true;
            }
        }
        false
    }
}
