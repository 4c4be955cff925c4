//! Pages: Parquet objects of one source and one UTC day of event time.
//!
//! In: the event store's changes. Out: change records by source and day, the bytes of a page, and batches of a page's
//! rows back. Nothing here decides where a page is kept or whether it counts; that is the manifest's.

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

pub mod build;
pub mod columns;
pub mod delivery;
pub mod export;
pub mod find;
pub mod images;
pub mod read;
pub mod records;
pub mod revisions;
pub mod rows;
pub mod writer;

pub use build::{EncodedPage, encode};
pub use columns::{Properties, changes_to_batch};
pub use delivery::{Delivery, Share};
pub use images::images_to_batch;
pub use read::{PageReader, Wanted, open, projection};
pub use records::{Record, StoredChange, records};
pub use rows::batch_to_events;

/// Metadata key of a file: the version of its layout.
pub const META_FORMAT: &str = "tidemill.page";
/// Metadata key of a file: its source.
pub const META_SOURCE: &str = "tidemill.source";
/// Metadata key of a file: its UTC day.
pub const META_DAY: &str = "tidemill.day";

/// Why a page was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A page has at least one row.
    #[error("a page needs at least one record")]
    Empty,
    /// The object is no page, or a page of a newer tidemill.
    #[error("not a page this version reads: {0}")]
    Format(String),
    /// Arrow's own error.
    #[error("page columns: {0}")]
    Arrow(#[from] ArrowError),
    /// Parquet's own error.
    #[error("page file: {0}")]
    Parquet(#[from] ParquetError),
}
