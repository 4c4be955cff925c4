//! Steps matched to distinct events of one instant: bipartite matching by augmenting paths (Kuhn 1955).

use super::attempt::{Event, NO_GROUP, Rules};

/// Steps and the events they are matched to.
pub(super) struct Matching<'e> {
    events: &'e [Event],
    /// How often each event is still free.
    free: Vec<u32>,
    /// (step, event).
    matched: Vec<(usize, usize)>,
}

impl<'e> Matching<'e> {
    pub fn new(events: &'e [Event]) -> Matching<'e> {
        Matching { events, free: events.iter().map(|event| event.count).collect(), matched: Vec::new() }
    }

    /// Matches one more step, if need be by matching others anew; whether that is possible.
    pub fn add(&mut self, step: usize) -> bool {
        let mut visited = vec![false; self.events.len()];
        match self.place(step, &mut visited) {
            Some(event) => {
                self.matched.push((step, event));
                true
            }
            None => false,
        }
    }

    /// An event for a step, whose former steps are moved to others.
    fn place(&mut self, step: usize, visited: &mut [bool]) -> Option<usize> {
        for at in 0..self.events.len() {
            if visited[at] || self.events[at].mask & (1 << step) == 0 {
                continue;
            }
            visited[at] = true;
            if self.free[at] > 0 {
                self.free[at] -= 1;
                return Some(at);
            }
            for held in 0..self.matched.len() {
                let (other, event) = self.matched[held];
                if event == at
                    && let Some(elsewhere) = self.place(other, visited)
                {
                    self.matched[held].1 = elsewhere;
                    return Some(at);
                }
            }
        }
        None
    }

    fn take(&mut self, at: usize) {
        self.free[at] -= 1;
    }
}

/// The least group that the step at `of` can have when the steps `from..to` are matched to distinct ones of `events`,
/// which is known to be possible.
pub(super) fn least_group(events: &[Event], from: usize, to: usize, of: usize) -> u32 {
    let mut places: Vec<usize> = (0..events.len()).filter(|at| events[*at].mask & (1 << of) != 0).collect();
    places.sort_by_key(|at| events[*at].group);
    let is_possible = |at: &usize| {
        let mut matching = Matching::new(events);
        matching.take(*at);
        (from..to).filter(|step| *step != of).all(|step| matching.add(step))
    };
    places.into_iter().find(is_possible).map_or(NO_GROUP, |at| events[at].group)
}

/// The group of a chain that goes on from `before` events, whose group was `group`, to `to` events by `events`.
pub(super) fn group_of(rules: &Rules<'_>, events: &[Event], before: usize, to: usize, group: u32) -> u32 {
    match (before..to).rev().find(|step| rules.attributes(*step)) {
        Some(step) => least_group(events, before, to, step),
        None => group,
    }
}
