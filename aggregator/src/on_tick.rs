//! `on_tick`: the dispatcher. A schedule fired → requests to the engine.
//!
//! In: a rate and the time it was due. Out: one request per insight of that rate, for the local day that time lies in.
//! One dispatch per insight and scheduled time. It touches no events, and never waits for the engine.

use tidemill_ports::{Condition, Context, Effect, Error, Item, Outcome, Write};
use tidemill_schemas::calendar::Period;
use tidemill_schemas::definition::Refresh;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
use tidemill_schemas::time::Timestamp;

use crate::activity_store::ActivityStore;
use crate::definition_store::{DefinitionStore, Held};
use crate::dispatch;
use crate::request_store::RequestStore;

/// Dispatches the insights of one rate (`None`: all of them).
pub async fn on_tick(context: &Context, tenant: &Tenant, refresh: Option<Refresh>, scheduled: Timestamp) -> Outcome {
    match dispatch_all(context, tenant, refresh, scheduled).await {
        Ok(()) => Outcome::Done,
        Err(Error::Invalid(why)) => Outcome::Park(why),
        Err(error) => {
            tracing::warn!(%error, "the tick will be tried again");
            Outcome::RetryFrom(tidemill_schemas::window::Position::default())
        }
    }
}

async fn dispatch_all(
    context: &Context,
    tenant: &Tenant,
    refresh: Option<Refresh>,
    scheduled: Timestamp,
) -> Result<(), Error> {
    let definitions = DefinitionStore::new(context).list(tenant).await?;
    let mut requests = Vec::new();
    for held in &definitions {
        let due = refresh.is_none_or(|refresh| held.applied.definition.refresh == refresh);
        if due && first_dispatch(context, tenant, held, scheduled).await? {
            requests.push(request(tenant, held, scheduled, context.clock.now()));
        }
    }
    RequestStore::new(context).send(&requests).await?;
    if let Some(refresh) = refresh {
        let name = dispatch::refresh_entry_name(tenant, refresh);
        ActivityStore::new(context).disarm_if_quiet(tenant, &name).await?;
    }
    Ok(())
}

fn request(tenant: &Tenant, held: &Held, scheduled: Timestamp, now: Timestamp) -> ComputeSnapshotRequest {
    let day = held.applied.definition.timezone.date_of(scheduled);
    ComputeSnapshotRequest {
        tenant: tenant.0.clone(),
        insight: held.applied.definition.name.clone(),
        fingerprint: held.applied.fingerprint.clone(),
        period: Period::Day,
        first: day,
        last: day,
        reason: Reason::Refresh,
        requested_at: now,
    }
}

/// Whether this scheduled time was not dispatched before. A tick that dies behind this line is made good by the next.
async fn first_dispatch(context: &Context, tenant: &Tenant, held: &Held, at: Timestamp) -> Result<bool, Error> {
    let rank = at.micros().unsigned_abs();
    let lineage = format!("refresh {}", held.applied.fingerprint);
    let write = Write {
        key: keys::dispatch(tenant, &held.applied.definition.name, &lineage),
        condition: Condition::AbsentOrRankBelow(rank),
        effect: Effect::Put(Item { rank, body: bytes::Bytes::new() }),
    };
    match context.items.write(vec![write]).await {
        Ok(()) => Ok(true),
        Err(Error::Conflict(_)) => Ok(false),
        Err(other) => Err(other),
    }
}
