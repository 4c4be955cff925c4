//! `Table` on DynamoDB: one table, its items made of four attributes, its feed the table's stream.
//!
//! In: the port's calls. Out: DynamoDB's. A lone conditional write is sent once and never again by itself, because the
//! second copy of one that had its effect would be refused; whoever wrote is told [`Error::Unknown`] and reads. Groups
//! bear a token, so DynamoDB itself knows a copy. This adapter decides nothing about keys or conditions.

mod attributes;
mod feed;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt, TryStreamExt};
use tidemill_ports::{Change, Error, Item, Query, Slice, Table, Write, limits};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};

use crate::error::{Call, mapped};
pub use attributes::{BODY, Image, PARTITION, RANK, SORT, change_of};
pub use feed::Feed;

/// Keys in one call of BatchGetItem (DynamoDB's limit).
const GET_KEYS_MAX: usize = 100;
/// Calls under way at once for the parts of one call of the port.
const CALLS_AT_ONCE: usize = 64;
/// Times a read of many keys asks again for those it did not get.
const GET_ATTEMPTS_MAX: u32 = 10;

/// A table of DynamoDB.
pub struct DynamoTable {
    name: String,
    /// Retries by itself: reads, and groups, which bear a token.
    client: Client,
    /// Never retries by itself.
    once: Client,
    feed: Option<Arc<Feed>>,
}

impl DynamoTable {
    /// The table called `name`; `feed`: its stream, if it has one that is read.
    pub fn new(name: String, client: Client, once: Client, feed: Option<Arc<Feed>>) -> DynamoTable {
        DynamoTable { name, client, once, feed }
    }

    async fn get_some(&self, keys: &[Key]) -> Result<BTreeMap<Key, Item>, Error> {
        let mut found = BTreeMap::new();
        let mut left: Vec<_> = keys.iter().map(attributes::of_key).collect();
        for attempt in 0..GET_ATTEMPTS_MAX {
            write::pause(attempt, keys.len()).await;
            let asked = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
            let asked = asked.map_err(|why| Error::Invalid(why.to_string()))?;
            let sent = self.client.batch_get_item().request_items(&self.name, asked).send().await;
            let mut answer = sent.map_err(|error| mapped("BatchGetItem", Call::Repeatable, error))?;
            for attributes in answer.responses.iter_mut().flat_map(|tables| tables.remove(&self.name)).flatten() {
                found.insert(attributes::key(&attributes)?, attributes::item(&attributes)?);
            }
            let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name));
            match unprocessed.map(|unprocessed| unprocessed.keys) {
                Some(keys) if !keys.is_empty() => left = keys,
                _ => return Ok(found),
            }
        }
        Err(Error::Unavailable(format!("BatchGetItem: {} keys were put off again and again", left.len())))
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        limits::key(key)?;
        let get = self.client.get_item().table_name(&self.name).set_key(Some(attributes::of_key(key)));
        let answer = get.consistent_read(true).send().await;
        let answer = answer.map_err(|error| mapped("GetItem", Call::Repeatable, error))?;
        answer.item.as_ref().map(attributes::item).transpose()
    }

    async fn query(&self, query: &Query) -> Result<Slice, Error> {
        limits::query(query)?;
        let Some(range) = Range::of(query) else { return Ok(Slice::default()) };
        let (condition, bounds) = range.condition();
        let mut ask = self.client.query().table_name(&self.name).consistent_read(true);
        ask = ask.key_condition_expression(condition).scan_index_forward(!query.backwards);
        ask = ask.expression_attribute_values(":p", AttributeValue::B(Blob::new(query.partition.clone())));
        for (name, bound) in bounds {
            ask = ask.expression_attribute_values(name, AttributeValue::B(Blob::new(bound)));
        }
        if query.limit > 0 {
            ask = ask.limit(i32::try_from(query.limit).unwrap_or(i32::MAX));
        }
        let answer = ask.send().await.map_err(|error| mapped("Query", Call::Repeatable, error))?;
        let mut slice = Slice::default();
        for attributes in answer.items() {
            let key = attributes::key(attributes)?;
            if range.holds(&key.sort) {
                slice.items.push((key.sort, attributes::item(attributes)?));
            }
        }
        slice.next = answer.last_evaluated_key.as_ref().map(attributes::key).transpose()?.map(|key| key.sort);
        Ok(slice)
    }

    async fn write(&self, group: Vec<Write>) -> Result<(), Error> {
        limits::group(&group)?;
        write::group(self, group).await
    }

    async fn write_each(&self, writes: Vec<Write>) -> Vec<Result<(), Error>> {
        // Writes to one key happen in order; all others side by side.
        let mut chains: BTreeMap<Key, Vec<(usize, Write)>> = BTreeMap::new();
        let mut outcomes: Vec<Result<(), Error>> = Vec::with_capacity(writes.len());
        for (at, write) in writes.into_iter().enumerate() {
            outcomes.push(limits::write_each(&write));
            if outcomes[at].is_ok() {
                chains.entry(write.key.clone()).or_default().push((at, write));
            }
        }
        let chains = chains.into_values().map(|chain| async move {
            let mut outcomes = Vec::with_capacity(chain.len());
            for (at, write) in chain {
                outcomes.push((at, write::alone(self, write).await));
            }
            outcomes
        });
        let mut done = stream::iter(chains).buffer_unordered(CALLS_AT_ONCE);
        while let Some(chain) = done.next().await {
            chain.into_iter().for_each(|(at, outcome)| outcomes[at] = outcome);
        }
        outcomes
    }

    async fn write_groups(&self, groups: Vec<Vec<Write>>) -> Vec<Result<(), Error>> {
        let mut outcomes: Vec<Result<(), Error>> = vec![Ok(()); groups.len()];
        let mut left: Vec<(usize, Vec<Write>)> = groups.into_iter().enumerate().collect();
        while !left.is_empty() {
            let ahead = write::side_by_side(&left);
            let rest = left.split_off(ahead);
            let round = left.into_iter().map(|(at, group)| async move { (at, self.write(group).await) });
            let mut done = stream::iter(round).buffer_unordered(CALLS_AT_ONCE);
            while let Some((at, outcome)) = done.next().await {
                outcomes[at] = outcome;
            }
            left = rest;
        }
        outcomes
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        keys.iter().try_for_each(limits::key)?;
        let distinct: Vec<Key> = keys.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let parts: Vec<Vec<Key>> = distinct.chunks(GET_KEYS_MAX).map(<[Key]>::to_vec).collect();
        let parts = parts.into_iter().map(|part| async move { self.get_some(&part).await });
        let parts: Vec<BTreeMap<Key, Item>> = stream::iter(parts).buffered(CALLS_AT_ONCE).try_collect().await?;
        let found: BTreeMap<Key, Item> = parts.into_iter().flatten().collect();
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    fn checks_cost(&self) -> bool {
        // A transaction takes twice the write units of its puts, and its checks come on top.
        true
    }

    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        match &self.feed {
            Some(feed) => feed.lanes().await,
            None => Ok(Vec::new()),
        }
    }

    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        match &self.feed {
            Some(feed) => feed.changes(shard, after, limit).await,
            None => Err(Error::Invalid(format!("table {} has no feed", self.name))),
        }
    }
}

