//! Imports of Parquet and NDJSON files: `POST /v1/imports`, `PUT /v1/imports/{id}/files/{n}`,
//! `POST /v1/imports/{id}/commit`.
//!
//! A session holds uploaded files on scratch disk until they are committed together. A file that is broken is told at
//! once, and the others go on. A session that nobody touches for an hour is dropped; so is everything with the server,
//! and nothing of it ever counted.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::definition_store::DefinitionStore;
use tidemill_ingest::import::Mapping;
use tidemill_ingest::import_store::GateError;
use tidemill_ingest::on_import::{
    self, Format, ImportFailure, ImportFile, ImportReceipt, ImportRequest, Progress, RefusedFile, on_import,
};
use tidemill_ingest::scratch_store::{self, Scratch};
use tidemill_schemas::calendar::Zone;
use tidemill_schemas::event::{Broken, SOURCE_DEFAULT};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tokio::io::AsyncWriteExt;

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;

/// Sessions open at once.
pub const IMPORT_SESSIONS_MAX: usize = 8;
/// Files of one session.
pub const IMPORT_FILES_MAX: usize = 100_000;
/// Bytes of one uploaded file.
pub const IMPORT_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Seconds until a request comes again that a closed gate stands in the way of.
const BUSY_SECONDS: u32 = 2;
/// How long a session lives untouched, in microseconds.
const IDLE_MICROS_MAX: i64 = 60 * 60 * MICROS_PER_SECOND;
/// Bytes of a file's name.
const NAME_BYTES_MAX: usize = 1_024;

/// The open sessions.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<String, Arc<Session>>>,
    /// One import at a time works: each takes all cores.
    turn: tokio::sync::Mutex<()>,
}

struct Session {
    tenant: Tenant,
    request: ImportRequest,
    uploads: Scratch,
    progress: Arc<Progress>,
    held: Mutex<Held>,
}

struct Held {
    files: BTreeMap<u32, ImportFile>,
    refused: BTreeMap<u32, RefusedFile>,
    touched: Timestamp,
}

impl Session {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, caller: &Caller, id: &str) -> Result<Arc<Session>, Problem> {
        let found = self.open().get(id).filter(|session| session.tenant == caller.tenant).cloned();
        found.ok_or_else(|| {
            Problem::not_found("there is no such import; it was committed, or dropped after an hour idle")
        })
    }

    fn drop_idle(&self, now: Timestamp) {
        let idle = |session: &Session| session.held().touched < now.plus_micros(-IDLE_MICROS_MAX);
        // A commit under way holds its session: it is not idle.
        self.open().retain(|_, session| Arc::strong_count(session) > 1 || !idle(session));
    }
}

/// How files make events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// `id=order_id,name='order_completed'`.
    #[serde(default)]
    map: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    timezone: Option<String>,
}

/// `POST /v1/imports`.
pub async fn begin(
    State(api): State<Api>,
    caller: Caller,
    body: Result<Json<Wanted>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Write)?;
    let Json(wanted) = body.map_err(|why| Problem::unreadable(why.body_text()))?;
    let mapping = wanted.map.as_deref().map(Mapping::parse).transpose();
    let mapping = mapping.map_err(|why| Problem::parameter(why.to_string()))?.unwrap_or_default();
    let zone = match wanted.timezone {
        None => Zone::utc(),
        Some(name) => Zone::named(&name).ok_or_else(|| {
            Problem::parameter(format!("`timezone`: there is no zone `{name}`; use an IANA name like Europe/Paris"))
        })?,
    };
    let source = wanted.source.or_else(|| caller.source.clone()).unwrap_or_else(|| SOURCE_DEFAULT.to_owned());
    if caller.source.as_ref().is_some_and(|only| *only != source) {
        return Err(Problem::import_refused(&ImportFailure::Forbidden(source)));
    }
    let now = api.context.clock.now();
    api.imports.drop_idle(now);
    if api.imports.open().len() >= IMPORT_SESSIONS_MAX {
        return Err(Problem::busy());
    }
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|why| Problem::internal(&why))?;
    let id = URL_SAFE_NO_PAD.encode(random);
    let tenant = caller.tenant.clone();
    let request = ImportRequest { tenant: caller.tenant, mapping, source, source_only: caller.source, zone };
    let held = Held { files: BTreeMap::new(), refused: BTreeMap::new(), touched: now };
    let uploads = Scratch::new().map_err(|why| Problem::import_refused(&ImportFailure::from(why)))?;
    let session = Session { tenant, request, uploads, progress: Arc::default(), held: Mutex::new(held) };
    api.imports.open().insert(id.clone(), Arc::new(session));
    Ok(Json(json!({ "id": id })))
}

/// A file on its way.
#[derive(Deserialize)]
pub struct Upload {
    name: Option<String>,
    /// `parquet`, or `ndjson` — plain, gzip or zstd.
    format: Option<String>,
}

/// A file of this machine, named instead of sent. Only a caller in this process can put it beside a request: nothing
/// that comes over a network becomes one.
#[derive(Clone, Debug)]
pub struct FileHere(pub PathBuf);

