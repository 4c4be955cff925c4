//! Conversion by columns: batches of any table to batches of page columns.
//!
//! In: batches, and the import they belong to. Out: the same rows as page columns, and the refusals. The rules for
//! events are checked a column at a time; a row that might break one is *doubtful* and goes through
//! [`Table::verdict`](super::parquet::Table), which alone decides, so that both ways agree by construction. A file
//! whose types have no way by columns goes through it altogether.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    make_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use tidemill_schemas::event::{
    Broken, EVENT_AHEAD_MICROS_MAX, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, EVENT_KEY_BYTES_MAX, EVENT_PROPERTIES_MAX,
};
use tidemill_schemas::page::{META_PROPERTY, META_TYPE, column_name, envelope_fields};
use tidemill_schemas::value::Type;

use super::mapping::{Bound, Place};
use super::parquet::Table;
use super::times;
use super::typed::{self, Doubts, Typed};
use super::{Import, ImportError, refused};
use crate::codec::{Refused, native};
use crate::page::{PageError, changes_to_batch};

/// Bytes a number takes in JSON, at most, with what stands around it.
const NUMBER_JSON_BYTES: usize = 48;
/// Bytes one byte of text takes in JSON, at most.
const ESCAPED_BYTES: usize = 6;

/// Bytes of refused rows that are kept, of a batch as of a thread's share of an import.
pub const REFUSED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Rows of a batch whose values are written out one by one, so that none is shared: of 64 KiB each at most.
const WRITTEN_BATCH_ROWS: usize = 1_024;
/// Bytes of a fixed length that are no concern: a UUID, a digest.
const SHORT_BYTES_MAX: i32 = 64;

/// Some rows of a batch as page columns.
#[derive(Debug)]
pub struct Part {
    /// Which rows of the batch they are, in order.
    pub rows: Vec<u32>,
    /// The page columns.
    pub batch: RecordBatch,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Converted {
    /// Every row that is an event.
    pub parts: Vec<Part>,
    /// Every row that withdraws one; a table's never does.
    pub withdrawn: Option<Part>,
    /// Rows that are none, by their place in the batch, as long as they have [`REFUSED_BYTES_MAX`] together.
    pub refused: Vec<(u32, Refused)>,
    /// Rows that are none, all of them.
    pub refused_count: u64,
    /// Bytes of all of them.
    refused_bytes: usize,
}

impl Converted {
    /// Counts a row that is none, and keeps it as long as there is room.
    pub(super) fn refuse(&mut self, row: u32, refused: Refused) {
        self.refused_count += 1;
        self.refused_bytes += refused.body.len();
        if self.refused_bytes <= REFUSED_BYTES_MAX {
            self.refused.push((row, refused));
        }
    }
}

/// A property's way through a batch's columns.
struct Leaf {
    key: String,
    column: usize,
    /// Fields of structs, from the outside in.
    path: Vec<usize>,
}

/// Converts the batches of one file.
pub struct Converter {
    rows: Table,
    import: Import,
    bound: Bound,
    leaves: Vec<Leaf>,
    /// No row has a way by columns.
    by_rows: bool,
    /// A column's values are written out.
    is_written: bool,
    /// Bytes of text a row may have without its size being looked at.
    text_bytes_safe: usize,
    constants: Constants,
}

/// Columns of one text in every row: made once, and cut to the length they are needed at.
#[derive(Default)]
struct Constants(Mutex<HashMap<String, StringViewArray>>);

impl Constants {
    fn of(&self, text: &str, rows: usize) -> ArrayRef {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(long) = held.get(text).filter(|long| long.len() >= rows) {
            return Arc::new(long.slice(0, rows));
        }
        let made = StringViewArray::from_iter_values(std::iter::repeat_n(text, rows));
        held.insert(text.to_owned(), made.clone());
        Arc::new(made)
    }
}

impl Converter {
    /// Binds an import to a file's columns.
    ///
    /// # Errors
    /// [`ImportError`]: a field without a column.
    pub fn new(schema: &Schema, import: Import) -> Result<Converter, ImportError> {
        let rows = Table::new(schema, import.clone())?;
        let bound = rows.bound().clone();
        let mut leaves = Vec::new();
        let mut by_rows = rows.has_rare();
        for (column, key) in &bound.properties {
            let mut way = Leaf { key: key.clone(), column: *column, path: Vec::new() };
            by_rows |= !walk(schema.field(*column).data_type(), &mut way, &mut leaves);
        }
        let mut keys: Vec<&str> = leaves.iter().map(|leaf| leaf.key.as_str()).collect();
        keys.sort_unstable();
        by_rows |= keys.windows(2).any(|pair| pair[0] == pair[1]) || keys.len() > EVENT_PROPERTIES_MAX;
        by_rows |= keys.iter().any(|key| !is_key(key));
        let fixed: usize = keys.iter().map(|key| key.len() * ESCAPED_BYTES + NUMBER_JSON_BYTES).sum::<usize>()
            + 5 * (EVENT_KEY_BYTES_MAX * ESCAPED_BYTES + NUMBER_JSON_BYTES);
        by_rows |= fixed >= EVENT_BYTES_MAX;
        let text_bytes_safe = EVENT_BYTES_MAX.saturating_sub(fixed) / ESCAPED_BYTES;
        let constants = Constants::default();
        let is_written = schema.fields().iter().any(|field| is_written(field.data_type()));
        Ok(Converter { rows, import, bound, leaves, by_rows, is_written, text_bytes_safe, constants })
    }

