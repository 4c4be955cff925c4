//! The wave: which units of a backfill run next, within its budget. Pure.
//!
//! In: how far it had come, what was reported since, the time. Out: how far it is now, and what to send. A unit is
//! planned, then leased until a time under an epoch, then done or failed; a lease that ran out is granted anew under
//! the next epoch. Never are more units leased than the budget allows, and none of a later phase before the earlier
//! ones have ended. This file sends nothing and asks nobody for the time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidemill_aggregator::request_store::RequestOutcome;
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::time::Timestamp;

use crate::backfill::{Amount, Unit};

/// The version of a stored wave.
pub const WAVE_FORMAT: u32 = 1;
/// Units in flight when nothing else is said.
pub const BUDGET_DEFAULT: u32 = 4;
/// Units in flight at most.
pub const BUDGET_MAX: u32 = 64;
/// Seconds a unit may take before it is leased anew.
pub const LEASE_SECONDS: i64 = 30 * 60;
/// Leases of one unit that may run out before it counts as failed.
pub const EXPIRIES_MAX: u32 = 5;
/// Units whose times are kept to see how many engines work at once.
const RECENT_MAX: usize = 16;
/// Failed units after which nothing new is leased.
pub const FAILED_UNITS_MAX: usize = 1_000;

/// What a backfill is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Units are leased.
    Running,
    /// Every unit is done.
    Done,
    /// Every unit has ended, some without success.
    Failed,
    /// Nothing new is leased.
    Cancelled,
}

impl State {
    /// The word users read.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }
}

/// How far a backfill has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// [`WAVE_FORMAT`].
    pub format: u32,
    /// Units in flight at most.
    pub budget: u32,
    /// What it is doing.
    pub state: State,
    /// The first unit that was never leased.
    pub next: u32,
    /// Units in flight.
    pub leases: Vec<Leased>,
    /// Units to be leased again before any new one, with their last epoch.
    pub again: Vec<(u32, u32)>,
    /// Units that failed.
    pub failed: Vec<FailedUnit>,
    /// The most units that were ever in flight at once.
    pub high_water: u32,
    /// Microseconds in which units were in flight.
    pub active_micros: u64,
    /// When it last changed.
    pub stepped_at: Timestamp,
    /// Where it stood when the first unit had ended; what came before was warming up.
    pub anchor: Option<Anchor>,
    /// What the days of each month took, by its first day.
    pub months: BTreeMap<Date, Spent>,
    /// What folding took.
    pub folding: Spent,
    /// The most engines that were seen working at once.
    #[serde(default)]
    pub engines: u32,
    /// When the last units were worked on: first and last microsecond of each.
    #[serde(default)]
    pub recent: Vec<(i64, i64)>,
}

/// A unit in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// Its place in the plan.
    pub unit: u32,
    /// Counts its leases.
    pub epoch: u32,
    /// When the lease ends.
    pub until: Timestamp,
    /// Whether its requests are known to be in the queue.
    pub sent: bool,
    /// Leases that ran out.
    pub expiries: u32,
}

/// A unit that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedUnit {
    /// Its place in the plan.
    pub unit: u32,
    /// Its last epoch.
    pub epoch: u32,
    /// Why, when no report says it.
    pub why: Option<String>,
}

/// A place on the way, to measure from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Microseconds active until then.
    pub active_micros: u64,
    /// What was done until then.
    pub done: Amount,
}

/// Work that was done, and the time it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The work.
    pub amount: Amount,
    /// Microseconds of engines.
    pub micros: u64,
}

/// What was found out since the last step.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The reports of units in flight, with the epoch each was made under.
    pub reports: BTreeMap<u32, Vec<(u32, RequestOutcome)>>,
    /// How long a unit took: unit, epoch, microseconds.
    pub took: Option<(u32, u32, u64)>,
    /// Units and epochs whose requests are in the queue now.
    pub sent: BTreeSet<(u32, u32)>,
    /// Whoever worked on units in flight is gone for certain.
    pub orphaned: bool,
}

