//! How answers look: pure functions from rows to text and bytes. Nothing here reads, writes or asks for anything.

pub mod arrow;
pub mod csv;
pub mod footer;
pub mod markdown;
pub mod number;
pub mod period;
pub mod rows;
pub mod table;
pub mod tree;
