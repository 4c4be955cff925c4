//! Lanes: which shards of a stream follow each other.
//!
//! A table's stream ends its shards every few hours and when partitions split; a year has thousands of them. Consumers
//! keep a position per feed shard for ever, so what they are told of is a *lane*: a line of shards, each of which
//! begins after the one before has ended. A shard takes over the lane of its parent; the second child of a split, or a
//! shard whose parents are forgotten, takes a lane whose shards are all gone from the stream, or begins one. There are
//! never more lanes than there were shards at once.
//!
//! Positions grow along a lane because sequence numbers tell the order in which a stream's records were published. In:
//! what is known, and the shards a stream lists. Out: the same with every listed shard in a lane. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidemill_schemas::keys::{Encoder, Key};

/// A shard as a stream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamShard {
    /// Its name.
    pub id: String,
    /// The shard it continues.
    pub parent: Option<String>,
    /// The last position in it; `None` while it is open.
    pub last: Option<u128>,
}

/// Every known shard's lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lanes {
    /// Shard → lane.
    shards: BTreeMap<String, String>,
    /// The last shard of each lane.
    tips: BTreeMap<String, String>,
}

impl Lanes {
    /// Where the lanes of a stream are kept.
    pub fn key(stream_arn: &str) -> Key {
        Key { partition: Encoder::of("feed-lanes").end(), sort: Encoder::default().text(stream_arn).end() }
    }

    /// The lane of a shard.
    pub fn of(&self, shard: &str) -> Option<&str> {
        self.shards.get(shard).map(String::as_str)
    }

    /// Gives every listed shard a lane and forgets shards that are listed no more, but for the last of each lane.
    #[must_use]
    pub fn with(mut self, listed: &[StreamShard]) -> Lanes {
        let names: BTreeSet<&str> = listed.iter().map(|shard| shard.id.as_str()).collect();
        for shard in in_order(listed) {
            if self.shards.contains_key(&shard.id) {
                continue;
            }
            let inherited = shard.parent.as_ref().and_then(|parent| {
                let lane = self.shards.get(parent)?;
                (self.tips.get(lane) == Some(parent)).then(|| lane.clone())
            });
            let lane = inherited.or_else(|| self.idle(&names)).unwrap_or_else(|| shard.id.clone());
            self.tips.insert(lane.clone(), shard.id.clone());
            self.shards.insert(shard.id.clone(), lane);
        }
        let tips: BTreeSet<&String> = self.tips.values().collect();
        self.shards.retain(|shard, _| names.contains(shard.as_str()) || tips.contains(shard));
        self
    }

    /// A lane none of whose shards the stream has any more: whatever comes now was published later.
    fn idle(&self, listed: &BTreeSet<&str>) -> Option<String> {
        let busy: BTreeSet<&String> =
            self.shards.iter().filter(|(shard, _)| listed.contains(shard.as_str())).map(|(_, lane)| lane).collect();
        self.tips.keys().find(|lane| !busy.contains(lane)).cloned()
    }
}

/// Parents before their children, else by name: whoever lists the same shards comes to the same lanes.
fn in_order(listed: &[StreamShard]) -> Vec<&StreamShard> {
    let mut left: BTreeMap<&str, &StreamShard> = listed.iter().map(|shard| (shard.id.as_str(), shard)).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let ready =
            |shard: &&StreamShard| shard.parent.as_ref().is_none_or(|parent| !left.contains_key(parent.as_str()));
        let mut next: Vec<&StreamShard> = left.values().copied().filter(|shard| ready(shard)).collect();
        if next.is_empty() {
            // Shards that are each other's parents: no stream has them, and no lane is worth a loop without end.
            next = left.values().copied().collect();
        }
        for shard in next {
            left.remove(shard.id.as_str());
            ordered.push(shard);
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
