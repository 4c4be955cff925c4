//! The stream of a table as the port's feed: lanes in place of shards.
//!
//! On Lambda the stream comes by itself; this reads it where somebody asks how far it is: the watermark, and tests.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType};
use tidemill_ports::{Change, Condition, Effect, Error, Item, Table, Write};
use tidemill_schemas::window::{Position, ShardId};
use tokio::sync::RwLock;

use super::attributes::{self, BODY, Image, RANK};
use crate::error::{Call, mapped};
use crate::lanes::{Lanes, StreamShard};

/// Records in one call (the stream's limit).
const RECORDS_MAX: usize = 1000;
/// Answers without a record, one after the other, after which an open shard is taken to have none.
const EMPTY_ANSWERS_MAX: u32 = 3;

/// A table's stream.
pub struct Feed {
    client: Client,
    /// Tells the ARN of the stream.
    tables: aws_sdk_dynamodb::Client,
    table: String,
    /// Where lanes are kept.
    items: Arc<dyn Table>,
    arn: tokio::sync::OnceCell<String>,
    known: RwLock<Lanes>,
}

impl Feed {
    /// The stream of `table`, its lanes kept in `items`.
    pub fn new(client: Client, tables: aws_sdk_dynamodb::Client, table: String, items: Arc<dyn Table>) -> Feed {
        Feed { client, tables, table, items, arn: tokio::sync::OnceCell::new(), known: RwLock::default() }
    }

    /// The lanes whose shards the stream still has.
    ///
    /// # Errors
    /// The port's.
    pub async fn lanes(&self) -> Result<Vec<ShardId>, Error> {
        let listed = self.listed().await?;
        let lanes = self.lanes_with(&listed).await?;
        let mut names: Vec<ShardId> =
            listed.iter().filter_map(|shard| lanes.of(&shard.id)).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The lane a shard is in; `None` names the only shard of a stream that has no more than one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no shard is named and there are several; else the port's.
    pub async fn lane_of(&self, shard: Option<&str>) -> Result<ShardId, Error> {
        if let Some(shard) = shard
            && let Some(lane) = self.known.read().await.of(shard)
        {
            return Ok(lane.to_owned());
        }
        let listed = self.listed().await?;
        let lanes = self.lanes_with(&listed).await?;
        let shard = match (shard, listed.as_slice()) {
            (Some(shard), _) => shard,
            (None, [only]) => only.id.as_str(),
            (None, _) => {
                return Err(Error::Unavailable(format!(
                    "a delivery of the stream of {} names no shard, and it has {}: give the event source mapping a \
                     tumbling window, whose deliveries name it",
                    self.table,
                    listed.len()
                )));
            }
        };
        lanes
            .of(shard)
            .map(str::to_owned)
            .ok_or_else(|| Error::Unavailable(format!("the stream of {} does not list its shard {shard}", self.table)))
    }

    /// Changes of a lane behind `after`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such lane; else the port's.
    pub async fn changes(&self, lane: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        let listed = self.listed().await?;
        let lanes = self.lanes_with(&listed).await?;
        let mut shards: Vec<&StreamShard> = listed.iter().filter(|shard| lanes.of(&shard.id) == Some(lane)).collect();
        if shards.is_empty() {
            return Err(Error::Invalid(format!("the stream of {} has no lane {lane}", self.table)));
        }
        // Those that have ended lie before the one that is open, in the order of their ends.
        shards.sort_by_key(|shard| shard.last.unwrap_or(u128::MAX));
        let mut changes = Vec::new();
        for shard in shards.iter().filter(|shard| shard.last.is_none_or(|last| last > after.0)) {
            self.read(shard, after, limit, &mut changes).await?;
            if changes.len() >= limit {
                break;
            }
        }
        Ok(changes)
    }

    async fn arn(&self) -> Result<&str, Error> {
        let described = || async {
            let answer = self.tables.describe_table().table_name(&self.table).send().await;
            let answer = answer.map_err(|error| mapped("DescribeTable", Call::Repeatable, error))?;
            let arn = answer.table.and_then(|table| table.latest_stream_arn);
            arn.ok_or_else(|| Error::Unavailable(format!("table {} has no stream: switch it on", self.table)))
        };
        self.arn.get_or_try_init(described).await.map(String::as_str)
    }

    async fn listed(&self) -> Result<Vec<StreamShard>, Error> {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let ask = self.client.describe_stream().stream_arn(self.arn().await?).set_exclusive_start_shard_id(after);
            let answer = ask.send().await.map_err(|error| mapped("DescribeStream", Call::Repeatable, error))?;
            let Some(stream) = answer.stream_description else { return Ok(listed) };
            for shard in stream.shards() {
                let last = shard.sequence_number_range().and_then(|range| range.ending_sequence_number());
                listed.push(StreamShard {
                    id: shard.shard_id().unwrap_or_default().to_owned(),
                    parent: shard.parent_shard_id().map(str::to_owned),
                    last: last.map(attributes::position).transpose()?.map(|position| position.0),
                });
            }
            after = stream.last_evaluated_shard_id;
            if after.is_none() {
                return Ok(listed);
            }
        }
    }

