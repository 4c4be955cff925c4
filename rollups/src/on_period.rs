//! `on_period`: the rollup of a zone and kind of period. It fired → requests for every period that has closed since the
//! last one.
//!
//! In: a zone, a kind of period and the time it was due. Out: requests for the insights in that zone; the next firing,
//! if events came since. A firing that was missed is made good: the periods since the last rollup are asked for
//! together.

use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_aggregator::dispatch;
use tidemill_aggregator::on_clean::on_clean;
use tidemill_aggregator::periods;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_ports::{Context, Error, Outcome};
use tidemill_schemas::calendar::{Date, Period, WeekStart, Zone, next};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;

use crate::repair;
use crate::rollup_store::RollupStore;

/// Rolls up a zone.
pub async fn on_period(
    context: &Context,
    tenant: &Tenant,
    zone: &str,
    period: Period,
    week_start: WeekStart,
) -> Outcome {
    let Some(zone) = Zone::named(zone) else { return Outcome::Park(format!("no time zone {zone}")) };
    match roll_up(context, tenant, &zone, period, week_start).await {
        Ok(()) => {
            // No number depends on it: what could not be removed now is removed after the next rollup.
            if period.is_day()
                && let Err(error) = on_clean(context, tenant).await
            {
                tracing::warn!(%error, "the clean-up will be tried again after the next rollup");
            }
            Outcome::Done
        }
        Err(Error::Invalid(why)) => Outcome::Park(why),
        Err(error) => {
            tracing::warn!(zone = zone.name(), period = period.word(), %error, "the rollup will be tried again");
            Outcome::RetryFrom(Position::default())
        }
    }
}

/// A request whose time has come again.
pub async fn on_again(context: &Context, request: &ComputeSnapshotRequest) -> Outcome {
    match RequestStore::new(context).send(std::slice::from_ref(request)).await {
        Ok(()) => Outcome::Done,
        Err(Error::Invalid(why)) => Outcome::Park(why),
        Err(error) => {
            tracing::warn!(%error, "the request will be sent again");
            Outcome::RetryFrom(Position::default())
        }
    }
}

async fn roll_up(
    context: &Context,
    tenant: &Tenant,
    zone: &Zone,
    period: Period,
    week_start: WeekStart,
) -> Result<(), Error> {
    let now = context.clock.now();
    let closed = periods::last_closed(zone, period, week_start, now);
    let store = RollupStore::new(context);
    let done = store.done(tenant, zone.name(), period, week_start).await?;
    let (from, rank) = match done {
        Some((done, rank)) => (next(done), Some(rank)),
        None => (period.first(closed, week_start), None),
    };
    if from <= closed {
        let definitions = DefinitionStore::new(context).list(tenant).await?;
        let takes_part = |held: &&Held| {
            let definition = &held.applied.definition;
            definition.timezone == *zone && (period != Period::Week || definition.week_start == week_start)
        };
        let requests: Vec<_> = definitions
            .iter()
            .filter(takes_part)
            .flat_map(|held| requests(tenant, held, (from, closed), period, week_start, now))
            .collect();
        RequestStore::new(context).send(&requests).await?;
        store.advance(tenant, zone.name(), period, week_start, (closed, rank)).await?;
    }
    schedule_next(context, tenant, zone, period, week_start, closed).await
}

fn requests(
    tenant: &Tenant,
    held: &Held,
    (from, to): (Date, Date),
    period: Period,
    week_start: WeekStart,
    now: Timestamp,
) -> Vec<ComputeSnapshotRequest> {
    if period.is_day() {
        return repair::requests(tenant, held, &[(from, to)], &Reason::Rollup, now);
    }
    let from = period.first(from, week_start);
    let closed = periods::whole(period, week_start, from, to).unwrap_or_default();
    closed.into_iter().map(|days| repair::request(tenant, held, period, days, &Reason::Rollup, now)).collect()
}

/// The next firing, if there will be something to roll up; else the first event after silence schedules it.
async fn schedule_next(
    context: &Context,
    tenant: &Tenant,
    zone: &Zone,
    period: Period,
    week_start: WeekStart,
    closed: Date,
) -> Result<(), Error> {
    let entry = dispatch::rollup(tenant, zone, period, week_start, context.clock.now());
    let activity = ActivityStore::new(context);
    // Refreshes go on for up to half a day after the last event: the day they may have begun is closed as well.
    let since = zone.start_of(if period.is_day() { closed } else { next(closed) });
    if activity.get(tenant).await?.last.is_some_and(|last| last >= since) {
        return activity.put_next(tenant, entry).await;
    }
    activity.disarm_if_quiet(tenant, &entry.name).await
}
