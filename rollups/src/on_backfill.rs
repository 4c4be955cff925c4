//! `on_backfill`: history asked for → requests to the engine; and how far they have come.
//!
//! In: insights and a span of months. Out: a kept backfill and its requests, newest first. Asking for a backfill again
//! resumes it: what has ended is not asked for again, and the engine skips what is current.

use std::collections::BTreeSet;

use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_aggregator::request_store::RequestStore;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{Date, Zone};
use tidemill_schemas::keys::Tenant;

use crate::backfill::{self, BACKFILL_FORMAT, Backfill, Progress};
use crate::backfill_store::BackfillStore;

/// What history to compute.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Of which insights; `None`: all.
    pub insights: Option<Vec<String>>,
    /// From which local day; `None`: the first there are events of.
    pub from: Option<Date>,
    /// To which local day, included; `None`: the last there are events of.
    pub to: Option<Date>,
}

/// Why a backfill was not begun.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// There is no such insight.
    #[error("no insight is named `{0}`")]
    NoInsight(String),
    /// There is nothing to compute.
    #[error("{0}")]
    Nothing(String),
    /// A store did not take it.
    #[error(transparent)]
    Port(#[from] Error),
}

/// What a backfill would do, decided and not begun.
///
/// # Errors
/// See [`BackfillError`].
pub async fn plan(context: &Context, tenant: &Tenant, ask: &Ask) -> Result<Backfill, BackfillError> {
    let definitions = wanted(context, tenant, ask).await?;
    let now = context.clock.now();
    let mut spans = Vec::new();
    for held in &definitions {
        if let Some((first, last)) = span(context, tenant, held).await? {
            let (first, last) = (ask.from.unwrap_or(first).max(first), ask.to.unwrap_or(last).min(last));
            if first <= last {
                spans.push((held, first, last));
            }
        }
    }
    if spans.is_empty() {
        return Err(BackfillError::Nothing(
            "there are no events in that span; send or import some, or widen --from and --to".to_owned(),
        ));
    }
    // Ids ascend with time, so that the latest are found first.
    let id = format!("{:016x}", now.micros());
    Ok(Backfill { format: BACKFILL_FORMAT, id, parts: backfill::parts(&spans), requested_at: now })
}

/// Begins a backfill.
///
/// # Errors
/// The port's; beginning again is safe.
pub async fn begin(context: &Context, tenant: &Tenant, backfill: &Backfill) -> Result<(), Error> {
    BackfillStore::new(context).put(tenant, backfill).await?;
    resume(context, tenant, backfill).await
}

/// Asks for what has not ended yet.
///
/// # Errors
/// The port's.
pub async fn resume(context: &Context, tenant: &Tenant, backfill: &Backfill) -> Result<(), Error> {
    let requests = RequestStore::new(context);
    let ended = requests.outcomes(tenant, &backfill.id).await?;
    requests.send(&backfill.requests(tenant, &ended)).await
}

/// How far a backfill has come.
///
/// # Errors
/// The port's.
pub async fn progress(context: &Context, tenant: &Tenant, backfill: &Backfill) -> Result<Progress, Error> {
    Ok(backfill.progress(&RequestStore::new(context).outcomes(tenant, &backfill.id).await?))
}

async fn wanted(context: &Context, tenant: &Tenant, ask: &Ask) -> Result<Vec<Held>, BackfillError> {
    let all = DefinitionStore::new(context).list(tenant).await?;
    let Some(names) = &ask.insights else {
        return if all.is_empty() {
            Err(BackfillError::Nothing("no insight is applied yet; write one and run `tidemill apply`".to_owned()))
        } else {
            Ok(all)
        };
    };
    let known: BTreeSet<&str> = all.iter().map(|held| held.applied.definition.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name.as_str())) {
        return Err(BackfillError::NoInsight(unknown.clone()));
    }
    Ok(all.into_iter().filter(|held| names.contains(&held.applied.definition.name)).collect())
}

/// The local days of an insight from its first event to its last.
async fn span(context: &Context, tenant: &Tenant, held: &Held) -> Result<Option<(Date, Date)>, Error> {
    let pages = PageStore::new(context);
    let definition = &held.applied.definition;
    let sources = pages.sources_of(tenant, definition.source.as_deref()).await?;
    let mut all: Option<(Date, Date)> = None;
    for source in sources {
        if let Some((first, last)) = pages.span(tenant, &source).await? {
            let (first, last) = (Zone::utc().day(first).start, Zone::utc().day(last).end.plus_micros(-1));
            let (first, last) = (definition.timezone.date_of(first), definition.timezone.date_of(last));
            all = Some(all.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
        }
    }
    Ok(all)
}
