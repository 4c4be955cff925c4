//! Snapshots over HTTP: `digest`, `series`, `breakdown`.
//!
//! In: an insight, a range, a period, a breakdown. Out: rows whose numbers come from stored days and the longer periods
//! folded from them, merged where nothing stored is long enough, with how complete they are. Nothing is recomputed here: what is missing is said to be missing.

mod answer;
mod ask;
mod days;
pub(crate) mod live;
mod representation;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_128;

use crate::Api;
use crate::access::{Caller, Right};
use crate::lineages::{self, Reading};
use crate::problem::Problem;
use ask::{Ask, ReadQuery};
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
    if query.from.is_none() && query.to.is_none() && query.last.is_none() {
        query.last = Some("1d".to_owned());
    }
    answer(&api, caller, &name, query, &headers).await
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
    let newest = days::newest(&api.context, &caller.tenant, &held).await?;
    let ask = Ask::of(query, &held.applied.definition, newest, api.context.clock.now())?;
    let mut days = Days::load(&api.context, &caller.tenant, &held, &ask).await?;
    days.completeness.reasons.extend(reason);
    if ask.refuse_partial && days.completeness.partial {
        return Err(Problem::partial(serde_json::json!(days.completeness)));
    }
    let (body, mut told) = form.body(answer::body(&held, &ask, &days), &held.applied.definition, &ask)?;
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

/// Whether a tag of `If-None-Match` is this one; a proxy that compressed an answer has made its tag a weak one.
fn is_tag(known: &str, etag: &str) -> bool {
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
}
