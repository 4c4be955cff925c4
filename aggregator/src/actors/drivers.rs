//! Drivers: what actors that reach a target do more often, or less, than those that don't.
//!
//! Of a target that is an event, everybody with an event in the range is looked at; a candidate counts for an actor that
//! reached the target only if it was there before. Of a target that is a return, those are looked at whose first bucket
//! lies in the range and whose later one is over; a candidate counts if it was there in the first bucket.
//!
//! For each value of each candidate column: the odds ratio with one added to each count, Fisher's exact test, and the
//! false-discovery rate over all that are tested. Thin evidence is not tested.

use std::collections::BTreeSet;

use tidemill_schemas::calendar::Period;
use tidemill_schemas::definition::actors::{Drivers, DriversTarget};
use tidemill_schemas::expression::Column;
use tidemill_schemas::value::Value;

use super::statistics::{FourFold, false_discovery, rounded};
use super::walk::{Tagged, Trails};
use super::{Answer, Question, Row, bucket, end_of, named, number};
use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::GroupKey;
use crate::metric::trail::Presence;

/// Drivers listed that go with the target, and as many that go against it.
const LISTED_MAX: usize = 10;
/// Actors a candidate needs.
const SUPPORT_ACTORS_MIN: u64 = 25;
/// Of all actors, the share a candidate needs: one in so many.
const SUPPORT_ONE_IN: u64 = 50;
/// The greatest false-discovery rate listed.
const FALSE_DISCOVERY_MAX: f64 = 0.05;
/// How many times more of one kind than of the other are too uneven to trust.
const SKEW_MAX: u64 = 10;

/// Rows of drivers.
pub(super) fn answer(question: &Question<'_>, drivers: &Drivers, inputs: &[Content]) -> Result<Answer, FoldError> {
    let trails = Trails::<Presence>::load(question, inputs, true, |key| key)?;
    let candidates = Candidates::of(&trails.groups);
    let target = Target::of(question, drivers);
    let mut with = vec![[0u64; 2]; candidates.values.len()];
    let mut all = [0u64; 2];
    let mut seen: Vec<u32> = Vec::new();
    let capped = trails.walk(|presences| {
        seen.clear();
        if let Some(reached) = target.look(presences, |group| seen.extend(&candidates.of[group as usize])) {
            let side = usize::from(!reached);
            all[side] += 1;
            seen.sort_unstable();
            seen.dedup();
            seen.iter().for_each(|candidate| with[*candidate as usize][side] += 1);
        }
        Ok(())
    })?;
    let mut answer = Answer {
        time: "",
        columns: named(&["candidate", "odds_ratio", "p", "q", "support", "with_target", "without_target"]),
        rows: rows(drivers, &candidates, &with, all),
        notes: question.notes(capped),
    };
    let [reached, not] = all;
    answer.notes.push(format!("{reached} of {} actors reach the target", reached + not));
    if reached > SKEW_MAX * not || not > SKEW_MAX * reached {
        answer.notes.push(format!("the two sides differ more than {SKEW_MAX} times in size: take the odds with care"));
    }
    Ok(answer)
}

fn rows(drivers: &Drivers, candidates: &Candidates, with: &[[u64; 2]], [reached, not]: [u64; 2]) -> Vec<Row> {
    let support_min = SUPPORT_ACTORS_MIN.max((reached + not).div_ceil(SUPPORT_ONE_IN));
    let tested: Vec<(usize, FourFold, f64)> = with
        .iter()
        .enumerate()
        .filter(|(_, [a, c])| a + c >= support_min && a + c < reached + not)
        .map(|(at, [a, c])| {
            let counts = FourFold { a: *a, b: reached - a, c: *c, d: not - c };
            (at, counts, counts.p())
        })
        .collect();
    let rates = false_discovery(&tested.iter().map(|(.., p)| *p).collect::<Vec<f64>>());
    let mut found: Vec<(usize, FourFold, f64, f64)> = tested
        .into_iter()
        .zip(rates)
        .map(|((at, counts, p), q)| (at, counts, p, q))
        .filter(|(.., q)| *q <= FALSE_DISCOVERY_MAX)
        .collect();
    found.sort_by(|a, b| b.1.odds_ratio().total_cmp(&a.1.odds_ratio()).then_with(|| a.0.cmp(&b.0)));
    let (mut up, down): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, counts, ..)| counts.odds_ratio() >= 1.0);
    up.truncate(LISTED_MAX);
    let from = down.len().saturating_sub(LISTED_MAX);
    let row = |(at, counts, p, q): &(usize, FourFold, f64, f64)| Row {
        start: None,
        group: None,
        values: vec![
            Value::Text(candidates.shown(drivers, *at)),
            rounded(Some(counts.odds_ratio())),
            rounded(Some(*p)),
            rounded(Some(*q)),
            number(counts.a + counts.c),
            number(counts.a),
            number(counts.c),
        ],
    };
    up.iter().chain(&down[from..]).map(row).collect()
}

