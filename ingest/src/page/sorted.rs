//! Sorted pages: the live rows of a slice of a day, by name and time inside each row group.
//!
//! In: a day's pages, whole, and which of their rows stand. Out: how many rows each second has; then, slice by slice, a
//! page whose row groups follow each other in time. The same live rows give the same page, however they lay before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt32Array,
    new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::statistics::Statistics;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::page::{
    DELETED, ID, META_PROPERTY, META_TYPE, NAME, PAGE_ROW_GROUP_ROWS, RARE, REV, TIME, envelope_fields,
};
use tidemill_schemas::value::Type;

use super::read::{PAGE_BATCH_ROWS, check_format};
use super::revisions::Corrected;
use super::writer::{Order, PageWriter, Widest, as_stored, both, stored_as, type_of};
use super::{EncodedPage, PageError};
use crate::compaction::{Seconds, Slice, second_of};

/// Rows looked at to tell whether a column repeats itself, from all over the slice.
const SAMPLE_ROWS: usize = 1_024;

/// The property columns that hold what several pages have.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    properties: BTreeMap<(String, Type), DataType>,
    has_rare: bool,
}

impl Columns {
    /// Takes the columns of a page in; the property whose numbers no column can hold together, if there is one.
    ///
    /// # Errors
    /// That property.
    pub fn add(&mut self, schema: &Schema) -> Result<(), String> {
        self.has_rare |= schema.field_with_name(RARE).is_ok();
        for field in schema.fields() {
            let metadata = field.metadata();
            let (Some(property), Some(at)) =
                (metadata.get(META_PROPERTY), metadata.get(META_TYPE).and_then(|word| type_of(word)))
            else {
                continue;
            };
            let stored = stored_as(field.data_type());
            let key = (property.clone(), at);
            let stored = match self.properties.get(&key) {
                Some(held) => both(held, &stored).ok_or_else(|| property.clone())?,
                None => stored,
            };
            self.properties.insert(key, stored);
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.properties.len()
    }

    /// A batch's schema: every text as views.
    fn schema(&self) -> SchemaRef {
        let mut fields = envelope_fields();
        for ((property, at), stored) in &self.properties {
            let metadata = HashMap::from([
                (META_PROPERTY.to_owned(), property.clone()),
                (META_TYPE.to_owned(), at.word().to_owned()),
            ]);
            // Unlike the columns of the envelope, and unlike each other: names are the writer's.
            let name = format!("{property}${}", at.word());
            fields.push(Field::new(name, stored.clone(), true).with_metadata(metadata));
        }
        if self.has_rare {
            fields.push(Field::new(RARE, DataType::Utf8, true));
        }
        Arc::new(views(&Schema::new(fields)))
    }
}

/// A schema with every text as views: what a dictionary repeats is not copied.
fn views(schema: &Schema) -> Schema {
    let view = |field: &FieldRef| match field.data_type() {
        DataType::Utf8 | DataType::Dictionary(..) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
        }
        _ => field.clone(),
    };
    Schema::new_with_metadata(schema.fields().iter().map(view).collect::<Vec<_>>(), schema.metadata().clone())
}

/// Which rows of a day's pages stand.
#[derive(Debug)]
pub struct Standing(pub Corrected);

impl Standing {
    /// Of a batch with `id`, `rev` and `deleted`.
    fn rows(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>, PageError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let missing = |name: &str| PageError::Format(format!("column `{name}` is missing or of another type"));
        let ids = batch.column_by_name(ID).and_then(|ids| ids.as_string_view_opt()).ok_or_else(|| missing(ID))?;
        let revs = batch.column_by_name(REV).and_then(|revs| revs.as_primitive_opt::<Int64Type>());
        let revs: &Int64Array = revs.ok_or_else(|| missing(REV))?;
        let deleted = batch.column_by_name(DELETED).and_then(|deleted| deleted.as_boolean_opt());
        let deleted = deleted.ok_or_else(|| missing(DELETED))?;
        let stands = |row: usize| Some(self.0.stands(ids.value(row), revs.value(row), deleted.value(row)));
        Ok(Some((0..batch.num_rows()).map(stands).collect()))
    }
}

