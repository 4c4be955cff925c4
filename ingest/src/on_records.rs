//! `on_records`: an envelope of Kinesis records → the event store.
//!
//! In: the envelope as the stream's event source hands it over. Out: a receipt, once every event it holds is durable or
//! in quarantine. One bad event, or one bad record, costs itself. Safe to be handed the same records again, cut anew.

use tidemill_ports::Context;

use crate::codec::{BodyError, Decoded, kinesis};
use crate::on_events::{Producer, SendError, take};

/// What became of an envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordsReceipt {
    /// Records it held.
    pub records: usize,
    /// Events that are new, or carry the highest revision so far.
    pub accepted: usize,
    /// Events that were there already.
    pub duplicates: usize,
    /// Events that broke a rule; they are in quarantine.
    pub rejected: usize,
}

/// Why an envelope was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// It is none.
    #[error(transparent)]
    Envelope(#[from] BodyError),
    /// A store did not take it, or an import is in the way: the same records can come again.
    #[error("{0}")]
    Again(String),
}

/// Takes an envelope.
///
/// # Errors
/// See [`RecordsError`].
pub async fn on_records(
    context: &Context,
    producer: &Producer,
    envelope: &[u8],
) -> Result<RecordsReceipt, RecordsError> {
    let now = context.clock.now();
    let delivered = kinesis::decode(envelope, &producer.source_default, now)?;
    let records = delivered.len();
    let events = delivered.into_iter().flat_map(|delivered| delivered.events).collect();
    let receipt = take(context, producer, Decoded { events }, now).await.map_err(|error| match error {
        SendError::Body(why) => RecordsError::Envelope(why),
        other => RecordsError::Again(other.to_string()),
    })?;
    let (accepted, duplicates, rejected) = (receipt.accepted, receipt.duplicates, receipt.rejected.len());
    Ok(RecordsReceipt { records, accepted, duplicates, rejected })
}
