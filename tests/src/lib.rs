//! What the tests of tidemill are made of: the oracle and the generator of worlds.
//!
//! Nothing here runs in production, and nothing in production depends on it.

pub mod generator;
pub mod oracle;
