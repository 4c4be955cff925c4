//! `POST /v1/compact`: one source's UTC day is rewritten now.
//!
//! In: a source and a day that is over. Out: what it came to, or why the day was left as it is. Numbers stay the same.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_ingest::on_compact::{Verdict, compact_day};

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;
use crate::read::live::day;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactQuery {
    source: String,
    day: String,
    /// Also a day where it gains little.
    #[serde(default)]
    all: bool,
}

/// `POST /v1/compact`.
pub async fn compact(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<CompactQuery>,
) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    let date = day("day", &query.day)?;
    Ok(Json(match compact_day(&api.context, &caller.tenant, &query.source, date, query.all).await? {
        Verdict::Done(compacted) => json!({ "compacted": compacted }),
        Verdict::Left(code, reason) => json!({ "left": { "code": code, "reason": reason } }),
    }))
}
