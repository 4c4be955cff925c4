//! Requests on their way to the engine, and what became of those a backfill waits for.
//!
//! In: requests; outcomes. Out: messages; the outcomes of a backfill. A failure is kept per insight too, so that a
//! reader is told why a number is missing.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, QUEUE_BATCH_MAX, Query, Write};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::{self, Decoder, Tenant};
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
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

    /// Keeps what became of a request.
    ///
    /// # Errors
    /// The port's.
    pub async fn ended(&self, request: &ComputeSnapshotRequest, failure: Option<String>) -> Result<(), Error> {
        let tenant = Tenant(request.tenant.clone());
        if let Reason::Backfill(id) = &request.reason {
            let outcome = RequestOutcome {
                insight: request.insight.clone(),
                first: request.first,
                last: request.last,
                failure: failure.clone(),
            };
            let key = keys::backfill_outcome(&tenant, id, &request.insight, request.first);
            let body = serde_json::to_vec(&outcome).map_err(|why| Error::Invalid(format!("outcome: {why}")))?;
            let effect = Effect::Put(Item { rank: 0, body: body.into() });
            self.context.items.write(vec![Write { key, condition: Condition::None, effect }]).await?;
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

    /// What became of a backfill's requests so far.
    ///
    /// # Errors
    /// The port's.
    pub async fn outcomes(&self, tenant: &Tenant, id: &str) -> Result<Vec<RequestOutcome>, Error> {
        let mut query = Query { partition: keys::backfill_outcomes_partition(tenant, id), ..Query::default() };
        let mut outcomes = Vec::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (_, item) in &slice.items {
                outcomes.push(read(item)?);
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(outcomes),
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("request item unreadable: {why}")))
}
