//! The generator: worlds of events and definitions over them, all from one seed.
//!
//! In: a seed. Out: events in order of arrival, with everything that goes wrong in life, and definitions as YAML text.
//! The same seed gives the same world on every machine; a failing test prints it. No clock, no other randomness.
//!
//! Numbers stay where every sum fits into 38 digits, so that an overflow is always a test's own doing: `balance` has up
//! to 30 digits, `huge` (38 digits) is never added up, and only small numbers are multiplied.

pub mod definitions;
pub mod random;
pub mod world;

pub use definitions::definition;
pub use random::Random;
pub use world::{Scene, World, line};

#[cfg(test)]
mod tests;
