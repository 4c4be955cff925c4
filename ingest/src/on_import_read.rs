//! Reading an import's files: opened with suspicion, cut into pieces for several threads, batch by batch.
//!
//! In: files on disk. Out: their rows as page columns, in order within a piece; or the row group and column that cannot
//! be read. A decoder that panics costs its file, not the process. This part of `on_import` blocks: it runs off the
//! async threads.

use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use tidemill_schemas::event::Event;

use crate::import::convert::{Converted, Converter};
use crate::import::inspect::{self, Suspect, without_indexes};
use crate::import::lines::{Lines, Text};
use crate::import::{Import, ImportError};
use crate::on_import::Format;
use crate::on_import_lines::{self, LinesFile};
use crate::page::PageError;

/// Row groups of one piece.
const PIECE_ROW_GROUPS: usize = 4;

/// A file that can be read.
pub(crate) struct Opened {
    /// Its name, for people.
    pub(crate) name: String,
    path: PathBuf,
    /// Its length and when it was last written: what a file of somebody else's must still have at the commit.
    stamp: Option<(u64, SystemTime)>,
    content: Content,
    /// The place of its first row among all rows of the import.
    pub(crate) first_row: u64,
    /// Rows it has; of NDJSON its lines, blank ones included.
    pub(crate) rows: u64,
}

#[expect(clippy::large_enum_variant, reason = "there is one per file")]
enum Content {
    Table { metadata: ArrowReaderMetadata, batch_rows: usize, converter: Converter },
    Lines { file: LinesFile, lines: Lines },
}

/// A part of a file.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The file's place among those opened.
    pub(crate) file: usize,
    part: Part,
    /// The first row's place in the file.
    first: u64,
    /// Rows it has.
    rows: u64,
}

#[derive(Clone, Debug)]
enum Part {
    RowGroups(Vec<usize>),
    /// From this byte to before that one.
    Bytes(u64, u64),
}

/// Some rows of a file, as they lie there.
enum Raw {
    Rows(RecordBatch),
    Text(Text),
}

impl Raw {
    fn rows(&self) -> u64 {
        match self {
            Raw::Rows(batch) => batch.num_rows() as u64,
            Raw::Text(text) => text.lines(),
        }
    }
}

fn whole(reason: String) -> Suspect {
    Suspect { row_group: None, column: None, reason }
}

/// Opens a file.
pub(crate) fn open(path: PathBuf, format: Format, first_row: u64, import: Import) -> Result<Opened, Unreadable> {
    let name = import.file.clone();
    let stamp = stamp(&path);
    let opened = guarded(|| match format {
        Format::Parquet => open_table(&path, import),
        Format::Ndjson => {
            let file = on_import_lines::open(&path).map_err(Unreadable::Suspect)?;
            let rows = file.lines();
            Ok((Content::Lines { file, lines: Lines::new(import) }, rows))
        }
    });
    let (content, rows) = opened.map_err(|panic| Unreadable::Suspect(whole(panic)))??;
    Ok(Opened { name, path, stamp, content, first_row, rows })
}

fn open_table(path: &PathBuf, import: Import) -> Result<(Content, u64), Unreadable> {
    let suspect = |reason: String| Unreadable::Suspect(whole(reason));
    let file = File::open(path).map_err(|why| suspect(why.to_string()))?;
    let inspected = inspect::inspect(&file).map_err(Unreadable::Suspect)?;
    let metadata = Arc::new(inspected.metadata);
    let metadata = ArrowReaderMetadata::try_new(metadata.clone(), without_indexes())
        .and_then(|plain| {
            let hinted = without_indexes().with_schema(views(plain.schema()));
            ArrowReaderMetadata::try_new(metadata, hinted).or(Ok(plain))
        })
        .map_err(|why| suspect(format!("the schema: {why}")))?;
    let converter = Converter::new(metadata.schema(), import).map_err(Unreadable::Import)?;
    let batch_rows = inspected.batch_rows.min(converter.batch_rows_max());
    Ok((Content::Table { metadata, batch_rows, converter }, inspected.rows))
}

fn stamp(path: &PathBuf) -> Option<(u64, SystemTime)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()?))
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
    files.iter().enumerate().flat_map(|(at, opened)| opened.pieces(at)).collect()
}

/// Which thread reads which piece: each goes through a stretch of its own, so that a day's rows grow into few pages, and
/// helps the others when it is through.
pub(crate) struct Turns(Mutex<Vec<Range<usize>>>);

impl Turns {
    /// For so many pieces and threads.
    pub(crate) fn of(pieces: usize, threads: usize) -> Turns {
        let stretch = |nth: usize| nth * pieces / threads.max(1)..(nth + 1) * pieces / threads.max(1);
        Turns(Mutex::new((0..threads).map(stretch).collect()))
    }

    /// The piece a thread reads next.
    pub(crate) fn next(&self, thread: usize) -> Option<usize> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = left.get_mut(thread).and_then(Iterator::next) {
            return Some(next);
        }
        left.iter_mut().max_by_key(|left| left.len()).and_then(DoubleEndedIterator::next_back)
    }
}

