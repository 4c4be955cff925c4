//! `Clock`: the only place the time comes from.

use tidemill_schemas::time::Timestamp;

/// A clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}
