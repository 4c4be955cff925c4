//! `on_import`: Parquet and NDJSON files → pages, without a ledger item per event.
//!
//! In: files on disk, and how their columns make events. Out: every valid row in committed pages or, where it
//! corrects something, in the event store; and a receipt. A row that is there already changes nothing, so importing
//! again after any failure is safe. Either all of an import's new rows count or none.
//!
//! 1. *Survey*: every file is read once; what is invalid is refused, the rest claims its identities. Unless a sample says
//!    that most of it is there already, the rows are written as pages on the way.
//!    Where closing a gate takes time, it is announced before that for the sources of a sample.
//! 2. The sources' gates close: from here on no send of theirs succeeds.
//! 3. *Sift*: claims against each other, the index of earlier imports, and the ledger.
//! 4. *Write*: pages whose rows are all new are taken as they are; others are cut down to the new rows, and what was not
//!    written yet is read again.
//! 5. Pages and index are committed in one group; the gates open.
//! 6. Rows that correct something go through the event store, like any correction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::Zone;
use tidemill_schemas::event::Broken;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;

use crate::event_store::{EventStore, Written};
use crate::import::inspect::Suspect;
use crate::import::{Import, ImportError, Mapping};
use crate::import_store::{Closed, GateError, ImportStore};
use crate::on_import_commit;
use crate::on_import_lines;
use crate::on_import_read::{self, Opened, Unreadable};
use crate::on_import_sample;
use crate::on_import_survey::{self, Surveyed};
use crate::on_import_write::{Making, Primaries};
use crate::page::PageError;
use crate::page_store::PageStore;
use crate::quarantine_store::{QuarantineStore, Refusal};
use crate::scratch_store::Scratch;

/// Rows of one import.
pub const IMPORT_ROWS_MAX: u64 = 1 << 30;
/// Corrections sent to the event store at once.
const CORRECTIONS_AT_ONCE: usize = 1_000;
/// Refused rows a receipt lists.
pub const RECEIPT_REJECTED_MAX: usize = 100;

/// An uploaded file.
#[derive(Clone, Debug)]
pub struct ImportFile {
    /// Its name, as its sender knows it.
    pub name: String,
    /// Where it lies. It is only read, and must stay as it is until the import ends.
    pub path: PathBuf,
    /// What it is.
    pub format: Format,
}

/// What a file of events is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table; a mapping says which column is what.
    Parquet,
    /// An event a line, in the native shape. Unpacked: see [`unpack`].
    Ndjson,
}

/// How files make events, and whose.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// Whose data it is.
    pub tenant: Tenant,
    /// Which column is what.
    pub mapping: Mapping,
    /// The source of rows that name none.
    pub source: String,
    /// The one source the sender may write; `None`: any.
    pub source_only: Option<String>,
    /// The zone of times without an offset.
    pub zone: Zone,
}

/// How far an import is; read while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

impl Progress {
    pub(crate) fn read(&self, rows: usize) {
        self.read.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, rows: usize) {
        self.written.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Rows there are, rows surveyed, and rows written or passed over.
    pub fn rows(&self) -> (u64, u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.total), of(&self.read), of(&self.written))
    }
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReceipt {
    /// Rows that are new, or carry the highest revision so far.
    pub accepted: u64,
    /// Rows that were there already, or stand behind another row of the same identity.
    pub duplicates: u64,
    /// Of those accepted: rows that correct something.
    pub corrected: u64,
    /// How many rows broke a rule; the first ones are in quarantine.
    pub rejected_count: u64,
    /// The first rows that broke a rule.
    pub rejected: Vec<RejectedRow>,
    /// Files that were refused whole.
    pub files: Vec<RefusedFile>,
    /// Pages made.
    pub pages: u64,
    /// Their bytes.
    pub page_bytes: u64,
}

