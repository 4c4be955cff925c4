//! Growing pages: a page's file written batch by batch, for history that comes as columns.
//!
//! In: batches of page columns of one source and UTC day, properties told by their fields' metadata. Out: the bytes of
//! a page, laid out as [`super::encode`] lays them out. A batch whose properties the page's columns cannot hold needs
//! another page: the caller asks [`PageWriter::fits`] first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast, cast_with_options, max, min};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::page::{
    ID, META_PROPERTY, META_TYPE, NAME, PAGE_PROPERTY_COLUMNS_MAX, PAGE_ROW_GROUP_ROWS, RARE, RECEIVED, REV, TIME,
    column_name, envelope_fields,
};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;
use xxhash_rust::xxh3::xxh3_128;

use super::build::{CREATED_BY, metadata};
use super::columns::unused;
use super::texts::Texts;
use super::{EncodedPage, PageError, Properties};

/// zstd's level: a higher one costs a fifth more and saves a hundredth.
const ZSTD_LEVEL: i32 = 1;
/// Rows of a data page where rows are sorted: what a reader of one name skips or reads.
pub const SORTED_PAGE_ROWS: usize = 4_096;
/// Digits that fit into 64 bits.
const SMALL_DIGITS: u8 = 18;
/// Values looked at to tell whether a column repeats itself.
const SAMPLE_VALUES: usize = 1_024;

/// In which order a page's rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In any.
    Arrival,
    /// By name, then time, inside each row group: readers of one name find its data pages by their statistics.
    NameTime,
}

/// The stored types of properties seen so far: a new page starts with the widest.
#[derive(Clone, Debug, Default)]
pub struct Widest(BTreeMap<(String, Type), DataType>);

/// A property's column.
struct Column {
    property: String,
    at: Type,
    stored: DataType,
}

/// A page that is being written.
pub struct PageWriter {
    order: Order,
    columns: Vec<Column>,
    has_rare: bool,
    file: SerializedFileWriter<Vec<u8>>,
    chunks: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// The row group at hand, column by column, and its rows.
    group: Vec<Chunk>,
    group_rows: usize,
    groups: usize,
    rows: usize,
    times: (i64, i64),
}

/// A column chunk that is being written.
#[expect(clippy::large_enum_variant, reason = "there is one per column")]
enum Chunk {
    Texts(Box<Texts>),
    Other(ArrowColumnWriter),
}

/// The property columns of a batch.
fn properties_of(batch: &RecordBatch) -> impl Iterator<Item = (&str, Type, &ArrayRef)> {
    let schema = batch.schema_ref();
    schema.fields().iter().zip(batch.columns()).filter_map(|(field, array)| {
        let property = field.metadata().get(META_PROPERTY)?;
        Some((property.as_str(), type_of(field.metadata().get(META_TYPE)?)?, array))
    })
}

pub(super) fn type_of(word: &str) -> Option<Type> {
    [Type::Bool, Type::Number, Type::Text].into_iter().find(|at| at.word() == word)
}

/// The type a column of this one is stored as, before any other batch is known.
pub(super) fn stored_as(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Decimal128(digits, scale) if *digits <= SMALL_DIGITS => DataType::Decimal128(SMALL_DIGITS, *scale),
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Boolean | DataType::Int64 => data_type.clone(),
        _ => DataType::Utf8,
    }
}

/// The narrowest type that holds both; `None` when none does.
pub(super) fn both(a: &DataType, b: &DataType) -> Option<DataType> {
    let parts = |data_type: &DataType| match data_type {
        DataType::Int64 => Some((19, 0)),
        DataType::Decimal128(digits, scale) => Some((i16::from(*digits) - i16::from(*scale), i16::from(*scale))),
        _ => None,
    };
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (DataType::Utf8 | DataType::Dictionary(..), DataType::Utf8 | DataType::Dictionary(..)) => Some(a.clone()),
        _ => {
            let ((whole_a, scale_a), (whole_b, scale_b)) = (parts(a)?, parts(b)?);
            let (whole, scale) = (whole_a.max(whole_b), scale_a.max(scale_b));
            match whole + scale {
                ..=18 => Some(DataType::Decimal128(SMALL_DIGITS, scale as i8)),
                19..=38 => Some(DataType::Decimal128(38, scale as i8)),
                _ => None,
            }
        }
    }
}

