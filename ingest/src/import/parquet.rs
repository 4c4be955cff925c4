//! Parquet: any file of rows, one event a row.
//!
//! In: a file, or record batches of any column types. Out: a verdict per row. Structs and maps are flattened with dots,
//! lists become JSON text, floats the shortest decimal that means the same float, nulls and NaN are absent.

use std::collections::{BTreeMap, VecDeque};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;
use tidemill_schemas::event::{Broken, EVENT_KEY_BYTES_MAX};
use tidemill_schemas::page::{META_PROPERTY, RARE};
use tidemill_schemas::value::Value;

use super::cell::{self, Cell};
use super::inspect::IMPORT_BATCH_ROWS;
use super::mapping::{Bound, Place};
use super::{Import, ImportError, Verdict, column_names, event_of, refused};
use crate::codec::native;
use crate::page::export::META_EXPORT;

/// Opens a Parquet file.
///
/// # Errors
/// [`ImportError`]: not Parquet, or a field without a column.
pub fn open<R: ChunkReader + 'static>(file: R, import: Import) -> Result<Rows, ImportError> {
    let unreadable = |error: parquet::errors::ParquetError| ImportError::Unreadable(error.to_string());
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
    let table = Table::new(builder.schema(), import)?;
    let batches = builder.with_batch_size(IMPORT_BATCH_ROWS).build().map_err(unreadable)?;
    Ok(Rows { table, batches, waiting: VecDeque::new(), over: false })
}

/// The verdicts of a Parquet file, in order; an error ends them.
pub struct Rows {
    table: Table,
    batches: ParquetRecordBatchReader,
    waiting: VecDeque<Verdict>,
    over: bool,
}

impl Iterator for Rows {
    type Item = Result<Verdict, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(verdict) = self.waiting.pop_front() {
                return Some(Ok(verdict));
            }
            if self.over {
                return None;
            }
            match self.batches.next() {
                Some(Ok(batch)) => self.waiting.extend(self.table.verdicts(&batch)),
                Some(Err(error)) => {
                    self.over = true;
                    return Some(Err(ImportError::Unreadable(error.to_string())));
                }
                None => self.over = true,
            }
        }
    }
}

/// A table's schema bound to an import: turns batches into verdicts.
pub struct Table {
    import: Import,
    bound: Bound,
    columns: Vec<String>,
    /// Of our own exports: the column of JSON objects with rare properties.
    rare: Option<usize>,
    rows: u64,
}

/// Whether a file is an export of ours, whose fields say which property they hold.
fn is_export(schema: &Schema) -> bool {
    schema.metadata().contains_key(META_EXPORT)
}

impl Table {
    /// Binds the import's mapping to the columns.
    ///
    /// # Errors
    /// [`ImportError`]: a field without a column.
    pub fn new(schema: &Schema, import: Import) -> Result<Table, ImportError> {
        let columns = column_names(schema.fields().iter().map(|field| field.name().as_str()))?;
        let mut bound = import.mapping.bind(&columns)?;
        let mut rare = None;
        if is_export(schema) {
            for (column, key) in &mut bound.properties {
                if let Some(property) = schema.field(*column).metadata().get(META_PROPERTY) {
                    key.clone_from(property);
                }
            }
            rare = columns.iter().position(|column| column == RARE);
            bound.properties.retain(|(column, _)| Some(*column) != rare);
        }
        Ok(Table { rare, import, bound, columns, rows: 0 })
    }

    /// Which column is what.
    pub(super) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The verdicts on the rows of the next batch.
    pub fn verdicts(&mut self, batch: &RecordBatch) -> Vec<Verdict> {
        let first = self.rows + 1;
        self.rows += batch.num_rows() as u64;
        (0..batch.num_rows()).map(|row| self.verdict(batch, row, first + row as u64)).collect()
    }

    /// The verdict on one row, whose number in the file counts from 1.
    pub(super) fn verdict(&self, batch: &RecordBatch, row: usize, number: u64) -> Verdict {
        let mut properties = BTreeMap::new();
        let flat = self
            .bound
            .properties
            .iter()
            .try_for_each(|(column, key)| cell::flatten(key, batch.column(*column), row, 2, &mut properties));
        let read = |column: usize| cell::read(batch.column(column), row);
        let flat = flat.and_then(|()| self.add_rare(batch, row, &mut properties));
        let broken = match flat.and_then(|()| event_of(&self.import, &self.bound, number, &read, properties)) {
            Ok(event) => return Ok(event),
            Err(broken) => broken,
        };
        let id = match &self.bound.id {
            Some(Place::Column(column)) => match read(*column) {
                Ok(Cell::Text(id)) => Some(id).filter(|id| id.len() <= EVENT_KEY_BYTES_MAX),
                Ok(Cell::Number(id)) => Some(id.to_string()),
                _ => None,
            },
            _ => None,
        };
        Err(refused(number, id, &broken, self.as_json(batch, row)))
    }

    /// Whether rows hold properties that no column is named by.
    pub(super) fn has_rare(&self) -> bool {
        self.rare.is_some()
    }

    fn add_rare(&self, batch: &RecordBatch, row: usize, out: &mut BTreeMap<String, Value>) -> Result<(), Broken> {
        let Some(rare) = self.rare else { return Ok(()) };
        if let Cell::Text(json) = cell::read(batch.column(rare), row)? {
            let held = native::flatten(&json).map_err(|_| Broken::WrongType(RARE.to_owned(), "a JSON object"))?;
            out.extend(held);
        }
        Ok(())
    }

    /// The row as a JSON object, for the quarantine: of a row beyond [`cell::WRITTEN_BYTES_MAX`], the beginning.
    fn as_json(&self, batch: &RecordBatch, row: usize) -> String {
        let mut out = String::from("{");
        for (name, column) in self.columns.iter().zip(batch.columns()) {
            if out.len() > cell::WRITTEN_BYTES_MAX {
                break;
            }
            if out.len() > 1 {
                out.push(',');
            }
            crate::codec::json::write_text(&mut out, name);
            out.push(':');
            if let Err(Broken::TooDeep) = cell::write(column, row, 1, &mut out) {
                break;
            }
        }
        out.push('}');
        out
    }
}