impl Wave {
    /// Before the first step.
    pub fn begin(budget: u32, now: Timestamp) -> Wave {
        Wave {
            format: WAVE_FORMAT,
            budget: budget.clamp(1, BUDGET_MAX),
            state: State::Running,
            next: 0,
            leases: Vec::new(),
            again: Vec::new(),
            failed: Vec::new(),
            high_water: 0,
            active_micros: 0,
            stepped_at: now,
            anchor: None,
            months: BTreeMap::new(),
            folding: Spent::default(),
            engines: 0,
            recent: Vec::new(),
        }
    }

    /// The next step. Taking it again with the same knowledge changes nothing.
    #[must_use]
    pub fn step(&self, units: &[Unit], seen: &Seen, now: Timestamp) -> Wave {
        let mut wave = self.clone();
        let had_any_done = self.anchor.is_some();
        let ended = wave.take_in(units, seen, now);
        wave.expire(seen.orphaned, now);
        wave.lease(units, now);
        wave.conclude(units);
        if wave == *self {
            return wave;
        }
        if !self.leases.is_empty() && !seen.orphaned {
            let passed = now.micros().saturating_sub(self.stepped_at.micros());
            wave.active_micros += u64::try_from(passed).unwrap_or(0);
        }
        wave.stepped_at = now;
        if ended && !had_any_done {
            wave.anchor = Some(Anchor { active_micros: wave.active_micros, done: wave.done(units) });
        }
        wave
    }

    /// Takes in what was reported under the leases as they are; whether a unit was done.
    fn take_in(&mut self, units: &[Unit], seen: &Seen, now: Timestamp) -> bool {
        let mut is_any_done = false;
        for mut lease in std::mem::take(&mut self.leases) {
            lease.sent |= seen.sent.contains(&(lease.unit, lease.epoch));
            let Some(unit) = units.get(lease.unit as usize) else { continue };
            let all = seen.reports.get(&lease.unit).map_or(&[][..], Vec::as_slice);
            let ended = || all.iter().filter(|(epoch, _)| *epoch == lease.epoch);
            if ended().count() < unit.members.len() {
                self.leases.push(lease);
                continue;
            }
            if ended().any(|(_, outcome)| outcome.failure.is_some()) {
                self.failed.push(FailedUnit { unit: lease.unit, epoch: lease.epoch, why: None });
                continue;
            }
            is_any_done = true;
            if let Some((_, _, micros)) = seen.took.filter(|took| (took.0, took.1) == (lease.unit, lease.epoch)) {
                self.spend(unit, micros);
                self.see_engines(micros, now);
            }
        }
        is_any_done
    }

    fn spend(&mut self, unit: &Unit, micros: u64) {
        let spent = if unit.period.is_day() { self.months.entry(unit.at).or_default() } else { &mut self.folding };
        spent.amount = spent.amount.plus(unit.amount);
        spent.micros += micros;
    }

    /// A unit was worked on until now: how many others were at the same time. Of those in flight nobody knows: a delivery
    /// may hold several and work on one.
    fn see_engines(&mut self, micros: u64, now: Timestamp) {
        let began = now.micros().saturating_sub(i64::try_from(micros).unwrap_or(i64::MAX));
        let beside = |at: i64| self.recent.iter().filter(|(from, to)| (*from..*to).contains(&at)).count() + 1;
        let moments = self.recent.iter().map(|(from, _)| (*from).max(began)).chain([began]);
        let most = moments.map(beside).max().unwrap_or(1);
        self.engines = self.engines.max(u32::try_from(most).unwrap_or(u32::MAX));
        self.recent.push((began, now.micros()));
        let surplus = self.recent.len().saturating_sub(RECENT_MAX);
        self.recent.drain(..surplus);
    }

    /// Leases that ran out are granted anew; of a cancelled backfill, given up.
    fn expire(&mut self, orphaned: bool, now: Timestamp) {
        for mut lease in std::mem::take(&mut self.leases) {
            let has_run_out = lease.until <= now;
            if !has_run_out && !orphaned {
                self.leases.push(lease);
                continue;
            }
            lease.expiries += u32::from(has_run_out && !orphaned);
            if lease.expiries >= EXPIRIES_MAX {
                let why = Some(format!("nothing was heard of it under {EXPIRIES_MAX} leases"));
                self.failed.push(FailedUnit { unit: lease.unit, epoch: lease.epoch, why });
            } else if self.state == State::Running {
                let (epoch, until) = (lease.epoch + 1, now.plus_seconds(LEASE_SECONDS));
                self.leases.push(Leased { epoch, until, sent: false, ..lease });
            } else {
                self.again.push((lease.unit, lease.epoch));
            }
        }
    }

