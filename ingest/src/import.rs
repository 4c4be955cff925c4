//! Files to events.
