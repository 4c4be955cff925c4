//! The project measured on: events by seed, imported through the HTTP router, kept for the next run.
//!
//! ```text
//! target/bench/10000000-1/history/      generated Parquet, one file a day
//!                         .tidemill/    the store, made by importing it
//!                         pages/        dt=YYYY-MM-DD/*.parquet: links to the pages the manifest names
//!                         pages.plain/  the same for the peers
//!                         made          written when all of it is there
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use serde_json::Value;
use tidemill_ingest::compaction::COMPACTED;
use tidemill_ingest::manifest::IndexedPage;
use tidemill_ingest::page_store::PageStore;
use tidemill_local::{Store, blobs_folder};
use tidemill_ports::SystemClock;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::Tenant;
use tidemill_tests::history::{History, write};

use crate::engine::runtime;
use crate::plain;
use crate::question::Span;
use crate::wired::ask;

/// What requests of an import are.
const JSON: &str = "application/json";

/// Changes when generated events or their import change in a way that matters here.
const FORMAT: &str = "2";
/// The first day of what is generated; the past, so that no clock finds it in the future.
pub const FIRST: Date = Date::constant(2025, 10, 1);
/// Days generated for the questions.
pub const DAYS: u32 = 31;

/// What lies in a project's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// As they were landed.
    Landed,
    /// As compaction leaves them.
    Compacted,
}

/// A project that is ready to be measured on.
#[derive(Clone, Debug)]
pub struct Project {
    /// The store's folder.
    pub store: PathBuf,
    /// The pages the manifest names, as `dt=YYYY-MM-DD/*.parquet`.
    pub pages: PathBuf,
    /// The same for peers; see [`plain`].
    pub plain: PathBuf,
    /// Its days.
    pub span: Span,
    /// Its events.
    pub rows: u64,
    /// Events of the one day of Q9.
    pub day_rows: u64,
    /// Bytes of the pages.
    pub bytes: u64,
    /// How many pages.
    pub objects: usize,
}

impl Project {
    /// The project of so many events over so many days, made if it is not there. `history`: Parquet files to import
    /// instead of generated ones.
    ///
    /// # Errors
    /// In words: what could not be made or read.
    pub fn of(folder: &Path, (rows, days): (u64, u32), seed: u64, history: Option<&Path>) -> Result<Project, String> {
        let made = folder.join("made");
        let wanted = format!("format {FORMAT}, {rows} rows, {days} days, seed {seed}, history {history:?}\n");
        if fs::read_to_string(&made).is_ok_and(|text| text == wanted) {
            return Project::open(&folder.join(".tidemill"), &folder.join("pages"));
        }
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|why| at(folder, &why))?;
        }
        let own = folder.join("history");
        let files = match history {
            Some(history) => history,
            None => {
                eprintln!("generating {rows} events");
                eprintln!("{}", write(History::new(rows, days, FIRST, seed), &own)?);
                &own
            }
        };
        fs::create_dir_all(folder).map_err(|why| at(folder, &why))?;
        fs::write(folder.join("tidemill.toml"), "").map_err(|why| at(folder, &why))?;
        eprintln!("importing {}", files.display());
        let receipt = runtime(2)?.block_on(import(&folder.join(".tidemill"), files))?;
        eprintln!("imported: {receipt}");
        fs::write(&made, wanted).map_err(|why| at(&made, &why))?;
        Project::open(&folder.join(".tidemill"), &folder.join("pages"))
    }

    /// A project that is there. `pages`: a folder of ours, where the links to its pages go.
    ///
    /// # Errors
    /// In words: what could not be read.
    pub fn open(store: &Path, pages: &Path) -> Result<Project, String> {
        if !store.is_dir() {
            return Err(format!("{}: there is no store", store.display()));
        }
        let (objects, span) = runtime(1)?.block_on(listed(store))?;
        let plain = pages.with_extension("plain");
        lay_out(&objects, pages, &|object, to| {
            let from = blobs_folder(store).join(object);
            fs::hard_link(&from, to).or_else(|_| fs::copy(&from, to).map(|_| ())).map_err(|why| at(&from, &why))
        })?;
        lay_out(&objects, &plain, &|object, to| plain::copy(&blobs_folder(store).join(object), to))?;
        let rows = |of: &dyn Fn(&Page) -> bool| objects.iter().filter(|page| of(page)).map(|page| page.rows).sum();
        Ok(Project {
            store: store.to_owned(),
            pages: pages.to_owned(),
            plain,
            span,
            rows: rows(&|_| true),
            day_rows: rows(&|page| page.day == span.day()),
            bytes: objects.iter().map(|page| page.bytes).sum(),
            objects: objects.len(),
        })
    }

    /// Whether the pages are laid out as asked.
    ///
    /// # Errors
    /// In words: they are not.
    pub fn check(&self, layout: Layout) -> Result<(), String> {
        let (objects, _) = runtime(1)?.block_on(listed(&self.store))?;
        let name = |page: &Page| page.object.rsplit('/').next().unwrap_or_default().to_owned();
        let compacted = objects.iter().filter(|page| name(page).starts_with(COMPACTED)).count();
        match layout {
            Layout::Compacted if compacted == 0 => {
                Err("--layout compacted: this project has no compacted pages; measure it as it landed".to_owned())
            }
            Layout::Compacted if compacted < objects.len() => {
                Err(format!("--layout compacted: only {compacted} of {} pages are", objects.len()))
            }
            Layout::Landed if compacted > 0 => Err(format!(
                "--layout landed: {compacted} of {} pages are compacted; use --layout compacted or another project",
                objects.len()
            )),
            _ => Ok(()),
        }
    }
}

