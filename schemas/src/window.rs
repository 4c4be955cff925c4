//! Windows: half-open spans of event time, and positions in a change feed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// `[start, end)` of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl Window {
    /// Whether `time` lies inside.
    pub fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }
}

/// A shard of the change feed.
pub type ShardId = String;

/// A place in one feed shard; later changes have higher positions. DynamoDB's sequence numbers fit (see
/// docs/assumptions.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u128);

/// The last position included, per shard. A shard that is not listed has nothing included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Through(pub BTreeMap<ShardId, Position>);

impl Through {
    /// The last position included of `shard`; the position before the first when there is none.
    pub fn of(&self, shard: &str) -> Position {
        self.0.get(shard).copied().unwrap_or_default()
    }

    /// Raises `shard` to `position`; never lowers it.
    pub fn advance(&mut self, shard: &str, position: Position) {
        let held = self.0.entry(shard.to_owned()).or_default();
        *held = (*held).max(position);
    }

    /// Whether everything in `other` is included here too.
    pub fn covers(&self, other: &Through) -> bool {
        other.0.iter().all(|(shard, position)| self.of(shard) >= *position)
    }
}
