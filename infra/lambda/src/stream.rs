//! The change feed: a delivery of the event table's stream → `on_changes` or `on_seal`.
//!
//! A delivery is of one shard, and only deliveries of a mapping with a tumbling window say which; its window is of no
//! use else, so its state is handed back empty. When nothing of a delivery could be done the call fails, so that the
//! source cuts it and comes again; when its beginning was done, the answer names the first record that was not.

use aws_lambda_events::dynamodb::EventRecord;
use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_aggregator::on_changes::on_changes;
use tidemill_aws::table::{BODY, Feed, Image, RANK, change_of};
use tidemill_ingest::on_seal::on_seal;
use tidemill_ports::{Change, Context, Outcome};

use crate::Failure;

/// Who reads the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumer {
    /// Running totals.
    Changes,
    /// Pages.
    Seal,
}

impl Consumer {
    fn role(self) -> &'static str {
        match self {
            Consumer::Changes => "changes",
            Consumer::Seal => "seal",
        }
    }
}

/// A delivery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    #[serde(rename = "Records", default)]
    records: Vec<EventRecord>,
    shard_id: Option<String>,
}

/// One call.
///
/// # Errors
/// See [`Failure`].
pub async fn on_event(context: &Context, feed: &Feed, consumer: Consumer, event: &str) -> Result<Value, Failure> {
    let unreadable = |why: String| Failure::Unreadable { role: consumer.role(), why };
    let delivery: Delivery = serde_json::from_str(event).map_err(|why| unreadable(why.to_string()))?;
    let Some(first) = delivery.records.first() else { return Ok(answer(None)) };
    let age = context.clock.now().micros() / 1000 - first.change.approximate_creation_date_time.timestamp_millis();
    metrics::gauge!("lag_milliseconds").set(age.max(0) as f64);
    metrics::counter!("records").increment(delivery.records.len() as u64);
    let lane = feed.lane_of(delivery.shard_id.as_deref()).await.map_err(|why| Failure::Again(why.to_string()))?;
    let changes = delivery.records.iter().map(change).collect::<Result<Vec<Change>, _>>().map_err(unreadable)?;
    let outcome = match consumer {
        Consumer::Changes => on_changes(context, &lane, &changes).await,
        Consumer::Seal => on_seal(context, &lane, &changes).await,
    };
    match outcome {
        Outcome::Done => Ok(answer(None)),
        Outcome::RetryFrom(from) => {
            let at = changes.partition_point(|change| change.position < from);
            let left = delivery.records.get(at).filter(|_| at > 0);
            let sequence = left.and_then(|record| record.change.sequence_number.as_deref());
            match sequence {
                Some(sequence) => Ok(answer(Some(sequence))),
                None => Err(Failure::Again(format!("{} of {lane} will come again; the log says why", consumer.role()))),
            }
        }
        Outcome::Park(why) => {
            metrics::counter!("parked").increment(1);
            Err(Failure::Never(why))
        }
    }
}

/// The answer: everything is done, or everything before a record.
fn answer(first_left: Option<&str>) -> Value {
    let failures: Vec<Value> = first_left.iter().map(|sequence| json!({ "itemIdentifier": sequence })).collect();
    json!({ "state": {}, "batchItemFailures": failures })
}

fn change(record: &EventRecord) -> Result<Change, String> {
    let content = &record.change;
    let sequence = content.sequence_number.as_deref().unwrap_or_default();
    let key = |name: &str| bytes(&content.keys, name);
    change_of(sequence, key, image_of(&content.old_image), image_of(&content.new_image)).map_err(|why| why.to_string())
}

/// An image; `None`: the record has none.
fn image_of(item: &serde_dynamo::Item) -> Option<Image<'_>> {
    item.iter().next()?;
    let rank = match item.get(RANK) {
        Some(serde_dynamo::AttributeValue::N(rank)) => Some(rank.as_str()),
        _ => None,
    };
    Some(Image { rank, body: bytes(item, BODY) })
}

fn bytes<'a>(item: &'a serde_dynamo::Item, name: &str) -> Option<&'a [u8]> {
    match item.get(name) {
        Some(serde_dynamo::AttributeValue::B(bytes)) => Some(bytes),
        _ => None,
    }
}