/// `PUT /v1/imports/{id}/files/{n}`: a file, of any length. Sending the same number again replaces it.
pub async fn upload(
    State(api): State<Api>,
    caller: Caller,
    Path((id, nth)): Path<(String, u32)>,
    Query(query): Query<Upload>,
    here: Option<Extension<FileHere>>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Write)?;
    let session = api.imports.find(&caller, &id)?;
    if session.held().files.len() >= IMPORT_FILES_MAX {
        return Err(Problem::parameter(format!(
            "more than {IMPORT_FILES_MAX} files in one import; commit it in parts"
        )));
    }
    let mut name = query.name.unwrap_or_else(|| format!("file {nth}"));
    while name.len() > NAME_BYTES_MAX {
        name.pop();
    }
    let format = match query.format.as_deref() {
        None | Some("parquet") => Format::Parquet,
        Some("ndjson") => Format::Ndjson,
        Some(other) => {
            return Err(Problem::parameter(format!("`format`: there is no `{other}`; use parquet or ndjson")));
        }
    };
    let (here, uploaded) = (here.map(|Extension(here)| here.0), session.uploads.path(&format!("file-{nth}")));
    if here.is_none() {
        receive(&uploaded, body).await?;
    }
    let mut file = ImportFile { name, path: here.unwrap_or_else(|| uploaded.clone()), format };
    let (request, now) = (session.request.clone(), api.context.clock.now());
    let unpacked = session.uploads.path(&format!("plain-{nth}"));
    let looked = tokio::task::spawn_blocking(move || {
        let look = |file: &mut ImportFile| {
            if format == Format::Ndjson && on_import::unpack(file, &unpacked)? {
                scratch_store::remove(&uploaded);
                file.path.clone_from(&unpacked);
            }
            on_import::look(&request, file, now)
        };
        let looked = look(&mut file);
        if looked.is_err() {
            [&uploaded, &unpacked].into_iter().for_each(|path| scratch_store::remove(path));
        }
        looked.map(|rows| (file, rows))
    });
    let looked = looked.await.map_err(|why| Problem::internal(&why))?;
    let mut held = session.held();
    held.touched = now;
    held.refused.remove(&nth);
    held.files.remove(&nth);
    Ok(Json(match looked {
        Ok((file, rows)) => {
            held.files.insert(nth, file);
            json!({ "rows": rows })
        }
        Err(refused) => {
            let answer = json!({ "refused": refused });
            held.refused.insert(nth, refused);
            answer
        }
    }))
}

/// Streams a body to a file.
async fn receive(path: &std::path::Path, body: Body) -> Result<(), Problem> {
    let scratch = |why: std::io::Error| Problem::import_refused(&ImportFailure::from(why));
    let mut file = tokio::fs::File::create(path).await.map_err(scratch)?;
    let mut bytes = 0;
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part =
            part.map_err(|why| Problem::unreadable(format!("the body broke off: {why}; send the file again")))?;
        bytes += part.len() as u64;
        if bytes > IMPORT_FILE_BYTES_MAX {
            return Err(Problem::too_large(format!(
                "the file has more than {IMPORT_FILE_BYTES_MAX} bytes (IMPORT_FILE_BYTES_MAX); split it"
            )));
        }
        file.write_all(&part).await.map_err(scratch)?;
    }
    file.flush().await.map_err(scratch)
}

/// `GET /v1/imports/{id}`: how far it is.
pub async fn progress(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Write)?;
    let session = api.imports.find(&caller, &id)?;
    let (total, read, written) = session.progress.rows();
    let files = session.held().files.len();
    Ok(Json(json!({ "files": files, "rows": total, "surveyed": read, "written": written })))
}

/// `DELETE /v1/imports/{id}`: drops it.
pub async fn abandon(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Write)?;
    api.imports.find(&caller, &id)?;
    api.imports.open().remove(&id);
    Ok(Json(json!({ "dropped": true })))
}

/// `POST /v1/imports/{id}/commit`: all of its rows, or none. A commit that failed can be sent again.
pub async fn commit(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ImportReceipt>, Problem> {
    let caller = caller.may(Right::Write)?;
    let session = api.imports.find(&caller, &id)?;
    let _turn = api.imports.turn.lock().await;
    let files: Vec<ImportFile> = session.held().files.values().cloned().collect();
    let scratch = Scratch::new().map_err(|why| Problem::import_refused(&ImportFailure::from(why)))?;
    let done = on_import(&api.context, &session.request, files, scratch, session.progress.clone()).await;
    let mut receipt = done.map_err(Problem::of_import)?;
    let refused: Vec<RefusedFile> = session.held().refused.values().cloned().collect();
    receipt.files.splice(0..0, refused);
    if receipt.accepted > 0 {
        // Imported days are looked at like any that changed: by schedules that activity arms.
        let definitions = DefinitionStore::new(&api.context).list(&session.tenant).await?;
        ActivityStore::new(&api.context).touch(&session.tenant, &definitions).await?;
    }
    api.imports.open().remove(&id);
    Ok(Json(receipt))
}

impl Problem {
    /// An import that did not happen.
    fn of_import(failure: ImportFailure) -> Problem {
        match failure {
            ImportFailure::Port(error) => error.into(),
            ImportFailure::Gate(error) => Problem::of_gate(error),
            failure => Problem::import_refused(&failure),
        }
    }

    /// A gate that is closed.
    pub fn of_gate(error: GateError) -> Problem {
        match error {
            GateError::Port(error) => error.into(),
            GateError::Announced { seconds, .. } => {
                Problem::importing(format!("{error}; commit again after the time in Retry-After"), seconds)
            }
            closed => Problem::importing(format!("{closed}; send again after the time in Retry-After"), BUSY_SECONDS),
        }
    }

    fn import_refused(failure: &ImportFailure) -> Problem {
        match failure {
            ImportFailure::Forbidden(source) => {
                Problem::source_forbidden(Broken::SourceForbidden(source.clone()).rejection().message)
            }
            ImportFailure::Sources
            | ImportFailure::Pages(_)
            | ImportFailure::Scratch(_)
            | ImportFailure::Changed(_) => Problem::import(failure.code(), failure.to_string()),
            other => Problem::internal(other),
        }
    }
}
