//! How the system is: `/healthz`, `/metrics` (Prometheus text) and `/v1/status`.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_aggregator::dirty_period_store::DirtyPeriodStore;
use tidemill_aggregator::on_clean::on_clean;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_aggregator::total_store::TotalStore;
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::page_store::PageStore;
use tidemill_ingest::quarantine_store::QuarantineStore;
use tidemill_ports::Context;
use tidemill_rollups::rollup_store::{RollupStore, Shortfall};
use tidemill_schemas::calendar::{Date, tzdb_version};
use tidemill_schemas::keys::Tenant;

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;

/// Dead letters and quarantined events that are counted one by one; more show as this many.
const COUNTED_MAX: usize = 1_000;

/// `GET /healthz`: 200 when the stores answer.
pub async fn healthz(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    DefinitionStore::new(&api.context).get(&Tenant::local(), "healthz").await?;
    Ok(Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })))
}

/// `POST /v1/clean`: removes the blobs that nothing has referred to for a day.
pub async fn clean(State(api): State<Api>, caller: Caller) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    Ok(Json(json!(on_clean(&api.context, &caller.tenant).await?)))
}

/// What is known of the system's state.
struct Seen {
    rows: u64,
    pages: u64,
    seal_lag_seconds: i64,
    totals_lag_seconds: i64,
    dead_letters: usize,
    dirty_days: usize,
    dirty_periods: usize,
    short: Vec<Shortfall>,
    quarantined: usize,
    insights: usize,
    drift: u64,
    stale: u64,
    failed: u64,
    failures: Vec<(String, String)>,
    armed: usize,
}

async fn look(api: &Api, tenant: &Tenant) -> Result<Seen, Problem> {
    let context = &api.context;
    let (pages, events) = (PageStore::new(context), EventStore::new(context));
    let now = context.clock.now();
    let lag = |watermark: tidemill_schemas::time::Timestamp| (now.micros() - watermark.micros()) / 1_000_000;
    let sealed = events.watermark(now, &pages.heads().await?).await?;
    let counted = events.watermark(now, &TotalStore::new(context).progress().await?).await?;
    let (mut rows, mut page_count) = (0, 0);
    for source in pages.sources(tenant).await? {
        let days = pages.page_days(tenant, &source, Date::constant(1, 1, 1), Date::constant(9999, 12, 30)).await?;
        for day in days.values() {
            rows += day.rows;
            page_count += day.pages;
        }
    }
    let tallies = RequestStore::new(context).tallies(tenant).await?;
    let definitions = DefinitionStore::new(context).list(tenant).await?;
    let failures = tallies.iter().filter_map(|(name, tally)| Some((name.clone(), tally.last_failure.clone()?.1)));
    Ok(Seen {
        rows,
        pages: page_count,
        seal_lag_seconds: lag(sealed),
        totals_lag_seconds: lag(counted),
        dead_letters: context.requests.dead_letters(COUNTED_MAX).await?.len(),
        dirty_days: pages.dirty(tenant, COUNTED_MAX).await?.len(),
        dirty_periods: DirtyPeriodStore::new(context).list(tenant, COUNTED_MAX).await?.len(),
        short: shortfalls(context, tenant, &definitions).await?,
        quarantined: QuarantineStore::new(context).list(tenant, None, COUNTED_MAX).await?.0.len(),
        insights: DefinitionStore::new(context).insights(tenant).await?.len(),
        drift: tallies.values().map(|tally| tally.drift).sum(),
        stale: tallies.values().map(|tally| tally.stale).sum(),
        failed: tallies.values().map(|tally| tally.failed).sum(),
        failures: failures.collect(),
        armed: ActivityStore::new(context).get(tenant).await?.armed.len(),
    })
}

/// The periods that lack days, of the definitions in effect.
pub(crate) async fn shortfalls(context: &Context, tenant: &Tenant, of: &[Held]) -> Result<Vec<Shortfall>, Problem> {
    let mut all = RollupStore::new(context).shortfalls(tenant).await?;
    let in_effect = |short: &Shortfall| {
        of.iter()
            .any(|held| held.applied.definition.name == short.insight && held.applied.fingerprint == short.fingerprint)
    };
    all.retain(in_effect);
    Ok(all)
}

/// What a period lacks, in JSON.
pub(crate) fn short(shortfall: &Shortfall) -> Value {
    json!({
        "insight": shortfall.insight,
        "period": shortfall.period.word(),
        "first": shortfall.first,
        "missing": shortfall.missing,
        "attempts": shortfall.attempts,
        "since": shortfall.since.to_string(),
    })
}

/// `GET /v1/status`.
pub async fn status(State(api): State<Api>, caller: Caller) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let state = look(&api, &caller.tenant).await?;
    let failures: Vec<Value> =
        state.failures.iter().map(|(insight, why)| json!({ "insight": insight, "why": why })).collect();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "tzdb": tzdb_version(),
        "insights": state.insights,
        "page_rows": state.rows,
        "pages": state.pages,
        "seal_lag_seconds": state.seal_lag_seconds,
        "totals_lag_seconds": state.totals_lag_seconds,
        "dirty_days": state.dirty_days,
        "dirty_periods": state.dirty_periods,
        "partial_rollups": state.short.iter().filter(|short| short.partial).count(),
        "partial": state.short.iter().filter(|short| short.partial).map(short).collect::<Vec<_>>(),
        "waiting_rollups": state.short.iter().filter(|short| !short.partial).count(),
        "quarantined": state.quarantined,
        "dead_letters": state.dead_letters,
        "drift": state.drift,
        "stale_requests": state.stale,
        "failed_requests": state.failed,
        "failing": failures,
        "armed_schedules": state.armed,
    })))
}

/// `GET /metrics`: Prometheus text exposition format.
pub async fn metrics(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    let caller = caller.may(Right::Read)?;
    let state = look(&api, &caller.tenant).await?;
    let partial = state.short.iter().filter(|short| short.partial).count();
    let gauges: [(&str, &str, &str, i128); 12] = [
        ("tidemill_partial_rollups", "gauge", "Longer periods published without some of their days.", partial as i128),
        ("tidemill_insights", "gauge", "Insights applied.", state.insights as i128),
        ("tidemill_page_rows", "gauge", "Rows in committed pages.", state.rows.into()),
        ("tidemill_pages", "gauge", "Committed pages.", state.pages.into()),
        ("tidemill_seal_lag_seconds", "gauge", "Age of what is not sealed yet.", state.seal_lag_seconds.into()),
        (
            "tidemill_totals_lag_seconds",
            "gauge",
            "Age of what is not in the totals yet.",
            state.totals_lag_seconds.into(),
        ),
        ("tidemill_dirty_days", "gauge", "Days that changed and were not looked at yet.", state.dirty_days as i128),
        ("tidemill_quarantined", "gauge", "Events in quarantine, counted up to 1000.", state.quarantined as i128),
        (
            "tidemill_dead_letters",
            "gauge",
            "Requests that were given up, counted up to 1000.",
            state.dead_letters as i128,
        ),
        ("tidemill_drift_total", "counter", "Closed days whose totals differed from their pages.", state.drift.into()),
        ("tidemill_stale_requests_total", "counter", "Requests whose definition had changed.", state.stale.into()),
        ("tidemill_failed_requests_total", "counter", "Requests that failed.", state.failed.into()),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in gauges {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
