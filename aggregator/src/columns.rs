//! Columns of a batch: finds what an expression reads in a page's schema.
//!
//! In: a batch with the page schema of [`tidemill_schemas::page`]. Out: typed [`Vector`]s. A column that is not there
//! is null in every row; what lies in `$rare` is read from its JSON once a batch. Nothing here knows a definition.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use serde_json::value::RawValue;
use tidemill_ingest::page::footer::Bounds;
use tidemill_schemas::decimal::{DECIMAL_SCALE_MAX, Decimal};
use tidemill_schemas::expression::{Column, Read};
use tidemill_schemas::page;
use tidemill_schemas::value::{Type, Value, hash_text};

use crate::eval::vector::{Numbers, Texts, Times, Unscaled, Vector};
use crate::eval::{EvalError, Node};
use crate::fold::day::Received;
use crate::metric::accumulate::is_same;
use crate::plan::Base;

/// Digits that fit 64 bits.
const SMALL_DIGITS: u8 = 18;
const PROPERTY_TYPES: [Type; 3] = [Type::Bool, Type::Number, Type::Text];

/// What frames of one pass keep for each other: batches of a row group share their dictionaries, insights of a pass
/// their columns.
#[derive(Debug, Default)]
pub struct Memory {
    /// Hashes of dictionaries; each held, so that no other can come to lie at its place.
    hashes: RefCell<VecDeque<(StringArray, Arc<Vec<u128>>)>>,
}

/// Dictionaries whose hashes are kept: those of one row group.
const HASHED_DICTIONARIES_MAX: usize = 16;

/// One batch, ready to be read by every insight of a pass.
#[derive(Debug)]
pub struct Frame<'a> {
    batch: &'a RecordBatch,
    bounds: Bounds,
    memory: &'a Memory,
    /// Rows by the names and source insights read.
    bases: RefCell<Vec<(Base, BooleanBuffer)>>,
    /// The least and greatest event time, once looked at.
    span: Cell<Option<(i64, i64)>>,
    /// Field numbers by property and type; only properties that are wanted.
    properties: BTreeMap<(&'a str, Type), usize>,
    /// Values from `$rare` by property, one per row; only properties that are wanted and occur.
    rare: BTreeMap<String, Vec<Value>>,
}

