//! Snapshots over HTTP: `digest`, `series`, `breakdown`.
//!
//! In: an insight, a range, a period, a breakdown. Out: rows whose numbers come from stored days and the longer periods
//! folded from them, merged where nothing stored is long enough, with how complete they are. Nothing is recomputed here: what is missing is said to be missing.

mod actors;
mod answer;
mod ask;
mod comparison;
mod correlation;
mod days;
mod headline;
pub(crate) mod live;
mod representation;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tidemill_aggregator::actors::Answer;
use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::range::PeriodRows;
use tidemill_schemas::definition::Body;
use tidemill_schemas::snapshot::Completeness;
use xxhash_rust::xxh3::xxh3_128;

use crate::Api;
use crate::access::{Caller, Right};
use crate::lineages::{self, Reading};
use crate::problem::Problem;
use ask::{Ask, ReadQuery};
pub(crate) use comparison::metrics as comparison_metrics;
use days::Days;
pub(crate) use representation::{REPRESENTATIONS, Representation};

/// `GET /v1/insights/{name}/series`.
pub async fn series(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&api, caller, &name, query, &headers).await
}

/// `GET /v1/insights/{name}/digest`: one row, no groups; of the newest computed day unless a range is given.
pub async fn digest(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(mut query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.every.is_some() || query.by.is_some() {
        return Err(Problem::parameter("a digest is one row; ask `series` for `every`, `breakdown` for `by`"));
    }
    query.is_digest = true;
    answer(&api, caller, &name, query, &headers).await
}

/// The rows of an insight of one kind only: `steps`, `matches`, `paths`, `cohorts`, `correlations`, `comparison`.
pub async fn kind(
    State(api): State<Api>,
    caller: Caller,
    Path((name, kind)): Path<(String, String)>,
    Query(mut query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !KINDS.contains(&kind.as_str()) {
        return Err(Problem::not_found("there is nothing at this path; /openapi.json lists what there is"));
    }
    query.kind = Some(kind);
    answer(&api, caller, &name, query, &headers).await
}

/// The rows that only insights of one kind have.
const KINDS: [&str; 6] = ["steps", "matches", "paths", "cohorts", "correlations", "comparison"];

/// The kind of rows an insight has beside `series`.
pub(crate) fn kind_of(body: &Body) -> Option<&'static str> {
    match body {
        Body::Standard(_) => None,
        Body::Funnel(_) => Some("steps"),
        Body::Pattern(_) => Some("matches"),
        Body::Paths(_) => Some("paths"),
        Body::Cohort(_) => Some("cohorts"),
        Body::Correlation(_) | Body::Drivers(_) => Some("correlations"),
        Body::Comparative(_) => Some("comparison"),
    }
}

/// `GET /v1/insights/{name}/breakdown`: the groups of the whole range.
pub async fn breakdown(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(mut query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.by.is_none() {
        query.by = Some("*".to_owned());
    }
    answer(&api, caller, &name, query, &headers).await
}

async fn answer(
    api: &Api,
    caller: Caller,
    name: &str,
    query: ReadQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let caller = caller.may(Right::Read)?;
    let form = Representation::accepted(headers)?;
    // One look at the insight decides which definition answers: no answer mixes two.
    let Reading { held, reason } = lineages::reading(api, &caller.tenant, name, query.fingerprint.as_deref()).await?;
    let definition = &held.applied.definition;
    if let Some(wanted) = query.kind.as_deref()
        && kind_of(&definition.body) != Some(wanted)
    {
        let has = kind_of(&definition.body).unwrap_or("series");
        let message = format!("`{name}` is of type {}; ask for its `{has}`", definition.type_word());
        return Err(Problem::parameter(message));
    }
    let is_digest = query.is_digest;
    let newest = match &definition.body {
        Body::Comparative(comparative) => {
            let of = lineages::reading(api, &caller.tenant, &comparative.of, None).await?;
            days::newest(&api.context, &caller.tenant, &of.held).await?
        }
        _ => days::newest(&api.context, &caller.tenant, &held).await?,
    };
    let ask = Ask::of(query, definition, newest, api.context.clock.now())?;
    let (answered, mut completeness) = found(api, &caller, &held, &ask).await?;
    completeness.reasons.extend(reason);
    if ask.refuse_partial && completeness.partial {
        return Err(Problem::partial(serde_json::json!(completeness)));
    }
    let (json, columns) = match answered {
        Answered::Days(rows) => (answer::body(&held, &ask, &Days { rows, completeness }), None),
        Answered::Rows(rows) => {
            let rows = if is_digest { headline::of(definition, ask.first, &rows) } else { rows };
            (answer::of_answer(&held, &ask, &rows, &completeness), Some(rows.columns))
        }
    };
    let (body, mut told) = form.body(json, definition, &ask, columns)?;
    let etag = format!("\"{:032x}\"", xxh3_128(&body));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|known| is_tag(known.trim(), &etag)));
    told.insert(header::ETAG, HeaderValue::from_str(&etag).map_err(|why| Problem::internal(&why))?);
    if unchanged {
        told.remove(header::CONTENT_TYPE);
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    Ok((told, body).into_response())
}

/// What a read found.
enum Answered {
    Days(Vec<PeriodRows>),
    Rows(Answer),
}

/// What answers a question, by the kind of insight, and how complete it is.
async fn found(api: &Api, caller: &Caller, held: &Held, ask: &Ask) -> Result<(Answered, Completeness), Problem> {
    let (context, tenant) = (&api.context, &caller.tenant);
    let (rows, completeness) = match &held.applied.definition.body {
        Body::Standard(_) => {
            let Days { rows, completeness } = Days::load(context, tenant, held, ask).await?;
            return Ok((Answered::Days(rows), completeness));
        }
        Body::Correlation(body) => correlation::answer(context, tenant, held, ask, body).await?,
        Body::Comparative(body) => comparison::answer(api, tenant, held, ask, body).await?,
        _ => actors::answer(context, tenant, held, ask).await?,
    };
    Ok((Answered::Rows(rows), completeness))
}

/// Whether a tag of `If-None-Match` is this one; a proxy that compressed an answer has made its tag a weak one.
fn is_tag(known: &str, etag: &str) -> bool {
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
}
