//! Cohorts: of the actors that began in a bucket, how many come back in each bucket after it.
//!
//! `first_time`: an actor is in the cohort of the bucket of its first event that counts as beginning, in all of history;
//! `recurring`: in that of every bucket with one. Column k of cohort c counts its actors with a returning event in bucket
//! c + k (`on`), or in any from there to the last column's (`on_or_after`). Buckets are those of the calendar. Broken down,
//! an actor counts under the value of its earliest beginning event in the bucket, of several the least.

use std::collections::BTreeMap;

use tidemill_schemas::definition::actors::{Cohort, CohortMeasure, CohortMode};
use tidemill_schemas::snapshot::Group;
use tidemill_schemas::value::Value;

use super::walk::{Tagged, Trails};
use super::{Answer, Question, Row, bucket, end_of, listed, named, number, share};
use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::trail::Presence;

const BORN: u8 = 1;
const RETURNS: u8 = 2;

/// Size and columns of one cohort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    size: u64,
    columns: Vec<u64>,
}

/// Rows of cohorts.
pub(super) fn answer(question: &Question<'_>, cohort: &Cohort, inputs: &[Content]) -> Result<Answer, FoldError> {
    let definition = question.definition;
    let grouped = !definition.by.is_empty();
    let trails = Trails::<Presence>::load(question, inputs, grouped, |key| question.kept(&key, 0))?;
    let number_of = |date| bucket::of(cohort.every, date, definition.week_start);
    let range = number_of(question.first)..=number_of(question.last);
    let mut cohorts: BTreeMap<(i32, u32), Counted> = BTreeMap::new();
    let capped = trails.walk(|presences| {
        for (born, group) in beginnings(cohort.mode, presences) {
            if range.contains(&born) {
                let held = cohorts.entry((born, group)).or_default();
                held.columns.resize(cohort.periods as usize, 0);
                held.size += 1;
                count(cohort, born, presences, &mut held.columns);
            }
        }
        Ok(())
    })?;
    let mut ranked = vec![0u64; trails.groups.len()];
    for ((_, group), counted) in &cohorts {
        ranked[*group as usize] += counted.size;
    }
    let groups: Vec<(Option<Group>, Vec<u32>)> = match question.by {
        [] => vec![(None, (0..trails.groups.len() as u32).collect())],
        _ => listed(&trails.groups, &ranked, definition.top as usize)
            .into_iter()
            .map(|(group, made_of)| (Some(group), made_of))
            .collect(),
    };
    let mut rows = Vec::new();
    for born in range {
        for (group, made_of) in &groups {
            let mut sum = Counted { size: 0, columns: vec![0; cohort.periods as usize] };
            for counted in made_of.iter().filter_map(|group| cohorts.get(&(born, *group))) {
                sum.size += counted.size;
                sum.columns.iter_mut().zip(&counted.columns).for_each(|(sum, more)| *sum += more);
            }
            if sum.size > 0 {
                rows.extend(cells(question, cohort, born, group.as_ref(), &sum));
            }
        }
    }
    let columns = named(&["size", "offset", "actors", "share", "of_previous", "complete"]);
    Ok(Answer { time: "cohort", columns, rows, notes: question.notes(capped) })
}

/// The cohorts an actor is in, each with the group it counts under.
fn beginnings(mode: CohortMode, presences: &[Tagged<Presence>]) -> Vec<(i32, u32)> {
    let mut found: Vec<(i32, (i64, u32))> = Vec::new();
    for (presence, group) in presences.iter().filter(|(presence, _)| presence.mask & BORN != 0) {
        let this = (presence.first, *group);
        match found.last_mut() {
            Some((bucket, held)) if *bucket == presence.bucket => *held = this.min(*held),
            Some(_) if mode == CohortMode::FirstTime => break,
            _ => found.push((presence.bucket, this)),
        }
    }
    found.into_iter().map(|(bucket, (_, group))| (bucket, group)).collect()
}

/// Counts an actor in the columns of a cohort. `presences` are in the order of buckets.
fn count(cohort: &Cohort, born: i32, presences: &[Tagged<Presence>], columns: &mut [u64]) {
    let from = presences.partition_point(|(presence, _)| presence.bucket < born);
    let mut last = None;
    for (presence, _) in presences[from..].iter().filter(|(presence, _)| presence.mask & RETURNS != 0) {
        let column = (i64::from(presence.bucket) - i64::from(born)) as usize;
        if column >= columns.len() {
            break;
        }
        if last == Some(column) {
            continue;
        }
        match cohort.measure {
            CohortMeasure::On => columns[column] += 1,
            CohortMeasure::OnOrAfter => {
                let from = last.map_or(0, |last| last + 1);
                columns[from..=column].iter_mut().for_each(|count| *count += 1);
            }
        }
        last = Some(column);
    }
}

/// The columns of one cohort that have begun.
fn cells(question: &Question<'_>, cohort: &Cohort, born: i32, group: Option<&Group>, counted: &Counted) -> Vec<Row> {
    let definition = question.definition;
    let start = |column: usize| {
        let bucket = born.saturating_add(i32::try_from(column).unwrap_or(i32::MAX));
        bucket::start(cohort.every, bucket, definition.week_start)
    };
    let mut rows = Vec::new();
    for (column, actors) in counted.columns.iter().enumerate() {
        let begins = definition.timezone.start_of(start(column));
        if column > 0 && begins >= question.complete_through {
            break;
        }
        let until = match cohort.measure {
            CohortMeasure::On => column,
            CohortMeasure::OnOrAfter => counted.columns.len() - 1,
        };
        let is_complete = end_of(definition, cohort.every, start(until)) <= question.complete_through;
        let before = column.checked_sub(1).map(|before| counted.columns[before]);
        let values = vec![
            number(counted.size),
            number(column as u64),
            number(*actors),
            share(*actors, counted.size),
            before.map_or(Value::Null, |before| share(*actors, before)),
            Value::Bool(is_complete),
        ];
        rows.push(Row { start: Some(start(0)), group: group.cloned(), values });
    }
    rows
}