    /// Leases units while the budget lasts.
    fn lease(&mut self, units: &[Unit], now: Timestamp) {
        let phase = |unit: u32| units.get(unit as usize).map(|unit| unit.period);
        while self.state == State::Running
            && self.leases.len() < self.budget as usize
            && self.failed.len() < FAILED_UNITS_MAX
        {
            self.again.sort_unstable();
            let (unit, epoch) = match self.again.first() {
                Some(&(unit, epoch)) => (unit, epoch + 1),
                None => (self.next, 1),
            };
            let Some(wanted) = phase(unit) else { return };
            // A phase rests on the one before.
            if self.leases.iter().any(|lease| phase(lease.unit).is_some_and(|running| running < wanted)) {
                return;
            }
            if self.again.is_empty() {
                self.next += 1;
            } else {
                self.again.remove(0);
            }
            let until = now.plus_seconds(LEASE_SECONDS);
            self.leases.push(Leased { unit, epoch, until, sent: false, expiries: 0 });
            self.high_water = self.high_water.max(u32::try_from(self.leases.len()).unwrap_or(u32::MAX));
        }
    }

    fn conclude(&mut self, units: &[Unit]) {
        if self.state != State::Running || !self.leases.is_empty() {
            return;
        }
        if self.failed.len() >= FAILED_UNITS_MAX {
            self.state = State::Failed;
        } else if self.again.is_empty() && self.next as usize >= units.len() {
            self.state = if self.failed.is_empty() { State::Done } else { State::Failed };
        }
    }

    /// What failed is to be run again, and what was cancelled goes on.
    #[must_use]
    pub fn resumed(&self, budget: Option<u32>) -> Wave {
        let mut wave = self.clone();
        wave.again.extend(wave.failed.drain(..).map(|failed| (failed.unit, failed.epoch)));
        wave.budget = budget.unwrap_or(wave.budget).clamp(1, BUDGET_MAX);
        if wave.state != State::Done {
            wave.state = State::Running;
        }
        wave
    }

    /// Nothing new is leased from here on.
    #[must_use]
    pub fn cancelled(&self) -> Wave {
        let state = if self.state == State::Running { State::Cancelled } else { self.state };
        Wave { state, ..self.clone() }
    }

    /// The places of units that are done.
    pub fn done_units(&self) -> impl Iterator<Item = usize> + '_ {
        let open: BTreeSet<u32> = (self.leases.iter().map(|lease| lease.unit))
            .chain(self.again.iter().map(|(unit, _)| *unit))
            .chain(self.failed.iter().map(|failed| failed.unit))
            .collect();
        (0..self.next).filter(move |unit| !open.contains(unit)).map(|unit| unit as usize)
    }

    /// How much of the work is done.
    pub fn done(&self, units: &[Unit]) -> Amount {
        let done = self.done_units().filter_map(|at| units.get(at));
        done.fold(Amount::default(), |sum, unit| sum.plus(unit.amount))
    }

    /// Whether every unit of days is done.
    pub fn has_all_days(&self, units: &[Unit]) -> bool {
        let days = units.iter().filter(|unit| unit.period.is_day()).count();
        self.done_units().filter(|at| *at < days).count() == days
    }

    /// The phase it is in: that of the first unit that is not done; `None` when there is none.
    pub fn phase(&self, units: &[Unit]) -> Option<Period> {
        let done: BTreeSet<usize> = self.done_units().collect();
        let open = (0..units.len()).find(|at| !done.contains(at))?;
        Some(units[open].period)
    }

    /// When to look at it again though nothing is heard; `None`: never.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let first = self.leases.iter().map(|lease| lease.until).min();
        (self.state == State::Running).then(|| first.unwrap_or(self.stepped_at.plus_seconds(LEASE_SECONDS)))
    }
}

#[cfg(test)]
mod tests;
