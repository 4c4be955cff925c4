//! Patterns: the matches of a bucket.
//!
//! A match is a chain of distinct events, one per element, in the order of (time, mask), whose gaps hold, from the first
//! to the last no more than the window, the first in the bucket. Matches of one actor don't overlap: the one that ends
//! first is taken, of several that end together the one that began last, and the search goes on behind it; so there are as
//! many as can be. Between two elements lie the events after the one and before the other in that order.
//!
//! For each element the chains that have come up to it are kept, oldest first. Of those that may go on the latest is the
//! best: it began last. Where a gap has no least time, only the latest is kept.

use std::collections::VecDeque;

use tidemill_schemas::definition::actors::{Gap, Pattern};

use super::lasting::Durations;
use super::walk::Trails;
use super::{Answer, Question, Row, listed, micros, named, number};
use crate::content::Content;
use crate::fold::FoldError;
use crate::metric::trail::Moment;
use crate::spill::SharedSpill;

/// A match: the time of each element, and the group of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub times: Vec<i64>,
    pub group: u32,
}

/// Rows of a pattern.
pub(super) fn answer(
    question: &Question<'_>,
    pattern: &Pattern,
    inputs: &[Content],
    spill: &SharedSpill,
) -> Result<Answer, FoldError> {
    let grouped = !question.definition.by.is_empty();
    let trails = Trails::<Moment>::load(question, inputs, grouped, |key| question.kept(&key, 0))?;
    let rules = Rules::new(pattern);
    let (groups, gaps) = (trails.groups.len(), pattern.elements.len());
    let cells = question.cells(groups, gaps)? / gaps;
    let (mut matches, mut actors) = (vec![0u64; cells], vec![0u64; cells]);
    // By cell: from first to last, then of each gap.
    let mut durations = Durations::new(spill);
    let mut found: Vec<Match> = Vec::new();
    let mut counted: Vec<u32> = Vec::new();
    let capped = trails.walk(|moments| {
        let mut from = 0;
        for (at, bucket) in question.buckets.iter().enumerate() {
            let (start, end) = (bucket.window.start.micros(), bucket.window.end.micros());
            from += moments[from..].partition_point(|(moment, _)| moment.time < start);
            let Some((first, _)) = moments.get(from) else { break };
            if first.time >= end {
                continue;
            }
            found.clear();
            rules.matches(&moments[from..], end, &mut found);
            counted.clear();
            for Match { times, group } in &found {
                let cell = at * groups + *group as usize;
                matches[cell] += 1;
                if !counted.contains(group) {
                    counted.push(*group);
                    actors[cell] += 1;
                }
                durations.push(cell * gaps, times[times.len() - 1] - times[0])?;
                for (nth, pair) in times.windows(2).enumerate().filter(|_| gaps > 2) {
                    durations.push(cell * gaps + 1 + nth, pair[1] - pair[0])?;
                }
            }
        }
        Ok(())
    })?;
    let measured = durations.finish(cells * gaps)?;
    let rows = |group: Option<_>, made_of: &[u32], at: usize| -> Result<Row, FoldError> {
        let of = || made_of.iter().map(|group| at * groups + *group as usize);
        let mut values =
            vec![number(of().map(|cell| matches[cell]).sum()), number(of().map(|cell| actors[cell]).sum())];
        let (median, mean) = measured.of(of().map(|cell| cell * gaps))?;
        values.extend([median, mean]);
        for nth in (1..gaps).filter(|_| gaps > 2) {
            values.push(measured.of(of().map(|cell| cell * gaps + nth))?.0);
        }
        Ok(Row { start: Some(question.buckets[at].start), group, values })
    };
    let mut answer =
        Answer { time: "time", columns: columns(pattern), rows: Vec::new(), notes: question.notes(capped) };
    let ranked: Vec<u64> =
        (0..groups).map(|group| (0..question.buckets.len()).map(|at| matches[at * groups + group]).sum()).collect();
    let listed = listed(&trails.groups, &ranked, question.definition.top as usize);
    for at in 0..question.buckets.len() {
        if question.by.is_empty() {
            answer.rows.push(rows(None, &(0..groups as u32).collect::<Vec<u32>>(), at)?);
            continue;
        }
        for (group, made_of) in &listed {
            if made_of.iter().any(|group| matches[at * groups + *group as usize] > 0) {
                answer.rows.push(rows(Some(group.clone()), made_of, at)?);
            }
        }
    }
    Ok(answer)
}

