//! Backfills over HTTP: begin, list, look at, resume, cancel.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_rollups::backfill::Backfill;
use tidemill_rollups::backfill_store::BackfillStore;
use tidemill_rollups::on_backfill::{self, Ask, BackfillError};
use tidemill_rollups::wave::{BUDGET_DEFAULT, BUDGET_MAX};
use tidemill_schemas::calendar::{Date, Zone};
use tidemill_schemas::keys::Tenant;

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;

/// Backfills a list shows.
const BACKFILLS_LISTED_MAX: usize = 20;
/// Months one backfill may span.
pub const BACKFILL_MONTHS_MAX: u32 = 1_200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginBody {
    insights: Option<Vec<String>>,
    from: Option<String>,
    to: Option<String>,
    months: Option<u32>,
    budget: Option<u32>,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /v1/backfills`.
pub async fn begin(State(api): State<Api>, caller: Caller, Json(body): Json<BeginBody>) -> Result<Response, Problem> {
    let caller = caller.may(Right::Admin)?;
    let (context, tenant) = (&*api.context, &caller.tenant);
    let budget = budget(body.budget)?.unwrap_or(BUDGET_DEFAULT);
    let dry_run = body.dry_run;
    let ask = body.ask(Zone::utc().date_of(context.clock.now()))?;
    let (backfill, definitions) = on_backfill::plan(context, tenant, &ask).await.map_err(|error| match error {
        BackfillError::NoInsight(name) => Problem::no_insight(&name, None),
        BackfillError::Nothing(why) => Problem::nothing(why),
        BackfillError::TooMuch(why) => Problem::parameter(why),
        BackfillError::Port(error) => error.into(),
    })?;
    if dry_run {
        let estimate = on_backfill::estimate(context, tenant, &backfill, &definitions, budget).await?;
        let mut answer = outline(&backfill, budget);
        answer["estimate"] = json!(estimate);
        return Ok((StatusCode::OK, Json(answer)).into_response());
    }
    let backfill = on_backfill::begin(context, tenant, &backfill, budget).await?;
    let mut answer = outline(&backfill, budget);
    answer["id"] = json!(backfill.id);
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// What a backfill is for.
fn outline(backfill: &Backfill, budget: u32) -> Value {
    let units = backfill.units();
    json!({
        "id": Value::Null,
        "insights": backfill.parts.len(),
        "days": backfill.parts.iter().map(|part| part.days()).sum::<u64>(),
        "periods": on_backfill::periods(backfill),
        "units": units.len(),
        "budget": budget,
        "first": backfill.parts.iter().map(|part| part.first).min(),
        "last": backfill.parts.iter().map(|part| part.last).max(),
    })
}

/// A budget within its bounds.
fn budget(asked: Option<u32>) -> Result<Option<u32>, Problem> {
    match asked {
        Some(budget) if !(1..=BUDGET_MAX).contains(&budget) => {
            Err(Problem::parameter(format!("`budget` is {budget}; units in flight can be 1 to {BUDGET_MAX}")))
        }
        asked => Ok(asked),
    }
}

impl BeginBody {
    fn ask(self, today: Date) -> Result<Ask, Problem> {
        let from = self.from.as_deref().map(|text| date("from", text, false)).transpose()?;
        let to = self.to.as_deref().map(|text| date("to", text, true)).transpose()?;
        let from = match (from, self.months) {
            (Some(_), Some(_)) => return Err(Problem::parameter("`from` and `months` say the same; give one of them")),
            (None, Some(0)) => return Err(Problem::parameter("`months` must be at least 1")),
            (None, Some(months)) if months > BACKFILL_MONTHS_MAX => {
                return Err(Problem::parameter(format!("`months` must be at most {BACKFILL_MONTHS_MAX}")));
            }
            (None, Some(months)) => Some(months_back(to.unwrap_or(today), months)),
            (from, None) => from,
        };
        Ok(Ask { insights: self.insights, from, to })
    }
}

/// The first day of the month `months - 1` months before that of `last`.
fn months_back(last: Date, months: u32) -> Date {
    let mut first = last.first_of_month();
    for _ in 1..months {
        first = first.yesterday().map_or(first, Date::first_of_month);
    }
    first
}

/// A day, or a month: its first day, or its last one for an end.
fn date(field: &str, text: &str, is_end: bool) -> Result<Date, Problem> {
    if let Ok(date) = text.parse() {
        return Ok(date);
    }
    let month: Result<Date, _> = format!("{text}-01").parse();
    match month {
        Ok(first) => Ok(if is_end { first.last_of_month() } else { first }),
        Err(_) => Err(Problem::parameter(format!("`{field}` must be a month (2026-08) or a day (2026-08-01)"))),
    }
}

async fn find(api: &Api, tenant: &Tenant, id: &str) -> Result<Backfill, Problem> {
    let backfill = BackfillStore::new(&api.context).get(tenant, id).await?;
    backfill.ok_or_else(|| Problem::not_found(format!("no backfill has the id `{id}`; GET /v1/backfills lists them")))
}

/// `GET /v1/backfills`.
pub async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let mut all = Vec::new();
    for backfill in BackfillStore::new(&api.context).latest(&caller.tenant, BACKFILLS_LISTED_MAX).await? {
        let mut progress = on_backfill::progress(&api.context, &caller.tenant, &backfill).await?;
        // Month by month only of one that is looked at.
        progress.months.clear();
        all.push(progress);
    }
    Ok(Json(json!({ "backfills": all })))
}

/// `GET /v1/backfills/{id}`.
pub async fn get(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let backfill = find(&api, &caller.tenant, &id).await?;
    Ok(Json(json!(on_backfill::progress(&api.context, &caller.tenant, &backfill).await?)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeQuery {
    budget: Option<u32>,
}

/// `POST /v1/backfills/{id}/resume`: goes on with what has not ended, and runs what failed once more.
pub async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ResumeQuery>,
) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    let backfill = find(&api, &caller.tenant, &id).await?;
    on_backfill::resume(&api.context, &caller.tenant, &id, budget(query.budget)?).await?;
    Ok(Json(json!(on_backfill::progress(&api.context, &caller.tenant, &backfill).await?)))
}

/// `DELETE /v1/backfills/{id}`: nothing new is begun; what is in flight may end.
pub async fn cancel(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    let backfill = find(&api, &caller.tenant, &id).await?;
    on_backfill::cancel(&api.context, &caller.tenant, &id).await?;
    Ok(Json(json!(on_backfill::progress(&api.context, &caller.tenant, &backfill).await?)))
}
