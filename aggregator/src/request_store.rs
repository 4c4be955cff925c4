//! Requests on their way to the engine, and what became of those a backfill waits for.
//!
//! In: requests; outcomes. Out: messages; the outcomes of a backfill. A failure is kept per insight too, so that a
//! reader is told why a number is missing.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, QUEUE_BATCH_MAX, Query, Write};
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::{self, Decoder, Tenant};
use tidemill_schemas::request::{ComputeSnapshotRequest, Lease, Reason};
use tidemill_schemas::time::Timestamp;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestOutcome {
    /// The insight.
    pub insight: String,
    /// First local day.
    pub first: Date,
    /// Last local day, included.
    pub last: Date,
    /// The kind of period.
    #[serde(default, skip_serializing_if = "Period::is_day")]
    pub period: Period,
    /// Why it failed; `None`: it succeeded, or the definition changed in the meantime.
    #[serde(rename = "message")]
    pub failure: Option<String>,
}

/// What was counted about an insight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Closed days whose running totals differed from their pages, and were replaced.
    pub drift: u64,
    /// Requests dropped because the definition had changed.
    pub stale: u64,
    /// Requests that failed.
    pub failed: u64,
    /// The last failure and when it happened; gone after the next success.
    pub last_failure: Option<(Timestamp, String)>,
}

/// The requests of a context.
#[derive(Clone, Copy)]
pub struct RequestStore<'a> {
    context: &'a Context,
}

impl<'a> RequestStore<'a> {
    /// The store over `context`.
    pub fn new(context: &'a Context) -> RequestStore<'a> {
        RequestStore { context }
    }

    /// Sends requests to the engine, in order.
    ///
    /// # Errors
    /// The port's; some may have been sent. Sending again is safe: the engine skips what is current.
    pub async fn send(&self, requests: &[ComputeSnapshotRequest]) -> Result<(), Error> {
        self.send_later(requests, 0).await
    }

    /// Sends requests to the engine that it sees after `delay_seconds`.
    ///
    /// # Errors
    /// As [`RequestStore::send`].
    pub async fn send_later(&self, requests: &[ComputeSnapshotRequest], delay_seconds: u32) -> Result<(), Error> {
        for batch in requests.chunks(QUEUE_BATCH_MAX) {
            let bodies = batch.iter().map(|request| {
                serde_json::to_vec(request).map(Bytes::from).map_err(|why| Error::Invalid(format!("request: {why}")))
            });
            self.context.requests.send(bodies.collect::<Result<_, _>>()?, delay_seconds).await?;
        }
        Ok(())
    }

    /// Sends the parts of a unit as one message, so that they are delivered together.
    ///
    /// # Errors
    /// The port's; it may have been sent. Sending again is safe.
    pub async fn send_unit(&self, requests: &[ComputeSnapshotRequest]) -> Result<(), Error> {
        let body = serde_json::to_vec(requests).map_err(|why| Error::Invalid(format!("unit: {why}")))?;
        self.context.requests.send(vec![body.into()], 0).await
    }

    /// Keeps what became of a request.
    ///
    /// # Errors
    /// The port's.
    pub async fn ended(&self, request: &ComputeSnapshotRequest, failure: Option<String>) -> Result<(), Error> {
        let tenant = Tenant(request.tenant.clone());
        if let Reason::Unit(lease) = &request.reason {
            self.report(&tenant, lease, request, failure.clone()).await?;
        }
        let now = self.context.clock.now();
        self.count(&tenant, &request.insight, |tally| {
            let before = tally.clone();
            tally.failed += u64::from(failure.is_some());
            tally.last_failure = failure.clone().map(|why| (now, why));
            *tally != before
        })
        .await
    }

    /// Keeps what became of a part of a leased unit. What was reported under a later lease stays.
    async fn report(
        &self,
        tenant: &Tenant,
        lease: &Lease,
        request: &ComputeSnapshotRequest,
        failure: Option<String>,
    ) -> Result<(), Error> {
        let ComputeSnapshotRequest { insight, first, last, period, .. } = request.clone();
        let key = keys::unit_report(tenant, &lease.backfill, lease.unit, &insight);
        let outcome = RequestOutcome { insight, first, last, period, failure };
        let body = serde_json::to_vec(&outcome).map_err(|why| Error::Invalid(format!("outcome: {why}")))?;
        let effect = Effect::Put(Item { rank: lease.epoch.into(), body: body.into() });
        let condition = Condition::AbsentOrRankBelow(u64::from(lease.epoch) + 1);
        match self.context.items.write(vec![Write { key, condition, effect }]).await {
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// Changes an insight's tally; writes only if `change` says it changed.
    ///
    /// # Errors
    /// The port's.
    pub async fn count(
        &self,
        tenant: &Tenant,
        insight: &str,
        change: impl Fn(&mut Tally) -> bool,
    ) -> Result<(), Error> {
        let key = keys::tally(tenant, insight);
        loop {
            let item = self.context.items.get(&key).await?;
            let mut tally: Tally = item.as_ref().map_or_else(|| Ok(Tally::default()), read)?;
            if !change(&mut tally) {
                return Ok(());
            }
            let body = serde_json::to_vec(&tally).map_err(|why| Error::Invalid(format!("tally: {why}")))?;
            let condition = item.as_ref().map_or(Condition::Absent, |item| Condition::RankIs(item.rank));
            let item = Item { rank: item.map_or(1, |item| item.rank + 1), body: body.into() };
            match self.context.items.write(vec![Write { key: key.clone(), condition, effect: Effect::Put(item) }]).await
            {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
    }

    /// Every insight's tally, by name.
    ///
    /// # Errors
    /// The port's.
    pub async fn tallies(&self, tenant: &Tenant) -> Result<BTreeMap<String, Tally>, Error> {
        let mut query = Query { partition: keys::tallies_partition(tenant), ..Query::default() };
        let mut tallies = BTreeMap::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in &slice.items {
                let name = Decoder::new(sort).text();
                tallies.insert(name.ok_or_else(|| Error::Invalid("tally key unreadable".to_owned()))?, read(item)?);
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(tallies),
            }
        }
    }

    /// What was reported of a backfill's unit so far, each with the epoch it was reported under.
    ///
    /// # Errors
    /// The port's.
    pub async fn reports(&self, tenant: &Tenant, id: &str, unit: u32) -> Result<Vec<(u32, RequestOutcome)>, Error> {
        let bound = |unit| keys::unit_report(tenant, id, unit, "").sort;
        let mut query = Query {
            partition: keys::unit_reports_partition(tenant, id),
            from: Some(bound(unit)),
            to: Some(bound(unit + 1)),
            ..Query::default()
        };
        let mut reports = Vec::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (_, item) in &slice.items {
                reports.push((u32::try_from(item.rank).unwrap_or(u32::MAX), read(item)?));
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(reports),
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("request item unreadable: {why}")))
}
