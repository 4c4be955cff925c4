//! `POST /v1/plan`: what applying files would change, without changing anything.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_aggregator::definition_store::{Applied, DEFINITION_FORMAT, DefinitionStore, Held};
use tidemill_aggregator::snapshot_store::{Series, SnapshotStore};
use tidemill_ingest::page_store::PageStore;
use tidemill_rollups::estimate::Estimate;
use tidemill_rollups::on_backfill;
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::definition::diagnostic::{Diagnostic, Severity, code};
use tidemill_schemas::definition::known::{Catalogue, check_known};
use tidemill_schemas::definition::{Body, Parsed, parse};
use tidemill_schemas::fingerprint::fingerprint;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::strategy::strategy;

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;
use crate::read::comparison_metrics;

/// Files one plan may hold.
const FILES_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanBody {
    files: Vec<File>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    text: String,
}

/// `POST /v1/plan`.
pub async fn plan(State(api): State<Api>, caller: Caller, Json(body): Json<PlanBody>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    if body.files.len() > FILES_MAX {
        return Err(Problem::parameter(format!("at most {FILES_MAX} files can be planned at once")));
    }
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut insights = Vec::new();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut all: Vec<Parsed> = Vec::new();
    let store = DefinitionStore::new(&api.context);
    for file in &body.files {
        let parsed = match parse(&file.path, &file.text) {
            Ok(parsed) => parsed,
            Err(found) => {
                diagnostics.extend(found);
                continue;
            }
        };
        all.extend(parsed.iter().cloned());
        for parsed in &parsed {
            let name = &parsed.definition.name;
            if let Some(other) = files.insert(name.clone(), file.path.clone()) {
                let message = format!("the insight `{name}` is defined in `{other}` and in `{}`; keep one", file.path);
                return Err(Problem::parameter(message));
            }
            diagnostics.extend(known(&api, &caller.tenant, parsed).await?);
            let held = store.get(&caller.tenant, name).await?;
            insights.push(change(&api, &caller.tenant, &file.path, parsed, held).await?);
        }
    }
    for parsed in &all {
        diagnostics.extend(related(&api, &caller.tenant, parsed, &all).await?);
    }
    // What reads other insights comes behind them.
    insights.sort_by_key(|change| change["reads_events"] == json!(false));
    let kept: Vec<String> =
        store.insights(&caller.tenant).await?.into_iter().map(|held| held.applied.definition.name).collect();
    let kept: Vec<String> = kept.into_iter().filter(|name| !files.contains_key(name)).collect();
    Ok(Json(json!({ "insights": insights, "diagnostics": rendered(&diagnostics), "not_in_files": kept })))
}

async fn change(api: &Api, tenant: &Tenant, file: &str, parsed: &Parsed, held: Option<Held>) -> Result<Value, Problem> {
    let fingerprint = fingerprint(&parsed.definition);
    let previous = held.as_ref().map(|held| held.applied.fingerprint.clone());
    let mut stale = Stale::default();
    let change = match held {
        None => "create",
        Some(held) if held.of(&fingerprint).is_none() => {
            stale = Stale::of(api, tenant, parsed, &fingerprint, &held).await?;
            "update"
        }
        Some(held) if held.applied.definition != parsed.definition || held.applied.text != parsed.text => "update",
        Some(_) => "unchanged",
    };
    let strategy = strategy(&parsed.definition);
    Ok(json!({
        "insight": parsed.definition.name,
        "reads_events": parsed.definition.reads_events(),
        "file": file,
        "change": change,
        "strategy": strategy.word(),
        "reason": strategy.reason(),
        "fingerprint": fingerprint,
        "previous_fingerprint": previous,
        "stale_days": stale.days,
        "stale_periods": stale.periods,
        "recompute": stale.estimate,
        "text": parsed.text,
    }))
}

/// What an edit makes stale, and what computing that anew takes.
#[derive(Default)]
struct Stale {
    days: usize,
    periods: u64,
    estimate: Option<Estimate>,
}

impl Stale {
    async fn of(api: &Api, tenant: &Tenant, parsed: &Parsed, fingerprint: &str, held: &Held) -> Result<Stale, Problem> {
        let insight = &held.applied.definition.name;
        let reading = held.reading();
        let series = Series { tenant, insight, fingerprint: &reading.applied.fingerprint, period: Period::Day };
        let store = SnapshotStore::new(&api.context);
        let days = store.range(&series, Date::constant(1, 1, 1), Date::constant(9999, 12, 30)).await?;
        let edited = Applied {
            format: DEFINITION_FORMAT,
            definition: parsed.definition.clone(),
            fingerprint: fingerprint.to_owned(),
            text: parsed.text.clone(),
            applied_at: api.context.clock.now(),
        };
        let planned = on_backfill::of_edit(&api.context, tenant, &edited, &days).await?;
        let (periods, estimate) =
            planned.map_or((0, None), |(backfill, estimate)| (on_backfill::periods(&backfill), Some(estimate)));
        Ok(Stale { days: days.len(), periods, estimate })
    }
}

/// What the events seen so far say about a definition.
pub(crate) async fn known(api: &Api, tenant: &Tenant, parsed: &Parsed) -> Result<Vec<Diagnostic>, Problem> {
    let seen = PageStore::new(&api.context).seen(tenant).await?;
    let mut catalogue = Catalogue::default();
    for ((source, name), seen) in seen {
        if parsed.definition.source.as_ref().is_none_or(|wanted| *wanted == source) {
            let properties = catalogue.events.entry(name).or_default();
            for (property, types) in seen.properties {
                properties.entry(property).or_default().extend(types);
            }
        }
    }
    Ok(check_known(parsed, &catalogue))
}

/// What another insight says about a definition that compares it: one of `beside`, or one that is applied.
pub(crate) async fn related(
    api: &Api,
    tenant: &Tenant,
    parsed: &Parsed,
    beside: &[Parsed],
) -> Result<Option<Diagnostic>, Problem> {
    let Body::Comparative(comparative) = &parsed.definition.body else { return Ok(None) };
    let of = beside.iter().map(|parsed| &parsed.definition).find(|definition| definition.name == comparative.of);
    let of = match of {
        Some(of) => Some(of.clone()),
        None => {
            let held = DefinitionStore::new(&api.context).get(tenant, &comparative.of).await?;
            held.map(|held| held.applied.definition)
        }
    };
    let wrong = match &of {
        Some(of) => comparison_metrics(of, comparative).err(),
        None => Some(format!("there is no insight `{}` to compare", comparative.of)),
    };
    let place = parsed.spans.keys.get("of").cloned().unwrap_or_default();
    let help = of.is_none().then(|| "apply it first, or beside this one".to_owned());
    Ok(wrong.map(|message| place.diagnostic(Severity::Error, code::RELATED, message, help)))
}

/// Whether there is an error among diagnostics.
pub(crate) fn errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|found| found.severity == Severity::Error)
}

/// Diagnostics with their text as a terminal shows it.
pub(crate) fn rendered(diagnostics: &[Diagnostic]) -> Vec<Value> {
    let render = |found: &Diagnostic| {
        let mut value = json!(found);
        value["rendered"] = json!(found.to_string());
        value
    };
    diagnostics.iter().map(render).collect()
}
