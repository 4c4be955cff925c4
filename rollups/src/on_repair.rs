//! `on_repair`: days that changed after they had closed → requests to compute them again; closed periods whose days
//! changed → requests to fold them again.
//!
//! In: the marks that sealing and publishing leave. Out: requests; the marks cleared. Same requests, same engine as
//! everything else. A mark set anew while this runs stays for the next time.

use std::collections::BTreeSet;

use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_aggregator::dirty_period_store::DirtyPeriodStore;
use tidemill_aggregator::dispatch;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_aggregator::snapshot_store::{Series, SnapshotStore};
use tidemill_ingest::manifest::DirtyDay;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error, Outcome};
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::Reason;
use tidemill_schemas::window::Position;

use crate::{on_switch, repair};

/// Marks looked at in one go.
pub const REPAIR_MARKS_MAX: usize = 10_000;

/// Asks for the days that changed after they had closed.
pub async fn on_repair(context: &Context, tenant: &Tenant) -> Outcome {
    match repair_all(context, tenant).await {
        Ok(()) => Outcome::Done,
        Err(Error::Invalid(why)) => Outcome::Park(why),
        Err(error) => {
            tracing::warn!(%error, "the repair will be tried again");
            Outcome::RetryFrom(Position::default())
        }
    }
}

async fn repair_all(context: &Context, tenant: &Tenant) -> Result<(), Error> {
    let pages = PageStore::new(context);
    let definitions = DefinitionStore::new(context).list(tenant).await?;
    loop {
        let marks = pages.dirty(tenant, REPAIR_MARKS_MAX).await?;
        if marks.is_empty() {
            break;
        }
        let dirty: Vec<&DirtyDay> = marks.iter().map(|mark| &mark.dirty).collect();
        let now = context.clock.now();
        let mut requests = Vec::new();
        for held in &definitions {
            let computed = computed_days(context, tenant, held, &dirty).await?;
            let days = repair::changed_days(held, &dirty, now, &|day| computed.contains(&day));
            let spans = repair::repair_spans(&days);
            requests.extend(repair::requests(tenant, held, &spans, &Reason::Repair, now));
        }
        // The same days of every insight next to each other: they share a pass.
        requests.sort_by_key(|request| (request.first, request.last));
        RequestStore::new(context).send(&requests).await?;
        pages.clear_dirty(marks).await?;
    }
    repair_periods(context, tenant, &definitions).await?;
    // A switch that was not made when a backfill ended is made here.
    on_switch::on_switch_all(context, tenant).await?;
    ActivityStore::new(context).disarm_if_quiet(tenant, &dispatch::repair_entry_name(tenant)).await
}

/// Asks for the closed periods whose days changed.
async fn repair_periods(context: &Context, tenant: &Tenant, definitions: &[Held]) -> Result<(), Error> {
    let store = DirtyPeriodStore::new(context);
    loop {
        let marks = store.list(tenant, REPAIR_MARKS_MAX).await?;
        if marks.is_empty() {
            return Ok(());
        }
        let now = context.clock.now();
        let mut requests: Vec<_> =
            marks.iter().filter_map(|mark| repair::period_request(tenant, definitions, &mark.dirty, now)).collect();
        // The shortest first: should a day be missing, whoever asks for it asks for the fewest.
        requests.sort_by_key(|request| (request.period, request.first));
        RequestStore::new(context).send(&requests).await?;
        store.clear(marks).await?;
    }
}

/// The days among those touched that somebody computed although the insight was not there when they changed.
async fn computed_days(
    context: &Context,
    tenant: &Tenant,
    held: &Held,
    dirty: &[&DirtyDay],
) -> Result<BTreeSet<Date>, Error> {
    let unseen: Vec<Date> = dirty
        .iter()
        .filter(|dirty| dirty.sealed_at < held.applied.applied_at)
        .flat_map(|dirty| repair::local_days(&held.applied.definition.timezone, dirty.day))
        .collect();
    let (Some(first), Some(last)) = (unseen.iter().min(), unseen.iter().max()) else { return Ok(BTreeSet::new()) };
    let insight = &held.applied.definition.name;
    let series = Series { tenant, insight, fingerprint: &held.applied.fingerprint, period: Period::Day };
    Ok(SnapshotStore::new(context).range(&series, *first, *last).await?.into_keys().collect())
}
