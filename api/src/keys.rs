//! Keys over HTTP: `GET/POST /v1/keys`, `DELETE /v1/keys/{id}`. A secret is answered once, when it is made.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Api;
use crate::access::{self, Caller, Right};
use crate::problem::Problem;

/// `GET /v1/keys`.
pub async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    let keys: Vec<_> = access::list(&api.context, &caller.tenant).await?.into_iter().map(|(_, key)| key).collect();
    Ok(Json(json!({ "keys": keys })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBody {
    name: String,
    right: Right,
    source: Option<String>,
}

/// `POST /v1/keys`.
pub async fn add(State(api): State<Api>, caller: Caller, Json(body): Json<AddBody>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    let (secret, key) = access::add(&api.context, &caller.tenant, &body.name, body.right, body.source).await?;
    Ok(Json(json!({ "secret": secret, "key": key })))
}

/// `DELETE /v1/keys/{id}`.
pub async fn revoke(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Admin)?;
    if access::revoke(&api.context, &caller.tenant, &id).await? {
        Ok(Json(json!({ "revoked": id })))
    } else {
        Err(Problem::not_found(format!("no key has the id `{id}`; GET /v1/keys lists them")))
    }
}
