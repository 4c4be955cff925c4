//! Which rows of a day stand: per id the highest revision, unless it withdraws the event.
//!
//! In: the correction rows of a source's pages of one UTC day; then its batches. Out: a mask of live rows. Only ids
//! that were ever corrected are looked up, so memory is bounded by the corrections of one day.

use std::collections::HashMap;

use arrow::array::{Array, BooleanArray, Int64Array, StringArray};
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidemill_schemas::page::{DELETED, ID, REV};

/// Why a page's revisions could not be read, in words.
#[derive(Debug, thiserror::Error)]
pub enum RevisionsError {
    /// Not Parquet, or broken.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Broken inside.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// Not one of our pages.
    #[error("the column `{0}` is missing or of another type")]
    Column(&'static str),
}

/// Id → highest revision, of what was corrected or withdrawn on a day.
#[derive(Debug, Default)]
pub struct Corrected(HashMap<String, i64>);

impl Corrected {
    /// Whether nothing was: then every row stands.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in the correction rows of a page: its first `corrections` rows.
    ///
    /// # Errors
    /// See [`RevisionsError`].
    pub fn read(&mut self, page: Bytes, corrections: u64) -> Result<(), RevisionsError> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(page)?;
        let projection = ProjectionMask::columns(reader.parquet_schema(), [ID, REV]);
        let limit = usize::try_from(corrections).unwrap_or(usize::MAX);
        for batch in reader.with_projection(projection).with_limit(limit).build()? {
            let batch = batch?;
            let (ids, revs) = (ids(&batch)?, revs(&batch)?);
            for (id, rev) in ids.iter().flatten().zip(revs.values()) {
                match self.0.get_mut(id) {
                    Some(highest) => *highest = (*highest).max(*rev),
                    None => {
                        self.0.insert(id.to_owned(), *rev);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a row stands.
    pub fn stands(&self, id: &str, rev: i64, deleted: bool) -> bool {
        !deleted && self.0.get(id).is_none_or(|highest| *highest == rev)
    }

    /// The rows of a batch that stand.
    ///
    /// # Errors
    /// See [`RevisionsError`].
    pub fn live_rows(&self, batch: &RecordBatch) -> Result<RecordBatch, RevisionsError> {
        Ok(filter_record_batch(batch, &self.live(batch)?)?)
    }

    /// Which rows of a batch stand.
    ///
    /// # Errors
    /// [`RevisionsError::Column`] when the batch lacks `id`, `rev` or `deleted`.
    pub fn live(&self, batch: &RecordBatch) -> Result<BooleanArray, RevisionsError> {
        let (ids, revs) = (ids(batch)?, revs(batch)?);
        let deleted: &BooleanArray = column(batch, DELETED)?;
        let stands = |row: usize| self.stands(ids.value(row), revs.value(row), deleted.value(row));
        Ok((0..batch.num_rows()).map(stands).collect::<Vec<bool>>().into())
    }
}

fn ids(batch: &RecordBatch) -> Result<&StringArray, RevisionsError> {
    column(batch, ID)
}

fn revs(batch: &RecordBatch) -> Result<&Int64Array, RevisionsError> {
    column(batch, REV)
}

fn column<'b, A: Array + 'static>(batch: &'b RecordBatch, name: &'static str) -> Result<&'b A, RevisionsError> {
    let column = batch.column_by_name(name).ok_or(RevisionsError::Column(name))?;
    column.as_any().downcast_ref::<A>().ok_or(RevisionsError::Column(name))
}