impl Widest {
    /// Takes a batch's types in.
    pub fn learn(&mut self, batch: &RecordBatch) {
        for (property, at, array) in properties_of(batch) {
            let stored = stored_as(array.data_type());
            match self.0.get_mut(&(property.to_owned(), at)) {
                Some(held) => *held = both(held, &stored).unwrap_or(stored),
                None => drop(self.0.insert((property.to_owned(), at), stored)),
            }
        }
    }

    fn of(&self, property: &str, at: Type, array: Option<&ArrayRef>) -> DataType {
        let stored = array.map(|array| stored_as(array.data_type()));
        let held = self.0.get(&(property.to_owned(), at));
        match (held, stored) {
            (Some(held), Some(stored)) => both(held, &stored).unwrap_or(stored),
            (held, stored) => stored.or(held.cloned()).unwrap_or(DataType::Utf8),
        }
    }
}

impl PageWriter {
    /// The first type of each property that a page opened so has columns for.
    pub fn first_types(batch: &RecordBatch, widest: &Widest) -> BTreeMap<String, Type> {
        let mut first = BTreeMap::new();
        let others = widest.0.keys().map(|(property, at)| (property.as_str(), *at));
        for (property, at) in properties_of(batch).map(|(property, at, _)| (property, at)).chain(others) {
            first.entry(property.to_owned()).and_modify(|held: &mut Type| *held = at.min(*held)).or_insert(at);
        }
        first
    }

    /// Opens a page for a batch, and for others like it.
    ///
    /// # Errors
    /// Parquet's own.
    pub fn open(
        source: &str,
        day: Date,
        batch: &RecordBatch,
        widest: &Widest,
        primary: &dyn Fn(&str) -> Type,
    ) -> Result<PageWriter, PageError> {
        PageWriter::open_in(Order::Arrival, source, day, batch, widest, primary)
    }