/// A row that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    /// Its file.
    pub file: String,
    /// Its number in it, from 1.
    pub row: u64,
    /// Its id, when it could be read.
    pub id: Option<String>,
    /// Stable code of the rule.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A file that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedFile {
    /// Its name.
    pub file: String,
    /// The row group that cannot be read, from 0.
    pub row_group: Option<usize>,
    /// The column that cannot be read.
    pub column: Option<String>,
    /// Stable code.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why an import did not happen. Nothing of it counts.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailure {
    /// The credential may not write a source.
    #[error("{}", Broken::SourceForbidden(.0.clone()).rejection().message)]
    Forbidden(String),
    /// Rows name too many sources.
    #[error("the rows name more than {} sources; import them in parts", on_import_survey::IMPORT_SOURCES_MAX)]
    Sources,
    /// More than a commit can name.
    #[error("the import makes {0} pages of one source, more than one commit can name; import fewer days at once")]
    Pages(usize),
    /// The gate of a source.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A store.
    #[error(transparent)]
    Port(#[from] Error),
    /// The scratch disk.
    #[error("the scratch disk: {0}; see that the folder for temporary files has room, or set TMPDIR to one that has")]
    Scratch(String),
    /// A page could not be made.
    #[error("a page could not be made: {0}")]
    Page(#[from] PageError),
    /// A file is not what it was when it was opened.
    #[error("the file {} changed while it was imported; nothing of the import counts, import again", .0.escape_debug())]
    Changed(String),
    /// Our fault.
    #[error("the import broke off inside; nothing of it counts")]
    Broke,
}

impl ImportFailure {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ImportFailure::Forbidden(_) => "TM0115",
            ImportFailure::Sources => "TM0140",
            ImportFailure::Pages(_) => "TM0141",
            ImportFailure::Gate(_) => "TM0142",
            ImportFailure::Scratch(_) => "TM0143",
            ImportFailure::Changed(_) => "TM0144",
            ImportFailure::Port(_) | ImportFailure::Page(_) | ImportFailure::Broke => "TM0399",
        }
    }
}

impl From<std::io::Error> for ImportFailure {
    fn from(error: std::io::Error) -> ImportFailure {
        ImportFailure::Scratch(error.to_string())
    }
}

/// Threads of one import.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 8)
}

/// Unpacks a file of NDJSON to `to`, if it is packed; whether it was.
///
/// # Errors
/// Why it is refused.
pub fn unpack(file: &ImportFile, to: &Path) -> Result<bool, RefusedFile> {
    on_import_lines::unpack(&file.path, to).map_err(|why| refused(&file.name, Unreadable::Suspect(why)))
}

/// Looks at a file before it is imported: at a table's footer and page headers, at the ends of lines.
///
/// # Errors
/// Why it is refused.
pub fn look(request: &ImportRequest, file: &ImportFile, now: Timestamp) -> Result<u64, RefusedFile> {
    on_import_read::open(file.path.clone(), file.format, 0, import_of(request, file, now))
        .map(|opened| opened.rows)
        .map_err(|why| refused(&file.name, why))
}

fn import_of(request: &ImportRequest, file: &ImportFile, now: Timestamp) -> Import {
    Import {
        file: file.name.clone(),
        mapping: request.mapping.clone(),
        source: request.source.clone(),
        zone: request.zone.clone(),
        now,
    }
}

fn refused(file: &str, why: Unreadable) -> RefusedFile {
    let (row_group, column, code, message) = match why {
        Unreadable::Import(error) => (None, None, error.code(), error.to_string()),
        Unreadable::Suspect(suspect) => {
            let message = ImportError::Unreadable(suspect.to_string());
            (suspect.row_group, suspect.column, message.code(), message.to_string())
        }
    };
    RefusedFile { file: file.to_owned(), row_group, column, code: code.to_owned(), message }
}

/// Runs what blocks off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, ImportFailure> + Send + 'static,
) -> Result<T, ImportFailure> {
    tokio::task::spawn_blocking(run).await.map_err(|_| ImportFailure::Broke)?
}