/// Makes a folder hold these pages and nothing else, by day. What is there already stays.
fn lay_out(objects: &[Page], folder: &Path, make: &dyn Fn(&str, &Path) -> Result<(), String>) -> Result<(), String> {
    let place = |page: &Page| {
        let name = page.object.rsplit('/').next().unwrap_or_default();
        folder.join(format!("dt={}", page.day)).join(name)
    };
    let wanted: BTreeSet<PathBuf> = objects.iter().map(place).collect();
    let mut found = Vec::new();
    if folder.exists() {
        parquet_below(folder, &mut found)?;
    }
    for stale in found.iter().filter(|path| !wanted.contains(*path)) {
        fs::remove_file(stale).map_err(|why| at(stale, &why))?;
    }
    for page in objects {
        let to = place(page);
        if fs::metadata(&to).is_ok_and(|there| there.len() == page.bytes) {
            continue;
        }
        let day = to.parent().unwrap_or(folder);
        fs::create_dir_all(day).map_err(|why| at(day, &why))?;
        // A copy that was cut off is of no use.
        let _ = fs::remove_file(&to);
        make(&page.object, &to)?;
    }
    Ok(())
}

/// The folder of build output this program lies in.
///
/// # Errors
/// In words: it does not.
pub fn target() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|why| format!("cannot find myself: {why}"))?;
    // Cargo keeps what it knows of the compiler at the top, whoever made the folder.
    let target = own.ancestors().find(|folder| folder.join(".rustc_info.json").is_file());
    target.map(Path::to_owned).ok_or_else(|| format!("{} was not built by cargo", own.display()))
}

/// A page, as the manifest names it.
struct Page {
    day: Date,
    object: String,
    rows: u64,
    bytes: u64,
}

async fn listed(store: &Path) -> Result<(Vec<Page>, Span), String> {
    let store = Store::open(store, Arc::new(SystemClock)).map_err(|why| why.to_string())?;
    let context = store.context();
    let (pages, tenant) = (PageStore::new(&context), Tenant::local());
    let sources = pages.sources(&tenant).await.map_err(|why| why.to_string())?;
    let mut span: Option<Span> = None;
    for source in &sources {
        if let Some((first, last)) = pages.span(&tenant, source).await.map_err(|why| why.to_string())? {
            let held = span.unwrap_or(Span { first, last });
            span = Some(Span { first: held.first.min(first), last: held.last.max(last) });
        }
    }
    let span = span.ok_or("the project has no events")?;
    let set = pages.pages(&tenant, &sources, span.first, span.last).await.map_err(|why| why.to_string())?;
    let readable: Vec<IndexedPage> = set.days.keys().flat_map(|day| set.readable(*day)).collect();
    if readable.iter().any(|page| page.page.corrections > 0) {
        return Err("the project has corrections, which peers know nothing of; measure on history alone".to_owned());
    }
    let listed = readable.into_iter().map(|page| page.page);
    let listed = listed.map(|page| Page { day: page.day, object: page.object, rows: page.rows, bytes: page.bytes });
    Ok((listed.collect(), span))
}

/// Imports files as a client of the router would.
async fn import(store: &Path, files: &Path) -> Result<Value, String> {
    let store = Store::open(store, Arc::new(SystemClock)).map_err(|why| why.to_string())?;
    let router = tidemill_api::router(Arc::new(store.context()), true);
    let begun = ask(&router, Method::POST, "/v1/imports", JSON, Body::from("{}")).await?;
    let id = begun["id"].as_str().ok_or("the import has no id")?.to_owned();
    let mut found = Vec::new();
    parquet_below(files, &mut found)?;
    for (nth, file) in found.iter().enumerate() {
        let bytes = fs::read(file).map_err(|why| at(file, &why))?;
        let looked =
            ask(&router, Method::PUT, &format!("/v1/imports/{id}/files/{nth}"), JSON, Body::from(bytes)).await?;
        if let Some(refused) = looked.get("refused") {
            return Err(format!("{}: {refused}", file.display()));
        }
    }
    ask(&router, Method::POST, &format!("/v1/imports/{id}/commit"), JSON, Body::empty()).await
}

fn parquet_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|why| at(folder, &why))?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            parquet_below(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    Ok(())
}

fn at(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}
