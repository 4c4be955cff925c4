//! Reading an import's files: opened with suspicion, cut into pieces for several threads, batch by batch.
//!
//! In: files on scratch disk. Out: batches, in order within a piece; or the row group and column that cannot be read.
//! A decoder that panics costs its file, not the process. This part of `on_import` blocks: it runs off the async
//! threads.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use tidemill_schemas::event::Event;

use crate::import::convert::Converter;
use crate::import::inspect::{self, Suspect, without_indexes};
use crate::import::{Import, ImportError};

/// Row groups of one piece.
const PIECE_ROW_GROUPS: usize = 4;

/// A file that can be read.
pub(crate) struct Opened {
    /// Its name, for people.
    pub(crate) name: String,
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    batch_rows: usize,
    /// The place of its first row among all rows of the import.
    pub(crate) first_row: u64,
    /// Rows it has.
    pub(crate) rows: u64,
    pub(crate) converter: Converter,
}

/// Some row groups of a file.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The file's place among those opened.
    pub(crate) file: usize,
    row_groups: Vec<usize>,
    /// The first row's place in the file.
    first: u64,
}

/// Opens a file.
pub(crate) fn open(path: PathBuf, first_row: u64, import: Import) -> Result<Opened, Unreadable> {
    let whole = |reason: String| Unreadable::Suspect(Suspect { row_group: None, column: None, reason });
    let name = import.file.clone();
    let opened = guarded(|| {
        let file = File::open(&path).map_err(|why| whole(why.to_string()))?;
        let inspected = inspect::inspect(&file).map_err(Unreadable::Suspect)?;
        let metadata = Arc::new(inspected.metadata);
        let metadata = ArrowReaderMetadata::try_new(metadata.clone(), without_indexes())
            .and_then(|plain| {
                let hinted = without_indexes().with_schema(views(plain.schema()));
                ArrowReaderMetadata::try_new(metadata, hinted).or(Ok(plain))
            })
            .map_err(|why| whole(format!("the schema: {why}")))?;
        let converter = Converter::new(metadata.schema(), import).map_err(Unreadable::Import)?;
        Ok((metadata, converter, inspected.batch_rows, inspected.rows))
    });
    let (metadata, converter, batch_rows, rows) = opened.map_err(whole)??;
    Ok(Opened { name, path, metadata, batch_rows, first_row, rows, converter })
}

/// Why a file is refused.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is broken, or lies.
    Suspect(Suspect),
    /// It has no column for a field.
    Import(ImportError),
}

/// The schema with every text as views: their values are never copied, however often a dictionary repeats them.
fn views(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(view).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn view(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, values) if matches!(**values, DataType::Utf8 | DataType::LargeUtf8) => {
            DataType::Utf8View
        }
        DataType::Dictionary(_, values) if matches!(**values, DataType::Binary | DataType::LargeBinary) => {
            DataType::BinaryView
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(view).collect()),
        DataType::List(item) => DataType::List(view(item)),
        DataType::LargeList(item) => DataType::LargeList(view(item)),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone()))
}

/// Cuts files into pieces, in order.
pub(crate) fn pieces(files: &[Opened]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (file, opened) in files.iter().enumerate() {
        let mut first = 0;
        let groups = opened.metadata.metadata().row_groups();
        let all: Vec<usize> = (0..groups.len()).collect();
        for row_groups in all.chunks(PIECE_ROW_GROUPS) {
            pieces.push(Piece { file, row_groups: row_groups.to_vec(), first });
            first += row_groups.iter().map(|at| groups[*at].num_rows() as u64).sum::<u64>();
        }
    }
    pieces
}

