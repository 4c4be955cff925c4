//! How answers look: pure functions from rows to text and bytes. Nothing here reads, writes or asks for anything.

pub use tidemill_api::render::{arrow, csv, rows};

pub mod footer;
pub mod markdown;
pub mod number;
pub mod period;
pub mod shapes;
pub mod table;
pub mod tree;