    /// The lanes with these shards in them, kept before they are used: everybody comes to the same.
    async fn lanes_with(&self, listed: &[StreamShard]) -> Result<Lanes, Error> {
        {
            let known = self.known.read().await;
            if listed.iter().all(|shard| known.of(&shard.id).is_some()) {
                return Ok(known.clone());
            }
        }
        let key = Lanes::key(self.arn().await?);
        loop {
            let stored = self.items.get(&key).await?;
            let held: Lanes = match &stored {
                Some(item) => serde_json::from_slice(&item.body)
                    .map_err(|why| Error::Invalid(format!("stored lanes are unreadable: {why}")))?,
                None => Lanes::default(),
            };
            let lanes = held.clone().with(listed);
            if lanes != held {
                let rank = stored.as_ref().map(|item| item.rank);
                let body = serde_json::to_vec(&lanes).map_err(|why| Error::Invalid(why.to_string()))?;
                let item = Item { rank: rank.map_or(1, |rank| rank + 1), body: body.into() };
                let condition = rank.map_or(Condition::Absent, Condition::RankIs);
                let write = Write { key: key.clone(), condition, effect: Effect::Put(item) };
                match self.items.write(vec![write]).await {
                    Ok(()) => {}
                    // Somebody else kept them, or these may have been: look.
                    Err(Error::Conflict(_) | Error::Unknown(_)) => continue,
                    Err(error) => return Err(error),
                }
            }
            *self.known.write().await = lanes.clone();
            return Ok(lanes);
        }
    }

    /// Adds a shard's records behind `after`.
    async fn read(
        &self,
        shard: &StreamShard,
        after: Position,
        limit: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let mut iterator = self.iterator(shard, after).await?;
        let mut empty = 0;
        while let Some(at) = iterator {
            let most = if after == Position::default() { limit - changes.len() } else { RECORDS_MAX };
            let most = i32::try_from(most.clamp(1, RECORDS_MAX)).unwrap_or(i32::MAX);
            let answer = self.client.get_records().shard_iterator(at).limit(most).send().await;
            let answer = answer.map_err(|error| mapped("GetRecords", Call::Repeatable, error))?;
            for record in answer.records() {
                let change = change(record)?;
                if change.position > after && changes.len() < limit {
                    changes.push(change);
                }
            }
            empty = if answer.records().is_empty() { empty + 1 } else { 0 };
            if changes.len() >= limit || shard.last.is_none() && empty >= EMPTY_ANSWERS_MAX {
                return Ok(());
            }
            iterator = answer.next_shard_iterator;
        }
        Ok(())
    }

    /// Where to read on: behind `after` if the shard has it, else from the oldest record there is.
    async fn iterator(&self, shard: &StreamShard, after: Position) -> Result<Option<String>, Error> {
        let ask = || self.client.get_shard_iterator().shard_id(&shard.id);
        let arn = self.arn().await?;
        if after > Position::default() {
            let at = ask().stream_arn(arn).shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
            match at.sequence_number(after.0.to_string()).send().await {
                Ok(answer) => return Ok(answer.shard_iterator),
                Err(error) => {
                    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("");
                    if code != "TrimmedDataAccessException" && code != "ValidationException" {
                        return Err(mapped("GetShardIterator", Call::Repeatable, error));
                    }
                }
            }
        }
        let from = ask().stream_arn(arn).shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let from = from.map_err(|error| mapped("GetShardIterator", Call::Repeatable, error))?;
        Ok(from.shard_iterator)
    }
}

fn change(record: &Record) -> Result<Change, Error> {
    let unreadable = || Error::Invalid("a record of the stream without content".to_owned());
    let content = record.dynamodb().ok_or_else(unreadable)?;
    let keys = content.keys().ok_or_else(unreadable)?;
    let old = content.old_image().map(image);
    let new = content.new_image().map(image);
    attributes::change_of(content.sequence_number().unwrap_or_default(), |name| bytes(keys, name), old, new)
}

fn image(attributes: &HashMap<String, AttributeValue>) -> Image<'_> {
    let rank = attributes.get(RANK).and_then(|rank| rank.as_n().ok()).map(String::as_str);
    Image { rank, body: bytes(attributes, BODY) }
}

fn bytes<'a>(attributes: &'a HashMap<String, AttributeValue>, name: &str) -> Option<&'a [u8]> {
    attributes.get(name)?.as_b().ok().map(AsRef::as_ref)
}