/// Imports files.
///
/// # Errors
/// See [`ImportFailure`]; importing the same files again is safe.
pub async fn on_import(
    context: &Context,
    request: &ImportRequest,
    files: Vec<ImportFile>,
    scratch: Scratch,
    progress: Arc<Progress>,
) -> Result<ImportReceipt, ImportFailure> {
    let now = context.clock.now();
    let mut receipt = ImportReceipt::default();
    let asked = request.clone();
    let (opened, mut refused_files) = blocking(move || Ok(open_all(&asked, files, now))).await?;
    let (mut opened, known) = on_import_sample::foresee(context, &request.tenant, opened).await?;
    let may_write = |source: &&String| request.source_only.as_ref().is_none_or(|only| only == *source);
    on_import_sample::announce(context, &request.tenant, known.sources.iter().filter(may_write)).await?;
    let scratch = Arc::new(scratch);
    let (opened, mut surveyed) = loop {
        let (only, counted, known, scratch) =
            (request.source_only.clone(), progress.clone(), known.clone(), scratch.clone());
        let (again, surveyed) = blocking(move || {
            let making = Making { scratch: &scratch, primaries: &known.primaries };
            let making = known.mostly_new.then_some(&making);
            let surveyed = survey_all(&mut opened, only.as_deref(), making, &counted)?;
            Ok((opened, surveyed))
        })
        .await?;
        opened = again;
        if surveyed.unreadable.is_empty() {
            break (opened, surveyed);
        }
        // What such a file brought must not count: everything is looked at again without it.
        for (nth, suspect) in &surveyed.unreadable {
            refused_files.push(refused(&opened[*nth].name, Unreadable::Suspect(suspect.clone())));
        }
        let mut nth = 0..;
        opened.retain(|_| nth.next().is_none_or(|nth| !surveyed.unreadable.contains_key(&nth)));
    };
    receipt.files = refused_files;
    note_refused(context, &request.tenant, now, &opened, &surveyed, &mut receipt).await?;
    let primaries = learn(context, &request.tenant, &surveyed).await?;

    let mut closed = Vec::new();
    let run = Run { context, tenant: &request.tenant, progress: &progress, primaries };
    let sources = std::mem::take(&mut surveyed.sources);
    let opened = Arc::new(opened);
    let done = match close_all(&run, &sources, &mut closed).await {
        Ok(()) => on_import_commit::commit(&run, &opened, surveyed, &mut closed, &scratch, &mut receipt).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(corrections) => {
            correct(context, &request.tenant, opened, corrections, &mut receipt).await?;
            Ok(receipt)
        }
        Err(error) => {
            for gate in &closed {
                // One that stays closed is opened by whoever comes when its lease is over.
                if let Err(why) = ImportStore::new(context).give_up(&request.tenant, gate).await {
                    tracing::warn!(%why, "a failed import's gate stays closed until its lease is over");
                }
            }
            Err(error)
        }
    }
}

/// What every step of one import is given.
pub(crate) struct Run<'a> {
    pub(crate) context: &'a Context,
    pub(crate) tenant: &'a Tenant,
    pub(crate) progress: &'a Arc<Progress>,
    pub(crate) primaries: Primaries,
}

/// Closes the gates, in order of name: two imports never wait for each other.
async fn close_all(run: &Run<'_>, sources: &[String], closed: &mut Vec<Closed>) -> Result<(), ImportFailure> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|at| &sources[*at]);
    on_import_sample::announce(run.context, run.tenant, sources.iter()).await?;
    let mut gates: BTreeMap<usize, Closed> = BTreeMap::new();
    let mut ended = Ok(());
    for at in order {
        match ImportStore::new(run.context).close(run.tenant, &sources[at]).await {
            Ok(gate) => drop(gates.insert(at, gate)),
            Err(error) => {
                ended = Err(error.into());
                break;
            }
        }
    }
    closed.extend(gates.into_values());
    ended
}

/// Opens files; those that are refused are told.
fn open_all(request: &ImportRequest, files: Vec<ImportFile>, now: Timestamp) -> (Vec<Opened>, Vec<RefusedFile>) {
    let (mut opened, mut refused_files, mut rows): (Vec<Opened>, _, _) = (Vec::new(), Vec::new(), 0);
    for file in files {
        match on_import_read::open(file.path.clone(), file.format, rows, import_of(request, &file, now)) {
            Ok(one) if rows + one.rows > IMPORT_ROWS_MAX => {
                let reason = format!("with it the import has more than {IMPORT_ROWS_MAX} rows; import it apart");
                let suspect = Suspect { row_group: None, column: None, reason };
                refused_files.push(refused(&file.name, Unreadable::Suspect(suspect)));
            }
            Ok(one) => {
                rows += one.rows;
                opened.push(one);
            }
            Err(why) => refused_files.push(refused(&file.name, why)),
        }
    }
    (opened, refused_files)
}

