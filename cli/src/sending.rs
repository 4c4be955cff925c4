//! Sending events: files and pipes become requests of bounded size, several in flight; the answers are added up.
//!
//! In: [`Input`]s. Out: a [`Summary`]. Sending again is always safe: an event that is there already is a duplicate.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Method;
use futures::StreamExt;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use crate::client::{Caller, Request};
use crate::failure::Failure;
use crate::json::{Json, quoted};
use crate::render::number::{count, counted};

pub mod chunk;
pub mod source;

pub use chunk::{Chunk, Piece};
pub use source::Input;

/// Examples kept of each kind of rejection.
const EXAMPLES_MAX: usize = 3;
/// Pieces read ahead of the requests.
const READ_AHEAD_MAX: usize = 2;

/// What became of the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Stored.
    pub accepted: u64,
    /// There already.
    pub duplicates: u64,
    /// Of those rejected: rows that made no event and were never sent.
    pub unsent: u64,
    /// Rejected, by code.
    pub rejected: BTreeMap<String, Rejected>,
    /// Rejected beyond those the server listed.
    pub unlisted: u64,
}

/// Rejections of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub count: u64,
    /// The first ones, as `file:line: id: message`.
    pub examples: Vec<String>,
}

impl Summary {
    /// Events that were not taken.
    pub fn rejected_count(&self) -> u64 {
        self.unlisted + self.rejected.values().map(|rejected| rejected.count).sum::<u64>()
    }

    /// Takes another one in.
    pub fn merge(&mut self, other: Summary) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.unsent += other.unsent;
        self.unlisted += other.unlisted;
        for (code, rejected) in other.rejected {
            let held = self.rejected.entry(code).or_default();
            held.count += rejected.count;
            let room = EXAMPLES_MAX.saturating_sub(held.examples.len());
            held.examples.extend(rejected.examples.into_iter().take(room));
        }
    }

    /// Adds one rejection.
    pub fn reject(&mut self, code: &str, example: impl FnOnce() -> String) {
        let rejected = self.rejected.entry(code.to_owned()).or_default();
        rejected.count += 1;
        if rejected.examples.len() < EXAMPLES_MAX {
            rejected.examples.push(example());
        }
    }

    /// Adds a server's answer to one request.
    fn add(&mut self, chunk: &Chunk, answer: &Json) {
        self.accepted += answer.whole_at("accepted");
        self.duplicates += answer.whole_at("duplicates");
        for rejected in answer.items_at("rejected") {
            self.reject(rejected.text_at("code"), || {
                let line = chunk.line(rejected.whole_at("index"));
                let id = rejected.get("id").map(Json::shown).filter(|id| !id.is_empty());
                let id = id.map_or_else(String::new, |id| format!(" {id}:"));
                let text = format!("{}:{line}:{id} {}", chunk.file, rejected.text_at("message"));
                crate::render::table::printable(&text)
            });
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let mut line = format!("{} accepted", counted(self.accepted, "event"));
        if self.duplicates > 0 {
            line.push_str(&format!(", {} there already", count(self.duplicates)));
        }
        if self.rejected_count() > 0 {
            line.push_str(&format!(", {} rejected", count(self.rejected_count())));
        }
        line
    }

    /// The rejections for people, by code.
    pub fn rejected_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (code, rejected) in &self.rejected {
            lines.push(format!("{} rejected with {code}", counted(rejected.count, "event")));
            lines.extend(rejected.examples.iter().map(|example| format!("  {example}")));
            let more = rejected.count - rejected.examples.len() as u64;
            if more > 0 {
                lines.push(format!("  … and {} more", count(more)));
            }
        }
        if self.unlisted > 0 {
            lines.push(format!("{} more rejected; mend the first ones and import again", count(self.unlisted)));
        }
        lines
    }

    /// For `--json`.
    pub fn json(&self) -> String {
        let rejected = self.rejected.iter().map(|(code, rejected)| {
            let examples: Vec<String> = rejected.examples.iter().map(|example| quoted(example)).collect();
            let examples = examples.join(",");
            format!("{{\"code\":{},\"count\":{},\"examples\":[{examples}]}}", quoted(code), rejected.count)
        });
        let rejected = rejected.collect::<Vec<_>>().join(",");
        format!("{{\"accepted\":{},\"duplicates\":{},\"rejected\":[{rejected}]}}", self.accepted, self.duplicates)
    }
}

/// Reads the inputs and sends them. `source`: for events that name none. Stops at the first request that fails; what
/// was accepted until then stays, and the failure says how much that is.
pub async fn send(
    caller: Caller,
    inputs: Vec<Input>,
    source: Option<String>,
    in_flight: usize,
    bar: &ProgressBar,
) -> Result<Summary, Failure> {
    let (pieces, receiver) = mpsc::channel::<Result<Piece, Failure>>(READ_AHEAD_MAX);
    let reading = bar.clone();
    let reader = tokio::task::spawn_blocking(move || source::read_all(inputs, &pieces, &reading));
    let receiver = futures::stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let source = source.map(Arc::<str>::from);
    let answers = receiver.map(|piece| send_piece(caller.clone(), source.clone(), piece)).buffer_unordered(in_flight);
    let mut answers = Box::pin(answers);
    let mut summary = Summary::default();
    let mut failed = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(Answered::Sent(chunk, answer)) => summary.add(&chunk, &answer),
            Ok(Answered::Refused { example, code }) => {
                summary.unsent += 1;
                summary.reject(&code, || example);
            }
            Err(failure) => {
                failed = Some(failure);
                break;
            }
        }
    }
    drop(answers);
    if reader.await.is_err() && failed.is_none() {
        failed = Some(Failure::failed("TM0903", "reading the files broke off"));
    }
    match failed {
        None => Ok(summary),
        Some(mut failure) => {
            failure.detail.push(format!("  {} before that; sending again is safe", summary.line()));
            Err(failure)
        }
    }
}

enum Answered {
    Sent(Chunk, Json),
    Refused { example: String, code: String },
}

async fn send_piece(
    caller: Caller,
    source: Option<Arc<str>>,
    piece: Result<Piece, Failure>,
) -> Result<Answered, Failure> {
    let mut chunk = match piece? {
        Piece::Chunk(chunk) => chunk,
        Piece::Refused { file, line, code, message } => {
            return Ok(Answered::Refused { example: format!("{file}:{line}: {message}"), code });
        }
    };
    // A task of its own, so that in one process several requests are decoded at the same time.
    let sent = tokio::spawn(async move {
        let body = std::mem::take(&mut chunk.body);
        let mut request = Request::send(Method::POST, "/v1/events", "application/x-ndjson", body);
        if let Some(source) = source {
            request = request.with("source", &*source);
        }
        let answer = caller.ask(&request).await?.json()?;
        Ok(Answered::Sent(chunk, answer))
    });
    sent.await.unwrap_or_else(|_| Err(Failure::failed("TM0904", "a request broke off")))
}

#[cfg(test)]
mod tests;