/// The values of candidate columns.
struct Candidates {
    /// By group of the states: the candidates it is.
    of: Vec<Vec<u32>>,
    /// Column and value.
    values: Vec<(usize, Value)>,
}

impl Candidates {
    fn of(keys: &[GroupKey]) -> Candidates {
        let parts = |key: &GroupKey| -> Vec<(usize, Value)> {
            key.iter().cloned().enumerate().filter(|(_, value)| *value != Value::Null).collect()
        };
        let values: BTreeSet<(usize, Value)> = keys.iter().flat_map(parts).collect();
        let values: Vec<(usize, Value)> = values.into_iter().collect();
        let place = |part: &(usize, Value)| values.binary_search(part).ok().map(|at| at as u32);
        let of = keys.iter().map(|key| parts(key).iter().filter_map(place).collect()).collect();
        Candidates { of, values }
    }

    fn shown(&self, drivers: &Drivers, at: usize) -> String {
        let (column, value) = &self.values[at];
        let mut text = String::new();
        match value {
            Value::Text(held) => text.clone_from(held),
            other => other.write_json(&mut text),
        }
        match drivers.candidates.as_slice() {
            [Column::Name] => text,
            columns => format!("{} = {text}", columns[*column].name()),
        }
    }
}

/// What is asked of an actor.
enum Target<'a> {
    Event,
    Return { question: &'a Question<'a>, every: Period, offset: i32 },
}

impl<'a> Target<'a> {
    fn of(question: &'a Question<'a>, drivers: &Drivers) -> Target<'a> {
        match &drivers.target {
            DriversTarget::Event(_) => Target::Event,
            DriversTarget::Return { every, offset, .. } => {
                Target::Return { question, every: *every, offset: i32::try_from(*offset).unwrap_or(i32::MAX) }
            }
        }
    }

    /// Whether an actor reaches the target, `None`: it is not looked at; `count` is called with the groups of its
    /// events that may have driven it.
    fn look(&self, presences: &[Tagged<Presence>], mut count: impl FnMut(u32)) -> Option<bool> {
        match self {
            Target::Event => {
                let is_target = |(presence, _): &&Tagged<Presence>| presence.mask & 1 != 0;
                let reached = presences.iter().filter(is_target).map(|(presence, _)| presence.first).min();
                let before = |(presence, _): &&Tagged<Presence>| {
                    presence.mask & 1 == 0 && reached.is_none_or(|reached| presence.first < reached)
                };
                presences.iter().filter(before).for_each(|(_, group)| count(*group));
                Some(reached.is_some())
            }
            Target::Return { question, every, offset } => {
                let definition = question.definition;
                let born = presences.iter().find(|(presence, _)| presence.mask & 1 != 0)?.0.bucket;
                let later = born.saturating_add(*offset);
                let number_of = |date| bucket::of(*every, date, definition.week_start);
                let is_over = end_of(definition, *every, bucket::start(*every, later, definition.week_start))
                    <= question.complete_through;
                if !(number_of(question.first)..=number_of(question.last)).contains(&born) || !is_over {
                    return None;
                }
                let in_first = presences.iter().filter(|(presence, _)| presence.bucket == born);
                in_first.for_each(|(_, group)| count(*group));
                Some(presences.iter().any(|(presence, _)| presence.bucket == later && presence.mask & 2 != 0))
            }
        }
    }
}
