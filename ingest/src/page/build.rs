//! A page's file: records to the bytes of one Parquet object.
//!
//! In: the records of one source and UTC day, corrections first. Out: the bytes and what the manifest says of them.
//! The same records always give the same bytes. Most pages are small, so what costs per file is kept out of small
//! ones: no page index, no dictionaries, no zstd.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::event::Event;
use tidemill_schemas::page::{ID, PAGE_FORMAT, PAGE_ROW_GROUP_ROWS, RARE, RECEIVED, REV, TIME};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;
use xxhash_rust::xxh3::xxh3_128;

use super::columns::{self, Built, Properties};
use super::records::Record;
use super::{META_DAY, META_FORMAT, META_SOURCE, PageError};

/// Rows below which a page is written without dictionaries and page index, and with Snappy: setting up zstd for each
/// column costs three times what writing 50 rows does, and saves 6 % of them.
const SMALL_PAGE_ROWS: usize = 512;
/// Who wrote the file; fixed, so that the same records give the same bytes for ever.
pub(super) const CREATED_BY: &str = "tidemill version 1.0.0 (build page-1)";
/// zstd's level.
const ZSTD_LEVEL: i32 = 3;

/// The bytes of a page and what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPage {
    /// The Parquet object.
    pub bytes: Bytes,
    /// Rows.
    pub rows: usize,
    /// Rows that are corrections; they come first.
    pub corrections: usize,
    /// Earliest event time.
    pub min_time: Timestamp,
    /// Latest event time.
    pub max_time: Timestamp,
    /// xxh3-128 of the bytes, 32 hex digits.
    pub hash: String,
    /// The types each property was seen with.
    pub properties: Properties,
    /// The same by the name of the events that bear them; every name of a live event is here.
    pub names: BTreeMap<String, Properties>,
}

/// Encodes the records of one source and UTC day. `primary` gives the type a property was first seen with in its
/// source: that type's column bears the property's own name.
///
/// # Errors
/// [`PageError::Empty`], or Parquet's own.
pub fn encode(
    source: &str,
    day: Date,
    records: &[Record],
    primary: &dyn Fn(&str) -> Type,
) -> Result<EncodedPage, PageError> {
    let events: Vec<&Event> = records.iter().map(|record| &record.event).collect();
    let times = || events.iter().map(|event| event.time);
    let (Some(min_time), Some(max_time)) = (times().min(), times().max()) else { return Err(PageError::Empty) };
    let corrections = records.iter().filter(|record| record.correction).count();
    debug_assert!(records.iter().take(corrections).all(|record| record.correction), "corrections come first");

    let Built { batch, names } = columns::build(&events, primary)?;
    let mut properties = Properties::new();
    for (property, types) in names.values().flatten() {
        properties.entry(property.clone()).or_default().extend(types);
    }
    let mut writer =
        ArrowWriter::try_new(Vec::with_capacity(4096), batch.schema(), Some(layout(source, day, &batch)?))?;
    writer.write(&batch)?;
    let bytes = Bytes::from(writer.into_inner()?);
    Ok(EncodedPage {
        rows: records.len(),
        corrections,
        min_time,
        max_time,
        hash: format!("{:032x}", xxh3_128(&bytes)),
        bytes,
        properties,
        names,
    })
}

/// What a page's file says of itself.
pub(super) fn metadata(source: &str, day: Date) -> Vec<KeyValue> {
    let pairs = [(META_FORMAT, PAGE_FORMAT.to_string()), (META_SOURCE, source.to_owned()), (META_DAY, day.to_string())];
    pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect()
}

fn layout(source: &str, day: Date, batch: &RecordBatch) -> Result<WriterProperties, PageError> {
    let small = batch.num_rows() < SMALL_PAGE_ROWS;
    let compression = if small { Compression::SNAPPY } else { Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?) };
    let mut layout = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(PAGE_ROW_GROUP_ROWS))
        .set_dictionary_enabled(!small)
        .set_statistics_enabled(if small { EnabledStatistics::Chunk } else { EnabledStatistics::Page })
        .set_offset_index_disabled(small)
        .set_key_value_metadata(Some(metadata(source, day)));
    // Instants hardly repeat: a dictionary of them is larger and ten times slower to read than their differences.
    for column in [TIME, RECEIVED, REV] {
        layout = layout
            .set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    for field in batch.schema().fields() {
        if *field.data_type() == DataType::Utf8 {
            let path = ColumnPath::new(vec![field.name().clone()]);
            layout = layout.set_column_dictionary_enabled(path.clone(), false);
            if field.name() == ID || field.name() == RARE {
                layout = layout.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
        }
    }
    Ok(layout.build())
}

#[cfg(test)]
mod tests;
