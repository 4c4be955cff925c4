//! `on_rehearse`: one day, really computed, to see how long it takes.
//!
//! In: definitions, applied or not, and a day. Out: the time of one pass over that day's pages for all of them. The
//! same pass as a request's; it publishes nothing and leaves running totals alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};

use crate::definition_store::{Applied, Held};
use crate::on_request::{Failure, Work};
use crate::on_request_scan::{self, Job, Keep};
use crate::plan::Plan;

/// Computes a local day of these definitions in one pass, and keeps nothing of it. The microseconds it took.
///
/// # Errors
/// [`Error::Invalid`] with the definition's own trouble; the port's.
pub async fn on_rehearse(context: &Context, tenant: &Tenant, definitions: &[Applied], day: Date) -> Result<u64, Error> {
    let began = context.clock.now();
    let jobs: Vec<Job> =
        definitions.iter().enumerate().map(|(at, applied)| job(context, tenant, at, applied, day)).collect();
    if jobs.is_empty() {
        return Ok(0);
    }
    for ended in on_request_scan::scan(context, &jobs, Keep::Nothing).await {
        match ended {
            Ok(()) | Err(Failure::Stale) => {}
            Err(Failure::Again(why)) => return Err(Error::Unavailable(why)),
            Err(Failure::Never(why)) => return Err(Error::Invalid(why)),
        }
    }
    Ok(u64::try_from(context.clock.now().micros() - began.micros()).unwrap_or(0))
}

fn job(context: &Context, tenant: &Tenant, index: usize, applied: &Applied, day: Date) -> Job {
    let request = ComputeSnapshotRequest {
        tenant: tenant.0.clone(),
        insight: applied.definition.name.clone(),
        fingerprint: applied.fingerprint.clone(),
        period: Period::Day,
        first: day,
        last: day,
        // As the rollup does: whatever there is already.
        reason: Reason::Rollup,
        requested_at: context.clock.now(),
    };
    let plan = Arc::new(Plan::new(&applied.definition));
    let held = Held { applied: applied.clone(), rank: 0, answering: None };
    Job { work: Work { index, request, held, plan }, days: BTreeSet::new() }
}
