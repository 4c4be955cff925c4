//! `on_period`: the daily rollup of a zone. It fired → requests for every local day that has closed since the last one.
//!
//! In: a zone and the time it was due. Out: requests for the insights in that zone; the next firing, if events came
//! since. A firing that was missed is made good: the days since the last rollup are asked for together.

use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::definition_store::DefinitionStore;
use tidemill_aggregator::dispatch::{self, apart};
use tidemill_aggregator::on_clean::on_clean;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_ports::{Condition, Context, Effect, Error, Item, Outcome, Write};
use tidemill_schemas::calendar::{Date, Zone};
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::request::Reason;
use tidemill_schemas::window::Position;

use crate::repair;

/// Rolls up a zone.
pub async fn on_period(context: &Context, tenant: &Tenant, zone: &str) -> Outcome {
    let Some(zone) = Zone::named(zone) else { return Outcome::Park(format!("no time zone {zone}")) };
    match roll_up(context, tenant, &zone).await {
        Ok(()) => {
            // No number depends on it: what could not be removed now is removed after the next rollup.
            if let Err(error) = on_clean(context, tenant).await {
                tracing::warn!(%error, "the clean-up will be tried again after the next rollup");
            }
            Outcome::Done
        }
        Err(Error::Invalid(why)) => Outcome::Park(why),
        Err(error) => {
            tracing::warn!(zone = zone.name(), %error, "the daily rollup will be tried again");
            Outcome::RetryFrom(Position::default())
        }
    }
}

async fn roll_up(context: &Context, tenant: &Tenant, zone: &Zone) -> Result<(), Error> {
    let now = context.clock.now();
    let closed = dispatch::last_closed(zone, now);
    let definitions = DefinitionStore::new(context).list(tenant).await?;
    let key = keys::rolled_up(tenant, zone.name());
    let item = context.items.get(&key).await?;
    let done: Option<Date> = item.as_ref().map(read).transpose()?;
    let from = done.map_or(closed, tidemill_schemas::calendar::next);
    if apart(from, closed) >= 0 {
        let mut requests = Vec::new();
        for held in definitions.iter().filter(|held| held.applied.definition.timezone == *zone) {
            requests.extend(repair::requests(tenant, held, &[(from, closed)], &Reason::Rollup, now));
        }
        RequestStore::new(context).send(&requests).await?;
        let body = serde_json::to_vec(&closed).map_err(|why| Error::Invalid(format!("rollup: {why}")))?;
        let condition = item.as_ref().map_or(Condition::Absent, |item| Condition::RankIs(item.rank));
        let item = Item { rank: item.map_or(1, |item| item.rank + 1), body: body.into() };
        match context.items.write(vec![Write { key, condition, effect: Effect::Put(item) }]).await {
            // Another one did the same at the same time.
            Ok(()) | Err(Error::Conflict(_)) => {}
            Err(other) => return Err(other),
        }
    }
    schedule_next(context, tenant, zone, closed).await
}

/// The next firing, if there will be something to roll up; else the first event after silence schedules it.
async fn schedule_next(context: &Context, tenant: &Tenant, zone: &Zone, closed: Date) -> Result<(), Error> {
    let now = context.clock.now();
    let entry = dispatch::rollup(tenant, zone, now);
    let activity = ActivityStore::new(context);
    let since = zone.start_of(tidemill_schemas::calendar::next(closed));
    if activity.get(tenant).await?.last.is_some_and(|last| last >= since) {
        return activity.put(entry).await;
    }
    activity.disarm_if_quiet(tenant, &entry.name).await
}

fn read(item: &Item) -> Result<Date, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("rollup progress unreadable: {why}")))
}
