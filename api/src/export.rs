//! `GET /v1/events/days`, `GET /v1/events/parquet`: the live events as Parquet, a file per source and UTC day.
//!
//! In: a source and a day. Out: a file, streamed as its row groups are done, so that a day of any size takes the memory
//! of a page or two. Rows come in the order of the pages.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_ingest::page::export::{Exporter, Wide};
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::Tenant;
use tokio::sync::mpsc;

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;
use crate::read::live::day;

/// Parts of a file that wait for whoever reads it.
const PARTS_WAITING_MAX: usize = 2;

#[derive(Deserialize)]
pub struct DaysQuery {
    from: Option<String>,
    to: Option<String>,
    source: Option<String>,
}

/// `GET /v1/events/days`: the sources and UTC days that have pages.
pub async fn days(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<DaysQuery>,
) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let first = query.from.as_deref().map_or(Ok(Date::constant(1, 1, 1)), |text| day("from", text))?;
    let last = query.to.as_deref().map_or(Ok(Date::constant(9999, 12, 30)), |text| day("to", text))?;
    let pages = PageStore::new(&api.context);
    let mut days = Vec::new();
    for source in pages.sources_of(&caller.tenant, query.source.as_deref()).await? {
        for (date, held) in pages.page_days(&caller.tenant, &source, first, last).await? {
            days.push(json!({ "source": source, "day": date, "rows": held.rows }));
        }
    }
    Ok(Json(json!({ "days": days })))
}

#[derive(Deserialize)]
pub struct DayQuery {
    source: String,
    day: String,
}

/// `GET /v1/events/parquet`: one source's live events of one UTC day.
pub async fn parquet(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<DayQuery>,
) -> Result<Response, Problem> {
    let caller = caller.may(Right::Read)?;
    let date = day("day", &query.day)?;
    let (parts, waiting) = mpsc::channel(PARTS_WAITING_MAX);
    let context = Arc::clone(&api.context);
    tokio::spawn(async move {
        if let Err(error) = write(&context, &caller.tenant, &query.source, date, &parts).await {
            tracing::warn!(%error, "an export broke off");
            // Whoever reads learns of it by the body breaking off.
            drop(parts.send(Err(std::io::Error::other(error.to_string()))).await);
        }
    });
    let body = futures::stream::unfold(waiting, |mut waiting| async { Some((waiting.recv().await?, waiting)) });
    Ok(([(header::CONTENT_TYPE, "application/vnd.apache.parquet")], Body::from_stream(body)).into_response())
}

type Part = Result<Bytes, std::io::Error>;

async fn write(
    context: &Context,
    tenant: &Tenant,
    source: &str,
    date: Date,
    parts: &mpsc::Sender<Part>,
) -> Result<(), Error> {
    let store = PageStore::new(context);
    let set = store.pages(tenant, &[source.to_owned()], date, date).await?;
    let pages = &set.readable(date);
    let wrong = |why: &dyn std::fmt::Display| Error::Invalid(format!("exporting {source} {date}: {why}"));
    let mut wide = Wide::default();
    for schema in store.schemas(pages).await? {
        wide.add(&schema);
    }
    let mut exporter = Exporter::new(wide).map_err(|why| wrong(&why))?;
    let corrected = store.corrected(pages).await?;
    for page in pages {
        for batch in store.batches(page).await? {
            let live = corrected.live_rows(&batch?).map_err(|why| wrong(&why))?;
            if live.num_rows() > 0 {
                exporter.write(&live).map_err(|why| wrong(&why))?;
            }
            let done = exporter.take();
            if !done.is_empty() && parts.send(Ok(done.into())).await.is_err() {
                return Ok(());
            }
        }
    }
    let rest = exporter.end().map_err(|why| wrong(&why))?;
    // Nobody waits for it any more: fine.
    drop(parts.send(Ok(rest.into())).await);
    Ok(())
}
