//! Funnels: every chain there is.

use tidemill_schemas::definition::actors::{Attribution, Entry, ExclusionRule, Funnel, Order};
use tidemill_schemas::value::Value;

use super::Did;

/// How far an actor came: the least microseconds of each level, and the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// By level from 1.
    pub micros: Vec<i64>,
    /// The breakdown it counts under.
    pub group: Vec<Value>,
}

/// How far an actor comes in the bucket of the instants from `start` to before `end`. `None`: not at all.
pub fn reached(funnel: &Funnel, did: &[Did], (start, end): (i64, i64), columns: usize) -> Option<Reached> {
    let within = funnel.within_seconds as i64 * 1_000_000;
    let entry =
        did.iter().filter(|did| (start..end).contains(&did.time) && is_entry(funnel, did)).map(|did| did.time).min();
    let may_begin =
        |did: &Did| (start..end).contains(&did.time) && (funnel.entry == Entry::Any || Some(did.time) == entry);
    let mut chains: Vec<Vec<(usize, usize)>> = Vec::new();
    extend(funnel, did, &mut Vec::new(), &mut chains);
    chains.retain(|chain| {
        let times = chain.iter().map(|(_, at)| did[*at].time);
        let (first, last) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
        let begins = chain.iter().map(|(_, at)| &did[*at]).filter(|did| did.time == first).any(may_begin);
        begins && last - first <= within && (funnel.order != Order::Strict || is_alone(did, chain, first, last))
    });
    let time = |chain: &[(usize, usize)], step: usize| did[chain[step].1].time;
    let hits =
        |bit: usize| did.iter().filter(move |did| did.mask & 1 << (funnel.steps.len() + bit) != 0).map(|did| did.time);
    for (bit, exclusion) in funnel.exclude.iter().enumerate() {
        let (after, before) = (exclusion.after, exclusion.before);
        if funnel.exclusion == ExclusionRule::DropActor {
            let is_dropped = |x: i64| {
                let open = chains.iter().any(|chain| {
                    (after..before).contains(&chain.len())
                        && time(chain, chain.len() - 1) < x
                        && x - time(chain, 0) <= within
                });
                open && !chains.iter().any(|chain| chain.len() >= before && time(chain, chain.len() - 1) <= x)
            };
            if hits(bit).any(is_dropped) {
                return None;
            }
        } else {
            chains.retain(|chain| {
                // A chain that does not come to `before` is over with its last event.
                let until = before.min(chain.len());
                until <= after || !hits(bit).any(|x| time(chain, after - 1) < x && x < time(chain, until - 1))
            });
        }
    }
    let level = chains.iter().map(Vec::len).max()?;
    let micros = |chain: &[(usize, usize)]| {
        let times = chain.iter().map(|(_, at)| did[*at].time);
        times.clone().max().unwrap_or(0) - times.min().unwrap_or(0)
    };
    let least = |level: usize| chains.iter().filter(|chain| chain.len() == level).map(|chain| micros(chain)).min();
    let group = |chain: &[(usize, usize)]| match (funnel.attribution, funnel.order) {
        (Attribution::First, Order::Any) => {
            let first = chain.iter().map(|(_, at)| did[*at].time).min();
            let steps = (1u32 << funnel.steps.len()) - 1;
            let entries = did.iter().filter(|did| Some(did.time) == first && did.mask & steps != 0);
            entries.map(|did| did.group.clone()).min().unwrap_or_default()
        }
        (Attribution::First, _) => did[chain[0].1].group.clone(),
        (Attribution::Last, _) => did[chain[chain.len() - 1].1].group.clone(),
        (Attribution::Step(step), _) => match chain.get(step - 1) {
            Some((_, at)) => did[*at].group.clone(),
            None => vec![Value::Null; columns],
        },
    };
    let longest = chains.iter().filter(|chain| chain.len() == level);
    let (_, group) = longest.map(|chain| (micros(chain), group(chain))).min()?;
    Some(Reached { micros: (1..=level).filter_map(least).collect(), group })
}

fn is_entry(funnel: &Funnel, did: &Did) -> bool {
    match funnel.order {
        Order::Any => did.mask & ((1 << funnel.steps.len()) - 1) != 0,
        _ => did.mask & 1 != 0,
    }
}

/// Every way to match steps to distinct events: one step after the other in the order of time, or, in any order, any.
fn extend(funnel: &Funnel, did: &[Did], chain: &mut Vec<(usize, usize)>, chains: &mut Vec<Vec<(usize, usize)>>) {
    let steps = match funnel.order {
        // Steps ascend, so that a set of steps is tried once.
        Order::Any => chain.last().map_or(0, |(step, _)| step + 1)..funnel.steps.len(),
        _ => chain.len()..funnel.steps.len().min(chain.len() + 1),
    };
    for step in steps {
        for (at, this) in did.iter().enumerate() {
            let is_new = chain.iter().all(|(_, used)| *used != at);
            let is_later =
                funnel.order == Order::Any || chain.last().is_none_or(|(_, last)| did[*last].time <= this.time);
            if is_new && is_later && this.mask & 1 << step != 0 {
                chain.push((step, at));
                chains.push(chain.clone());
                extend(funnel, did, chain, chains);
                chain.pop();
            }
        }
    }
}

/// Whether every other event lies at or before the chain's first instant, or at or after its last.
fn is_alone(did: &[Did], chain: &[(usize, usize)], first: i64, last: i64) -> bool {
    let is_other = |at: usize| chain.iter().all(|(_, used)| *used != at);
    did.iter().enumerate().all(|(at, did)| !is_other(at) || did.time <= first || did.time >= last)
}
