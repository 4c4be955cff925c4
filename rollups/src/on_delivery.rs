//! `on_delivery`: what the request queue delivers, to whom it belongs.
//!
//! In: messages, each one request or the requests of a unit. Out: one outcome per message. A unit whose lease was
//! superseded is dropped; the end of one is the next step of its backfill, and the message stays until that was taken.

use tidemill_aggregator::request_store::RequestStore;
use tidemill_ports::{Context, DELIVERIES_MAX, Error, Message, Outcome};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Lease, Reason};
use tidemill_schemas::window::Position;

use crate::on_merge::on_merge;
use crate::on_switch::on_switch;
use crate::on_wave;
use crate::wave::Seen;

/// Works a delivery: single requests together, then unit by unit. `budget`: how often a period asks for its missing
/// days.
pub async fn on_delivery(context: &Context, budget: u32, messages: &[Message]) -> Vec<Outcome> {
    let (units, single): (Vec<usize>, Vec<usize>) = (0..messages.len()).partition(|at| is_unit(&messages[*at]));
    let mut outcomes = vec![Outcome::Done; messages.len()];
    let requests: Vec<Message> = single.iter().map(|at| messages[*at].clone()).collect();
    if !requests.is_empty() {
        for (at, outcome) in single.into_iter().zip(on_merge(context, budget, &requests).await) {
            outcomes[at] = match outcome {
                Outcome::Done => on_single(context, &messages[at]).await,
                other => other,
            };
        }
    }
    for at in units {
        if context.is_over() {
            outcomes[at] = Outcome::RetryFrom(Position::default());
            continue;
        }
        outcomes[at] = on_unit(context, budget, &messages[at]).await.unwrap_or_else(|error| again(&error));
    }
    outcomes
}

/// What follows a request. One that was put off while its unit went on reports later, by itself: its backfill takes a
/// step then too. A rollup or a repair may have been the last that an edited definition had to catch up with, and
/// nothing else need come for a long time.
async fn on_single(context: &Context, message: &Message) -> Outcome {
    let Ok(request) = serde_json::from_slice::<ComputeSnapshotRequest>(&message.body) else { return Outcome::Done };
    let tenant = Tenant(request.tenant);
    let followed = match request.reason {
        Reason::Unit(lease) => on_wave::step(context, &tenant, &lease.backfill, Seen::default()).await.map(drop),
        Reason::Rollup | Reason::Repair => on_switch(context, &tenant, &request.insight).await.map(drop),
        _ => Ok(()),
    };
    followed.map_or_else(|error| again(&error), |()| Outcome::Done)
}

fn again(error: &Error) -> Outcome {
    tracing::warn!(%error, "the delivery will be tried again");
    Outcome::RetryFrom(Position::default())
}

/// A unit is a list, a request an object.
fn is_unit(message: &Message) -> bool {
    message.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

async fn on_unit(context: &Context, budget: u32, message: &Message) -> Result<Outcome, Error> {
    let requests: Vec<ComputeSnapshotRequest> = match serde_json::from_slice(&message.body) {
        Ok(requests) => requests,
        Err(why) => return Ok(Outcome::Park(format!("unit unreadable: {why}"))),
    };
    let Some(ComputeSnapshotRequest { tenant, reason: Reason::Unit(lease), .. }) = requests.first() else {
        return Ok(Outcome::Park("a unit has requests, and each a lease".to_owned()));
    };
    let (tenant, lease) = (Tenant(tenant.clone()), lease.clone());
    if !on_wave::holds(context, &tenant, &lease).await? {
        return Ok(Outcome::Done);
    }
    let began = context.clock.now();
    let mut parts = Vec::with_capacity(requests.len());
    for request in &requests {
        let body = serde_json::to_vec(request).map_err(|why| Error::Invalid(format!("request: {why}")))?;
        parts.push(Message { body: body.into(), ..message.clone() });
    }
    let outcomes = on_merge(context, budget, &parts).await;
    for (request, outcome) in requests.iter().zip(outcomes) {
        let why = match outcome {
            Outcome::Done => continue,
            Outcome::RetryFrom(_) if message.deliveries < DELIVERIES_MAX => return Ok(outcome),
            Outcome::RetryFrom(_) => format!("tried {DELIVERIES_MAX} times without success; the log says why"),
            Outcome::Park(why) => why,
        };
        RequestStore::new(context).ended(request, Some(why)).await?;
    }
    let micros = u64::try_from(context.clock.now().micros() - began.micros()).unwrap_or(0);
    ended(context, &tenant, &lease, micros).await?;
    Ok(Outcome::Done)
}

/// The next step of the backfill whose unit has ended.
async fn ended(context: &Context, tenant: &Tenant, lease: &Lease, micros: u64) -> Result<(), Error> {
    let seen = Seen { took: Some((lease.unit, lease.epoch, micros)), ..Seen::default() };
    on_wave::step(context, tenant, &lease.backfill, seen).await.map(drop)
}
