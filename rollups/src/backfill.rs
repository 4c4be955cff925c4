//! A backfill: what to compute of history, and how far it has come. Pure.
//!
//! In: insights, a span, the days there are. Out: requests in the order to run them, newest first; progress. The work
//! itself is the engine's, request by request.

use serde::{Deserialize, Serialize};
use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::request_store::RequestOutcome;
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
use tidemill_schemas::time::Timestamp;

use crate::repair;

/// The version of a stored backfill.
pub const BACKFILL_FORMAT: u32 = 1;

/// A backfill as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// [`BACKFILL_FORMAT`].
    pub format: u32,
    /// Its id.
    pub id: String,
    /// What is computed.
    pub parts: Vec<Part>,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// One request of a backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The insight.
    pub insight: String,
    /// Its definition's fingerprint.
    pub fingerprint: String,
    /// First local day.
    pub first: Date,
    /// Last local day, included.
    pub last: Date,
}

/// How far a backfill has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Its id.
    pub id: String,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// Insights it is for.
    pub insights: usize,
    /// Local days, counted per insight.
    pub days_total: u64,
    /// Of them, done.
    pub days_done: u64,
    /// Requests that failed, with the reason.
    pub failures: Vec<RequestOutcome>,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// The parts of a backfill: the newest span of every insight first, so that insights share passes.
pub fn parts(spans: &[(&Held, Date, Date)]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (held, first, last) in spans {
        parts.extend(repair::cut(*first, *last).into_iter().map(|(first, last)| Part {
            insight: held.applied.definition.name.clone(),
            fingerprint: held.applied.fingerprint.clone(),
            first,
            last,
        }));
    }
    parts.sort_by(|a, b| (b.last.year(), &a.insight).cmp(&(a.last.year(), &b.insight)));
    parts
}

impl Part {
    fn days(&self) -> u64 {
        u64::try_from(tidemill_aggregator::dispatch::apart(self.first, self.last) + 1).unwrap_or(0)
    }
}

impl Backfill {
    /// Its requests, in the order to run them; those that succeeded before left out.
    pub fn requests(&self, tenant: &Tenant, ended: &[RequestOutcome]) -> Vec<ComputeSnapshotRequest> {
        let left =
            self.parts.iter().filter(|part| !ended.iter().any(|outcome| part.is(outcome) && outcome.failure.is_none()));
        left.map(|part| ComputeSnapshotRequest {
            tenant: tenant.0.clone(),
            insight: part.insight.clone(),
            fingerprint: part.fingerprint.clone(),
            period: Period::Day,
            first: part.first,
            last: part.last,
            reason: Reason::Backfill(self.id.clone()),
            requested_at: self.requested_at,
        })
        .collect()
    }

    /// How far it has come, by what became of its requests.
    pub fn progress(&self, ended: &[RequestOutcome]) -> Progress {
        let done = |part: &&Part| ended.iter().any(|outcome| part.is(outcome));
        let days_done = self.parts.iter().filter(done).map(Part::days).sum();
        let all_done = self.parts.iter().all(|part| done(&part));
        let failures: Vec<RequestOutcome> = ended.iter().filter(|outcome| outcome.failure.is_some()).cloned().collect();
        let state = match (all_done, failures.is_empty()) {
            (true, true) => "done",
            (true, false) => "failed",
            (false, _) => "running",
        };
        let insights: std::collections::BTreeSet<&str> = self.parts.iter().map(|part| part.insight.as_str()).collect();
        Progress {
            id: self.id.clone(),
            state,
            insights: insights.len(),
            days_total: self.parts.iter().map(Part::days).sum(),
            days_done,
            failures,
            requested_at: self.requested_at,
        }
    }
}

impl Part {
    fn is(&self, outcome: &RequestOutcome) -> bool {
        self.insight == outcome.insight && self.first == outcome.first
    }
}
