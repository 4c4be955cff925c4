//! `on_switch`: an edited definition begins to answer once it has caught up.
//!
//! In: an insight. Out: if its new lineage has every day the old one has, and includes as much, one conditional write
//! that lets it answer. Whoever reads has read one or the other. Asked after every step of its backfill, at every look
//! at changed days and after every rollup or repair of a day, so that it cannot be lost.

use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_aggregator::snapshot_store::{Series, Snapshot, SnapshotStore};
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::definition::Definition;
use tidemill_schemas::keys::Tenant;

use crate::lineage;

/// Lets an insight's new lineage answer if it has caught up; whether it has.
///
/// # Errors
/// The port's; asking again is safe.
pub async fn on_switch(context: &Context, tenant: &Tenant, insight: &str) -> Result<bool, Error> {
    let definitions = DefinitionStore::new(context);
    let Some(held) = definitions.get(tenant, insight).await? else { return Ok(false) };
    if held.answering.is_none() || behind(context, tenant, &held).await? > 0 {
        return Ok(false);
    }
    match definitions.put(tenant, &held.applied, None, Some(&held)).await {
        Ok(()) => {
            tracing::info!(insight, "the edited definition has caught up and answers now");
            Ok(true)
        }
        // Edited again meanwhile, or another one did the same.
        Err(Error::Conflict(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Asks it of every insight that is catching up.
///
/// # Errors
/// The port's.
pub async fn on_switch_all(context: &Context, tenant: &Tenant) -> Result<(), Error> {
    for held in DefinitionStore::new(context).insights(tenant).await? {
        if held.answering.is_some() {
            on_switch(context, tenant, &held.applied.definition.name).await?;
        }
    }
    Ok(())
}

/// Days the new lineage is behind the answering one.
async fn behind(context: &Context, tenant: &Tenant, held: &Held) -> Result<usize, Error> {
    // The old one first: what is published meanwhile makes the new one only look better.
    let answering = all_days(context, tenant, &held.reading()).await?;
    let pages = PageStore::new(context);
    let sealed = pages.heads().await?;
    let (Some(first), Some(last)) = (answering.keys().next(), answering.keys().next_back()) else { return Ok(0) };
    let Definition { timezone, source, .. } = &held.applied.definition;
    let window = timezone.days(*first, *last);
    let (from, to) = (calendar::utc_date(window.start), calendar::utc_date(window.end.plus_micros(-1)));
    let changes = pages.changes(tenant, source.as_deref(), from, to).await?;
    let edited = all_days(context, tenant, held).await?;
    Ok(lineage::behind(timezone, &answering, &edited, &changes, &sealed))
}

/// Every computed day of a lineage.
pub(crate) async fn all_days(
    context: &Context,
    tenant: &Tenant,
    held: &Held,
) -> Result<std::collections::BTreeMap<Date, Snapshot>, Error> {
    let (insight, fingerprint) = (&held.applied.definition.name, &held.applied.fingerprint);
    let series = Series { tenant, insight, fingerprint, period: Period::Day };
    SnapshotStore::new(context).range(&series, Date::constant(1, 1, 1), Date::constant(9999, 12, 30)).await
}
