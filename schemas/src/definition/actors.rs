//! The kinds of insight that follow actors: funnels, patterns, paths, cohorts and drivers, as typed meaning.
//!
//! Plain types. What they mean exactly is said at the functions that compute them, in the aggregator's `actors`.

use serde::{Deserialize, Serialize};

use super::From;
use crate::calendar::Period;
use crate::expression::{Column, Expr};

/// Steps of a funnel.
pub const STEPS_MAX: usize = 20;
/// Exclusions of a funnel.
pub const EXCLUSIONS_MAX: usize = 10;
/// Events a pattern may name.
pub const PATTERN_EVENTS_MAX: usize = 30;
/// Elements of a pattern.
pub const PATTERN_ELEMENTS_MAX: usize = 20;
/// Seconds of a conversion window when a definition does not say: 14 days.
pub const WITHIN_SECONDS_DEFAULT: u64 = 14 * 86_400;
/// Seconds of a conversion window at most: 366 days.
pub const WITHIN_SECONDS_MAX: u64 = 366 * 86_400;
/// Seconds without an event that end a path when a definition does not say: 30 minutes.
pub const SESSION_GAP_SECONDS_DEFAULT: u64 = 30 * 60;
/// Seconds without an event that end a path at most: one day.
pub const SESSION_GAP_SECONDS_MAX: u64 = 86_400;
/// Events of a path when a definition does not say.
pub const DEPTH_DEFAULT: u32 = 5;
/// Events of a path at most.
pub const DEPTH_MAX: u32 = 20;
/// Columns of a cohort's matrix when a definition does not say.
pub const PERIODS_DEFAULT: u32 = 12;
/// Columns of a cohort's matrix at most.
pub const PERIODS_MAX: u32 = 366;
/// Days of a correlation when a definition does not say.
pub const LOOKBACK_DAYS_DEFAULT: u32 = 90;
/// Days of a correlation at most.
pub const LOOKBACK_DAYS_MAX: u32 = 3_660;

/// Events by name and condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Their names.
    pub from: From,
    /// What must be true of them.
    pub filter: Option<Expr>,
}

/// Whose events belong together, and which of them count at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actors {
    /// The column that tells actors apart; events in which it is null are left out.
    pub actor: Column,
    /// `from` and `where`: events that are not among these don't exist for the insight.
    pub base: Selection,
}

/// A funnel: how far actors get through steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// Whose events.
    pub actors: Actors,
    /// How steps must follow each other.
    pub order: Order,
    /// Seconds from the first step to the last, inclusive.
    pub within_seconds: u64,
    /// The steps.
    pub steps: Vec<Step>,
    /// Events that must not come between.
    pub exclude: Vec<Exclusion>,
    /// What an excluded event does.
    pub exclusion: ExclusionRule,
    /// Which entries count.
    pub entry: Entry,
    /// The event whose breakdown an actor counts under.
    pub attribution: Attribution,
}

/// A step of a funnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// Its events.
    pub on: Selection,
}

/// How the steps of a funnel must follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// One after the other; other events may lie between.
    #[default]
    Ordered,
    /// One after the other, and nothing of the base between.
    Strict,
    /// In any order.
    Any,
}

/// An event that must not come between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// The event.
    pub on: Selection,
    /// The step it must not follow, from 1.
    pub after: usize,
    /// The step it must not precede, greater than `after`.
    pub before: usize,
}

/// What an excluded event between two steps does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionRule {
    /// The actor is not in the funnel at all.
    #[default]
    DropActor,
    /// The attempt is over; another one may succeed.
    EndAttempt,
}

/// Which events of the first step begin an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Any of the bucket.
    #[default]
    Any,
    /// The first of the bucket.
    First,
}

/// The event of a conversion whose breakdown the actor counts under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// The first step's.
    #[default]
    First,
    /// That of the last step reached.
    Last,
    /// This step's, from 1; null for those who don't reach it.
    Step(usize),
}

/// A pattern of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// Whose events.
    pub actors: Actors,
    /// Seconds from the first event of a match to the last, inclusive.
    pub within_seconds: u64,
    /// What the pattern's names stand for.
    pub events: Vec<Step>,
    /// What must follow what.
    pub elements: Vec<Element>,
}

/// An event of a pattern, and what may lie before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Which of the pattern's events.
    pub event: usize,
    /// What lies between the element before and this one; nothing is asked of the first.
    pub gap: Gap,
}

/// What lies between two elements of a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Events of the pattern that must not.
    pub without: Vec<usize>,
    /// None of the pattern's events may.
    pub nothing: bool,
    /// Seconds at least.
    pub seconds_min: u64,
    /// Seconds at most.
    pub seconds_max: Option<u64>,
}

/// Paths to an event, from one, or between two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// Whose events.
    pub actors: Actors,
    /// Where paths begin.
    pub start: Option<Selection>,
    /// Where paths end.
    pub end: Option<Selection>,
    /// The column whose values are the stations of a path.
    pub node: Column,
    /// Seconds without an event that end a path.
    pub session_gap_seconds: u64,
    /// Stations at most.
    pub depth: u32,
    /// Names of events that are passed over.
    pub ignore: Vec<String>,
}

/// Retention of cohorts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// Whose events.
    pub actors: Actors,
    /// What puts an actor into a cohort.
    pub born: Selection,
    /// What counts as coming back.
    pub returns: Selection,
    /// The buckets of rows and columns: day, week or month.
    pub every: Period,
    /// Columns, the cohort's own bucket included.
    pub periods: u32,
    /// Which cohorts an actor is in.
    pub mode: CohortMode,
    /// When an actor counts.
    pub measure: CohortMeasure,
}

/// Which cohorts an actor is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortMode {
    /// That of the first time.
    #[default]
    FirstTime,
    /// Every one whose bucket has an event that counts.
    Recurring,
}

/// In which columns an actor counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortMeasure {
    /// Those of buckets it came back in.
    #[default]
    On,
    /// Those, and the ones before, down to the cohort's own.
    OnOrAfter,
}

/// What goes with a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drivers {
    /// Whose events.
    pub actors: Actors,
    /// Days looked back on.
    pub lookback_days: u32,
    /// What is to be explained.
    pub target: DriversTarget,
    /// Columns whose values are candidates: event names, or properties.
    pub candidates: Vec<Column>,
}

/// What drivers are looked for of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriversTarget {
    /// That an actor does this at all.
    Event(Selection),
    /// That an actor comes back in a later bucket than its first one.
    Return {
        /// What begins.
        born: Selection,
        /// What counts as coming back.
        returns: Selection,
        /// The buckets.
        every: Period,
        /// How many buckets later.
        offset: u32,
    },
}

impl Selection {
    /// As one condition; `None`: every event.
    pub fn condition(&self) -> Option<Expr> {
        let names = match &self.from {
            From::All => None,
            From::Names(names) => Some(Expr::named(names)),
        };
        Expr::all(names.into_iter().chain(self.filter.clone()).collect())
    }
}
