//! `on_firing`: what the schedule delivers, to whom it belongs.
//!
//! In: an entry's payload and when it was meant to fire. Out: done, again, or that it can never be done. May be called
//! again for one firing, and late.

use tidemill_aggregator::on_tick::on_tick;
use tidemill_ports::{Context, Outcome};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::Firing;
use tidemill_schemas::time::Timestamp;

use crate::on_period::{on_again, on_period};
use crate::on_repair::on_repair;
use crate::on_upkeep::on_upkeep;
use crate::on_wave::on_wave;

/// Works a firing of the entry called `name`.
pub async fn on_firing(context: &Context, name: &str, payload: &[u8], scheduled: Timestamp) -> Outcome {
    match serde_json::from_slice(payload) {
        Ok(Firing::Refresh { tenant, refresh }) => on_tick(context, &Tenant(tenant), refresh, scheduled).await,
        Ok(Firing::Repair { tenant }) => on_repair(context, &Tenant(tenant)).await,
        Ok(Firing::Rollup { tenant, zone, period, week_start }) => {
            on_period(context, &Tenant(tenant), &zone, period, week_start).await
        }
        Ok(Firing::Again { request }) => on_again(context, &request).await,
        Ok(Firing::Upkeep { tenant }) => on_upkeep(context, &Tenant(tenant)).await,
        Ok(Firing::Wave { tenant, backfill }) => on_wave(context, &Tenant(tenant), &backfill).await,
        Err(why) => Outcome::Park(format!("the firing `{name}` is unreadable: {why}")),
    }
}
