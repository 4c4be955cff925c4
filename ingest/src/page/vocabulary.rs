//! Vocabularies: the distinct values of a column of a row group, without its rows.
//!
//! In: a column whose data pages all refer to one dictionary. Out: the dictionary, read from its own page. A page's
//! writer enters a value when a row bears it and never takes one out, so the dictionary is exactly what occurs: a
//! distinct count over all rows needs no row. Columns with any other data page have no vocabulary.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::StringArray;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::PageError;
use super::parts::Parts;

/// Where a column's dictionary lies, if its values are all in there.
pub(super) fn place(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let first = u64::try_from(column.dictionary_page_offset()?).ok()?;
    let end = u64::try_from(column.data_page_offset()).ok()?;
    let mask = column.page_encoding_stats_mask()?;
    (mask.is_only(Encoding::RLE_DICTIONARY) && first < end).then_some(first..end)
}

/// Reads a column's dictionary.
pub(super) fn read(parts: Parts, group: &RowGroupMetaData, column: usize) -> Result<StringArray, PageError> {
    let chunk = group.column(column);
    let rows = usize::try_from(group.num_rows()).unwrap_or(0);
    let mut pages = SerializedPageReader::new(Arc::new(parts), chunk, rows, None)?;
    let broken = || PageError::Format(format!("the dictionary of `{}` is damaged", chunk.column_path()));
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else { return Err(broken()) };
    let mut values = Vec::with_capacity(num_values as usize);
    let mut rest: &[u8] = &buf;
    for _ in 0..num_values {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (value, behind) = behind.split_at_checked(length).ok_or_else(broken)?;
        values.push(std::str::from_utf8(value).map_err(|_| broken())?);
        rest = behind;
    }
    Ok(StringArray::from_iter_values(values))
}
