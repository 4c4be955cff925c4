//! `Table`: a partitioned, ordered key-value table with conditional writes and a change feed — DynamoDB's semantics.
//!
//! An item is a body of bytes and a `rank`, a number of the writer's choosing that conditions are made of: an event's
//! revision, a version, a time. Limits are DynamoDB's, and every adapter enforces them.

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use crate::Error;

/// Bytes of one item, key included.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Writes in one all-or-nothing group.
pub const GROUP_WRITES_MAX: usize = 100;
/// Bytes of one all-or-nothing group.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one slice of a query.
pub const SLICE_BYTES_MAX: usize = 1024 * 1024;

/// A stored item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The number conditions compare.
    pub rank: u64,
    /// The content.
    pub body: Bytes,
}

/// What must hold of the stored item for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    None,
    /// There is no item.
    Absent,
    /// There is an item of exactly this rank.
    RankIs(u64),
    /// There is no item, or its rank is lower.
    AbsentOrRankBelow(u64),
}

impl Condition {
    /// Whether the condition holds of what is stored.
    pub fn holds(self, stored_rank: Option<u64>) -> bool {
        match self {
            Condition::None => true,
            Condition::Absent => stored_rank.is_none(),
            Condition::RankIs(rank) => stored_rank == Some(rank),
            Condition::AbsentOrRankBelow(rank) => stored_rank.is_none_or(|stored| stored < rank),
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// If.
    pub condition: Condition,
    /// What.
    pub effect: Effect,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Replaces the item.
    Put(Item),
    /// Removes the item; removing what is absent is fine.
    Delete,
    /// Changes nothing: only the condition counts. Only in a group.
    Check,
}

/// One change of the feed, in order per shard. A put that changes nothing leaves none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub position: Position,
    /// What changed.
    pub key: Key,
    /// Before; `None`: there was none.
    pub old: Option<Item>,
    /// After; `None`: removed.
    pub new: Option<Item>,
}

/// A part of a partition, in sort order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Sort keys and items.
    pub items: Vec<(Vec<u8>, Item)>,
    /// Ask again from behind this sort key; `None`: that was all.
    pub next: Option<Vec<u8>>,
}

/// What to read of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The partition.
    pub partition: Vec<u8>,
    /// First sort key, included; `None`: from the start.
    pub from: Option<Vec<u8>>,
    /// First sort key left out; `None`: to the end.
    pub to: Option<Vec<u8>>,
    /// Resume behind this sort key (in reading direction).
    pub after: Option<Vec<u8>>,
    /// Read from the end backwards.
    pub backwards: bool,
    /// Items at most; 0: as many as a slice holds.
    pub limit: usize,
}

/// A table. Every method may fail with any [`Error`]; see there what each asks of the caller.
#[async_trait]
pub trait Table: Send + Sync {
    /// The item at a key; always the newest.
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error>;

    /// A slice of a partition, at most [`SLICE_BYTES_MAX`].
    async fn query(&self, query: &Query) -> Result<Slice, Error>;

    /// All writes or none, at most [`GROUP_WRITES_MAX`] on distinct keys. [`Error::Conflict`] when a condition does
    /// not hold.
    async fn write(&self, group: Vec<Write>) -> Result<(), Error>;

    /// Independent conditional writes, each with its own outcome, in the order given. For many small writes: an
    /// adapter may send them in parallel or share one flush. Several writes may name one key; they happen in order.
    async fn write_each(&self, writes: Vec<Write>) -> Vec<Result<(), Error>>;

    /// Independent groups, each all or nothing with its own outcome, in the order given. An adapter may send them in
    /// parallel or share one flush; groups that name one key happen in order.
    async fn write_groups(&self, groups: Vec<Vec<Write>>) -> Vec<Result<(), Error>> {
        let mut outcomes = Vec::with_capacity(groups.len());
        for group in groups {
            outcomes.push(self.write(group).await);
        }
        outcomes
    }

    /// Whether a check in a group is billed, and the group's other writes double for it: so it is on DynamoDB, where a
    /// transaction costs twice its writes. Free checks are used wherever they help; where they cost, a store may reach
    /// the same certainty another way. A wrapper passes on what the table it wraps says.
    fn checks_cost(&self) -> bool {
        false
    }

    /// The items at many keys, in the order given.
    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error>;

    /// The feed's shards; empty for a table without a feed.
    async fn shards(&self) -> Result<Vec<ShardId>, Error>;

    /// Changes of a shard behind `after`, at most `limit`, in order.
    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error>;
}
