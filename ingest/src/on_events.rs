//! `on_events`: a request's body → the event store.
//!
//! In: the bytes a producer sent. Out: a receipt, once every accepted event and every refused body is durable. One bad
//! event never fails its batch. This handler never answers before the write is durable.

use bytes::Bytes;
use serde::Serialize;
use tidemill_ports::{Context, Error};
use tidemill_schemas::event::{Broken, Event};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;

use crate::codec::{BodyError, Decoded, body, inflate, native};
use crate::event_store::{EventStore, Written};
use crate::import_store::GateError;
use crate::quarantine_store::{QuarantineStore, Refusal};

/// What became of a request's events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Events that are new, or carry the highest revision so far.
    pub accepted: usize,
    /// Events that were there already.
    pub duplicates: usize,
    /// Events that broke a rule; they are in quarantine.
    pub rejected: Vec<Rejected>,
}

/// An event that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Its id, when it could be read.
    pub id: Option<String>,
    /// Stable code of the rule.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why a request was not answered with a receipt.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The body as a whole cannot be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// An import of the source is being committed; the same body can be sent again in a moment.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A store did not take it; sending the same body again is safe.
    #[error(transparent)]
    Port(#[from] Error),
}

/// Who sends, and what it may write.
#[derive(Clone, Debug)]
pub struct Producer {
    /// Whose data it is.
    pub tenant: Tenant,
    /// The source of events that name none.
    pub source_default: String,
    /// The one source its credential may write; `None`: any.
    pub source_only: Option<String>,
}

/// Takes one request's body.
///
/// # Errors
/// See [`SendError`].
pub async fn on_events(context: &Context, producer: &Producer, sent: Bytes) -> Result<Receipt, SendError> {
    let now = context.clock.now();
    let decoded = body::decode(&inflate::inflate(&sent)?, &producer.source_default, now)?;
    take(context, producer, decoded, now).await
}

/// Takes what a codec made of a body at `now`.
pub(crate) async fn take(
    context: &Context,
    producer: &Producer,
    decoded: Decoded,
    now: Timestamp,
) -> Result<Receipt, SendError> {
    let Sorted { events, refusals, mut receipt } = sort(decoded, producer);
    QuarantineStore::new(context).add(&producer.tenant, now, &refusals).await?;
    for written in EventStore::new(context).write(&producer.tenant, &events).await? {
        match written {
            Written::Accepted => receipt.accepted += 1,
            Written::Duplicate => receipt.duplicates += 1,
        }
    }
    Ok(receipt)
}

/// What one request held, sorted by what happens to it.
struct Sorted {
    events: Vec<Event>,
    refusals: Vec<Refusal>,
    receipt: Receipt,
}

fn sort(decoded: Decoded, producer: &Producer) -> Sorted {
    let mut sorted = Sorted { events: Vec::new(), refusals: Vec::new(), receipt: Receipt::default() };
    for (index, event) in decoded.events.into_iter().enumerate() {
        let refused = match event {
            Ok(event) if forbidden(producer, &event) => Refusal {
                id: Some(event.id.clone()),
                rejection: Broken::SourceForbidden(event.source.clone()).rejection(),
                body: native::encode(&event).into(),
            },
            Ok(event) => {
                sorted.events.push(event);
                continue;
            }
            Err(refused) => Refusal { id: refused.id, rejection: refused.rejection, body: refused.body.into() },
        };
        sorted.receipt.rejected.push(Rejected {
            index,
            id: refused.id.clone(),
            code: refused.rejection.code.clone(),
            message: refused.rejection.message.clone(),
        });
        sorted.refusals.push(refused);
    }
    sorted
}

fn forbidden(producer: &Producer, event: &Event) -> bool {
    producer.source_only.as_ref().is_some_and(|only| *only != event.source)
}
