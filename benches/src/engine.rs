//! Our own cell: the engine's real pass over the pages of a project, with nothing published.
//!
//! Each run reads definitions, plans, reads the manifest and the pages, folds, and finishes the numbers: what a request
//! does but for the commit. Nothing is kept from one run to the next but the opened stores.

use std::path::Path;
use std::sync::Arc;

use tidemill_aggregator::on_rehearse::on_rehearse_days;
use tidemill_local::Store;
use tidemill_ports::{Context, SystemClock};
use tidemill_schemas::keys::Tenant;

use crate::answer::Table;
use crate::cell::{Cell, peak_kilobytes, timed};
use crate::question::{Question, Span};

/// Runs a question once and then `warm` times more.
///
/// # Errors
/// In words: the store cannot be opened, or the pass failed.
pub fn cell(store: &Path, question: Question, span: Span, threads: usize, warm: u32) -> Result<Cell, String> {
    let runtime = runtime(threads)?;
    let (first, cold) = timed(|| {
        let store = Store::open(store, Arc::new(SystemClock)).map_err(|why| why.to_string())?;
        let tables = runtime.block_on(run(&store.context(), question, span))?;
        Ok::<_, String>((store, tables))
    });
    let (store, tables) = first?;
    let mut runs = Vec::new();
    for _ in 0..warm {
        let (again, usage) = timed(|| runtime.block_on(run(&store.context(), question, span)));
        if again? != tables {
            return Err(format!("{} answered something else the second time", question.name));
        }
        runs.push(usage);
    }
    Ok(Cell { cold, warm: runs, peak_kilobytes: peak_kilobytes(), tables })
}

/// A runtime with so many threads to compute on.
///
/// # Errors
/// In words: the system has no more threads.
pub fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, String> {
    let mut builder = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    builder.enable_all().build().map_err(|why| format!("no runtime: {why}"))
}

async fn run(context: &Context, question: Question, span: Span) -> Result<Vec<Table>, String> {
    let asked = question.asked(span, context.clock.now())?;
    let all = on_rehearse_days(context, &Tenant::local(), &asked).await.map_err(|why| why.to_string())?;
    question.answer(span, &asked, &all)
}