    /// Rows that may be converted at once.
    pub fn batch_rows_max(&self) -> usize {
        if self.by_rows || self.is_written { WRITTEN_BATCH_ROWS } else { usize::MAX }
    }

    /// Converts a batch whose first row is the file's row `first`, counted from 0.
    ///
    /// # Errors
    /// Arrow's own.
    pub fn convert(&self, batch: &RecordBatch, first: u64) -> Result<Converted, PageError> {
        let mut doubts = Doubts::of(batch.num_rows());
        let columns = if self.by_rows { None } else { self.columns(batch, first, &mut doubts)? };
        let Some(columns) = columns else {
            return self.one_by_one(batch, first, 0..batch.num_rows() as u32);
        };
        if doubts.none() {
            let rows = (0..batch.num_rows() as u32).collect();
            return Ok(Converted { parts: vec![Part { rows, batch: columns }], ..Converted::default() });
        }
        let certain: BooleanArray = doubts.rows().iter().map(|doubtful| Some(!doubtful)).collect();
        let of = |wanted: bool| {
            doubts.rows().iter().enumerate().filter(move |(_, doubt)| **doubt == wanted).map(|(row, _)| row as u32)
        };
        let mut converted = self.one_by_one(batch, first, of(true))?;
        let part = Part { rows: of(false).collect(), batch: filter_record_batch(&columns, &certain)? };
        if !part.rows.is_empty() {
            converted.parts.insert(0, part);
        }
        Ok(converted)
    }

    /// Rows as events; for what has no way by columns.
    fn one_by_one(
        &self,
        batch: &RecordBatch,
        first: u64,
        rows: impl Iterator<Item = u32>,
    ) -> Result<Converted, PageError> {
        let mut converted = Converted::default();
        let (mut events, mut kept) = (Vec::new(), Vec::new());
        for row in rows {
            let number = first + u64::from(row) + 1;
            match self.rows.verdict(batch, row as usize, number) {
                Ok(event) => {
                    let json = native::encode(&event);
                    if json.len() > EVENT_BYTES_MAX {
                        let broken = Broken::EventTooLarge(json.len());
                        converted.refuse(row, refused(number, Some(event.id), &broken, json));
                        continue;
                    }
                    events.push(event);
                    kept.push(row);
                }
                Err(refused) => converted.refuse(row, refused),
            }
        }
        if !events.is_empty() {
            let batch = changes_to_batch(&events.iter().collect::<Vec<_>>())?;
            converted.parts.push(Part { rows: kept, batch });
        }
        Ok(converted)
    }

