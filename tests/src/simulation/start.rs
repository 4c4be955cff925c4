//! Invocations: the real handlers as tasks, and what is kept of each while it runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use tidemill_aggregator::on_changes::on_changes;
use tidemill_ingest::on_compact::rewrite;
use tidemill_ingest::on_events::{Producer, on_events};
use tidemill_ingest::on_seal::on_seal;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Change, Context, Error, Message, Outcome};
use tidemill_rollups::on_delivery::on_delivery;
use tidemill_rollups::on_firing::on_firing;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;
use tower::ServiceExt;

use super::witness::Witness;
use crate::generator::line;
use crate::pump::{Answer, Delivery, Range};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often a period asks for its missing days.
const REPAIR_BUDGET: u32 = 3;

/// Who reads a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consumer {
    Changes,
    Seal,
    Records,
}

/// What a task is to whoever waits for it.
#[derive(Clone, Debug)]
pub(super) enum Flight {
    /// A delivery of a mapping.
    Feed { mapping: usize, range: Range, count: usize },
    /// Messages of the queue.
    Queue(Vec<Message>),
    /// A firing.
    Firing { name: String, scheduled: Timestamp },
    /// A step of the script, by its number.
    Step { at: usize, began: Timestamp },
    /// Nobody waits for it.
    Orphan,
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum End {
    Answer(Answer),
    Outcomes(Vec<Outcome>),
    Fired(Outcome),
    /// A request over HTTP.
    Told(StatusCode, String),
    Nothing,
}

pub(super) fn answer(outcome: Outcome) -> (Answer, Option<String>) {
    match outcome {
        Outcome::Done => (Answer::Done, None),
        Outcome::RetryFrom(from) => (Answer::FailedFrom(from), None),
        Outcome::Park(why) => (Answer::Failed, Some(why)),
    }
}

/// Changes of the feed to one of their consumers.
pub(super) async fn feed(context: Arc<Context>, consumer: Consumer, delivery: Delivery) -> End {
    let lane = &delivery.range.lane;
    let outcome = match consumer {
        Consumer::Changes => on_changes(&context, lane, &delivery.records).await,
        _ => on_seal(&context, lane, &delivery.records).await,
    };
    match answer(outcome) {
        (_, Some(why)) => End::Fired(Outcome::Park(why)),
        (answer, None) => End::Answer(answer),
    }
}

/// Records of a stream of events: the first that fails is where to go on from.
pub(super) async fn records(context: Arc<Context>, witness: Arc<Witness>, copies: Vec<(Change, Vec<Event>)>) -> End {
    let producer = Producer { tenant: Tenant::local(), source_default: "default".to_owned(), source_only: None };
    for (record, copies) in copies {
        let body = record.new.map(|item| item.body).unwrap_or_default();
        match on_events(&context, &producer, body).await {
            Ok(receipt) if receipt.rejected.is_empty() => witness.acknowledged(&copies),
            Ok(receipt) => return End::Fired(Outcome::Park(format!("rejected: {:?}", receipt.rejected))),
            Err(_) => return End::Answer(Answer::FailedFrom(record.position)),
        }
    }
    End::Answer(Answer::Done)
}

pub(super) async fn queue(context: Arc<Context>, messages: Vec<Message>) -> End {
    End::Outcomes(on_delivery(&context, REPAIR_BUDGET, &messages).await)
}

pub(super) async fn firing(context: Arc<Context>, name: String, payload: Bytes, scheduled: Timestamp) -> End {
    End::Fired(on_firing(&context, &name, &payload, scheduled).await)
}

/// A request over HTTP; `acknowledges`: copies that are durable once it is answered.
pub(super) async fn request(
    router: axum::Router,
    witness: Arc<Witness>,
    method: Method,
    path: String,
    body: String,
    acknowledges: Vec<Event>,
) -> End {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body)).expect("scripts build requests");
    let Ok(response) = router.oneshot(request).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.expect("answers end");
    if status.is_success() {
        witness.acknowledged(&acknowledges);
    }
    End::Told(status, String::from_utf8_lossy(&body).into_owned())
}

/// Rewrites the pages of some days, whether it is worth it or not.
pub(super) async fn compaction(context: Arc<Context>, draw: u64) -> End {
    let (store, tenant) = (PageStore::new(&context), Tenant::local());
    let work = async {
        for source in store.sources(&tenant).await? {
            let Some((first, last)) = store.span(&tenant, &source).await? else { continue };
            for (nth, day) in store.page_days(&tenant, &source, first, last).await?.into_keys().enumerate() {
                if draw >> (nth % 64) & 1 == 1 {
                    rewrite(&context, &tenant, &source, day, 0).await?;
                }
            }
        }
        Ok(())
    };
    match work.await {
        Err(Error::Invalid(why)) => End::Fired(Outcome::Park(why)),
        _ => End::Nothing,
    }
}

pub(super) fn ndjson(copies: &[Event]) -> String {
    copies.iter().map(|event| line(event) + "\n").collect()
}

/// What a build without the totals' own positions would see: every delivery as if it were new.
pub(super) fn renumbered(mut delivery: Delivery, last: &mut u128) -> Delivery {
    for change in &mut delivery.records {
        // Positions leave gaps of five at most: these stay ahead of the real ones.
        *last += 10;
        change.position = Position(*last);
    }
    delivery
}

/// What a build that marks deliveries before it works them would skip.
pub(super) fn is_repeated(begun: &mut BTreeSet<(usize, String, Position)>, mapping: usize, range: &Range) -> bool {
    !begun.insert((mapping, range.lane.clone(), range.last))
}
