//! The queue: messages → `on_delivery`.
//!
//! A request that came to no end in the function's time goes on where it stopped: the days it published are found
//! current. One over several days is sent again as two halves, each with deliveries of its own; others come again by
//! the queue, which counts. Messages that can never be done are told once and left to the dead letters.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use serde_json::{Value, json};
use tidemill_aggregator::request_store::RequestStore;
use tidemill_aws::queue::{SqsQueue, decode};
use tidemill_ports::{Context, Error, Message, Outcome};
use tidemill_rollups::on_delivery::on_delivery;
use tidemill_schemas::request::ComputeSnapshotRequest;

use crate::Failure;

/// Seconds until a request comes again after its first delivery; each next time it is twice as long.
const AGAIN_SECONDS: u32 = 2;
/// How often that doubles.
const AGAIN_DOUBLINGS_MAX: u32 = 6;

/// One call; `budget`: how often a period asks for its missing days.
///
/// # Errors
/// See [`Failure`].
pub async fn on_event(context: &Context, queue: &SqsQueue, budget: u32, event: &str) -> Result<Value, Failure> {
    let event: SqsEvent =
        serde_json::from_str(event).map_err(|why| Failure::Unreadable { role: "engine", why: why.to_string() })?;
    let mut failed: Vec<&str> = Vec::new();
    let (mut messages, mut ids) = (Vec::new(), Vec::new());
    for record in &event.records {
        let id = record.message_id.as_deref().unwrap_or_default();
        match message(record) {
            Ok(message) => {
                messages.push(message);
                ids.push(id);
            }
            Err(why) => {
                tracing::error!(%why, "a message is unreadable; it goes to the dead letters");
                failed.push(id);
            }
        }
    }
    metrics::counter!("records").increment(event.records.len() as u64);
    let outcomes = on_delivery(context, budget, &messages).await;
    for ((message, id), outcome) in messages.iter().zip(ids).zip(outcomes) {
        match outcome {
            Outcome::Done => {}
            Outcome::RetryFrom(_) => match go_on(context, queue, message).await {
                Ok(true) => {}
                Ok(false) => failed.push(id),
                Err(why) => {
                    tracing::warn!(%why, "a request comes again when its message's time is up");
                    failed.push(id);
                }
            },
            Outcome::Park(why) => {
                metrics::counter!("parked").increment(1);
                tracing::error!(why, "a request can never be done; it goes to the dead letters");
                failed.push(id);
            }
        }
    }
    let failures: Vec<Value> = failed.iter().map(|id| json!({ "itemIdentifier": id })).collect();
    Ok(json!({ "batchItemFailures": failures }))
}

fn message(record: &SqsMessage) -> Result<Message, Error> {
    let count = record.attributes.get("ApproximateReceiveCount");
    Ok(Message {
        body: decode(record.body.as_deref().unwrap_or_default())?,
        receipt: record.receipt_handle.clone().unwrap_or_default(),
        deliveries: count.and_then(|count| count.parse().ok()).unwrap_or(1),
    })
}

/// What becomes of a request that is to come again; whether its message is done with. One over several days that ran
/// out of time is sent again as two; any other one comes again soon, later with every delivery.
async fn go_on(context: &Context, queue: &SqsQueue, message: &Message) -> Result<bool, Error> {
    let request = serde_json::from_slice::<ComputeSnapshotRequest>(&message.body).ok();
    if let Some(halves) = request.and_then(|request| request.halves()).filter(|_| context.is_over()) {
        RequestStore::new(context).send(&halves).await?;
        return Ok(true);
    }
    let seconds = AGAIN_SECONDS << message.deliveries.min(AGAIN_DOUBLINGS_MAX);
    queue.release(&message.receipt, seconds).await?;
    Ok(false)
}
