//! A feed in memory: lanes whose positions grow for ever, cut into shards that close, roll and split as streams' do.
//!
//! A key belongs to one lane until that lane splits; half of its keys then go to a new lane, whose positions grow from
//! where the old one stood. Handlers know lanes. Shards are what whoever polls a stream sees: a lane's shards follow one
//! another, and the first shard of a new lane follows the shard that was split.

use tidemill_ports::{Change, Item};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

/// A shard of a stream: a stretch of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedShard {
    /// Its name.
    pub id: ShardId,
    /// The lane it is a stretch of.
    pub lane: ShardId,
    /// The shards that must be read before it.
    pub parents: Vec<ShardId>,
    /// The last position before it.
    after: Position,
    /// The last position in it, once it is closed.
    through: Option<Position>,
}

/// What a read of a shard found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedPortion {
    /// Changes, in order.
    pub changes: Vec<Change>,
    /// Nothing will ever come behind these.
    pub ended: bool,
    /// Changes up to here were wanted and are gone: the stream does not keep them any longer.
    pub lost_through: Option<Position>,
}

/// The feed of a table.
#[derive(Debug, Default)]
pub(super) struct Feed {
    lanes: Vec<Lane>,
    /// Which lane was split by which bit of a key's hash, and the lane of the keys that left.
    splits: Vec<(usize, u32, usize)>,
    shards: Vec<FeedShard>,
    /// Whether positions leave gaps, as a stream's sequence numbers do.
    pub(super) sparse: bool,
    first_lanes: u64,
}

#[derive(Debug, Default)]
struct Lane {
    changes: Vec<Change>,
    head: Position,
    /// Up to here changes are gone.
    trimmed: Position,
    /// Those: nobody reads them any more but whoever asks where something was.
    forgotten: Vec<Change>,
    splits: u32,
}

fn lane_name(lane: usize) -> ShardId {
    format!("shard-{lane:04}")
}

impl Feed {
    pub(super) fn new(lanes: u16) -> Feed {
        let mut feed = Feed { first_lanes: lanes.into(), ..Feed::default() };
        for lane in 0..usize::from(lanes) {
            feed.lanes.push(Lane::default());
            feed.open(lane, Position(0), Vec::new());
        }
        feed
    }

    fn open(&mut self, lane: usize, after: Position, parents: Vec<ShardId>) {
        let id = format!("stream-shard-{:04}", self.shards.len());
        self.shards.push(FeedShard { id, lane: lane_name(lane), parents, after, through: None });
    }

    pub(super) fn names(&self) -> Vec<ShardId> {
        (0..self.lanes.len()).map(lane_name).collect()
    }

    /// The lane of a partition's keys.
    fn lane_of(&self, partition: &[u8]) -> Option<usize> {
        if self.lanes.is_empty() {
            return None;
        }
        let hash = xxhash_rust::xxh3::xxh3_64(partition);
        let first = (hash % self.first_lanes) as usize;
        let step =
            |lane, (of, bit, to): &(usize, u32, usize)| if lane == *of && hash >> bit & 1 == 1 { *to } else { lane };
        Some(self.splits.iter().fold(first, step))
    }

    pub(super) fn add(&mut self, key: &Key, old: Option<Item>, new: Option<Item>) {
        let Some(lane) = self.lane_of(&key.partition) else { return };
        let lane = &mut self.lanes[lane];
        let step = if self.sparse { 1 + xxhash_rust::xxh3::xxh3_64(&lane.head.0.to_le_bytes()) % 5 } else { 1 };
        lane.head = Position(lane.head.0 + u128::from(step));
        lane.changes.push(Change { position: lane.head, key: key.clone(), old, new });
    }

    fn lane(&self, name: &str) -> Option<usize> {
        (0..self.lanes.len()).find(|lane| lane_name(*lane) == name)
    }

    /// Changes of a lane behind `after`; what is gone is left out.
    pub(super) fn changes(&self, lane: &str, after: Position, limit: usize) -> Option<Vec<Change>> {
        let changes = &self.lanes[self.lane(lane)?].changes;
        let from = changes.partition_point(|change| change.position <= after);
        Some(changes[from..].iter().take(limit).cloned().collect())
    }

    pub(super) fn shards(&self) -> Vec<FeedShard> {
        self.shards.clone()
    }

    pub(super) fn read(&self, shard: &str, after: Position, limit: usize) -> Option<FeedPortion> {
        let shard = self.shards.iter().find(|held| held.id == shard)?;
        let lane = &self.lanes[self.lane(&shard.lane)?];
        let (after, end) = (after.max(shard.after), shard.through.unwrap_or(lane.head));
        let lost = lane.trimmed.min(end);
        let mut changes = self.changes(&shard.lane, after, usize::MAX)?;
        changes.retain(|change| change.position <= end);
        let more = changes.len() > limit;
        changes.truncate(limit);
        let ended = shard.through.is_some() && !more;
        Some(FeedPortion { changes, ended, lost_through: (lost > after).then_some(lost) })
    }

    /// Closes a lane's open shard; another one follows it. Its name.
    fn close(&mut self, lane: usize) -> Option<ShardId> {
        let head = self.lanes[lane].head;
        let name = lane_name(lane);
        let shard = self.shards.iter_mut().find(|shard| shard.lane == name && shard.through.is_none())?;
        shard.through = Some(head);
        let id = shard.id.clone();
        self.open(lane, head, vec![id.clone()]);
        Some(id)
    }

    pub(super) fn roll(&mut self, lane: usize) {
        self.close(lane);
    }

    pub(super) fn split(&mut self, lane: usize) {
        let (head, bit) = (self.lanes[lane].head, 32 + self.lanes[lane].splits);
        let Some(parent) = self.close(lane) else { return };
        let new = self.lanes.len();
        let splits = self.lanes[lane].splits + 1;
        self.lanes[lane].splits = splits;
        self.lanes.push(Lane { head, trimmed: head, splits, ..Lane::default() });
        self.splits.push((lane, bit, new));
        self.open(new, head, vec![parent]);
    }

    pub(super) fn first_change(&self, key: &Key, rank: u64) -> Option<(ShardId, Position)> {
        let is_it = |change: &&Change| change.key == *key && change.new.as_ref().is_some_and(|new| new.rank >= rank);
        let found = |(at, lane): (usize, &Lane)| {
            let change = lane.forgotten.iter().chain(&lane.changes).find(is_it)?;
            Some((lane_name(at), change.position))
        };
        // A key that changed its lane was in an earlier one first.
        self.lanes.iter().enumerate().find_map(found)
    }

    /// The last position of each lane.
    pub(super) fn heads(&self) -> Vec<Position> {
        self.lanes.iter().map(|lane| lane.head).collect()
    }

    /// Forgets a lane's changes up to `through`.
    pub(super) fn trim(&mut self, lane: usize, through: Position) {
        let lane = &mut self.lanes[lane];
        let at = lane.changes.partition_point(|change| change.position <= through);
        lane.forgotten.extend(lane.changes.drain(..at));
        if let Some(last) = lane.forgotten.last() {
            lane.trimmed = last.position;
        }
    }
}