impl<'a> Frame<'a> {
    /// Looks at a batch; `wanted` are the columns that may be read from it, `bounds` what its page's statistics say.
    ///
    /// # Errors
    /// [`EvalError::Page`] when `$rare` is not what a page holds.
    pub fn new(
        batch: &'a RecordBatch,
        wanted: &BTreeSet<Column>,
        bounds: Bounds,
        memory: &'a Memory,
    ) -> Result<Frame<'a>, EvalError> {
        let mut keys = BTreeSet::new();
        for column in wanted {
            if let Column::Property(key) = column {
                keys.insert(key.as_str());
            }
        }
        let mut properties = BTreeMap::new();
        if !keys.is_empty() {
            for (at, field) in batch.schema_ref().fields().iter().enumerate() {
                let Some(key) = field.metadata().get(page::META_PROPERTY) else { continue };
                let word = field.metadata().get(page::META_TYPE).map(String::as_str);
                let typed = PROPERTY_TYPES.into_iter().find(|typed| Some(typed.word()) == word);
                if let Some(typed) = typed
                    && keys.contains(key.as_str())
                {
                    properties.insert((key.as_str(), typed), at);
                }
            }
        }
        let rare = rare_values(batch, &keys)?;
        Ok(Frame { batch, bounds, memory, bases: RefCell::default(), span: Cell::new(bounds.time), properties, rare })
    }

    /// The least and greatest event time, both included; `None` when it has no rows, or rows without one.
    ///
    /// # Errors
    /// As [`Frame::times`].
    pub fn span(&self) -> Result<Option<(i64, i64)>, EvalError> {
        if self.span.get().is_none()
            && let Some(times) = self.times(page::TIME)?
            && times.nulls.is_none()
        {
            let bounds = times
                .values
                .iter()
                .fold((i64::MAX, i64::MIN), |(least, greatest), time| (least.min(*time), greatest.max(*time)));
            self.span.set((bounds.0 <= bounds.1).then_some(bounds));
        }
        Ok(self.span.get())
    }

    /// When its rows were accepted.
    ///
    /// # Errors
    /// As [`Frame::times`].
    pub(crate) fn received(&self) -> Result<Received, EvalError> {
        Ok(match (self.times(page::RECEIVED)?, self.bounds.received) {
            (Some(times), _) => Received::At(times),
            (None, Some((_, latest))) => Received::Until(latest),
            (None, None) => Received::Unknown,
        })
    }

    /// The rows of an insight's names and source; worked out once for all insights that read the same.
    ///
    /// # Errors
    /// [`EvalError`].
    pub(crate) fn base(&self, base: &Base, test: &Node) -> Result<BooleanBuffer, EvalError> {
        if let Some((_, rows)) = self.bases.borrow().iter().find(|(known, _)| known == base) {
            return Ok(rows.clone());
        }
        let rows = test.holds(self, None)?;
        self.bases.borrow_mut().push((base.clone(), rows.clone()));
        Ok(rows)
    }

    /// The hashes of a column's dictionary; `None` when it has none, or so large a one that `rows` of it are cheaper
    /// hashed one by one.
    pub(crate) fn hashes(&self, texts: &Texts, rows: usize) -> Option<Arc<Vec<u128>>> {
        let values = &texts.values;
        let mut known = self.memory.hashes.borrow_mut();
        texts.keys.as_ref()?;
        if let Some((_, hashes)) = known.iter().find(|(held, _)| is_same(held, values)) {
            return Some(Arc::clone(hashes));
        }
        if values.len() > 4 * rows + 1024 {
            return None;
        }
        let hash = |at: usize| if values.is_null(at) { 0 } else { hash_text(values.value(at)) };
        let hashes: Arc<Vec<u128>> = Arc::new((0..values.len()).map(hash).collect());
        if known.len() >= HASHED_DICTIONARIES_MAX {
            known.pop_front();
        }
        known.push_back((values.clone(), Arc::clone(&hashes)));
        Some(hashes)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Reads a column.
    ///
    /// # Errors
    /// [`EvalError::Page`] when the column has a type a page never has.
    pub fn read(&self, read: &Read) -> Result<Vector, EvalError> {
        let Column::Property(key) = &read.column else {
            let vector = self.envelope(read.column.name())?;
            return Ok(match read.at {
                Some(wanted) => vector.at(wanted),
                None => vector,
            });
        };
        if let Some(wanted) = read.at {
            return self.property(key, wanted);
        }
        let mut parts = Vec::new();
        for wanted in PROPERTY_TYPES {
            match self.property(key, wanted)? {
                Vector::Null(_) => {}
                part => parts.push(part),
            }
        }
        Ok(match parts.len() {
            0 => Vector::Null(self.rows()),
            1 => parts.remove(0),
            _ => Vector::Any(parts),
        })
    }

    /// The event times, or our clock's times at acceptance ([`page::TIME`], [`page::RECEIVED`]); `None` when the batch
    /// has no such column.
    ///
    /// # Errors
    /// [`EvalError::Page`] when the column has a type a page never has.
    pub fn times(&self, name: &str) -> Result<Option<Times>, EvalError> {
        Ok(match self.envelope(name)? {
            Vector::Time(times) => Some(times),
            _ => None,
        })
    }

    fn envelope(&self, name: &str) -> Result<Vector, EvalError> {
        match self.batch.column_by_name(name) {
            Some(column) => vector_of(name, column.as_ref()),
            None => Ok(Vector::Null(self.rows())),
        }
    }

    fn property(&self, key: &str, wanted: Type) -> Result<Vector, EvalError> {
        let vector = match self.properties.get(&(key, wanted)) {
            Some(at) => vector_of(key, self.batch.column(*at).as_ref())?.at(wanted),
            None => Vector::Null(self.rows()),
        };
        let Some(rare) = self.rare.get(key) else { return Ok(vector) };
        if !rare.iter().any(|value| value.type_of() == Some(wanted)) {
            return Ok(vector);
        }
        let overlaid: Vec<Value> = rare
            .iter()
            .enumerate()
            .map(|(row, value)| if *value == Value::Null { vector.value(row) } else { value.clone() })
            .collect();
        Ok(Vector::of_values(&overlaid, wanted))
    }
}