/// What a first look at a day's pages counts.
#[derive(Debug, Default)]
pub struct Census {
    /// Live rows by second.
    pub seconds: Seconds,
    /// Bytes of all columns, decompressed.
    pub bytes: u64,
    /// Rows, live or not.
    pub rows: u64,
    /// The columns.
    pub columns: Columns,
}

/// Why a page was not counted.
#[derive(Debug)]
pub enum Uncounted {
    /// It is unreadable.
    Page(PageError),
    /// The numbers of this property fit into no column together.
    Numbers(String),
}

impl<E: Into<PageError>> From<E> for Uncounted {
    fn from(error: E) -> Uncounted {
        Uncounted::Page(error.into())
    }
}

impl Census {
    /// Counts a page's rows.
    ///
    /// # Errors
    /// See [`Uncounted`].
    pub fn add(&mut self, page: Bytes, standing: &Standing) -> Result<(), Uncounted> {
        let metadata = ArrowReaderMetadata::load(&page, ArrowReaderOptions::default())?;
        check_format(&metadata)?;
        self.columns.add(metadata.schema()).map_err(Uncounted::Numbers)?;
        for group in metadata.metadata().row_groups() {
            self.bytes += u64::try_from(group.total_byte_size()).unwrap_or(0);
            self.rows += u64::try_from(group.num_rows()).unwrap_or(0);
        }
        let names: &[&str] = if standing.0.is_empty() { &[TIME] } else { &[TIME, ID, REV, DELETED] };
        for batch in open(page, Some(names), None)? {
            let batch = batch?;
            let stands = standing.rows(&batch)?;
            let times = times(&batch)?;
            for (row, time) in times.values().iter().enumerate() {
                if stands.as_ref().is_none_or(|stands| stands.value(row)) {
                    self.seconds.add(*time);
                }
            }
        }
        Ok(())
    }
}

/// Opens a page held whole in memory with every text as views; only row groups that may hold rows of `slice`.
fn open(page: Bytes, names: Option<&[&str]>, slice: Option<&Slice>) -> Result<ParquetRecordBatchReader, PageError> {
    let plain = ArrowReaderMetadata::load(&page, ArrowReaderOptions::default())?;
    check_format(&plain)?;
    let hinted = ArrowReaderOptions::new().with_schema(Arc::new(views(plain.schema())));
    let metadata = ArrowReaderMetadata::try_new(plain.metadata().clone(), hinted)?;
    let file = metadata.metadata();
    let wanted = |group: &usize| slice.is_none_or(|slice| may_hold(file.row_group(*group), slice));
    let groups = (0..file.num_row_groups()).filter(wanted).collect();
    let projection = match names {
        Some(names) => ProjectionMask::columns(file.file_metadata().schema_descr(), names.iter().copied()),
        None => ProjectionMask::all(),
    };
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(page, metadata)
        .with_projection(projection)
        .with_row_groups(groups)
        .with_batch_size(PAGE_BATCH_ROWS)
        .build()?)
}

fn may_hold(group: &parquet::file::metadata::RowGroupMetaData, slice: &Slice) -> bool {
    let column = group.columns().iter().find(|column| column.column_path().string() == TIME);
    match column.and_then(|column| column.statistics()) {
        Some(Statistics::Int64(times)) => match (times.min_opt(), times.max_opt()) {
            (Some(min), Some(max)) => second_of(*min) < slice.to && slice.from <= second_of(*max),
            _ => true,
        },
        _ => true,
    }
}

fn times(batch: &RecordBatch) -> Result<&TimestampMicrosecondArray, PageError> {
    let times = batch.column_by_name(TIME).and_then(|time| time.as_primitive_opt::<TimestampMicrosecondType>());
    times.ok_or_else(|| PageError::Format(format!("column `{TIME}` is missing or of another type")))
}

