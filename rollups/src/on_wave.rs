//! `on_wave`: the next step of a backfill.
//!
//! In: a backfill that something happened to: it began, a unit ended, its watch fired. Out: what has ended taken in,
//! the next units leased and sent. Leases are written before their requests are sent, so a crash in between leaves
//! units that the next step sends; a step taken twice changes nothing.

use std::collections::BTreeSet;

use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::dispatch::{Fires, Planned};
use tidemill_aggregator::request_store::RequestStore;
use tidemill_ports::{Context, Error, Outcome};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{Firing, Lease};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;

use crate::backfill::{Backfill, Unit};
use crate::backfill_store::BackfillStore;
use crate::on_switch;
use crate::wave::{Seen, State, Wave};

/// Attempts of a step that others come before.
const STEP_ATTEMPTS_MAX: u32 = 64;

/// Takes the next step of a backfill whose watch fired, and sets the watch anew.
pub async fn on_wave(context: &Context, tenant: &Tenant, id: &str) -> Outcome {
    let stepped = async {
        let wave = step(context, tenant, id, Seen::default()).await?;
        match wave.as_ref().and_then(Wave::wakes_at) {
            Some(at) => watch(context, tenant, id, at.max(context.clock.now().plus_seconds(1))).await,
            None => Ok(()),
        }
    };
    match stepped.await {
        Ok(()) => Outcome::Done,
        Err(Error::Invalid(why)) => Outcome::Park(why),
        Err(error) => {
            tracing::warn!(backfill = id, %error, "the wave will be tried again");
            Outcome::RetryFrom(Position::default())
        }
    }
}

/// Whether a lease is the one its unit has now.
///
/// # Errors
/// The port's.
pub async fn holds(context: &Context, tenant: &Tenant, lease: &Lease) -> Result<bool, Error> {
    let Some((wave, _)) = BackfillStore::new(context).wave(tenant, &lease.backfill).await? else { return Ok(false) };
    Ok(wave.leases.iter().any(|held| (held.unit, held.epoch) == (lease.unit, lease.epoch)))
}

/// Takes steps until nothing is to be sent. The wave as it is then; `None`: there is no such backfill.
///
/// # Errors
/// The port's; stepping again is safe.
pub async fn step(context: &Context, tenant: &Tenant, id: &str, mut seen: Seen) -> Result<Option<Wave>, Error> {
    let store = BackfillStore::new(context);
    let Some(backfill) = store.get(tenant, id).await? else { return Ok(None) };
    let units = backfill.units();
    for _ in 0..STEP_ATTEMPTS_MAX {
        let Some((wave, rank)) = store.wave(tenant, id).await? else { return Ok(None) };
        read_reports(context, tenant, id, &wave, &mut seen).await?;
        let next = wave.step(&units, &seen, context.clock.now());
        if next != wave {
            match store.put_wave(tenant, id, &next, Some(rank)).await {
                Ok(()) => {}
                Err(Error::Conflict(_)) => continue,
                Err(other) => return Err(other),
            }
        }
        let sent = send(context, tenant, &backfill, &units, &next).await?;
        if sent.is_empty() {
            conclude(context, tenant, &backfill, &units, &next).await?;
            return Ok(Some(next));
        }
        seen = Seen { sent, ..Seen::default() };
    }
    Err(Error::Conflict(format!("others kept stepping the backfill {id}")))
}

async fn read_reports(context: &Context, tenant: &Tenant, id: &str, wave: &Wave, seen: &mut Seen) -> Result<(), Error> {
    let requests = RequestStore::new(context);
    // Nobody reports what was never sent.
    for lease in wave.leases.iter().filter(|lease| lease.sent) {
        seen.reports.insert(lease.unit, requests.reports(tenant, id, lease.unit).await?);
    }
    Ok(())
}

/// Sends what is leased and not known to be sent; which units and epochs that was.
async fn send(
    context: &Context,
    tenant: &Tenant,
    backfill: &Backfill,
    units: &[Unit],
    wave: &Wave,
) -> Result<BTreeSet<(u32, u32)>, Error> {
    let mut sent = BTreeSet::new();
    for held in wave.leases.iter().filter(|lease| !lease.sent) {
        let Some(unit) = units.get(held.unit as usize) else { continue };
        let lease = Lease { backfill: backfill.id.clone(), unit: held.unit, epoch: held.epoch };
        RequestStore::new(context).send_unit(&backfill.requests(tenant, unit, &lease)).await?;
        sent.insert((held.unit, held.epoch));
    }
    Ok(sent)
}

/// An edited definition answers as soon as its days are there, whichever backfill brought the last of them.
async fn conclude(
    context: &Context,
    tenant: &Tenant,
    backfill: &Backfill,
    units: &[Unit],
    wave: &Wave,
) -> Result<(), Error> {
    if wave.state == State::Done || backfill.is_lineage && wave.has_all_days(units) {
        for part in &backfill.parts {
            on_switch::on_switch(context, tenant, &part.insight).await?;
        }
    }
    Ok(())
}

/// Has the backfill looked at again at `at`, whatever is heard until then.
///
/// # Errors
/// The port's.
pub async fn watch(context: &Context, tenant: &Tenant, id: &str, at: Timestamp) -> Result<(), Error> {
    let firing = Firing::Wave { tenant: tenant.0.clone(), backfill: id.to_owned() };
    let name = format!("{}.wave-{id}", tenant.0);
    ActivityStore::new(context).put(Planned { name, fires: Fires::At(at), firing }).await
}

/// Goes on with every backfill that is under way, as whoever has the project alone: units in flight are nobody's now.
///
/// # Errors
/// The port's.
pub async fn reopen(context: &Context) -> Result<(), Error> {
    for entry in context.schedule.list().await? {
        if let Ok(Firing::Wave { tenant, backfill }) = serde_json::from_slice(&entry.payload) {
            let seen = Seen { orphaned: true, ..Seen::default() };
            step(context, &Tenant(tenant), &backfill, seen).await?;
        }
    }
    Ok(())
}