    /// The same for rows that come in a certain order.
    ///
    /// # Errors
    /// Parquet's own.
    pub fn open_in(
        order: Order,
        source: &str,
        day: Date,
        batch: &RecordBatch,
        widest: &Widest,
        primary: &dyn Fn(&str) -> Type,
    ) -> Result<PageWriter, PageError> {
        let mut fields = envelope_fields();
        let mut used: HashSet<String> = fields.iter().map(|field| field.name().clone()).collect();
        used.insert(RARE.to_owned());
        let mut columns: Vec<Column> = Vec::new();
        let mut plain: Vec<String> = vec![ID.to_owned()];
        let mut sorted: BTreeMap<(&str, Type), Option<&ArrayRef>> =
            properties_of(batch).map(|(property, at, array)| ((property, at), Some(array))).collect();
        // What other batches had and this one has not: they may well come into this page.
        let others = widest.0.keys().map(|(property, at)| (property.as_str(), *at));
        let others: Vec<(&str, Type)> = others.filter(|other| !sorted.contains_key(other)).collect();
        if sorted.len() + others.len() <= PAGE_PROPERTY_COLUMNS_MAX {
            sorted.extend(others.into_iter().map(|other| (other, None)));
        }
        for ((property, at), array) in sorted {
            let mut stored = widest.of(property, at, array);
            let name = unused(column_name(property, at, primary(property)), &mut used);
            let repeats = array.is_none_or(repeats);
            if !repeats {
                plain.push(name.clone());
            } else if stored == DataType::Utf8 {
                stored = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            }
            let metadata = HashMap::from([
                (META_PROPERTY.to_owned(), property.to_owned()),
                (META_TYPE.to_owned(), at.word().to_owned()),
            ]);
            fields.push(Field::new(name, stored.clone(), true).with_metadata(metadata));
            columns.push(Column { property: property.to_owned(), at, stored });
        }
        let has_rare = rare_of(batch).is_some();
        if has_rare {
            fields.push(Field::new(RARE, DataType::Utf8, true));
            plain.push(RARE.to_owned());
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let layout = layout(order, source, day, &schema, &plain)?;
        let (file, chunks) = ArrowWriter::try_new(Vec::with_capacity(64 * 1024), schema.clone(), Some(layout))?
            .into_serialized_writer()?;
        let (group, group_rows, groups) = (Vec::new(), 0, 0);
        let times = (i64::MAX, i64::MIN);
        Ok(PageWriter { order, columns, has_rare, file, chunks, schema, group, group_rows, groups, rows: 0, times })
    }

    /// Whether a batch's properties all have a column that holds them.
    pub fn fits(&self, batch: &RecordBatch) -> bool {
        (self.has_rare || rare_of(batch).is_none())
            && properties_of(batch).all(|(property, at, array)| {
                self.column(property, at).is_some_and(|column| {
                    let stored = &self.columns[column].stored;
                    both(stored, &stored_as(array.data_type())).as_ref() == Some(stored)
                })
            })
    }

    fn column(&self, property: &str, at: Type) -> Option<usize> {
        self.columns.binary_search_by_key(&(property, at), |column| (column.property.as_str(), column.at)).ok()
    }

    /// Adds a batch that fits.
    ///
    /// # Errors
    /// Arrow's or Parquet's own.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), PageError> {
        let mut held: BTreeMap<(&str, Type), &ArrayRef> = BTreeMap::new();
        for (property, at, array) in properties_of(batch) {
            held.insert((property, at), array);
        }
        let mut arrays = Vec::new();
        for field in envelope_fields() {
            let array = batch.column_by_name(field.name());
            let array = array.ok_or_else(|| PageError::Format(format!("no column `{}`", field.name())))?;
            arrays.push(array.clone());
        }
        for column in &self.columns {
            let array = match held.get(&(column.property.as_str(), column.at)) {
                Some(array) => as_stored(array, &column.stored)?,
                None => new_null_array(&column.stored, batch.num_rows()),
            };
            arrays.push(array);
        }
        if self.has_rare {
            let rare = rare_of(batch).cloned().unwrap_or_else(|| new_null_array(&DataType::Utf8, batch.num_rows()));
            arrays.push(rare);
        }
        let times = batch.column_by_name(TIME).and_then(|time| time.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.ok_or_else(|| PageError::Format(format!("no column `{TIME}`")))?;
        self.times.0 = self.times.0.min(min(times).unwrap_or(i64::MAX));
        self.times.1 = self.times.1.max(max(times).unwrap_or(i64::MIN));
        self.rows += batch.num_rows();
        let mut from = 0;
        while from < batch.num_rows() {
            let count = (batch.num_rows() - from).min(PAGE_ROW_GROUP_ROWS - self.group_rows);
            self.write_rows(&arrays, from, count)?;
            from += count;
            if self.group_rows == PAGE_ROW_GROUP_ROWS {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Adds rows that the row group at hand has room for.
    fn write_rows(&mut self, arrays: &[ArrayRef], from: usize, count: usize) -> Result<(), PageError> {
        if self.group.is_empty() {
            let chunks = self.chunks.create_column_writers(self.groups)?;
            let made = chunks.into_iter().zip(self.schema.fields()).map(|(chunk, field)| match field.data_type() {
                // The general writer looks every text up; and these are most of what a page has. It alone tells bounds
                // of data pages, which sorted rows are read by.
                DataType::Dictionary(..) if self.order == Order::Arrival => {
                    Ok(Chunk::Texts(Box::new(Texts::new(field.is_nullable(), level()?))))
                }
                _ => Ok(Chunk::Other(chunk)),
            });
            self.group = made.collect::<Result<_, PageError>>()?;
        }
        for ((chunk, array), field) in self.group.iter_mut().zip(arrays).zip(self.schema.fields()) {
            let array = if count == array.len() { array.clone() } else { array.slice(from, count) };
            match chunk {
                Chunk::Texts(texts) => texts.write(&array)?,
                Chunk::Other(chunk) => {
                    let held = Field::new(field.name(), array.data_type().clone(), field.is_nullable());
                    for leaf in compute_leaves(&held, &array)? {
                        chunk.write(&leaf)?;
                    }
                }
            }
        }
        self.group_rows += count;
        Ok(())
    }

    /// Ends the row group that is being written.
    ///
    /// # Errors
    /// Parquet's own.
    pub fn end_group(&mut self) -> Result<(), PageError> {
        let chunks = std::mem::take(&mut self.group);
        if chunks.is_empty() {
            return Ok(());
        }
        let columns: Vec<_> = self.file.schema_descr().columns().to_vec();
        let mut group = self.file.next_row_group()?;
        for (chunk, column) in chunks.into_iter().zip(columns) {
            match chunk {
                Chunk::Texts(texts) => {
                    let (bytes, close) = texts.close(column)?;
                    group.append_column(&bytes, close)?;
                }
                Chunk::Other(chunk) => chunk.close()?.append_to_row_group(&mut group)?,
            }
        }
        group.close()?;
        self.groups += 1;
        self.group_rows = 0;
        Ok(())
    }

    /// The properties it has columns for, with their types.
    pub fn properties(&self) -> impl Iterator<Item = (&str, Type)> {
        self.columns.iter().map(|column| (column.property.as_str(), column.at))
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes it holds in memory.
    pub fn bytes(&self) -> usize {
        let held = |chunk: &Chunk| match chunk {
            Chunk::Texts(texts) => texts.memory_size(),
            Chunk::Other(chunk) => chunk.memory_size(),
        };
        self.file.bytes_written() + self.group.iter().map(held).sum::<usize>()
    }

    /// Ends the page. What it held by names is not told: whoever wrote it knows.
    ///
    /// # Errors
    /// [`PageError::Empty`], or Parquet's own.
    pub fn close(mut self) -> Result<EncodedPage, PageError> {
        if self.rows == 0 {
            return Err(PageError::Empty);
        }
        self.end_group()?;
        let bytes = Bytes::from(self.file.into_inner()?);
        Ok(EncodedPage {
            rows: self.rows,
            corrections: 0,
            min_time: Timestamp::from_micros(self.times.0),
            max_time: Timestamp::from_micros(self.times.1),
            hash: format!("{:032x}", xxh3_128(&bytes)),
            bytes,
            properties: Properties::new(),
            names: BTreeMap::new(),
        })
    }
}

/// A batch's rare properties, if any row has some.
fn rare_of(batch: &RecordBatch) -> Option<&ArrayRef> {
    batch.column_by_name(RARE).filter(|rare| rare.null_count() < rare.len())
}

pub(super) fn as_stored(array: &ArrayRef, stored: &DataType) -> Result<ArrayRef, PageError> {
    match (array.data_type(), stored) {
        (held, stored) if held == stored => Ok(array.clone()),
        (DataType::Int64 | DataType::Decimal128(..), DataType::Decimal128(..) | DataType::Decimal256(..)) => {
            let exact = CastOptions { safe: false, ..CastOptions::default() };
            Ok(cast_with_options(array, stored, &exact)?)
        }
        // Parquet's writer takes text in whatever form it lies.
        _ => Ok(array.clone()),
    }
}

/// Whether half of a column's first values are repetitions.
fn repeats(array: &ArrayRef) -> bool {
    let sample = array.slice(0, array.len().min(SAMPLE_VALUES));
    let present = sample.len() - sample.null_count();
    let distinct = match sample.data_type() {
        DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 | DataType::Dictionary(..) => {
            let Ok(texts) = cast(&sample, &DataType::Utf8View) else { return true };
            texts.as_string_view().iter().flatten().collect::<HashSet<_>>().len()
        }
        DataType::Int64 => {
            let ints = sample.as_primitive::<arrow::datatypes::Int64Type>();
            ints.iter().flatten().collect::<HashSet<_>>().len()
        }
        _ => 0,
    };
    distinct * 2 <= present
}

fn level() -> Result<ZstdLevel, ParquetError> {
    ZstdLevel::try_new(ZSTD_LEVEL)
}

fn layout(
    order: Order,
    source: &str,
    day: Date,
    schema: &Schema,
    plain: &[String],
) -> Result<WriterProperties, PageError> {
    let mut layout = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(level()?))
        .set_max_row_group_row_count(Some(PAGE_ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(metadata(source, day)));
    for column in [TIME, RECEIVED, REV] {
        layout = layout
            .set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    layout = layout.set_column_statistics_enabled(ColumnPath::from(TIME), EnabledStatistics::Page);
    if order == Order::NameTime {
        // Pages are flat: a field's place is its column's.
        let (name, time) = (schema.index_of(NAME)?, schema.index_of(TIME)?);
        let by = |column_idx: i32| SortingColumn { column_idx, descending: false, nulls_first: false };
        layout = layout
            .set_sorting_columns(Some(vec![by(name as i32), by(time as i32)]))
            .set_data_page_row_count_limit(SORTED_PAGE_ROWS)
            .set_column_statistics_enabled(ColumnPath::from(NAME), EnabledStatistics::Page);
    }
    for name in plain {
        let path = ColumnPath::new(vec![name.clone()]);
        layout = layout.set_column_dictionary_enabled(path.clone(), false);
        match schema.field_with_name(name)?.data_type() {
            DataType::Int64 => layout = layout.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            DataType::Utf8 => layout = layout.set_column_statistics_enabled(path, EnabledStatistics::None),
            _ => {}
        }
    }
    Ok(layout.build())
}
