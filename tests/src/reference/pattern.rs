//! Patterns: every match there is, the earliest end first.

use tidemill_schemas::definition::actors::Pattern;
use tidemill_schemas::value::Value;

use super::Did;

/// A match: how long it took, and the breakdown of its first event.
pub type Match = (i64, Vec<Value>);

/// The matches of one actor that begin in the bucket and don't overlap.
pub fn matches(pattern: &Pattern, did: &[Did], (start, end): (i64, i64)) -> Vec<Match> {
    let mut found = Vec::new();
    let mut from = 0;
    loop {
        let mut chains = Vec::new();
        extend(pattern, did, from, &mut Vec::new(), &mut chains);
        let last = |chain: &Vec<usize>| chain[chain.len() - 1];
        chains.retain(|chain| {
            (start..end).contains(&did[chain[0]].time)
                && did[last(chain)].time - did[chain[0]].time <= pattern.within_seconds as i64 * 1_000_000
        });
        let best = chains.into_iter().min_by_key(|chain| (last(chain), std::cmp::Reverse(chain[0])));
        let Some(chain) = best else { return found };
        found.push((did[last(&chain)].time - did[chain[0]].time, did[chain[0]].group.clone()));
        from = last(&chain) + 1;
    }
}

fn extend(pattern: &Pattern, did: &[Did], from: usize, chain: &mut Vec<usize>, chains: &mut Vec<Vec<usize>>) {
    let Some(element) = pattern.elements.get(chain.len()) else {
        chains.push(chain.clone());
        return;
    };
    for at in from..did.len() {
        if did[at].mask & 1 << element.event == 0 {
            continue;
        }
        if let Some(before) = chain.last() {
            let between = &did[before + 1..at];
            let without = |did: &Did| element.gap.without.iter().any(|event| did.mask & 1 << event != 0);
            let seconds = |seconds: u64| seconds as i64 * 1_000_000;
            let passed = did[at].time - did[*before].time;
            let holds = !between.iter().any(without)
                && (!element.gap.nothing || between.is_empty())
                && passed >= seconds(element.gap.seconds_min)
                && element.gap.seconds_max.is_none_or(|max| passed <= seconds(max));
            if !holds {
                continue;
            }
        }
        chain.push(at);
        extend(pattern, did, at + 1, chain, chains);
        chain.pop();
    }
}
