//! Pages to batches and events, reading no column that isn't asked for.
//!
//! In: the bytes of a page and a [`Projection`]. Out: Arrow batches with dictionaries as they were written. And the way
//! back: whole events, for export.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::value::RawValue;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::Column;
use tidemill_schemas::page::{
    ACTOR, DELETED, ID, META_PROPERTY, NAME, RARE, RECEIVED, REV, SOURCE, TIME,
};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

/// Rows of one batch.
pub const BATCH_ROWS: usize = 65_536;

/// Why a page cannot be read, in words.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Not Parquet, or broken.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Broken inside.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// Not one of our pages.
    #[error("the column `{0}` is missing or of another type")]
    Column(String),
    /// The JSON of rare properties is broken.
    #[error("`$rare` is not readable: {0}")]
    Rare(String),
}

/// Which columns of a page are read.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    envelope: BTreeSet<&'static str>,
    properties: BTreeSet<String>,
}

impl Projection {
    /// The columns an insight names, and `time` and `received`, which every fold needs.
    pub fn of(columns: impl IntoIterator<Item = Column>) -> Projection {
        let mut projection = Projection { envelope: BTreeSet::from([TIME, RECEIVED]), properties: BTreeSet::new() };
        for column in columns {
            match column {
                Column::Id => projection.envelope.insert(ID),
                Column::Source => projection.envelope.insert(SOURCE),
                Column::Name => projection.envelope.insert(NAME),
                Column::Actor => projection.envelope.insert(ACTOR),
                Column::Time => projection.envelope.insert(TIME),
                Column::Property(key) => projection.properties.insert(key),
            };
        }
        projection
    }

    /// With what tells revisions apart, if `wanted`.
    #[must_use]
    pub fn with_revisions(mut self, wanted: bool) -> Projection {
        if wanted {
            self.envelope.extend([ID, REV, DELETED]);
        }
        self
    }

    /// Whether a field of a page is read.
    fn takes(&self, field: &Field) -> bool {
        match field.metadata().get(META_PROPERTY) {
            Some(property) => self.properties.contains(property),
            None if field.name() == RARE => !self.properties.is_empty(),
            None => self.envelope.contains(field.name().as_str()),
        }
    }
}

/// Opens a page for reading the columns of `projection`.
///
/// # Errors
/// [`PageError`] when the bytes are not a page.
pub fn open(
    page: Bytes,
    projection: &Projection,
) -> Result<impl Iterator<Item = Result<RecordBatch, PageError>> + use<>, PageError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(page)?;
    let fields = reader.schema().fields();
    let roots: Vec<usize> =
        fields.iter().enumerate().filter(|(_, field)| projection.takes(field)).map(|(at, _)| at).collect();
    let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
    let batches: ParquetRecordBatchReader = reader.with_projection(mask).with_batch_size(BATCH_ROWS).build()?;
    Ok(batches.map(|batch| Ok(batch?)))
}

/// Events as one batch with a page's columns, without writing one.
///
/// # Errors
/// Arrow's; none is known to be reachable with checked events.
pub fn changes_to_batch(events: &[&Event]) -> Result<RecordBatch, PageError> {
    Ok(super::columns::batch(events, &|_| None)?)
}

/// Every row of a page as an event, withdrawals included.
///
/// # Errors
/// [`PageError`] when the bytes are not a page.
pub fn events(page: Bytes) -> Result<Vec<Event>, PageError> {
    let mut events = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(page)?.with_batch_size(BATCH_ROWS).build()? {
        events.extend(batch_to_events(&batch?)?);
    }
    Ok(events)
}

/// Every row of a batch with all of a page's columns as an event.
///
/// # Errors
/// [`PageError::Column`] when one is missing.
pub fn batch_to_events(batch: &RecordBatch) -> Result<Vec<Event>, PageError> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| PageError::Column(name.to_owned()));
    let wrong = |name: &str| PageError::Column(name.to_owned());
    let (ids, sources, names, actors) = (column(ID)?, column(SOURCE)?, column(NAME)?, column(ACTOR)?);
    let time = |name: &str| column(name)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong(name));
    let (times, received) = (time(TIME)?, time(RECEIVED)?);
    let revs = column(REV)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(REV))?;
    let deleted = column(DELETED)?.as_boolean_opt().ok_or_else(|| wrong(DELETED))?;
    let schema = batch.schema();
    let properties: Vec<(&str, &dyn Array)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, array)| Some((field.metadata().get(META_PROPERTY)?.as_str(), array.as_ref())))
        .collect();
    let rare = batch.column_by_name(RARE);
    let mut events = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let text = |name: &str, array: &dyn Array| match value(array, row) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(PageError::Column(name.to_owned())),
        };
        let mut held: BTreeMap<String, Value> = BTreeMap::new();
        for (property, array) in &properties {
            if !array.is_null(row) {
                held.insert((*property).to_owned(), value(*array, row).ok_or_else(|| wrong(property))?);
            }
        }
        if let Some(rare) = rare
            && !rare.is_null(row)
        {
            held.extend(rare_properties(&text(RARE, rare)?)?);
        }
        events.push(Event {
            id: text(ID, ids)?,
            source: text(SOURCE, sources)?,
            name: text(NAME, names)?,
            actor: if actors.is_null(row) { None } else { Some(text(ACTOR, actors)?) },
            time: Timestamp::from_micros(times.value(row)),
            properties: held,
            rev: u64::try_from(revs.value(row)).map_err(|_| wrong(REV))?,
            deleted: deleted.value(row),
            received: Timestamp::from_micros(received.value(row)),
        });
    }
    Ok(events)
}

/// The value of a column at a row; `None` for a type no page has.
fn value(array: &dyn Array, row: usize) -> Option<Value> {
    Some(match array.data_type() {
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary_opt::<Int32Type>()?;
            let code = usize::try_from(dictionary.keys().value(row)).ok()?;
            Value::Text(dictionary.values().as_string_opt::<i32>()?.value(code).to_owned())
        }
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int64 => Value::Number(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::Decimal128(_, scale) => {
            let unscaled = array.as_primitive::<Decimal128Type>().value(row);
            Value::Number(Decimal::new(unscaled, u32::try_from(*scale).ok()?).ok()?)
        }
        _ => return None,
    })
}

/// The properties of a `$rare` cell.
fn rare_properties(text: &str) -> Result<BTreeMap<String, Value>, PageError> {
    let wrong = |why: &dyn std::fmt::Display| PageError::Rare(why.to_string());
    let raw: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|why| wrong(&why))?;
    let mut properties = BTreeMap::new();
    for (property, raw) in raw {
        let value = match raw.get().as_bytes().first() {
            Some(b'"') => Value::Text(serde_json::from_str(raw.get()).map_err(|why| wrong(&why))?),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            _ => Value::Number(Decimal::parse(raw.get()).map_err(|why| wrong(&why))?),
        };
        properties.insert(property, value);
    }
    Ok(properties)
}