impl Opened {
    /// Reads a piece; `on` gets each batch and the place of its first row in the file.
    pub(crate) fn read<E>(
        &self,
        piece: &Piece,
        on: &mut dyn FnMut(RecordBatch, u64) -> Result<(), E>,
    ) -> Result<Result<(), E>, Suspect> {
        let wanted = rows_of(&self.metadata, &piece.row_groups);
        let mut at = piece.first;
        let read = guarded(|| -> Result<Result<(), E>, String> {
            for batch in self.batches(piece.row_groups.clone(), None)? {
                let batch = batch.map_err(|why| why.to_string())?;
                let rows = batch.num_rows() as u64;
                if let Err(stop) = on(batch, at) {
                    return Ok(Err(stop));
                }
                at += rows;
            }
            Ok(Ok(()))
        });
        match read {
            Ok(Ok(Ok(()))) if at - piece.first == wanted => Ok(Ok(())),
            Ok(Ok(Ok(()))) => Err(self.culprit(piece, format!("{} rows of {wanted}", at - piece.first))),
            Ok(Ok(Err(stop))) => Ok(Err(stop)),
            Ok(Err(why)) => Err(self.culprit(piece, why)),
            Err(panic) => Err(self.culprit(piece, panic)),
        }
    }

    fn batches(
        &self,
        row_groups: Vec<usize>,
        column: Option<usize>,
    ) -> Result<impl Iterator<Item = arrow::error::Result<RecordBatch>> + use<>, String> {
        let file = File::open(&self.path).map_err(|why| why.to_string())?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(row_groups)
            .with_batch_size(self.batch_rows);
        let builder = match column {
            Some(column) => {
                let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
                builder.with_projection(mask)
            }
            None => builder,
        };
        builder.build().map_err(|why| why.to_string())
    }

    /// The first column of the first row group that cannot be read alone, for a piece that cannot be read.
    fn culprit(&self, piece: &Piece, reason: String) -> Suspect {
        for row_group in &piece.row_groups {
            for (column, field) in self.metadata.schema().fields().iter().enumerate() {
                let alone = guarded(|| -> Result<u64, String> {
                    let mut rows = 0;
                    for batch in self.batches(vec![*row_group], Some(column))? {
                        rows += batch.map_err(|why| why.to_string())?.num_rows() as u64;
                    }
                    Ok(rows)
                });
                let wanted = rows_of(&self.metadata, &[*row_group]);
                let reason = match alone {
                    Ok(Ok(rows)) if rows == wanted => continue,
                    Ok(Ok(rows)) => format!("{rows} rows of {wanted}"),
                    Ok(Err(why)) | Err(why) => why,
                };
                return Suspect { row_group: Some(*row_group), column: Some(field.name().clone()), reason };
            }
        }
        Suspect { row_group: piece.row_groups.first().copied(), column: None, reason }
    }
}

fn rows_of(metadata: &ArrowReaderMetadata, row_groups: &[usize]) -> u64 {
    row_groups.iter().map(|at| metadata.metadata().row_group(*at).num_rows() as u64).sum()
}

/// Runs what outsiders' bytes may make panic; the panic's words are the error.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    // What a panic leaves behind belongs to a file that is refused for it.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        format!("the decoder gave up: {}", words.unwrap_or("for no reason it gave"))
    })
}

/// Hands on the events of some rows, ascending, so many at a time; stops when `on` says no.
pub(crate) fn events(
    files: &[Opened],
    rows: &[u64],
    at_once: usize,
    on: &mut dyn FnMut(Vec<Event>) -> bool,
) -> Result<(), Suspect> {
    let mut waiting = Vec::new();
    for piece in pieces(files) {
        let file = &files[piece.file];
        let first = file.first_row + piece.first;
        let last = first + rows_of(&file.metadata, &piece.row_groups);
        if rows.partition_point(|row| *row < first) == rows.partition_point(|row| *row < last) {
            continue;
        }
        let mut each = |batch: RecordBatch, first: u64| {
            let base = file.first_row + first;
            let (from, to) = (rows.partition_point(|row| *row < base), {
                let end = base + batch.num_rows() as u64;
                rows.partition_point(|row| *row < end)
            });
            let wanted: Vec<u32> = rows[from..to].iter().map(|row| (*row - base) as u32).collect();
            waiting.extend(file.converter.events(&batch, first, &wanted));
            let go_on = waiting.len() < at_once || on(std::mem::take(&mut waiting));
            if go_on { Ok(()) } else { Err(()) }
        };
        if file.read(&piece, &mut each)?.is_err() {
            return Ok(());
        }
    }
    if !waiting.is_empty() {
        on(waiting);
    }
    Ok(())
}
