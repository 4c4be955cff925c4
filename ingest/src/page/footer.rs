//! A page's footer: what can be known of its row groups without reading them, and how to read no more than needed.
//!
//! In: the last bytes of a page. Out: per row group its bounds, whether it can hold an event name, the byte ranges of
//! wanted columns, and batches of just those. Statistics only ever rule out what is certainly not there: where they are
//! missing or inexact, everything may be.

use std::ops::Range;

use arrow::array::StringArray;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use tidemill_schemas::expression::Column;
use tidemill_schemas::page::{NAME, RECEIVED, TIME};

use super::PageError;
use super::parts::Parts;
use super::read::{PageReader, Wanted, check_format, projection};

/// Bytes of a page fetched to find its footer.
pub const FOOTER_BYTES_GUESS: u64 = 64 * 1024;
/// Rows of one batch of a row group: a quarter, so that no batch spans two groups with their own dictionaries.
pub const GROUP_BATCH_ROWS: usize = tidemill_schemas::page::PAGE_ROW_GROUP_ROWS / 4;

/// What is known of a row group's instants, in microseconds, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The least and greatest event time; `None`: unknown.
    pub time: Option<(i64, i64)>,
    /// The least and greatest time of acceptance; `None`: unknown.
    pub received: Option<(i64, i64)>,
}

/// A footer, or how many of the file's last bytes it takes.
#[derive(Debug)]
pub enum Opened {
    /// The footer.
    Footer(Footer),
    /// That many bytes from the end have to be at hand.
    More(u64),
}

/// A page's footer.
#[derive(Clone, Debug)]
pub struct Footer(ArrowReaderMetadata);

/// Rows of a group that can hold what is wanted.
#[derive(Clone, Debug)]
pub enum Rows {
    /// All of them.
    All,
    /// Only those of some data pages.
    Some(RowSelection),
    /// None.
    None,
}

