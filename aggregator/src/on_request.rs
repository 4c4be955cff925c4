//! `on_request`: the engine. Requests → snapshots.
//!
//! In: messages, each a range of local days of one insight. Out: published snapshots and one outcome per message.
//! Requests that overlap share one pass over the pages; each still succeeds or fails alone. The definition's
//! fingerprint is checked before the work and again by the commit. This handler never publishes over a snapshot that
//! includes more.

use std::sync::Arc;

use tidemill_ports::{Context, Error, Message, Outcome};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, REQUEST_DAYS_MAX, Reason};
use tidemill_schemas::strategy::{Strategy, strategy};
use tidemill_schemas::window::Position;

use crate::definition_store::{DefinitionStore, Held};
use crate::dispatch::apart;
use crate::on_request_scan::{self, Job, Keep};
use crate::on_request_totals;
use crate::plan::Plan;
use crate::request_store::RequestStore;

/// A request with the definition it is for.
#[derive(Clone)]
pub(crate) struct Work {
    /// Its place in the delivery.
    pub index: usize,
    /// The request.
    pub request: ComputeSnapshotRequest,
    /// The definition, as loaded before the work.
    pub held: Held,
    /// The definition, compiled.
    pub plan: Arc<Plan>,
}

impl Work {
    /// The one source its insight reads; `None`: all.
    pub(crate) fn source(&self) -> Option<&str> {
        self.held.applied.definition.source.as_deref()
    }

    pub(crate) fn tenant(&self) -> Tenant {
        Tenant(self.request.tenant.clone())
    }
}

/// How a piece of work ended.
pub type Ended = Result<(), Failure>;

/// Why a piece of work did not succeed.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The definition changed: nobody wants these numbers any more.
    Stale,
    /// Trying again can help.
    Again(String),
    /// Trying again cannot help; what to tell the insight's readers.
    Never(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Invalid(why) => Failure::Never(why),
            other => Failure::Again(other.to_string()),
        }
    }
}

/// Computes what a delivery asks for; one outcome per message.
pub async fn on_request(context: &Context, messages: &[Message]) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Done; messages.len()];
    let mut works: Vec<Work> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match load(context, index, message).await {
            Ok(Some(work)) => works.push(work),
            Ok(None) => {}
            Err(outcome) => outcomes[index] = outcome,
        }
    }
    let mut scans = Vec::new();
    for work in works {
        match on_request_totals::try_totals(context, &work).await {
            Ok(true) => outcomes[work.index] = end(context, &work.request, Ok(())).await,
            Ok(false) => scans.push(work),
            Err(failure) => outcomes[work.index] = end(context, &work.request, Err(failure)).await,
        }
    }
    for group in together(scans) {
        if context.is_over() {
            group.iter().for_each(|job| outcomes[job.work.index] = Outcome::RetryFrom(Position::default()));
            continue;
        }
        let ended = on_request_scan::scan(context, &group, Keep::All).await;
        for (job, ended) in group.into_iter().zip(ended) {
            outcomes[job.work.index] = end(context, &job.work.request, ended).await;
        }
    }
    outcomes
}

/// Reads a message and checks it against the definition as it is now. `None`: it is stale.
async fn load(context: &Context, index: usize, message: &Message) -> Result<Option<Work>, Outcome> {
    let request: ComputeSnapshotRequest =
        serde_json::from_slice(&message.body).map_err(|why| Outcome::Park(format!("request unreadable: {why}")))?;
    let days = apart(request.first, request.last);
    if days < 0 || usize::try_from(days).unwrap_or(usize::MAX) >= REQUEST_DAYS_MAX {
        return Err(Outcome::Park(format!("a request spans 1 to {REQUEST_DAYS_MAX} days, this one {}", days + 1)));
    }
    let tenant = Tenant(request.tenant.clone());
    let definitions = DefinitionStore::new(context);
    let held = definitions.of(&tenant, &request.insight, &request.fingerprint).await.map_err(|why| retry(&why))?;
    match held {
        Some(held) => {
            let plan = Arc::new(Plan::new(&held.applied.definition));
            Ok(Some(Work { index, request, held, plan }))
        }
        None => {
            stale(context, &request).await.map_err(|why| retry(&why))?;
            Ok(None)
        }
    }
}

fn retry(why: &Error) -> Outcome {
    tracing::warn!(%why, "the request will be tried again");
    Outcome::RetryFrom(Position::default())
}

async fn stale(context: &Context, request: &ComputeSnapshotRequest) -> Result<(), Error> {
    let requests = RequestStore::new(context);
    let count = |tally: &mut crate::request_store::Tally| {
        tally.stale += 1;
        true
    };
    requests.count(&Tenant(request.tenant.clone()), &request.insight, count).await?;
    requests.ended(request, None).await
}

/// Keeps how a request ended, and turns it into the delivery's outcome.
pub async fn end(context: &Context, request: &ComputeSnapshotRequest, ended: Ended) -> Outcome {
    let requests = RequestStore::new(context);
    let kept = match ended {
        Ok(()) => requests.ended(request, None).await,
        Err(Failure::Stale) => stale(context, request).await,
        Err(Failure::Never(why)) => {
            tracing::error!(insight = request.insight, why, "not computed");
            requests.ended(request, Some(why)).await
        }
        Err(Failure::Again(why)) => {
            tracing::warn!(insight = request.insight, why, "the request will be tried again");
            return Outcome::RetryFrom(Position::default());
        }
    };
    kept.map_or_else(|why| retry(&why), |()| Outcome::Done)
}

/// Groups work whose days overlap, per tenant: one pass over the pages serves each group.
fn together(mut works: Vec<Work>) -> Vec<Vec<Job>> {
    works.sort_by(|a, b| {
        let key = |work: &Work| (work.request.tenant.clone(), work.request.first, work.request.last, work.index);
        key(a).cmp(&key(b))
    });
    let mut groups: Vec<(Date, Vec<Job>)> = Vec::new();
    for work in works {
        let (first, last) = (work.request.first, work.request.last);
        let job = Job::new(work);
        match groups.last_mut() {
            Some((end, jobs)) if first <= *end && jobs[0].work.request.tenant == job.work.request.tenant => {
                *end = last.max(*end);
                jobs.push(job);
            }
            _ => groups.push((last, vec![job])),
        }
    }
    groups.into_iter().map(|(_, jobs)| jobs).collect()
}

/// Whether the request allows the running totals to answer.
pub(crate) fn may_use_totals(work: &Work) -> bool {
    work.request.reason == Reason::Refresh && strategy(&work.held.applied.definition) == Strategy::Incremental
}
