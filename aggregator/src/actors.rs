//! Insights over actors: funnels, patterns, paths, cohorts and drivers, from what days keep of actors' events.
//!
//! A day's state says what each actor did and when ([`crate::metric::trail`]); states of days merge as all states do. An
//! answer walks the states of all the days it takes, actor by actor, in memory for one actor at a time. **Every bucket is
//! answered on its own**, from the events in it and those that may follow or precede by definition, so that a number
//! never depends on what else was asked for, but for actors with too many events, of which the answer tells. What happens at one instant has no order but that of the definition: events
//! are ordered by (time, mask), and equal ones are interchangeable.
//!
//! In: a definition, buckets, states. Out: rows. Pure but for the spill.

pub mod bucket;
mod cohort;
mod drivers;
mod funnel;
mod lasting;
mod paths;
mod pattern;
pub mod statistics;
mod walk;

use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::definition::actors::{CohortMode, DriversTarget};
use tidemill_schemas::definition::{Body, Definition};
use tidemill_schemas::snapshot::Group;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::value::Value;
use tidemill_schemas::window::Window;

use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::GroupKey;
use crate::spill::SharedSpill;

pub use walk::ACTOR_EVENTS_MAX;

/// Numbers that are counted for one answer: buckets by groups by steps.
pub const CELLS_MAX: usize = 8 * 1024 * 1024;

/// A span of local days that is answered on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The local date it is known by.
    pub start: Date,
    /// Its instants.
    pub window: Window,
}

/// What is asked.
#[derive(Debug)]
pub struct Question<'a> {
    /// The insight.
    pub definition: &'a Definition,
    /// Places in the definition's breakdown to keep, in the order wanted; none for everybody together.
    pub by: &'a [usize],
    /// The buckets, ascending, that don't overlap.
    pub buckets: Vec<Bucket>,
    /// The first local day.
    pub first: Date,
    /// The last local day, included.
    pub last: Date,
    /// Everything before this instant is in.
    pub complete_through: Timestamp,
    /// Of paths: single transitions instead of whole paths.
    pub transitions: bool,
}

/// Rows, flat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What the column of [`Row::start`] is called; empty when rows have none.
    pub time: &'static str,
    /// The columns of [`Row::values`].
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// What readers have to know.
    pub notes: Vec<String>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The local date it is of.
    pub start: Option<Date>,
    /// The breakdown; `None`: there is none.
    pub group: Option<Group>,
    /// A value per column.
    pub values: Vec<Value>,
}

/// The local days whose states an answer over the days from `first` to `last` takes; `None`: from the beginning.
pub fn reach(definition: &Definition, first: Date, last: Date) -> (Option<Date>, Date) {
    let days = |seconds: u64| i32::try_from(seconds.div_ceil(86_400)).unwrap_or(i32::MAX);
    let later = |days: i32| calendar::plus_days(last, days);
    let earlier = |days: i32| calendar::plus_days(first, -days);
    match &definition.body {
        Body::Funnel(funnel) => (Some(first), later(days(funnel.within_seconds) + 1)),
        Body::Pattern(pattern) => (Some(first), later(days(pattern.within_seconds) + 1)),
        Body::Paths(paths) => {
            let around = days(paths.session_gap_seconds * u64::from(paths.depth)) + 1;
            (Some(earlier(around)), later(around))
        }
        Body::Cohort(cohort) => {
            let columns = i32::try_from(cohort.periods).unwrap_or(i32::MAX);
            let last = later(columns.saturating_mul(bucket::days_max(cohort.every)));
            let from = match cohort.mode {
                CohortMode::FirstTime => None,
                CohortMode::Recurring => Some(cohort.every.first(first, definition.week_start)),
            };
            (from, last)
        }
        Body::Drivers(drivers) => match drivers.target {
            DriversTarget::Event(_) => (Some(first), last),
            DriversTarget::Return { .. } => (None, last),
        },
        Body::Standard(_) | Body::Correlation(_) | Body::Comparative(_) => (Some(first), last),
    }
}