/// Surveys files, numbered anew.
fn survey_all(
    opened: &mut [Opened],
    only: Option<&str>,
    making: Option<&Making<'_>>,
    progress: &Progress,
) -> Result<Surveyed, ImportFailure> {
    let mut rows = 0;
    for file in opened.iter_mut() {
        file.first_row = rows;
        rows += file.rows;
    }
    progress.total.store(rows, Ordering::Relaxed);
    progress.read.store(0, Ordering::Relaxed);
    progress.written.store(0, Ordering::Relaxed);
    on_import_survey::survey(opened, only, making, progress)
}

async fn note_refused(
    context: &Context,
    tenant: &Tenant,
    now: Timestamp,
    opened: &[Opened],
    surveyed: &Surveyed,
    receipt: &mut ImportReceipt,
) -> Result<(), ImportFailure> {
    receipt.rejected_count = surveyed.refused_count.values().sum();
    let refusals: Vec<Refusal> = surveyed
        .refused
        .iter()
        .map(|(_, _, refused)| Refusal {
            id: refused.id.clone(),
            rejection: refused.rejection.clone(),
            body: refused.body.clone().into(),
        })
        .collect();
    QuarantineStore::new(context).add(tenant, now, &refusals).await?;
    receipt.rejected.extend(surveyed.refused.iter().take(RECEIPT_REJECTED_MAX).map(|(file, row, refused)| {
        let message = &refused.rejection.message;
        RejectedRow {
            file: opened[*file].name.clone(),
            row: *row,
            id: refused.id.clone(),
            code: refused.rejection.code.clone(),
            message: message
                .strip_prefix(&format!("row {row}: "))
                .or(message.strip_prefix(&format!("line {row}: ")))
                .unwrap_or(message)
                .to_owned(),
        }
    }));
    Ok(())
}

/// Records what the sources' events hold, and returns the type each property's bare column has.
async fn learn(context: &Context, tenant: &Tenant, surveyed: &Surveyed) -> Result<Primaries, ImportFailure> {
    let pages = PageStore::new(context);
    let mut by_source: BTreeMap<&str, crate::page::Properties> = BTreeMap::new();
    for ((source, name), properties) in &surveyed.survey.0 {
        pages.learn_seen(tenant, source, name, properties).await?;
        let all = by_source.entry(source).or_default();
        for (property, types) in properties {
            all.entry(property.clone()).or_default().extend(types);
        }
    }
    let mut primaries = BTreeMap::new();
    for (source, properties) in by_source {
        primaries.insert(source.to_owned(), pages.learn_primaries(tenant, source, &properties).await?.0);
    }
    Ok(primaries)
}

/// Sends the rows that correct something.
async fn correct(
    context: &Context,
    tenant: &Tenant,
    opened: Arc<Vec<Opened>>,
    corrections: Vec<u64>,
    receipt: &mut ImportReceipt,
) -> Result<(), ImportFailure> {
    if corrections.is_empty() {
        return Ok(());
    }
    let (batches, mut waiting) = tokio::sync::mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        on_import_read::events(&opened, &corrections, CORRECTIONS_AT_ONCE, &mut |events| {
            batches.blocking_send(events).is_ok()
        })
    });
    while let Some(events) = waiting.recv().await {
        for written in EventStore::new(context).write(tenant, &events).await? {
            match written {
                Written::Accepted => {
                    (receipt.accepted, receipt.corrected) = (receipt.accepted + 1, receipt.corrected + 1)
                }
                Written::Duplicate => receipt.duplicates += 1,
            }
        }
    }
    reading.await.map_err(|_| ImportFailure::Broke)?.map_err(|suspect| ImportFailure::Scratch(suspect.to_string()))
}