impl Footer {
    /// Reads a footer. `indexed`: with the index of data pages, which a pass for some event names only makes use of.
    ///
    /// # Errors
    /// [`PageError`]: not a page this version reads, or damaged.
    pub fn open(parts: &Parts, length: u64, indexed: bool) -> Result<Opened, PageError> {
        let policy = if indexed { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(policy);
        match reader.try_parse_sized(parts, length) {
            Ok(()) => {}
            Err(ParquetError::NeedMoreData(needed)) => return Ok(Opened::More(needed as u64)),
            Err(other) => return Err(other.into()),
        }
        let metadata = ArrowReaderMetadata::try_new(reader.finish()?.into(), ArrowReaderOptions::default())?;
        check_format(&metadata)?;
        Ok(Opened::Footer(Footer(metadata)))
    }

    /// The rows of every group, in order.
    pub fn groups(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.metadata().row_groups().iter().map(|group| usize::try_from(group.num_rows()).unwrap_or(0))
    }

    /// A group's bounds.
    pub fn bounds(&self, group: usize) -> Bounds {
        let group = self.0.metadata().row_group(group);
        Bounds { time: instants(group, TIME), received: instants(group, RECEIVED) }
    }

    /// The columns to read of a group, as leaves of the file: the wanted ones, of which `time` and `received` only if
    /// told so, and `name` only where it is read.
    pub fn columns(&self, wanted: Wanted<'_>, time: bool, received: bool) -> Vec<usize> {
        let schema = self.0.schema();
        let mut columns = projection(schema, wanted);
        let named = match wanted {
            Wanted::Columns { columns, .. } => columns.contains(&Column::Name),
            Wanted::Everything => true,
        };
        columns.retain(|column| match schema.field(*column).name().as_str() {
            TIME => time,
            RECEIVED => received,
            NAME => named,
            _ => true,
        });
        columns
    }

    /// The rows of a group that can bear one of the event names, as far as its statistics tell.
    pub fn rows_of_names(&self, group: usize, names: &[String]) -> Rows {
        let metadata = self.0.metadata();
        let Some(column) = leaf(metadata.row_group(group), NAME) else { return Rows::All };
        if let Some(Statistics::ByteArray(bounds)) = metadata.row_group(group).column(column).statistics()
            && let (Some(least), Some(greatest)) = (bounds.min_bytes_opt(), bounds.max_bytes_opt())
            && !names.iter().any(|name| may_lie_between(name.as_bytes(), Some(least), Some(greatest)))
        {
            return Rows::None;
        }
        self.pages_of_names(group, column, names).unwrap_or(Rows::All)
    }

    fn pages_of_names(&self, group: usize, column: usize, names: &[String]) -> Option<Rows> {
        let metadata = self.0.metadata();
        let index = metadata.page_index()?;
        let ColumnIndexMetaData::BYTE_ARRAY(bounds) = index.column_index(group, column)? else { return None };
        let pages = index.offset_index(group, column)?.page_locations();
        let rows = usize::try_from(metadata.row_group(group).num_rows()).ok()?;
        let mut selectors: Vec<RowSelector> = Vec::with_capacity(pages.len());
        let mut first = 0;
        for (at, page) in pages.iter().enumerate() {
            let end = pages.get(at + 1).map_or(Some(rows), |next| usize::try_from(next.first_row_index).ok())?;
            debug_assert_eq!(usize::try_from(page.first_row_index).ok(), Some(first));
            let count = end.checked_sub(first)?;
            first = end;
            let holds =
                names.iter().any(|name| may_lie_between(name.as_bytes(), bounds.min_value(at), bounds.max_value(at)));
            selectors.push(if holds { RowSelector::select(count) } else { RowSelector::skip(count) });
        }
        Some(match selectors.iter().filter(|selector| !selector.skip).count() {
            0 => Rows::None,
            // Skipping costs a little per page: half a group is read whole.
            kept if kept * 2 > selectors.len() => Rows::All,
            _ => Rows::Some(RowSelection::from(selectors)),
        })
    }

    /// The bytes those columns of a group take.
    pub fn ranges(&self, group: usize, columns: &[usize], rows: &Rows) -> Vec<Range<u64>> {
        let metadata = self.0.metadata();
        let mut ranges = Vec::with_capacity(columns.len());
        for column in columns {
            let (start, length) = metadata.row_group(group).column(*column).byte_range();
            let pages = metadata.page_index().and_then(|index| index.offset_index(group, *column));
            match (rows, pages) {
                (Rows::Some(selection), Some(pages)) => {
                    let pages = pages.page_locations();
                    // A dictionary lies before the first data page.
                    let first = pages.first().map_or(start, |page| page.offset as u64);
                    ranges.extend((start < first).then_some(start..first));
                    ranges.extend(selection.scan_ranges(pages));
                }
                _ => ranges.push(start..start + length),
            }
        }
        ranges
    }

    /// Where a group's dictionary of an envelope column lies, if all that occurs in the column is in there.
    pub fn vocabulary(&self, group: usize, column: &Column) -> Option<Range<u64>> {
        let group = self.0.metadata().row_group(group);
        super::vocabulary::place(group.column(leaf(group, column.name())?))
    }

    /// The distinct values of an envelope column of a group that has a [`Footer::vocabulary`], nulls left out.
    ///
    /// # Errors
    /// [`PageError`]: damaged, or it has none.
    pub fn read_vocabulary(&self, parts: Parts, group: usize, column: &Column) -> Result<StringArray, PageError> {
        let group = self.0.metadata().row_group(group);
        let missing = || PageError::Format(format!("no column `{}`", column.name()));
        super::vocabulary::read(parts, group, leaf(group, column.name()).ok_or_else(missing)?)
    }

    /// The batches of a group, [`GROUP_BATCH_ROWS`] each.
    ///
    /// # Errors
    /// [`PageError`]: damaged.
    pub fn read(&self, parts: Parts, group: usize, columns: &[usize], rows: Rows) -> Result<PageReader, PageError> {
        let mask = ProjectionMask::leaves(self.0.metadata().file_metadata().schema_descr(), columns.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(parts, self.0.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(GROUP_BATCH_ROWS);
        let reader = match rows {
            Rows::Some(selection) => reader.with_row_selection(selection),
            Rows::All | Rows::None => reader,
        };
        Ok(PageReader::of(reader.build()?))
    }
}

fn leaf(group: &RowGroupMetaData, name: &str) -> Option<usize> {
    group.columns().iter().position(|column| column.column_path().parts() == [name])
}

/// A column's least and greatest value, if they are known and no row is null.
fn instants(group: &RowGroupMetaData, name: &str) -> Option<(i64, i64)> {
    match group.column(leaf(group, name)?).statistics()? {
        Statistics::Int64(bounds) if bounds.null_count_opt() == Some(0) => {
            Some((*bounds.min_opt()?, *bounds.max_opt()?))
        }
        _ => None,
    }
}

/// Whether a value can lie between bounds. They may be cut: a lower one is then less than all, an upper one greater.
fn may_lie_between(value: &[u8], least: Option<&[u8]>, greatest: Option<&[u8]>) -> bool {
    least.is_none_or(|least| least <= value) && greatest.is_none_or(|greatest| value <= greatest)
}

#[cfg(test)]
mod tests;