/// The sort keys a query reads.
struct Range {
    /// The lowest, and whether it is in.
    lower: Option<(Vec<u8>, bool)>,
    /// The first one left out.
    upper: Option<Vec<u8>>,
}

impl Range {
    /// `None` when nothing can lie in it.
    fn of(query: &Query) -> Option<Range> {
        let from = query.from.clone().map(|from| (from, true));
        let after = query.after.clone();
        let (lower, upper) = if query.backwards {
            (from, [query.to.clone(), after].into_iter().flatten().min())
        } else {
            // Of two bounds the higher counts; of equal ones the one that leaves it out.
            let after = after.map(|after| (after, false));
            (from.into_iter().chain(after).max_by_key(|(key, is_in)| (key.clone(), !is_in)), query.to.clone())
        };
        let empty = matches!((&lower, &upper), (Some((lower, _)), Some(upper)) if lower >= upper);
        (!empty).then_some(Range { lower, upper })
    }

    /// Its key condition, and what the bounds in it stand for. A condition has one part about sort keys, so a range
    /// with two ends is asked for with both of them in.
    fn condition(&self) -> (&'static str, Vec<(&'static str, Vec<u8>)>) {
        match (&self.lower, &self.upper) {
            (None, None) => ("p = :p", Vec::new()),
            (Some((lower, true)), None) => ("p = :p AND s >= :l", vec![(":l", lower.clone())]),
            (Some((lower, false)), None) => ("p = :p AND s > :l", vec![(":l", lower.clone())]),
            (None, Some(upper)) => ("p = :p AND s < :u", vec![(":u", upper.clone())]),
            (Some((lower, _)), Some(upper)) => {
                ("p = :p AND s BETWEEN :l AND :u", vec![(":l", lower.clone()), (":u", upper.clone())])
            }
        }
    }

    fn holds(&self, sort: &[u8]) -> bool {
        let above = self.lower.as_ref().is_none_or(|(lower, is_in)| sort > lower.as_slice() || *is_in && sort == lower);
        above && self.upper.as_ref().is_none_or(|upper| sort < upper.as_slice())
    }
}
