//! Kinesis: an envelope of records → `on_records`.
//!
//! A record that breaks a rule costs itself: it is in quarantine and done with. When a store does not answer, the
//! answer names the first record, and all of them come again; those that were written are there already.

use serde_json::{Value, json};
use tidemill_ingest::on_events::Producer;
use tidemill_ingest::on_records::{RecordsError, on_records};
use tidemill_ports::Context;
use tidemill_schemas::keys::Tenant;

use crate::Failure;

/// One call; `source_default`: the source of events that name none.
///
/// # Errors
/// See [`Failure`].
pub async fn on_event(context: &Context, source_default: &str, event: &str) -> Result<Value, Failure> {
    // Whoever may write to the stream writes for the deployment's one tenant: a stream has no keys of ours.
    let producer = Producer { tenant: Tenant::local(), source_default: source_default.to_owned(), source_only: None };
    match on_records(context, &producer, event.as_bytes()).await {
        Ok(receipt) => {
            metrics::counter!("records").increment(receipt.records as u64);
            metrics::counter!("accepted").increment(receipt.accepted as u64);
            metrics::counter!("duplicates").increment(receipt.duplicates as u64);
            metrics::counter!("parked").increment(receipt.rejected as u64);
            Ok(json!({ "batchItemFailures": [] }))
        }
        Err(RecordsError::Envelope(why)) => Err(Failure::Unreadable { role: "events", why: why.to_string() }),
        Err(RecordsError::Again(why)) => Err(Failure::Again(why)),
    }
}
