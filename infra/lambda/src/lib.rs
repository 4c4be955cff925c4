//! The handlers as Lambda functions: one binary, whose role is chosen by `TIDEMILL_ROLE`.
//!
//! In: what an event source hands over. Out: what it expects back: nothing, a partial answer, or an error that has it
//! come again. A module per kind of event decodes it, calls the handler every other way of running tidemill calls, and
//! encodes the outcome. No function decides what an event means, and none logs bodies, keys or values of properties.

pub mod firing;
pub mod function;
pub mod records;
pub mod requests;
pub mod stream;

pub use function::{Failure, Function, Role};
