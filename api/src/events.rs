//! Events in and out: `POST /v1/events`, `GET /v1/events`, `GET /v1/quarantine`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_ingest::codec::native;
use tidemill_ingest::on_events::{Producer, SendError, on_events};
use tidemill_ingest::quarantine_store::{QuarantineStore, Quarantined};
use tidemill_schemas::event::SOURCE_DEFAULT;

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;
use crate::read::live;

/// Refused events listed when a request does not say.
const QUARANTINE_DEFAULT: usize = 100;
/// Refused events one answer lists at most.
const QUARANTINE_MAX: usize = 1_000;

#[derive(Deserialize)]
pub struct SendQuery {
    source: Option<String>,
}

/// `POST /v1/events`.
pub async fn send(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Write)?;
    let mut turn = api.doorkeeper.let_in(request.headers())?;
    let body = turn.body(request.into_body()).await?;
    let source_default = query.source.or_else(|| caller.source.clone()).unwrap_or_else(|| SOURCE_DEFAULT.to_owned());
    let producer = Producer { tenant: caller.tenant, source_default, source_only: caller.source };
    let receipt = on_events(&api.context, &producer, body).await.map_err(|error| match error {
        SendError::Body(why) if why.is_too_large() => Problem::too_large(why.to_string()),
        SendError::Body(why) => Problem::unreadable(why.to_string()),
        SendError::Gate(error) => Problem::of_gate(error),
        SendError::Port(error) => error.into(),
    })?;
    Ok(Json(json!({
        "success": true,
        "status": 1,
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": receipt.rejected,
    })))
}

#[derive(Deserialize)]
pub struct ExportQuery {
    from: Option<String>,
    to: Option<String>,
    source: Option<String>,
}

/// `GET /v1/events`: the live events of the committed pages, one JSON object per line, by UTC day.
pub async fn export(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let caller = caller.may(Right::Read)?;
    let lines = live::events(api.context.clone(), caller.tenant, query.source, query.from, query.to).await?;
    let body = lines.map(|event| {
        event.map(|event| {
            let mut line = native::encode(&event);
            line.push('\n');
            Bytes::from(line)
        })
    });
    let body = Body::from_stream(body.map(|line| line.map_err(|why| std::io::Error::other(why.to_string()))));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

#[derive(Deserialize)]
pub struct QuarantineQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /v1/quarantine`: refused events, oldest first.
pub async fn quarantine(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<QuarantineQuery>,
) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    let after = query.cursor.map(|cursor| URL_SAFE_NO_PAD.decode(cursor)).transpose();
    let after = after.map_err(|_| Problem::parameter("`cursor` is not one of ours; leave it out to start over"))?;
    let limit = query.limit.unwrap_or(QUARANTINE_DEFAULT).clamp(1, QUARANTINE_MAX);
    let (items, next) = QuarantineStore::new(&api.context).list(&caller.tenant, after, limit).await?;
    let next = next.map(|next| URL_SAFE_NO_PAD.encode(next));
    let items: Vec<Value> = items.iter().map(quarantined).collect();
    Ok(Json(json!({ "quarantined": items, "next": next })))
}

fn quarantined(held: &Quarantined) -> Value {
    json!({
        "received": held.received.to_string(),
        "id": held.id,
        "code": held.rejection.code,
        "message": held.rejection.message,
        "bytes": held.bytes,
        "body": held.body,
        "object": held.object,
    })
}
