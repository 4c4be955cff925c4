//! Definitions over HTTP: apply, list, look at, remove, explain.

mod told;

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidemill_aggregator::definition_store::{Applied, DefinitionStore, Held};
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_aggregator::snapshot_store::{Series, SnapshotStore};
use tidemill_rollups::on_apply::{Change, Effective, on_apply};
use tidemill_rollups::rollup_store::Shortfall;
use tidemill_schemas::calendar::{Date, LONG_PERIODS, Period, tzdb_version};
use tidemill_schemas::definition::{Definition, Parsed, parse};
use tidemill_schemas::expression::Column;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::strategy::strategy;

use crate::Api;
use crate::access::{Caller, Right};
use crate::lineages;
use crate::plan::{errors, known, related, rendered};
use crate::problem::Problem;
use crate::status::{self, shortfalls};

/// The insight of this name, or TM0305 with the nearest one.
pub(crate) async fn find(api: &Api, tenant: &Tenant, name: &str) -> Result<Held, Problem> {
    let store = DefinitionStore::new(&api.context);
    if let Some(held) = store.get(tenant, name).await? {
        return Ok(held);
    }
    let all = store.insights(tenant).await?;
    let distance = |held: &&Held| strsim::damerau_levenshtein(&held.applied.definition.name, name);
    let near = all.iter().min_by_key(distance).filter(|held| distance(held) <= 1 + name.len() / 3);
    Err(Problem::no_insight(name, near.map(|held| held.applied.definition.name.as_str())))
}

/// `PUT /v1/insights/{name}`: the YAML text of one definition.
pub async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    text: String,
) -> Result<Response, Problem> {
    let caller = caller.may(Right::Admin)?;
    let file = format!("{name}.yaml");
    let parsed = parse(&file, &text).map_err(|found| Problem::definition(json!(rendered(&found))))?;
    let [Parsed { .. }] = parsed.as_slice() else {
        return Err(Problem::parameter("the body must hold exactly one definition"));
    };
    let parsed = &parsed[0];
    if parsed.definition.name != name {
        let message =
            format!("the definition is named `{}`, the path `{name}`; make them agree", parsed.definition.name);
        return Err(Problem::parameter(message));
    }
    let mut found = known(&api, &caller.tenant, parsed).await?;
    found.extend(related(&api, &caller.tenant, parsed, &[]).await?);
    if errors(&found) {
        return Err(Problem::definition(json!(rendered(&found))));
    }
    let Effective { change, applied, backfill } =
        on_apply(&api.context, &caller.tenant, &parsed.definition, &text).await?;
    let mut warnings: Vec<String> = found.iter().map(ToString::to_string).collect();
    if !applied.definition.alerts.is_empty() {
        warnings.push("alerts are checked but not sent by this version".to_owned());
    }
    let strategy = strategy(&applied.definition);
    let answer = json!({
        "insight": name,
        "change": change.word(),
        "fingerprint": applied.fingerprint,
        "strategy": strategy.word(),
        "reason": strategy.reason(),
        "catching_up": backfill,
        "warnings": warnings,
    });
    let status = if change == Change::Create { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(answer)).into_response())
}

/// `GET /v1/insights`.
pub async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let store = DefinitionStore::new(&api.context);
    let short = shortfalls(&api.context, &caller.tenant, &store.list(&caller.tenant).await?).await?;
    let mut all = Vec::new();
    for held in store.insights(&caller.tenant).await? {
        let mut shown = summary(&held.applied, &short);
        shown["catching_up"] = lineages::shown(&api, &caller.tenant, &held).await?;
        all.push(shown);
    }
    Ok(Json(json!({ "insights": all })))
}

/// `GET /v1/insights/{name}`.
pub async fn get(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let held = find(&api, &caller.tenant, &name).await?;
    let short = shortfalls(&api.context, &caller.tenant, std::slice::from_ref(&held)).await?;
    let mut answer = summary(&held.applied, &short);
    answer["text"] = json!(held.applied.text);
    answer["catching_up"] = lineages::shown(&api, &caller.tenant, &held).await?;
    Ok(Json(answer))
}

/// `DELETE /v1/insights/{name}`: its numbers stay, under their fingerprint, and come back with the definition.
pub async fn delete(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    find(&api, &caller.tenant, &name).await?;
    DefinitionStore::new(&api.context).remove(&caller.tenant, &name).await?;
    Ok(Json(json!({ "removed": name })))
}

fn from(definition: &Definition) -> Value {
    definition.event_names().map_or_else(|| json!("*"), |names| json!(names))
}

