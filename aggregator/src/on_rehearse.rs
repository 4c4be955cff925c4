//! `on_rehearse`: days, really computed, to see how long it takes or what comes out.
//!
//! In: definitions, applied or not, and days. Out: the time of one pass over their pages for all of them, or the days
//! as they would have been published. The same pass as a request's; it publishes nothing and leaves running totals
//! alone.

use std::sync::Arc;

use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
use tidemill_schemas::snapshot::Digest;

use crate::content::Content;
use crate::definition_store::{Applied, Held};
use crate::on_request::{Failure, Work};
use crate::on_request_commit::Computed;
use crate::on_request_scan::{self, Job, Keep};
use crate::plan::Plan;

/// Computes a local day of these definitions in one pass, and keeps nothing of it. The microseconds it took.
///
/// # Errors
/// [`Error::Invalid`] with the definition's own trouble; the port's.
pub async fn on_rehearse(context: &Context, tenant: &Tenant, definitions: &[Applied], day: Date) -> Result<u64, Error> {
    let began = context.clock.now();
    let jobs: Vec<Job> =
        definitions.iter().enumerate().map(|(at, applied)| job(context, tenant, at, applied, (day, day))).collect();
    if jobs.is_empty() {
        return Ok(0);
    }
    for ended in on_request_scan::scan(context, &jobs, Keep::Nothing).await {
        told(ended)?;
    }
    Ok(u64::try_from(context.clock.now().micros() - began.micros()).unwrap_or(0))
}

/// Local days of one definition, the last one included.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The definition, applied or not.
    pub applied: Applied,
    /// The first day.
    pub first: Date,
    /// The last one.
    pub last: Date,
}

/// A day as it would have been published.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The local day.
    pub date: Date,
    /// The headline.
    pub digest: Digest,
    /// The groups, as JSON; empty without a breakdown.
    pub detail: Content,
    /// The mergeable states.
    pub states: Content,
}

/// Computes days of these definitions in one pass and hands them back, in the order they were asked for.
///
/// # Errors
/// [`Error::Invalid`] with the first definition's own trouble; the port's.
pub async fn on_rehearse_days(
    context: &Context,
    tenant: &Tenant,
    asked: &[Asked],
) -> Result<Vec<Vec<Rehearsed>>, Error> {
    let days = |asked: &Asked| (asked.first, asked.last);
    let jobs: Vec<Job> =
        asked.iter().enumerate().map(|(at, one)| job(context, tenant, at, &one.applied, days(one))).collect();
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = Vec::with_capacity(jobs.len());
    for ended in on_request_scan::compute(context, &jobs).await {
        let days = told(ended)?.unwrap_or_default().into_iter();
        all.push(
            days.map(|Computed { date, digest, detail, states, .. }| Rehearsed { date, digest, detail, states })
                .collect(),
        );
    }
    Ok(all)
}

/// What a failure means to whoever rehearses; a definition that has changed since is no failure.
fn told<T>(ended: Result<T, Failure>) -> Result<Option<T>, Error> {
    match ended {
        Ok(given) => Ok(Some(given)),
        Err(Failure::Stale) => Ok(None),
        Err(Failure::Again(why)) => Err(Error::Unavailable(why)),
        Err(Failure::Never(why)) => Err(Error::Invalid(why)),
    }
}

fn job(context: &Context, tenant: &Tenant, index: usize, applied: &Applied, days: (Date, Date)) -> Job {
    let request = ComputeSnapshotRequest {
        tenant: tenant.0.clone(),
        insight: applied.definition.name.clone(),
        fingerprint: applied.fingerprint.clone(),
        period: Period::Day,
        first: days.0,
        last: days.1,
        // As the rollup does: whatever there is already.
        reason: Reason::Rollup,
        requested_at: context.clock.now(),
    };
    let plan = Arc::new(Plan::new(&applied.definition));
    let held = Held { applied: applied.clone(), rank: 0, answering: None };
    Job::new(Work { index, request, held, plan })
}
