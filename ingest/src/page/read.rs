//! Reading pages: which columns, and a page's rows as batches.
//!
//! In: a page's bytes, whole, and what is wanted. Out: batches with just those columns; the field metadata says which
//! property each is. A property the page does not have is simply not there: all null.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use tidemill_schemas::expression::Column;
use tidemill_schemas::page::{ACTOR, DELETED, ID, META_PROPERTY, NAME, PAGE_FORMAT, RARE, RECEIVED, REV, SOURCE, TIME};

use super::{META_FORMAT, PageError};

/// Rows of one batch.
pub const PAGE_BATCH_ROWS: usize = 32_768;

/// Which columns of a page to read.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// All.
    Everything,
    /// `name`, `time` and `received`, these columns, and `$rare` where a property is among them.
    Columns {
        /// What is read of an event.
        columns: &'a BTreeSet<Column>,
        /// Also `id`, `rev` and `deleted`: needed where a day has corrections.
        identity: bool,
    },
}

/// The indices of the wanted columns, ascending. Every type of a wanted property is wanted.
pub fn projection(schema: &Schema, wanted: Wanted<'_>) -> Vec<usize> {
    let Wanted::Columns { columns, identity } = wanted else { return (0..schema.fields().len()).collect() };
    let properties: BTreeSet<&str> = columns
        .iter()
        .filter_map(|column| match column {
            Column::Property(key) => Some(key.as_str()),
            _ => None,
        })
        .collect();
    let keep = |index: &usize| {
        let field = schema.field(*index);
        if let Some(property) = field.metadata().get(META_PROPERTY) {
            return properties.contains(property.as_str());
        }
        match field.name().as_str() {
            NAME | TIME | RECEIVED => true,
            ID => identity || columns.contains(&Column::Id),
            REV | DELETED => identity,
            SOURCE => columns.contains(&Column::Source),
            ACTOR => columns.contains(&Column::Actor),
            RARE => !properties.is_empty(),
            _ => false,
        }
    };
    (0..schema.fields().len()).filter(keep).collect()
}

/// Checks that a file is a page this version reads.
///
/// # Errors
/// [`PageError::Format`].
pub(super) fn check_format(metadata: &ArrowReaderMetadata) -> Result<(), PageError> {
    let file = metadata.metadata().file_metadata();
    let format = file
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == META_FORMAT))
        .and_then(|pair| pair.value.as_deref());
    match format.map(str::parse::<u32>) {
        Some(Ok(1..=PAGE_FORMAT)) => Ok(()),
        Some(_) => Err(PageError::Format(format!("layout {}", format.unwrap_or_default()))),
        None => Err(PageError::Format("no layout version".to_owned())),
    }
}

/// The batches of a page.
#[derive(Debug)]
pub struct PageReader(ParquetRecordBatchReader);

impl PageReader {
    pub(super) fn of(reader: ParquetRecordBatchReader) -> PageReader {
        PageReader(reader)
    }
}

impl Iterator for PageReader {
    type Item = Result<RecordBatch, PageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|batch| batch.map_err(PageError::from))
    }
}

/// Opens a page held whole in memory.
///
/// # Errors
/// [`PageError`]: not a page, or damaged.
pub fn open(bytes: Bytes, wanted: Wanted<'_>) -> Result<PageReader, PageError> {
    let metadata = ArrowReaderMetadata::load(&bytes, Default::default())?;
    check_format(&metadata)?;
    // Pages are flat: a root is a leaf.
    let schema = metadata.metadata().file_metadata().schema_descr();
    let mask = ProjectionMask::roots(schema, projection(metadata.schema(), wanted));
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
        .with_projection(mask)
        .with_batch_size(PAGE_BATCH_ROWS)
        .build()?;
    Ok(PageReader(reader))
}
