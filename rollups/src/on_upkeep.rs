//! `on_upkeep`: the hourly look at the pages of days that are over.
//!
//! In: a tenant. Out: days compacted, replaced objects removed; the schedule gone once there is nothing left to do and
//! no event comes. No number depends on it: what fails is done the next time.

use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::dispatch;
use tidemill_ingest::on_compact::on_compact;
use tidemill_ports::{Context, Error, Outcome};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::window::Position;

/// Looks after a tenant's pages.
pub async fn on_upkeep(context: &Context, tenant: &Tenant) -> Outcome {
    match look_after(context, tenant).await {
        Ok(()) => Outcome::Done,
        Err(Error::Invalid(why)) => {
            tracing::error!(why, "the upkeep of pages cannot be done");
            Outcome::Park(why)
        }
        Err(error) => {
            tracing::warn!(%error, "the upkeep of pages will be tried again");
            Outcome::RetryFrom(Position::default())
        }
    }
}

async fn look_after(context: &Context, tenant: &Tenant) -> Result<(), Error> {
    let pass = on_compact(context, tenant).await?;
    for day in &pass.compacted {
        let (before, after) = (day.bytes_before, day.bytes);
        tracing::info!(source = day.source, day = %day.day, rows = day.rows, before, after, "compacted");
    }
    if pass.left {
        return Ok(());
    }
    ActivityStore::new(context).disarm_if_quiet(tenant, &dispatch::upkeep_entry_name(tenant)).await
}
