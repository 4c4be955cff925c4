//! From events to numbers: definitions compiled to plans, plans folded over batches, states merged over days.
//!
//! This part is pure: plain synchronous code that never does I/O (but through [`spill::Spill`]), never asks for the
//! time, and knows nothing of storage, queues or HTTP.

pub mod additive;
mod columns;
pub mod eval;
pub mod finish;
pub mod fold;
mod group;
pub mod metric;
pub mod plan;
pub mod range;
pub mod spill;
pub mod states;

#[cfg(test)]
mod testing;
