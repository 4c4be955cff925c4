//! Pages: change records as Parquet, and back.
//!
//! `build` decides which records a delivery brings to which day and encodes them; `read` opens pages with only the
//! columns asked for; `revisions` says which rows of a day stand. All of it is pure: bytes in, bytes out. The schema is
//! [`tidemill_schemas::page`]'s.

pub mod build;
mod columns;
pub mod read;
pub mod revisions;