/// The vector of an Arrow array.
fn vector_of(name: &str, array: &dyn Array) -> Result<Vector, EvalError> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    let vector = match array.data_type() {
        DataType::Null => Vector::Null(array.len()),
        DataType::Boolean => Vector::Bool(array.as_boolean().clone()),
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values().clone();
            Vector::Number(Numbers { values: Unscaled::Narrow(values), scale: 0, small: true, nulls })
        }
        DataType::Decimal128(digits, scale) => {
            let values = array.as_primitive::<Decimal128Type>().values().clone();
            numbers_of(name, values, *digits <= SMALL_DIGITS, *scale, nulls)?
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>().clone();
            Vector::Text(Texts { keys: None, values, nulls })
        }
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let values: StringArray = dictionary.values().as_string::<i32>().clone();
            let nulls = if values.null_count() > 0 { dictionary.logical_nulls() } else { nulls };
            Vector::Text(Texts { keys: Some(dictionary.keys().values().clone()), values, nulls })
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = array.as_primitive::<TimestampMicrosecondType>().values().clone();
            Vector::Time(Times { values, nulls })
        }
        other => return cast(name, array, other),
    };
    Ok(vector)
}

/// What other writers give for the same meaning.
fn cast(name: &str, array: &dyn Array, from: &DataType) -> Result<Vector, EvalError> {
    let to = match from {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            DataType::Int64
        }
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, value)
            if matches!(**value, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) =>
        {
            DataType::Utf8
        }
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        other => return Err(EvalError::page(name, &format!("has the type {other}, which pages never have"))),
    };
    let cast = arrow::compute::cast(array, &to).map_err(|error| EvalError::page(name, &error.to_string()))?;
    vector_of(name, cast.as_ref())
}

fn numbers_of(
    name: &str,
    values: ScalarBuffer<i128>,
    small: bool,
    scale: i8,
    nulls: Option<NullBuffer>,
) -> Result<Vector, EvalError> {
    let scale = u8::try_from(scale)
        .ok()
        .filter(|scale| *scale <= DECIMAL_SCALE_MAX)
        .ok_or_else(|| EvalError::page(name, &format!("has the scale {scale}, pages have 0 to 18")))?;
    Ok(Vector::Number(Numbers { values: Unscaled::Wide(values), scale, small, nulls }))
}

fn rare_values(batch: &RecordBatch, keys: &BTreeSet<&str>) -> Result<BTreeMap<String, Vec<Value>>, EvalError> {
    let mut rare: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let Some(column) = batch.column_by_name(page::RARE) else { return Ok(rare) };
    if keys.is_empty() || column.null_count() == column.len() {
        return Ok(rare);
    }
    let Vector::Text(texts) = vector_of(page::RARE, column.as_ref())? else { return Ok(rare) };
    for row in 0..texts.rows() {
        if texts.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        let object: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(texts.at(row)).map_err(|error| EvalError::page(page::RARE, &error.to_string()))?;
        for (key, raw) in object {
            if keys.contains(key.as_str()) {
                let value = rare_value(raw.get()).map_err(|why| EvalError::page(page::RARE, &why))?;
                rare.entry(key).or_insert_with(|| vec![Value::Null; batch.num_rows()])[row] = value;
            }
        }
    }
    Ok(rare)
}

/// One JSON value; numbers exactly, arrays as their text.
fn rare_value(json: &str) -> Result<Value, String> {
    Ok(match json.as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str(json).map_err(|error| error.to_string())?),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        Some(b'[' | b'{') => Value::Text(json.to_owned()),
        _ => Value::Number(Decimal::parse(json).map_err(|error| error.to_string())?),
    })
}

#[cfg(test)]
mod tests;
