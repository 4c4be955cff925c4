//! One actor in one bucket: the highest level, how long each level took, and the group.
//!
//! Declarative, so that neither the order of events of one instant nor the way of computing shows:
//! - a **chain** of length k is k distinct events, one per step from the first on, with non-decreasing times, the first in
//!   the bucket, the last no more than the window after it. Orders other than `ordered` say more or less, see their
//!   modules;
//! - an actor's **level** is the length of its longest chain;
//! - the time of a level is the least time from first to last of the chains of that length;
//! - the **group** is that of the chain of the highest level that took least time; of several, the least group. Among
//!   chains of one first instant, the least group that the attributed step can have.

use tidemill_schemas::definition::actors::{Attribution, Entry, ExclusionRule, Funnel, Order};

use super::{any, ordered, strict};

/// Events of one instant, mask and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Event {
    /// Microseconds.
    pub time: i64,
    /// The steps it can be, then the exclusions it is.
    pub mask: u32,
    /// How many.
    pub count: u32,
    /// Its group's number.
    pub group: u32,
}

/// How far an actor came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Attempt {
    /// By level reached, from 1: microseconds it took.
    pub micros: Vec<i64>,
    /// The group it counts under; `None`: no event to take it from.
    pub group: Option<u32>,
}

/// A funnel, ready to run.
pub(in super::super) struct Rules<'a> {
    /// Microseconds from first to last.
    pub within: i64,
    pub(super) steps: usize,
    /// The bits of steps.
    pub(super) step_bits: u32,
    /// Bit, the step it must not follow, the step it must not precede.
    pub(super) exclusions: Vec<(u32, usize, usize)>,
    pub(super) funnel: &'a Funnel,
}

impl<'a> Rules<'a> {
    pub fn new(funnel: &'a Funnel) -> Rules<'a> {
        let steps = funnel.steps.len();
        let bit = |at: usize| 1u32 << (steps + at);
        let exclusions = funnel.exclude.iter().enumerate();
        Rules {
            within: super::super::micros(funnel.within_seconds),
            steps,
            step_bits: (1u32 << steps) - 1,
            exclusions: exclusions.map(|(at, exclusion)| (bit(at), exclusion.after, exclusion.before)).collect(),
            funnel,
        }
    }

    /// How far an actor comes. `events`: its events from the bucket's start on, in order; those before `end` may begin
    /// an attempt. `None`: it is not in the funnel.
    pub fn attempt(&self, events: &[Event], end: i64) -> Option<Attempt> {
        let mut found = Found::new(self.steps);
        let stays = match self.funnel.order {
            Order::Ordered => ordered::run(self, events, end, &mut found),
            Order::Strict => {
                strict::run(self, events, end, &mut found);
                true
            }
            Order::Any => {
                any::run(self, events, end, &mut found);
                true
            }
        };
        if stays { found.attempt() } else { None }
    }

    /// Whether the step at this place, from 0, is the one whose group counts.
    pub(super) fn attributes(&self, step: usize) -> bool {
        match self.funnel.attribution {
            Attribution::First => step == 0,
            Attribution::Last => true,
            Attribution::Step(nth) => step + 1 == nth,
        }
    }

    pub(super) fn only_first_entry(&self) -> bool {
        self.funnel.entry == Entry::First
    }

    pub(super) fn drops(&self) -> bool {
        self.funnel.exclusion == ExclusionRule::DropActor
    }
}

/// Stands for no group, behind all.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// The fastest chains found so far.
pub(super) struct Found {
    /// By level from 1: microseconds, group.
    best: Vec<Option<(i64, u32)>>,
}

impl Found {
    fn new(steps: usize) -> Found {
        Found { best: vec![None; steps] }
    }

    /// Notes a chain of `level` events.
    #[inline]
    pub fn note(&mut self, level: usize, micros: i64, group: u32) {
        let best = &mut self.best[level - 1];
        if best.is_none_or(|best| (micros, group) < best) {
            *best = Some((micros, group));
        }
    }

    /// The highest level so far.
    pub fn level(&self) -> usize {
        self.best.iter().rposition(Option::is_some).map_or(0, |at| at + 1)
    }

    fn attempt(self) -> Option<Attempt> {
        let level = self.level();
        let (_, group) = level.checked_sub(1).and_then(|at| self.best[at])?;
        let micros = self.best[..level].iter().map(|best| best.map_or(0, |(micros, _)| micros)).collect();
        Some(Attempt { micros, group: (group != NO_GROUP).then_some(group) })
    }
}
