//! Codecs: bytes of a request to events, and back.
//!
//! In: a body as it arrived. Out: one verdict per event, in order. A codec never fails a batch for one bad event, and
//! never asks for the time: the caller hands in its clock.

use tidemill_schemas::event::{Event, REQUEST_BYTES_MAX, Rejection};

pub mod body;
pub mod inflate;
pub mod json;
pub mod kinesis;
pub mod kpl;
pub mod native;

/// Events of one request. Every request of [`REQUEST_BYTES_MAX`] full of sensible events stays below; what it stops is
/// a body of millions of `{}`, each of which would cost a verdict.
pub const REQUEST_EVENTS_MAX: usize = 600_000;

/// What a body held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// One verdict per event, in the body's order.
    pub events: Vec<Result<Event, Refused>>,
}

/// An event that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its id, where one could be read.
    pub id: Option<String>,
    /// The rule and the fix.
    pub rejection: Rejection,
    /// The event's bytes as they arrived, for the quarantine.
    pub body: Vec<u8>,
}

/// Why a body as a whole was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Neither JSON nor NDJSON.
    #[error("{line}:{column}: {why}; send a JSON object, an array of objects, or one object a line")]
    Unreadable {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What was expected there.
        why: &'static str,
    },
    /// The gzip stream is damaged or cut.
    #[error("the gzip stream cannot be inflated: {0}; send it again, or uncompressed")]
    Gzip(String),
    /// Longer than [`REQUEST_BYTES_MAX`] after inflating.
    #[error("the body has more than {REQUEST_BYTES_MAX} bytes after inflating; send smaller batches")]
    TooLarge,
    /// More than [`REQUEST_EVENTS_MAX`] events.
    #[error("the body has more than {REQUEST_EVENTS_MAX} events; send smaller batches")]
    TooManyEvents,
}

impl BodyError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            BodyError::Unreadable { .. } => "TM0120",
            BodyError::Gzip(_) => "TM0121",
            BodyError::TooLarge => "TM0122",
            BodyError::TooManyEvents => "TM0123",
        }
    }

    /// Whether the body was too large (413) rather than unreadable (400).
    pub fn is_too_large(&self) -> bool {
        matches!(self, BodyError::TooLarge | BodyError::TooManyEvents)
    }
}