impl Opened {
    fn pieces(&self, file: usize) -> Vec<Piece> {
        match &self.content {
            Content::Table { metadata, .. } => {
                let mut first = 0;
                let all: Vec<usize> = (0..metadata.metadata().num_row_groups()).collect();
                let pieces = all.chunks(PIECE_ROW_GROUPS).map(|row_groups| {
                    let rows = rows_of(metadata, row_groups);
                    first += rows;
                    Piece { file, part: Part::RowGroups(row_groups.to_vec()), first: first - rows, rows }
                });
                pieces.collect()
            }
            Content::Lines { file: lines, .. } => {
                let pieces = lines.pieces().map(|piece| {
                    let part = Part::Bytes(piece.start, piece.end);
                    Piece { file, part, first: piece.first_line, rows: piece.lines }
                });
                pieces.collect()
            }
        }
    }

    /// Whether it is still the file that was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.stamp.is_some() && self.stamp == stamp(&self.path)
    }

    /// Reads a piece; `on` gets rows as page columns, the place of the first one in the file, and how many they are.
    /// What `wanted` says no to, given the same two, is passed over.
    pub(crate) fn read<E: From<PageError>>(
        &self,
        piece: &Piece,
        wanted: &dyn Fn(u64, u64) -> bool,
        on: &mut dyn FnMut(Converted, u64, u64) -> Result<(), E>,
    ) -> Result<Result<(), E>, Suspect> {
        self.each(piece, &mut |raw, first| {
            let rows = raw.rows();
            if !wanted(first, rows) {
                return Ok(());
            }
            let converted = match (&self.content, &raw) {
                (Content::Table { converter, .. }, Raw::Rows(batch)) => converter.convert(batch, first)?,
                (Content::Lines { lines, .. }, Raw::Text(text)) => lines.convert(text, first)?,
                _ => Converted::default(),
            };
            on(converted, first, rows)
        })
    }

    fn each<E>(&self, piece: &Piece, on: &mut dyn FnMut(Raw, u64) -> Result<(), E>) -> Result<Result<(), E>, Suspect> {
        let mut at = piece.first;
        let mut next = |raw: Raw| {
            let rows = raw.rows();
            let told = on(raw, at);
            at += rows;
            told
        };
        let read = guarded(|| -> Result<Result<(), E>, String> {
            match &piece.part {
                Part::RowGroups(row_groups) => {
                    for batch in self.batches(row_groups.clone(), None)? {
                        if let Err(stop) = next(Raw::Rows(batch.map_err(|why| why.to_string())?)) {
                            return Ok(Err(stop));
                        }
                    }
                }
                Part::Bytes(start, end) => {
                    for text in on_import_lines::texts(&self.path, *start, *end)? {
                        if let Err(stop) = next(Raw::Text(text.map_err(|why| why.to_string())?)) {
                            return Ok(Err(stop));
                        }
                    }
                }
            }
            Ok(Ok(()))
        });
        let found = at - piece.first;
        match read {
            Ok(Ok(Ok(()))) if found == piece.rows => Ok(Ok(())),
            Ok(Ok(Ok(()))) => Err(self.culprit(piece, format!("{found} rows of {}", piece.rows))),
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
        let Content::Table { metadata, batch_rows, .. } = &self.content else { return Err("no table".to_owned()) };
        let file = File::open(&self.path).map_err(|why| why.to_string())?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_row_groups(row_groups)
            .with_batch_size(*batch_rows);
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
        let (Part::RowGroups(row_groups), Content::Table { metadata, .. }) = (&piece.part, &self.content) else {
            return whole(reason);
        };
        for row_group in row_groups {
            for (column, field) in metadata.schema().fields().iter().enumerate() {
                let alone = guarded(|| -> Result<u64, String> {
                    let mut rows = 0;
                    for batch in self.batches(vec![*row_group], Some(column))? {
                        rows += batch.map_err(|why| why.to_string())?.num_rows() as u64;
                    }
                    Ok(rows)
                });
                let wanted = rows_of(metadata, &[*row_group]);
                let reason = match alone {
                    Ok(Ok(rows)) if rows == wanted => continue,
                    Ok(Ok(rows)) => format!("{rows} rows of {wanted}"),
                    Ok(Err(why)) | Err(why) => why,
                };
                return Suspect { row_group: Some(*row_group), column: Some(field.name().clone()), reason };
            }
        }
        Suspect { row_group: row_groups.first().copied(), column: None, reason }
    }

    /// The events of some rows of what was read.
    fn events(&self, raw: &Raw, first: u64, wanted: &[u32]) -> Vec<Event> {
        match (&self.content, raw) {
            (Content::Table { converter, .. }, Raw::Rows(batch)) => converter.events(batch, first, wanted),
            (Content::Lines { lines, .. }, Raw::Text(text)) => lines.events(text, first, wanted),
            _ => Vec::new(),
        }
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
    let between = |first: u64, rest: u64| {
        let from = rows.partition_point(|row| *row < first);
        &rows[from..rows.partition_point(|row| *row < first + rest)]
    };
    for piece in pieces(files) {
        let file = &files[piece.file];
        if between(file.first_row + piece.first, piece.rows).is_empty() {
            continue;
        }
        let mut each = |raw: Raw, first: u64| {
            let base = file.first_row + first;
            let wanted: Vec<u32> = between(base, raw.rows()).iter().map(|row| (*row - base) as u32).collect();
            if !wanted.is_empty() {
                waiting.extend(file.events(&raw, first, &wanted));
            }
            let go_on = waiting.len() < at_once || on(std::mem::take(&mut waiting));
            if go_on { Ok(()) } else { Err(()) }
        };
        if file.each(&piece, &mut each)?.is_err() {
            return Ok(());
        }
    }
    if !waiting.is_empty() {
        on(waiting);
    }
    Ok(())
}