fn summary(applied: &Applied, short: &[Shortfall]) -> Value {
    let definition = &applied.definition;
    let partial = short.iter().filter(|short| short.partial && short.insight == definition.name);
    json!({
        "insight": definition.name,
        "type": definition.type_word(),
        "title": definition.title,
        "owner": definition.owner,
        "source": definition.source,
        "from": from(definition),
        "metrics": definition.metrics().iter().map(|metric| &metric.name).collect::<Vec<_>>(),
        "by": definition.by.iter().map(|column| column.name()).collect::<Vec<_>>(),
        "timezone": definition.timezone.name(),
        "refresh": definition.refresh.word(),
        "strategy": strategy(definition).word(),
        "fingerprint": applied.fingerprint,
        "applied_at": applied.applied_at.to_string(),
        "partial": partial.map(status::short).collect::<Vec<_>>(),
    })
}

/// `GET /v1/insights/{name}/explain`: how its numbers are made.
pub async fn explain(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let held = find(&api, &caller.tenant, &name).await?;
    let definition = &held.applied.definition;
    let strategy = strategy(definition);
    let tally = RequestStore::new(&api.context).tallies(&caller.tenant).await?.remove(&name).unwrap_or_default();
    let metrics: Vec<Value> = definition
        .metrics()
        .iter()
        .map(|metric| {
            json!({
                "name": metric.name,
                "function": metric.function.word(),
                "accuracy": accuracy(&metric.function),
                "groups_add_up": metric.function.is_additive(),
            })
        })
        .collect();
    Ok(Json(json!({
        "insight": name,
        "type": definition.type_word(),
        "strategy": strategy.word(),
        "reason": strategy.reason(),
        "fingerprint": held.applied.fingerprint,
        "source": definition.source.as_deref().unwrap_or("every source"),
        "from": from(definition),
        "reads": reads(definition),
        "metrics": metrics,
        "looks_at": told::looks_at(definition),
        "by": definition.by.iter().map(|column| column.name()).collect::<Vec<_>>(),
        "top": definition.top,
        "timezone": definition.timezone.name(),
        "tzdb": tzdb_version(),
        "refresh": definition.refresh.word(),
        "catching_up": lineages::shown(&api, &caller.tenant, &held).await?,
        "days": days(&api, &caller.tenant, &held).await?,
        "rollups": rollups(&api, &caller.tenant, &held).await?,
        "applied_at": held.applied.applied_at.to_string(),
        "drift": tally.drift,
        "stale_requests": tally.stale,
        "failed_requests": tally.failed,
        "last_failure": tally.last_failure.map(|(at, why)| json!({ "at": at.to_string(), "why": why })),
    })))
}

/// The columns an insight reads: those of its expressions, and the time that decides the day.
fn reads(definition: &Definition) -> Vec<String> {
    let plan = Plan::new(definition);
    let columns: BTreeSet<&Column> = plan.columns().iter().chain([&Column::Time]).collect();
    columns.into_iter().map(|column| column.name().to_owned()).collect()
}

/// How close a metric's values are.
pub(crate) fn accuracy(function: &tidemill_schemas::metric::Function) -> String {
    function.error_percent().map_or_else(|| "exact".to_owned(), |percent| format!("± {percent} %"))
}

/// Which days are computed.
async fn days(api: &Api, tenant: &Tenant, held: &Held) -> Result<Value, Problem> {
    let insight = &held.applied.definition.name;
    let series = Series { tenant, insight, fingerprint: &held.applied.fingerprint, period: Period::Day };
    let store = SnapshotStore::new(&api.context);
    let all = store.range(&series, Date::constant(1, 1, 1), Date::constant(9999, 12, 30)).await?;
    let of_pages = |verified| all.values().filter(|snapshot| snapshot.header.verified == verified).count();
    Ok(json!({
        "computed": all.len(),
        "first": all.keys().next(),
        "last": all.keys().next_back(),
        "verified": of_pages(Some(true)),
        "drifted": of_pages(Some(false)),
    }))
}

/// Which longer periods are rolled up, and what the newest of each kind took.
async fn rollups(api: &Api, tenant: &Tenant, held: &Held) -> Result<Value, Problem> {
    let insight = &held.applied.definition.name;
    let mut answer = serde_json::Map::new();
    for period in LONG_PERIODS {
        let series = Series { tenant, insight, fingerprint: &held.applied.fingerprint, period };
        let store = SnapshotStore::new(&api.context);
        let all = store.range(&series, Date::constant(1, 1, 1), Date::constant(9999, 12, 30)).await?;
        let newest = all.values().next_back().map(|newest| {
            let header = &newest.header;
            json!({
                "start": header.start,
                "version": header.version,
                "states_bytes": header.states.as_ref().map_or(0, |states| states.bytes),
                "merge_millis": header.merge_millis,
            })
        });
        let partial = all.values().filter(|snapshot| snapshot.header.partial).count();
        answer.insert(period.word().to_owned(), json!({ "kept": all.len(), "partial": partial, "newest": newest }));
    }
    Ok(answer.into())
}