/// The rows of an insight over actors; none for the others.
///
/// # Errors
/// [`FoldError::Spill`] when states are of another definition or damaged, and the spill's own;
/// [`FoldError::TooMuch`] when there is too much to tell apart.
pub fn answer(question: &Question<'_>, inputs: &[Content], spill: &SharedSpill) -> Result<Answer, FoldError> {
    match &question.definition.body {
        Body::Funnel(body) => funnel::answer(question, body, inputs, spill),
        Body::Pattern(body) => pattern::answer(question, body, inputs, spill),
        Body::Paths(body) => paths::answer(question, body, inputs),
        Body::Cohort(body) => cohort::answer(question, body, inputs),
        Body::Drivers(body) => drivers::answer(question, body, inputs),
        Body::Standard(_) | Body::Correlation(_) | Body::Comparative(_) => Ok(Answer::default()),
    }
}

impl Question<'_> {
    /// The kept part of a group's key, whose columns begin `skip` columns in.
    fn kept(&self, key: &GroupKey, skip: usize) -> GroupKey {
        self.by.iter().filter_map(|at| key.get(skip + at).cloned()).collect()
    }

    fn too_much(&self, what: &'static str, limit: usize) -> FoldError {
        FoldError::TooMuch { insight: self.definition.name.clone(), what, limit }
    }

    /// How many numbers a bucket and group of an answer take altogether, `each` of them.
    fn cells(&self, groups: usize, each: usize) -> Result<usize, FoldError> {
        let cells = self.buckets.len().saturating_mul(groups).saturating_mul(each);
        if cells > CELLS_MAX { Err(self.too_much("numbers", CELLS_MAX)) } else { Ok(cells) }
    }

    /// The notes an answer has because of actors with too many events.
    fn notes(&self, capped: u64) -> Vec<String> {
        if capped == 0 {
            return Vec::new();
        }
        let (who, their) = if capped == 1 { ("1 actor has", "its") } else { ("actors have", "their") };
        let count = if capped == 1 { String::new() } else { format!("{capped} ") };
        vec![format!(
            "{count}{who} more than {ACTOR_EVENTS_MAX} events in this range; only {their} first ones are looked at"
        )]
    }
}

/// Names of columns.
pub(crate) fn named(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| (*column).to_owned()).collect()
}

/// Microseconds of a definition's seconds.
fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(MICROS_PER_SECOND)
}

/// Whole numbers as values.
fn number(count: u64) -> Value {
    Value::Number(count.into())
}

/// `100 × part / whole`, rounded; null over nothing.
fn share(part: u64, whole: u64) -> Value {
    use tidemill_schemas::decimal::Decimal;
    use tidemill_schemas::metric::RATIO_SCALE;
    if whole == 0 {
        return Value::Null;
    }
    // 100 × 2^64 fits 38 digits.
    let hundred = Decimal::from(part).checked_mul(Decimal::from(100u64));
    let ratio = hundred.and_then(|part| Decimal::ratio(part, Decimal::from(whole), RATIO_SCALE));
    ratio.map_or(Value::Null, Value::Number)
}

/// The groups listed, `$other` and the group that is null throughout: which groups each row is made of. `ranked`: the
/// weight of each group.
fn listed(groups: &[GroupKey], ranked: &[u64], top: usize) -> Vec<(Group, Vec<u32>)> {
    let is_null = |key: &GroupKey| key.iter().all(|value| *value == Value::Null);
    let mut order: Vec<u32> = (0..groups.len() as u32).filter(|at| ranked[*at as usize] > 0).collect();
    // Groups are numbered in the order of their keys.
    order.sort_by_key(|at| (std::cmp::Reverse(ranked[*at as usize]), *at));
    let (null, mut order): (Vec<u32>, Vec<u32>) = order.into_iter().partition(|at| is_null(&groups[*at as usize]));
    let rest = order.split_off(order.len().min(top));
    let mut rows: Vec<(Group, Vec<u32>)> =
        order.into_iter().map(|at| (Group::Key(groups[at as usize].clone()), vec![at])).collect();
    if !rest.is_empty() {
        rows.push((Group::Other, rest));
    }
    // It is one row, whether events had it or actors have no event to take it from.
    if let Some(first) = null.first() {
        rows.push((Group::Key(groups[*first as usize].clone()), null));
    }
    rows
}

/// The instant a bucket of a cohort, or a day, ends.
fn end_of(definition: &Definition, every: Period, start: Date) -> Timestamp {
    let last = every.last(start, definition.week_start);
    definition.timezone.start_of(calendar::next(last))
}