/// A slice's live rows, gathered page by page, always in the same order.
#[derive(Debug)]
pub struct Gathering {
    slice: Slice,
    schema: SchemaRef,
    columns: Columns,
    seen: u64,
    batches: Vec<RecordBatch>,
}

impl Gathering {
    /// Of this slice, into these columns.
    pub fn new(slice: Slice, columns: &Columns) -> Gathering {
        Gathering { slice, schema: columns.schema(), columns: columns.clone(), seen: 0, batches: Vec::new() }
    }

    /// Takes a page's rows in.
    ///
    /// # Errors
    /// [`PageError`]: not a page, or damaged.
    pub fn add(&mut self, page: Bytes, standing: &Standing) -> Result<(), PageError> {
        for batch in open(page, None, Some(&self.slice))? {
            let batch = batch?;
            let stands = standing.rows(&batch)?;
            let rows: BooleanArray = times(&batch)?
                .values()
                .iter()
                .enumerate()
                .map(|(row, time)| Some(self.takes(*time, || stands.as_ref().is_none_or(|stands| stands.value(row)))))
                .collect();
            let kept = match rows.true_count() {
                0 => continue,
                all if all == batch.num_rows() => batch,
                few => {
                    let part = filter_record_batch(&batch, &rows)?;
                    // What holds on to much more text than it shows lets go of it.
                    if few * 2 < batch.num_rows() { own(&part)? } else { part }
                }
            };
            self.batches.push(self.columns.of(&kept, &self.schema)?);
        }
        Ok(())
    }

    fn takes(&mut self, time: i64, stands: impl Fn() -> bool) -> bool {
        let Slice { from, to, skip, take } = self.slice;
        if !(from..to).contains(&second_of(time)) || !stands() {
            return false;
        }
        self.seen += 1;
        (skip + 1..=skip + take).contains(&self.seen)
    }

    /// The page of the gathered rows.
    ///
    /// # Errors
    /// [`PageError::Empty`] without rows; else Arrow's or Parquet's own.
    pub fn page(mut self, source: &str, day: Date, primary: &dyn Fn(&str) -> Type) -> Result<EncodedPage, PageError> {
        let rows = concat_batches(&self.schema, &self.batches)?;
        self.batches.clear();
        let mut order = Ordering::of(&rows)?;
        if order.rows.is_empty() {
            return Err(PageError::Empty);
        }
        order.by_time();
        let sample = order.sample();
        let sample = take_record_batch(&rows, &UInt32Array::from(sample))?;
        let widest = Widest::default();
        let mut writer = PageWriter::open_in(Order::NameTime, source, day, &sample, &widest, primary)?;
        for group in order.groups_by_name() {
            for part in group.chunks(PAGE_BATCH_ROWS) {
                writer.write(&take_record_batch(&rows, &UInt32Array::from(part.to_vec()))?)?;
            }
            writer.end_group()?;
        }
        writer.close()
    }
}

impl Columns {
    /// A page's batch in these columns.
    fn of(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, PageError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for field in envelope_fields() {
            let array = batch.column_by_name(field.name());
            arrays.push(array.ok_or_else(|| PageError::Format(format!("no column `{}`", field.name())))?.clone());
        }
        let held = batch.schema();
        let mut places: HashMap<(&str, Type), usize> = HashMap::new();
        for (at, field) in held.fields().iter().enumerate() {
            let metadata = field.metadata();
            if let (Some(property), Some(of)) =
                (metadata.get(META_PROPERTY), metadata.get(META_TYPE).and_then(|word| type_of(word)))
            {
                places.insert((property, of), at);
            }
        }
        for ((property, at), stored) in &self.properties {
            arrays.push(match places.get(&(property.as_str(), *at)) {
                Some(place) => as_stored(batch.column(*place), stored)?,
                None => new_null_array(schema.field(arrays.len()).data_type(), batch.num_rows()),
            });
        }
        if self.has_rare {
            let rare = batch.column_by_name(RARE).cloned();
            arrays.push(rare.unwrap_or_else(|| new_null_array(&DataType::Utf8View, batch.num_rows())));
        }
        Ok(RecordBatch::try_new(schema.clone(), arrays)?)
    }
}

