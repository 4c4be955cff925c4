//! Finding: a few events of a page by their ids, without reading all of it.
//!
//! In: a page's bytes, ids and revisions. Out: those events. The ids are read first; the other columns only of the rows
//! that are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::Column;
use tidemill_schemas::page::{ID, REV};

use super::{PageError, Wanted, batch_to_events, open};

/// The rows of a page whose id and revision are wanted.
///
/// # Errors
/// [`PageError`]: not a page, or damaged.
pub fn rows_of(page: Bytes, wanted: &BTreeMap<&str, u64>) -> Result<Vec<Event>, PageError> {
    let rows = positions(page.clone(), wanted)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(page)?;
    let total = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX);
    let selection = RowSelection::from_consecutive_ranges(rows.into_iter(), total);
    let mut events = Vec::new();
    for batch in builder.with_row_selection(selection).build()? {
        events.extend(batch_to_events(&batch?)?);
    }
    Ok(events)
}

fn positions(page: Bytes, wanted: &BTreeMap<&str, u64>) -> Result<Vec<Range<usize>>, PageError> {
    let columns = BTreeSet::from([Column::Id]);
    let mut rows: Vec<Range<usize>> = Vec::new();
    let mut first = 0;
    for batch in open(page, Wanted::Columns { columns: &columns, identity: true })? {
        let batch = batch?;
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| PageError::Format(format!("column `{name}` is missing")))
        };
        let ids = cast(column(ID)?, &DataType::Utf8)?;
        let ids = ids.as_string::<i32>();
        let revs = column(REV)?.as_primitive_opt::<Int64Type>();
        let revs = revs.ok_or_else(|| PageError::Format(format!("column `{REV}` is of another type")))?;
        for row in 0..ids.len() {
            if wanted.get(ids.value(row)).is_some_and(|rev| i64::try_from(*rev) == Ok(revs.value(row))) {
                let at = first + row;
                match rows.last_mut() {
                    Some(last) if last.end == at => last.end += 1,
                    _ => rows.push(at..at + 1),
                }
            }
        }
        first += batch.num_rows();
    }
    Ok(rows)
}