    /// The events themselves of some rows.
    pub fn events(&self, batch: &RecordBatch, first: u64, rows: &[u32]) -> Vec<tidemill_schemas::event::Event> {
        let verdict = |row: &u32| self.rows.verdict(batch, *row as usize, first + u64::from(*row) + 1).ok();
        rows.iter().filter_map(verdict).collect()
    }

    /// All rows as page columns, and which of them are doubtful; `None` when a field's type has no way by columns.
    fn columns(&self, batch: &RecordBatch, first: u64, doubts: &mut Doubts) -> Result<Option<RecordBatch>, PageError> {
        let rows = batch.num_rows();
        let Some(envelope) = self.envelope(batch, first, doubts)? else { return Ok(None) };
        let mut fields: Vec<Field> = envelope_fields()
            .into_iter()
            .zip(&envelope)
            .map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true))
            .collect();
        let mut arrays = envelope;
        let mut text_bytes = TextBytes::default();
        for leaf in &self.leaves {
            let array = reach(batch.column(leaf.column), &leaf.path)?;
            let typed = typed::property(&array, doubts)?;
            let Some((at, array)) = typed.column() else { continue };
            if at == Type::Text {
                text_bytes.add(&array, doubts);
            }
            let metadata = HashMap::from([
                (META_PROPERTY.to_owned(), leaf.key.clone()),
                (META_TYPE.to_owned(), at.word().to_owned()),
            ]);
            let name = column_name(&leaf.key, at, at);
            fields.push(Field::new(name, array.data_type().clone(), true).with_metadata(metadata));
            arrays.push(array);
        }
        text_bytes.doubt(self.text_bytes_safe, rows, doubts);
        Ok(Some(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?))
    }

    /// The envelope's arrays, in the order of [`envelope_fields`].
    fn envelope(
        &self,
        batch: &RecordBatch,
        first: u64,
        doubts: &mut Doubts,
    ) -> Result<Option<Vec<ArrayRef>>, PageError> {
        let rows = batch.num_rows();
        let constant = |text: &str| -> ArrayRef { self.constants.of(text, rows) };
        let text = |place: &Option<Place<usize>>, doubts: &mut Doubts| -> Result<Option<ArrayRef>, PageError> {
            Ok(match place {
                None => Some(arrow::array::new_null_array(&DataType::Utf8View, rows)),
                Some(Place::Literal(text)) => Some(constant(text)),
                Some(Place::Row) => {
                    let number = |row: usize| format!("{}:{}", self.import.file, first + row as u64 + 1);
                    Some(Arc::new(StringViewArray::from_iter_values((0..rows).map(number))))
                }
                Some(Place::Column(column)) => typed::identity(batch.column(*column), doubts)?,
            })
        };
        let (Some(id), Some(name), Some(actor)) =
            (text(&self.bound.id, doubts)?, text(&self.bound.name, doubts)?, text(&self.bound.actor, doubts)?)
        else {
            return Ok(None);
        };
        let source = match &self.bound.source {
            None => Some(constant(&self.import.source)),
            place => text(place, doubts)?.map(|source| or_default(&source, &self.import.source)),
        };
        let Some(source) = source else { return Ok(None) };
        for required in [&id, &name, &source] {
            typed::check_keys(required.as_string_view(), true, doubts);
        }
        typed::check_keys(actor.as_string_view(), false, doubts);
        let latest = self.import.now.plus_micros(EVENT_AHEAD_MICROS_MAX).micros();
        let Some(Place::Column(time)) = &self.bound.time else { return Ok(None) };
        let time = times::instants(batch.column(*time), &self.import.zone, latest, doubts);
        let Some(rev) = self.revisions(batch, doubts) else { return Ok(None) };
        let fill = |micros: i64| TimestampMicrosecondArray::from_value(micros, rows).with_timezone("UTC");
        Ok(Some(vec![
            id,
            source,
            name,
            actor,
            Arc::new(TimestampMicrosecondArray::from(time).with_timezone("UTC")),
            Arc::new(fill(self.import.now.micros())),
            Arc::new(rev),
            Arc::new(BooleanArray::from(vec![false; rows])),
        ]))
    }

    fn revisions(&self, batch: &RecordBatch, doubts: &mut Doubts) -> Option<Int64Array> {
        let rows = batch.num_rows();
        match &self.bound.rev {
            None => Some(Int64Array::from_value(0, rows)),
            Some(Place::Column(column)) => {
                let Typed::Numbers(numbers) = typed::property(batch.column(*column), doubts).ok()? else { return None };
                let numbers = numbers.as_primitive_opt::<Int64Type>()?;
                numbers.iter().enumerate().filter(|(_, rev)| rev.is_some_and(|rev| rev < 0)).for_each(|(row, _)| {
                    doubts.add(row);
                });
                Some(Int64Array::from_iter_values(numbers.iter().map(Option::unwrap_or_default)))
            }
            Some(_) => None,
        }
    }
}

