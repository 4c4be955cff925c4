//! Who may do what: write, read and admin keys.
//!
//! A key is 128 random bits, shown once and stored as a hash; its record says what it may do, whose data it is for, and
//! optionally the one source it may write. A server on loopback needs none. The tenant comes from here and nowhere
//! else.

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::keys::{self, Key, Tenant};
use tidemill_schemas::time::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use crate::Api;
use crate::problem::Problem;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Send events.
    Write,
    /// Read definitions, numbers and status.
    Read,
    /// Everything.
    Admin,
}

impl Right {
    fn word(self) -> &'static str {
        match self {
            Right::Write => "write",
            Right::Read => "read",
            Right::Admin => "admin",
        }
    }

    fn includes(self, needed: Right) -> bool {
        self == Right::Admin || self == needed
    }
}

/// A key's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Names it in lists; says nothing of the secret.
    pub id: String,
    /// A note for people.
    pub name: String,
    /// What it may do.
    pub right: Right,
    /// Whose data.
    pub tenant: String,
    /// The one source it may write; `None`: any.
    pub source: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose data.
    pub tenant: Tenant,
    /// What it may do.
    right: Right,
    /// The one source it may write.
    pub source: Option<String>,
}

impl Caller {
    /// The caller, if it may.
    ///
    /// # Errors
    /// TM0304.
    pub fn may(self, needed: Right) -> Result<Caller, Problem> {
        if self.right.includes(needed) { Ok(self) } else { Err(Problem::forbidden(needed.word())) }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Caller, Problem> {
        match secret(&parts.headers) {
            Some(secret) => {
                let credential = find(&api.context, &secret).await?.ok_or_else(Problem::unauthorized)?;
                Ok(Caller { tenant: Tenant(credential.tenant), right: credential.right, source: credential.source })
            }
            None if api.open => Ok(Caller { tenant: Tenant::local(), right: Right::Admin, source: None }),
            None => Err(Problem::unauthorized()),
        }
    }
}

/// The secret of a request: a bearer token, or the user name of Basic authentication as analytics SDKs send it.
fn secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().to_owned()),
        "basic" => {
            let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
            Some(decoded.split_once(':').map_or(decoded.clone(), |(user, _)| user.to_owned()))
        }
        _ => None,
    }
}

fn item_key(secret: &str) -> Key {
    // The secret has 128 random bits: no hash needs to be slow to keep it from being guessed.
    keys::credential(&xxh3_128(format!("tidemill key {secret}").as_bytes()).to_be_bytes())
}

async fn find(context: &Context, secret: &str) -> Result<Option<Credential>, Error> {
    context.items.get(&item_key(secret)).await?.map(|item| read(&item)).transpose()
}

fn read(item: &Item) -> Result<Credential, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("key record unreadable: {why}")))
}

/// Makes a key and returns its secret, which is kept nowhere.
///
/// # Errors
/// The port's; [`Error::Unavailable`] when the machine has no randomness.
pub async fn add(
    context: &Context,
    tenant: &Tenant,
    name: &str,
    right: Right,
    source: Option<String>,
) -> Result<(String, Credential), Error> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|why| Error::Unavailable(format!("no randomness: {why}")))?;
    let secret = format!("tm_{}_{}", right.word(), URL_SAFE_NO_PAD.encode(random));
    let key = item_key(&secret);
    let id = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&key.sort));
    let created_at = context.clock.now();
    let credential = Credential { id, name: name.to_owned(), right, tenant: tenant.0.clone(), source, created_at };
    let body = serde_json::to_vec(&credential).map_err(|why| Error::Invalid(format!("key record: {why}")))?;
    let effect = Effect::Put(Item { rank: 0, body: body.into() });
    context.items.write(vec![Write { key, condition: Condition::Absent, effect }]).await?;
    Ok((secret, credential))
}

/// Every key of a tenant.
///
/// # Errors
/// The port's.
pub async fn list(context: &Context, tenant: &Tenant) -> Result<Vec<(Key, Credential)>, Error> {
    let mut query = Query { partition: keys::credentials_partition(), ..Query::default() };
    let mut all = Vec::new();
    loop {
        let slice = context.items.query(&query).await?;
        for (sort, item) in &slice.items {
            let credential = read(item)?;
            if credential.tenant == tenant.0 {
                all.push((Key { partition: query.partition.clone(), sort: sort.clone() }, credential));
            }
        }
        match slice.next {
            Some(next) => query.after = Some(next),
            None => return Ok(all),
        }
    }
}

/// Whether any key was ever made and not revoked.
///
/// # Errors
/// The port's.
pub async fn has_keys(context: &Context) -> Result<bool, Error> {
    let query = Query { partition: keys::credentials_partition(), limit: 1, ..Query::default() };
    Ok(!context.items.query(&query).await?.items.is_empty())
}

/// Revokes a key by its id; whether there was one.
///
/// # Errors
/// The port's.
pub async fn revoke(context: &Context, tenant: &Tenant, id: &str) -> Result<bool, Error> {
    let Some((key, _)) = list(context, tenant).await?.into_iter().find(|(_, credential)| credential.id == id) else {
        return Ok(false);
    };
    context.items.write(vec![Write { key, condition: Condition::None, effect: Effect::Delete }]).await?;
    Ok(true)
}
