//! The HTTP interface: send events, define insights, read snapshots. The same router locally and on Lambda.
//!
//! In: requests. Out: answers whose numbers are the stored ones, with their completeness. This crate computes nothing
//! on a read but the merging of stored days, and never answers a write before it is durable.

mod access;
mod backfills;
mod compact;
mod doorkeeper;
mod events;
mod export;
pub mod imports;
mod insights;
mod keys;
mod lineages;
mod openapi;
mod plan;
mod problem;
mod read;
pub mod render;
mod sql;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tidemill_ports::Context;
use tidemill_schemas::event::REQUEST_BYTES_MAX;

pub use access::{Right, add as add_key, has_keys};
pub use doorkeeper::{BACKLOG_CHANGES_MAX, Backlog, EVENT_BYTES_MAX, EVENT_REQUESTS_MAX};
pub use problem::Problem;

/// What the routes share.
#[derive(Clone)]
pub struct Api {
    context: Arc<Context>,
    /// Whether a caller without a key may do everything: on loopback only.
    open: bool,
    doorkeeper: Arc<doorkeeper::Doorkeeper>,
    imports: Arc<imports::Sessions>,
}

/// The router over `context`. `open`: callers without a key may do everything, as on loopback.
pub fn router(context: Arc<Context>, open: bool) -> Router {
    router_before(context, open, Arc::new(|| 0))
}

/// The router over `context` that takes no events while the consumers of the change feed are too far behind.
pub fn router_before(context: Arc<Context>, open: bool, backlog: Backlog) -> Router {
    let doorkeeper = Arc::new(doorkeeper::Doorkeeper::new(backlog));
    let api = Api { context, open, doorkeeper, imports: Arc::default() };
    Router::new()
        .route("/v1/events", post(events::send).get(events::export))
        .route("/v1/events/days", get(export::days))
        .route("/v1/events/parquet", get(export::parquet))
        .route("/v1/imports", post(imports::begin))
        .route("/v1/imports/{id}", get(imports::progress).delete(imports::abandon))
        .route("/v1/imports/{id}/files/{nth}", axum::routing::put(imports::upload))
        .route("/v1/imports/{id}/commit", post(imports::commit))
        .route("/v1/quarantine", get(events::quarantine))
        .route("/v1/plan", post(plan::plan))
        .route("/v1/insights", get(insights::list))
        .route("/v1/insights/{name}", get(insights::get).put(insights::put).delete(insights::delete))
        .route("/v1/insights/{name}/explain", get(insights::explain))
        .route("/v1/insights/{name}/digest", get(read::digest))
        .route("/v1/insights/{name}/series", get(read::series))
        .route("/v1/insights/{name}/breakdown", get(read::breakdown))
        .route("/v1/insights/{name}/{kind}", get(read::kind))
        .route("/v1/backfills", post(backfills::begin).get(backfills::list))
        .route("/v1/backfills/{id}", get(backfills::get).delete(backfills::cancel))
        .route("/v1/backfills/{id}/resume", post(backfills::resume))
        .route("/v1/keys", get(keys::list).post(keys::add))
        .route("/v1/keys/{id}", axum::routing::delete(keys::revoke))
        .route("/v1/sql", get(sql::sql))
        .route("/v1/status", get(status::status))
        .route("/v1/compact", post(compact::compact))
        .route("/v1/clean", post(status::clean))
        .route("/healthz", get(status::healthz))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .fallback(|| async { Problem::not_found("there is nothing at this path; /openapi.json lists what there is") })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(api)
}