/// A batch that holds on to nothing but its own texts.
fn own(batch: &RecordBatch) -> Result<RecordBatch, PageError> {
    let own = |array: &ArrayRef| -> ArrayRef {
        match array.as_string_view_opt() {
            Some(texts) => Arc::new(texts.gc()),
            None => array.clone(),
        }
    };
    Ok(RecordBatch::try_new(batch.schema(), batch.columns().iter().map(own).collect())?)
}

/// The rows of a batch in an order.
struct Ordering<'a> {
    /// Time, the name's rank, the row's number.
    rows: Vec<(i64, u32, u32)>,
    ids: &'a StringViewArray,
    revs: &'a Int64Array,
}

impl<'a> Ordering<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Ordering<'a>, PageError> {
        let texts = |name: &str| {
            let texts = batch.column_by_name(name).and_then(|texts| texts.as_string_view_opt());
            texts.ok_or_else(|| PageError::Format(format!("column `{name}` is missing or of another type")))
        };
        let (names, ids) = (texts(NAME)?, texts(ID)?);
        let revs = batch.column_by_name(REV).and_then(|revs| revs.as_primitive_opt::<Int64Type>());
        let revs = revs.ok_or_else(|| PageError::Format(format!("column `{REV}` is missing or of another type")))?;
        let mut codes: HashMap<&str, u32> = HashMap::new();
        let of_row: Vec<u32> = names
            .iter()
            .map(|name| {
                let next = codes.len() as u32;
                *codes.entry(name.unwrap_or_default()).or_insert(next)
            })
            .collect();
        let mut sorted: Vec<(&str, u32)> = codes.into_iter().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        for (rank, (_, code)) in sorted.into_iter().enumerate() {
            ranks[code as usize] = rank as u32;
        }
        let times = times(batch)?.values().iter();
        let rows = times.zip(of_row).enumerate();
        let rows = rows.map(|(row, (time, code))| (*time, ranks[code as usize], row as u32)).collect();
        Ok(Ordering { rows, ids, revs })
    }

    /// Between rows of one name and time.
    fn tie(&self) -> impl Fn(u32, u32) -> std::cmp::Ordering + use<'a> {
        let (ids, revs) = (self.ids, self.revs);
        move |a, b| {
            let key = |row: u32| (ids.value(row as usize), revs.value(row as usize));
            key(a).cmp(&key(b))
        }
    }

    fn by_time(&mut self) {
        let tie = self.tie();
        // Rows mostly come in order, or in runs that are: what a stable sort is quick at.
        self.rows.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| tie(a.2, b.2)));
    }

    /// Rows from all over.
    fn sample(&self) -> Vec<u32> {
        let step = self.rows.len().div_ceil(SAMPLE_ROWS);
        self.rows.iter().step_by(step).map(|row| row.2).collect()
    }

    /// The rows of each row group, by name and time; groups follow each other in time and are of one size.
    fn groups_by_name(&mut self) -> Vec<Vec<u32>> {
        let tie = self.tie();
        let groups = self.rows.len().div_ceil(PAGE_ROW_GROUP_ROWS);
        let size = self.rows.len().div_ceil(groups.max(1)).max(1);
        let sorted = |group: &mut [(i64, u32, u32)]| {
            group.sort_by(|a, b| (a.1, a.0).cmp(&(b.1, b.0)).then_with(|| tie(a.2, b.2)));
            group.iter().map(|row| row.2).collect()
        };
        self.rows.chunks_mut(size).map(sorted).collect()
    }
}

#[cfg(test)]
mod tests;
