//! What a mapping reads from.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_ports::{Error, Table};
use tidemill_schemas::window::{Position, ShardId};

use crate::memory::{FeedPortion, MemoryTable};

/// A shard of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name at the source.
    pub id: ShardId,
    /// What its handler knows it by: shards that follow one another may share a lane, whose positions grow.
    pub lane: ShardId,
    /// Shards that must be done before this one is begun.
    pub parents: Vec<ShardId>,
}

/// A stream of changes in shards.
#[async_trait]
pub trait Source: Send + Sync {
    /// The shards there are, closed ones too.
    async fn shards(&self) -> Result<Vec<Shard>, Error>;

    /// Up to `limit` changes of a shard behind a position.
    async fn read(&self, shard: &str, after: Position, limit: usize) -> Result<FeedPortion, Error>;
}

/// The feed of any table, its lanes as shards: nothing closes and nothing is a child.
pub struct TableLanes<'t>(pub &'t dyn Table);

#[async_trait]
impl Source for TableLanes<'_> {
    async fn shards(&self) -> Result<Vec<Shard>, Error> {
        let lanes = self.0.shards().await?;
        Ok(lanes.into_iter().map(|lane| Shard { id: lane.clone(), lane, parents: Vec::new() }).collect())
    }

    async fn read(&self, shard: &str, after: Position, limit: usize) -> Result<FeedPortion, Error> {
        let changes = self.0.changes(shard, after, limit).await?;
        Ok(FeedPortion { changes, ended: false, lost_through: None })
    }
}

/// The feed of a table in memory, as a stream whose shards roll, split and forget.
pub struct TableShards(pub Arc<MemoryTable>);

#[async_trait]
impl Source for TableShards {
    async fn shards(&self) -> Result<Vec<Shard>, Error> {
        let shards = self.0.feed_shards().into_iter();
        Ok(shards.map(|shard| Shard { id: shard.id, lane: shard.lane, parents: shard.parents }).collect())
    }

    async fn read(&self, shard: &str, after: Position, limit: usize) -> Result<FeedPortion, Error> {
        self.0.read_shard(shard, after, limit)
    }
}
