//! Funnels: how many actors of a bucket reach each step.
//!
//! *Level k is reached iff there are k distinct events, one per step, with non-decreasing times, from the first to the
//! last no more than the window, whose first lies in the bucket.* An actor counts once in each bucket, at the highest
//! level it reaches there. How long a level took is the time from the first to the last event of the fastest such chain;
//! the group an actor counts under is told by the fastest chain of its highest level. See [`attempt`].

mod any;
pub(super) mod attempt;
mod matching;
mod ordered;
mod strict;

use tidemill_schemas::definition::actors::{Funnel, Order};
use tidemill_schemas::value::Value;

use super::lasting::{Durations, Measured};
use super::walk::Trails;
use super::{Answer, Bucket, Question, Row, listed, named, number, share};
use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::trail::Moment;
use crate::spill::SharedSpill;
use attempt::{Event, Rules};

/// Rows of a funnel.
pub(super) fn answer(
    question: &Question<'_>,
    funnel: &Funnel,
    inputs: &[Content],
    spill: &SharedSpill,
) -> Result<Answer, FoldError> {
    let grouped = !question.definition.by.is_empty();
    let key = |key| question.kept(&key, 0);
    let trails = Trails::<Moment>::load(question, inputs, grouped, key)?;
    let rules = Rules::new(funnel);
    let mut counted = Counted::new(question, trails.groups.len(), funnel.steps.len(), spill)?;
    let mut events: Vec<Event> = Vec::new();
    let capped = trails.walk(|moments| {
        events.clear();
        events.extend(moments.iter().map(|(moment, group)| Event {
            time: moment.time,
            mask: moment.mask,
            count: moment.count,
            group: *group,
        }));
        counted.actor(&rules, &question.buckets, &events)
    })?;
    let Counted { levels, durations, steps, groups } = counted;
    let cells = levels.len();
    let measured = durations.finish(cells)?;
    let rows = Rows { question, funnel, levels: &levels, measured: &measured, steps, groups };
    let mut answer = Answer {
        time: "time",
        columns: named(&[
            "step",
            "name",
            "actors",
            "conversion",
            "step_conversion",
            "median_seconds",
            "mean_seconds",
            "maturing",
        ]),
        rows: rows.all(&trails.groups)?,
        notes: question.notes(capped),
    };
    let maturing = question.buckets.iter().filter(|bucket| rows.is_maturing(bucket)).count();
    if maturing > 0 {
        let within = tidemill_schemas::definition::duration::shown(funnel.within_seconds);
        answer.notes.push(format!(
            "conversions are still possible in {} of {} buckets: {within} have not passed",
            maturing,
            question.buckets.len()
        ));
    }
    Ok(answer)
}

/// Actors by bucket, group and level.
struct Counted {
    /// By cell: bucket, then group, then level.
    levels: Vec<u64>,
    durations: Durations,
    steps: usize,
    /// Groups, and the one of no value behind them.
    groups: usize,
}

impl Counted {
    fn new(question: &Question<'_>, groups: usize, steps: usize, spill: &SharedSpill) -> Result<Counted, FoldError> {
        // Who has no value counts under a group that is in no state.
        let groups = groups + 1;
        let levels = vec![0; question.cells(groups, steps)?];
        Ok(Counted { levels, durations: Durations::new(spill), steps, groups })
    }

    /// Takes in one actor's events, in order.
    fn actor(&mut self, rules: &Rules<'_>, buckets: &[Bucket], events: &[Event]) -> std::io::Result<()> {
        let mut from = 0;
        for (at, bucket) in buckets.iter().enumerate() {
            let (start, end) = (bucket.window.start.micros(), bucket.window.end.micros());
            from += events[from..].partition_point(|event| event.time < start);
            let Some(first) = events.get(from) else { break };
            if first.time >= end {
                continue;
            }
            let last = end.saturating_add(rules.within);
            let to = from + events[from..].partition_point(|event| event.time < last);
            if let Some(attempt) = rules.attempt(&events[from..to], end) {
                let group = attempt.group.map_or(self.groups - 1, |group| group as usize);
                let cell = (at * self.groups + group) * self.steps;
                for (level, micros) in attempt.micros.iter().enumerate() {
                    self.levels[cell + level] += 1;
                    if level > 0 {
                        self.durations.push(cell + level, *micros)?;
                    }
                }
            }
        }
        Ok(())
    }
}

struct Rows<'a> {
    question: &'a Question<'a>,
    funnel: &'a Funnel,
    levels: &'a [u64],
    measured: &'a Measured,
    steps: usize,
    groups: usize,
}

impl Rows<'_> {
    fn is_maturing(&self, bucket: &Bucket) -> bool {
        let within = super::micros(self.funnel.within_seconds);
        bucket.window.end.plus_micros(within) > self.question.complete_through
    }

    fn all(&self, keys: &[crate::metric::GroupKey]) -> Result<Vec<Row>, FoldError> {
        let mut keys = keys.to_vec();
        keys.push(vec![Value::Null; self.question.by.len()]);
        let mut ranked = vec![0u64; self.groups];
        for bucket in 0..self.question.buckets.len() {
            for (group, weight) in ranked.iter_mut().enumerate() {
                *weight += self.levels[(bucket * self.groups + group) * self.steps];
            }
        }
        let listed = match self.question.by {
            [] => vec![(None, (0..self.groups as u32).collect())],
            _ => {
                let top = self.question.definition.top as usize;
                let rows = listed(&keys, &ranked, top);
                rows.into_iter().map(|(group, made_of)| (Some(group), made_of)).collect::<Vec<_>>()
            }
        };
        let mut rows = Vec::new();
        for (at, bucket) in self.question.buckets.iter().enumerate() {
            for (group, made_of) in &listed {
                let of = |level: usize| {
                    made_of.iter().map(move |group| (at * self.groups + *group as usize) * self.steps + level)
                };
                let actors: Vec<u64> =
                    (0..self.steps).map(|level| of(level).map(|cell| self.levels[cell]).sum()).collect();
                if group.is_some() && actors[0] == 0 {
                    continue;
                }
                for level in 0..self.steps {
                    let (median, mean) = self.measured.of(of(level))?;
                    let before = level.checked_sub(1).map_or(actors[0], |before| actors[before]);
                    let values = vec![
                        number(level as u64 + 1),
                        Value::Text(self.name(level)),
                        number(actors[level]),
                        share(actors[level], actors[0]),
                        share(actors[level], before),
                        median,
                        mean,
                        Value::Bool(self.is_maturing(bucket)),
                    ];
                    rows.push(Row { start: Some(bucket.start), group: group.clone(), values });
                }
            }
        }
        Ok(rows)
    }

    fn name(&self, level: usize) -> String {
        match self.funnel.order {
            Order::Any => format!("any {} of {}", level + 1, self.steps),
            _ => self.funnel.steps[level].name.clone(),
        }
    }
}
