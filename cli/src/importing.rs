//! Importing Parquet and NDJSON: files go up as they are, and are committed together.
//!
//! In: files and objects, and how their columns make events. Out: a [`Summary`] like that of sending. Importing again is
//! always safe: what is there already is a duplicate. Nothing counts before the commit.

use std::path::PathBuf;

use axum::http::Method;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use tidemill_schemas::calendar::Zone;

use crate::bucket::Object;
use crate::client::{Caller, Request, Response};
use crate::failure::Failure;
use crate::json::{Json, quoted};
use crate::sending::Summary;
use crate::terminal::Terminal;

/// Bytes read from a file at once.
const READ_BYTES: usize = 1024 * 1024;
/// How often the progress of a commit is asked for.
const LOOK_MILLIS: u64 = 250;
/// A wait of at least so many seconds is said.
const WAIT_SAID_SECONDS: u64 = 5;

/// How files make events, in the words of the command line.
pub struct Asked {
    /// `--map`.
    pub map: Option<String>,
    /// The source of rows that name none; `None` leaves it to the server.
    pub source: Option<String>,
    /// The zone of times without an offset.
    pub zone: Zone,
}

/// What became of the files.
#[derive(Default)]
pub struct Imported {
    /// Their rows.
    pub summary: Summary,
    /// Rows that corrected something.
    pub corrected: u64,
    /// Files that were refused, with the reason.
    pub refused: Vec<String>,
    /// How many pages there are now that were not before.
    pub pages: u64,
}

impl Imported {
    /// For `--json`.
    pub fn json(&self) -> String {
        let refused: Vec<String> = self.refused.iter().map(|line| quoted(line)).collect();
        let rest =
            format!(",\"corrected\":{},\"pages\":{},\"refused\":[{}]}}", self.corrected, self.pages, refused.join(","));
        let mut json = self.summary.json();
        json.pop();
        json + &rest
    }
}

/// A file to import.
#[derive(Clone, Debug)]
pub struct Source {
    at: At,
    /// `parquet` or `ndjson`.
    format: &'static str,
}

/// Where it lies.
#[derive(Clone, Debug)]
enum At {
    File(PathBuf),
    Object(Object),
}

impl Source {
    /// A file of this machine.
    pub fn file(path: PathBuf, format: &'static str) -> Source {
        Source { at: At::File(path), format }
    }

    /// Parquet in a bucket.
    pub fn object(object: Object) -> Source {
        Source { at: At::Object(object), format: "parquet" }
    }

    fn name(&self) -> String {
        match &self.at {
            At::File(path) => path.display().to_string(),
            At::Object(object) => object.name().to_owned(),
        }
    }

    fn bytes(&self) -> u64 {
        match &self.at {
            At::File(path) => std::fs::metadata(path).map_or(0, |about| about.len()),
            At::Object(object) => object.bytes(),
        }
    }

    /// Hands it over: a file of this machine is named where that is enough, everything else is sent.
    async fn hand_over(&self, caller: &Caller, request: &Request, bar: &ProgressBar) -> Result<(), Failure> {
        let sent = match &self.at {
            At::File(path) => {
                let opened = tokio::fs::File::open(path).await.map_err(|error| Failure::file(path, &error))?;
                if caller.is_here() {
                    let whole = std::path::absolute(path).map_err(|error| Failure::file(path, &error))?;
                    let named = caller.name_file(request, whole).await;
                    bar.inc(self.bytes());
                    return named.map(drop);
                }
                pieces(opened).boxed()
            }
            At::Object(object) => object.pieces(),
        };
        let bar = bar.clone();
        let sent = sent.inspect_ok(move |piece: &Bytes| bar.inc(piece.len() as u64));
        caller.upload(request, sent).await.map(drop)
    }
}

/// Uploads files and commits them.
pub async fn import(
    caller: &Caller,
    terminal: &Terminal,
    files: &[Source],
    asked: &Asked,
) -> Result<Imported, Failure> {
    let body = body(asked);
    let begun = caller.ask(&Request::send(Method::POST, "/v1/imports", "application/json", body)).await?.json()?;
    let path = format!("/v1/imports/{}", begun.text_at("id"));
    let done = run(caller, terminal, files, &path).await;
    if done.is_err() {
        // The server drops it by itself when it hears nothing; the reason is what matters here.
        let _ = caller.request(&Request { method: Method::DELETE, ..Request::get(&path) }).await;
    }
    done
}