/// Rows' bytes of text, counted only where they might matter.
#[derive(Default)]
struct TextBytes {
    most: usize,
    columns: Vec<ArrayRef>,
}

impl TextBytes {
    fn add(&mut self, array: &ArrayRef, doubts: &mut Doubts) {
        self.most += typed::check_texts(array, doubts);
        self.columns.push(array.clone());
    }

    fn doubt(self, safe: usize, rows: usize, doubts: &mut Doubts) {
        if self.most <= safe {
            return;
        }
        let mut sums = vec![0; rows];
        for column in &self.columns {
            typed::add_lengths(column, &mut sums);
        }
        sums.iter().enumerate().filter(|(_, sum)| **sum > safe).for_each(|(row, _)| doubts.add(row));
    }
}

/// Finds a column's leaves; whether there is a way to all of them.
fn walk(data_type: &DataType, way: &mut Leaf, leaves: &mut Vec<Leaf>) -> bool {
    match data_type {
        DataType::Struct(fields) => way.path.len() + 3 < EVENT_DEPTH_MAX && walk_fields(fields, way, leaves),
        DataType::Map(..) | DataType::Union(..) | DataType::RunEndEncoded(..) => false,
        _ => {
            leaves.push(Leaf { key: way.key.clone(), column: way.column, path: way.path.clone() });
            true
        }
    }
}

fn walk_fields(fields: &Fields, way: &mut Leaf, leaves: &mut Vec<Leaf>) -> bool {
    fields.iter().enumerate().all(|(at, field)| {
        let length = way.key.len();
        way.key.push('.');
        way.key.push_str(field.name());
        way.path.push(at);
        let found = walk(field.data_type(), way, leaves);
        way.path.pop();
        way.key.truncate(length);
        found
    })
}

/// Whether values of a type are written out, and not left where they lie.
fn is_written(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| is_written(field.data_type())),
        DataType::FixedSizeBinary(length) => *length > SHORT_BYTES_MAX,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        other => other.is_nested() && !matches!(other, DataType::Dictionary(..)),
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= EVENT_KEY_BYTES_MAX && !key.chars().any(char::is_control)
}

/// A field within structs; null where any of them is.
fn reach(array: &ArrayRef, path: &[usize]) -> Result<ArrayRef, PageError> {
    let mut array = array.clone();
    let mut nulls: Option<NullBuffer> = None;
    for at in path {
        let outer = array.as_struct();
        nulls = NullBuffer::union(nulls.as_ref(), outer.nulls());
        let inner = outer.column(*at).clone();
        array = inner;
    }
    match nulls {
        Some(outer) if outer.null_count() > 0 => {
            let nulls = NullBuffer::union(Some(&outer), array.logical_nulls().as_ref());
            Ok(make_array(array.to_data().into_builder().nulls(nulls).build()?))
        }
        _ => Ok(array),
    }
}

/// Texts, with another one where there is none.
fn or_default(texts: &ArrayRef, default: &str) -> ArrayRef {
    let texts = texts.as_string_view();
    if texts.null_count() == 0 && texts.iter().flatten().all(|text| !text.is_empty()) {
        return Arc::new(texts.clone());
    }
    let or = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or(default).to_owned();
    Arc::new(StringViewArray::from_iter_values(texts.iter().map(or)))
}

#[cfg(test)]
mod tests;