/// The columns; of patterns of more than two elements also the median time to each, from the one before.
fn columns(pattern: &Pattern) -> Vec<String> {
    let mut columns = named(&["matches", "actors", "median_seconds", "mean_seconds"]);
    if pattern.elements.len() > 2 {
        for (nth, element) in pattern.elements.iter().enumerate().skip(1) {
            columns.push(format!("median_seconds_{}_{}", nth + 1, pattern.events[element.event].name));
        }
    }
    columns
}

/// A pattern, ready to run.
pub(super) struct Rules<'a> {
    within: i64,
    elements: Vec<(u32, Between<'a>)>,
}

struct Between<'a> {
    gap: &'a Gap,
    /// The bits that must not lie in the gap.
    without: u32,
    min: i64,
    max: i64,
}

/// A chain that has come up to some element.
#[derive(Clone)]
struct Chain {
    times: Vec<i64>,
    group: u32,
}

impl<'a> Rules<'a> {
    pub fn new(pattern: &'a Pattern) -> Rules<'a> {
        let elements = pattern.elements.iter().map(|element| {
            let without = element.gap.without.iter().fold(0, |bits, event| bits | 1u32 << event);
            let max = element.gap.seconds_max.map_or(i64::MAX, micros);
            let between = Between { gap: &element.gap, without, min: micros(element.gap.seconds_min), max };
            (1u32 << element.event, between)
        });
        Rules { within: micros(pattern.within_seconds), elements: elements.collect() }
    }

    /// The matches of one actor that begin before `end`. `moments`: its events from the bucket's start on, in order.
    pub fn matches(&self, moments: &[(Moment, u32)], end: i64, found: &mut Vec<Match>) {
        let last = end.saturating_add(self.within);
        let mut open: Vec<VecDeque<Chain>> = vec![VecDeque::new(); self.elements.len()];
        for (moment, group) in moments {
            if moment.time >= last {
                return;
            }
            for _ in 0..moment.count {
                if !self.event(&mut open, moment, *group, end, found) && moment.time >= end {
                    return;
                }
            }
        }
    }

    /// Takes in one event. Returns whether any chain is open.
    fn event(
        &self,
        open: &mut [VecDeque<Chain>],
        moment: &Moment,
        group: u32,
        end: i64,
        found: &mut Vec<Match>,
    ) -> bool {
        let (time, mask) = (moment.time, moment.mask);
        let mut gone_on: Vec<Option<Chain>> = Vec::with_capacity(self.elements.len());
        for (at, (bit, between)) in self.elements.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &open[before]);
            gone_on.push(match before {
                _ if mask & bit == 0 => None,
                None if time < end => Some(Chain { times: vec![time], group }),
                None => None,
                Some(chains) => self.latest(chains, between, time).map(|chain| {
                    let times = chain.times.iter().copied().chain([time]).collect();
                    Chain { times, group: chain.group }
                }),
            });
        }
        if let Some(Some(whole)) = gone_on.pop() {
            found.push(Match { times: whole.times, group: whole.group });
            open.iter_mut().for_each(VecDeque::clear);
            return false;
        }
        let mut is_open = false;
        for (at, chain) in gone_on.into_iter().enumerate() {
            let (_, next) = &self.elements[at + 1];
            let chains = &mut open[at];
            if mask & next.without != 0 || (next.gap.nothing && mask != 0) {
                chains.clear();
            }
            while chains.front().is_some_and(|chain| self.is_over(chain, next, time)) {
                chains.pop_front();
            }
            if let Some(chain) = chain {
                if next.min == 0 {
                    chains.clear();
                }
                chains.push_back(chain);
            }
            is_open |= !chains.is_empty();
        }
        is_open
    }

    /// Whether a chain can never go on.
    fn is_over(&self, chain: &Chain, next: &Between<'_>, time: i64) -> bool {
        let (first, last) = (chain.times[0], chain.times[chain.times.len() - 1]);
        time - last > next.max || time - first > self.within
    }

    /// The latest chain that may go on after a gap.
    fn latest<'c>(&self, chains: &'c VecDeque<Chain>, between: &Between<'_>, time: i64) -> Option<&'c Chain> {
        let last = |chain: &Chain| chain.times[chain.times.len() - 1];
        let until = chains.partition_point(|chain| time - last(chain) >= between.min);
        let chain = chains.get(until.checked_sub(1)?)?;
        (time - last(chain) <= between.max && time - chain.times[0] <= self.within).then_some(chain)
    }
}
