//! The handlers wired to one project, as the command wires them, for benchmarks that go in by the doors.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use bytes::Bytes;
use serde_json::Value;
use tidemill_aggregator::on_changes::on_changes;
use tidemill_ingest::on_seal::on_seal;
use tidemill_local::Handlers;
use tidemill_ports::{Change, Context, Message, Outcome};
use tidemill_rollups::on_delivery::on_delivery;
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::ShardId;

use crate::cell::{Started, Usage};

/// Bytes of an answer of the router.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The handlers of one context. Schedules do nothing: what is due is asked for by hand.
pub struct Wired(pub Arc<Context>);

#[async_trait]
impl Handlers for Wired {
    async fn on_changes(&self, shard: &ShardId, changes: Vec<Change>) -> Outcome {
        on_changes(&self.0, shard, &changes).await
    }

    async fn on_seal(&self, shard: &ShardId, changes: Vec<Change>) -> Outcome {
        on_seal(&self.0, shard, &changes).await
    }

    async fn on_request(&self, messages: &[Message]) -> Vec<Outcome> {
        on_delivery(&self.0, 0, messages).await
    }

    async fn on_firing(&self, _name: &str, _payload: &Bytes, _scheduled: Timestamp) -> Outcome {
        Outcome::Done
    }
}

/// Asks the router as a client would.
///
/// # Errors
/// In words: what it answered.
pub async fn ask(router: &Router, method: Method, path: &str, kind: &str, body: Body) -> Result<Value, String> {
    use tower::ServiceExt;
    let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body);
    let Ok(response) = router.clone().oneshot(request.map_err(|why| why.to_string())?).await;
    let status = response.status();
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.map_err(|why| why.to_string())?;
    if !status.is_success() {
        return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&bytes)));
    }
    serde_json::from_slice(&bytes).map_err(|why| format!("{path}: {why}"))
}

/// Has a day of an insight computed, as a message of the queue does; what that took.
///
/// # Errors
/// In words: it was not done.
pub async fn compute(
    context: &Context,
    insight: &str,
    fingerprint: &str,
    day: Date,
    reason: Reason,
) -> Result<Usage, String> {
    let request = ComputeSnapshotRequest {
        tenant: Tenant::local().0,
        insight: insight.to_owned(),
        fingerprint: fingerprint.to_owned(),
        period: Period::Day,
        first: day,
        last: day,
        reason,
        requested_at: context.clock.now(),
    };
    let body = serde_json::to_vec(&request).map_err(|why| why.to_string())?.into();
    let message = Message { body, receipt: "day".to_owned(), deliveries: 1 };
    let started = Started::now();
    let outcomes = on_delivery(context, 0, &[message]).await;
    let usage = started.usage();
    match outcomes.as_slice() {
        [Outcome::Done] => Ok(usage),
        other => Err(format!("{insight} was not computed: {other:?}")),
    }
}
