//! Rows as CSV, as an Arrow stream and as Parquet: what the server answers and the command writes. Pure.

pub mod arrow;
pub mod csv;
pub mod json;
pub mod rows;
