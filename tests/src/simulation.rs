//! Whole-system simulation: one seed, one world, every handler interleaved at every port call.
//!
//! In: a seed. Out: what was done to the world, how often, and whether every promise was kept. Tasks are polled by an
//! executor of our own in an order drawn from the seed; every port call lets go before and after its effect, so that
//! anything may come between. The only time is virtual. The same seed gives the same trace, call by call.

mod chaos;
mod check;
mod executor;
mod hub;
mod life;
mod ports;
mod script;
mod start;
mod witness;

pub use chaos::Chaos;
pub use hub::{Hub, Stats};
pub use life::{Report, Setting, run};
pub use ports::Broken;
