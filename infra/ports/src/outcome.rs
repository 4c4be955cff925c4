//! What a handler answers to a delivery.

use tidemill_schemas::window::Position;

/// The end of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything in it is done.
    Done,
    /// Deliver again from this position on; everything before it is done.
    RetryFrom(Position),
    /// It can never be done, for this reason; it belongs into quarantine.
    Park(String),
}