fn body(asked: &Asked) -> String {
    let mut fields = vec![format!("\"timezone\":{}", quoted(asked.zone.name()))];
    let given = [("map", &asked.map), ("source", &asked.source)];
    fields.extend(given.iter().filter_map(|(key, value)| {
        let value = value.as_ref()?;
        Some(format!("\"{key}\":{}", quoted(value)))
    }));
    format!("{{{}}}", fields.join(","))
}

async fn run(caller: &Caller, terminal: &Terminal, files: &[Source], path: &str) -> Result<Imported, Failure> {
    let bar = terminal.bar(files.iter().map(Source::bytes).sum(), "uploading", true);
    for (nth, file) in files.iter().enumerate() {
        let request = Request { method: Method::PUT, ..Request::get(format!("{path}/files/{nth}")) };
        let request = request.with("name", file.name()).with("format", file.format);
        file.hand_over(caller, &request, &bar).await.inspect_err(|_| bar.finish_and_clear())?;
    }
    bar.finish_and_clear();
    let receipt = commit(caller, terminal, path).await?;
    Ok(imported(&receipt))
}

/// A file's bytes, as they are read.
fn pieces(file: tokio::fs::File) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    use tokio::io::AsyncReadExt;
    futures::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = Vec::with_capacity(READ_BYTES);
        match (&mut file).take(READ_BYTES as u64).read_to_end(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(piece)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// Commits, and shows how far it is meanwhile.
async fn commit(caller: &Caller, terminal: &Terminal, path: &str) -> Result<Json, Failure> {
    let commit = Request::send(Method::POST, format!("{path}/commit"), "application/json", "");
    let bar = terminal.bar(0, "importing", false);
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(LOOK_MILLIS));
    // Said once: what comes behind it is the same with fewer seconds.
    let said = std::sync::atomic::AtomicBool::new(false);
    let on_wait = |response: &Response, wait: std::time::Duration| {
        if wait.as_secs() >= WAIT_SAID_SECONDS && !said.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let why = response.json().map_or_else(|_| String::new(), |json| json.text_at("message").to_owned());
            let why = why.split(';').take(2).collect::<Vec<_>>().join(";");
            terminal.say(&format!("waiting: {}", crate::render::table::printable(&why)));
        }
    };
    let mut committing = std::pin::pin!(caller.ask_telling(&commit, &on_wait));
    let done = loop {
        tokio::select! {
            done = &mut committing => break done,
            _ = ticks.tick() => {
                if let Ok(answer) = caller.ask(&Request::get(path)).await
                    && let Ok(at) = answer.json()
                {
                    // Every row is looked at twice.
                    bar.set_length(at.whole_at("rows"));
                    bar.set_position((at.whole_at("surveyed") + at.whole_at("written")) / 2);
                    bar.set_message("rows");
                }
            }
        }
    };
    bar.finish_and_clear();
    done?.json()
}

fn imported(receipt: &Json) -> Imported {
    let mut summary = Summary {
        accepted: receipt.whole_at("accepted"),
        duplicates: receipt.whole_at("duplicates"),
        ..Summary::default()
    };
    let (mut listed, all) = (0, receipt.whole_at("rejected_count"));
    for rejected in receipt.items_at("rejected") {
        listed += 1;
        summary.reject(rejected.text_at("code"), || {
            let id = rejected.get("id").map(Json::shown).filter(|id| !id.is_empty());
            let id = id.map_or_else(String::new, |id| format!(" {id}:"));
            let (file, row) = (rejected.text_at("file"), rejected.whole_at("row"));
            crate::render::table::printable(&format!("{file}:{row}:{id} {}", rejected.text_at("message")))
        });
    }
    summary.unlisted = all.saturating_sub(listed);
    let refused = receipt.items_at("files").iter().map(|file| {
        let text = format!("{}: {} [{}]", file.text_at("file"), file.text_at("message"), file.text_at("code"));
        crate::render::table::printable(&text)
    });
    Imported {
        refused: refused.collect(),
        corrected: receipt.whole_at("corrected"),
        pages: receipt.whole_at("pages"),
        summary,
    }
}
