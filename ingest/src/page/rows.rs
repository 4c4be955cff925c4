//! Rows: a batch of page columns back to events, for export and for tests.
//!
//! In: a batch with all columns of a page. Out: one event per row, `$rare` included, in order.

use std::collections::BTreeMap;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::Event;
use tidemill_schemas::page::{ACTOR, DELETED, ID, META_PROPERTY, NAME, RARE, RECEIVED, REV, SOURCE, TIME};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

use super::PageError;
use crate::codec::native::flatten;

/// The events of a batch that has every column of its page.
///
/// # Errors
/// [`PageError::Format`] when a column is missing or of another type.
pub fn batch_to_events(batch: &RecordBatch) -> Result<Vec<Event>, PageError> {
    let (id, source, name, actor) = (text(batch, ID)?, text(batch, SOURCE)?, text(batch, NAME)?, text(batch, ACTOR)?);
    let (time, received) = (instants(batch, TIME)?, instants(batch, RECEIVED)?);
    let rev = column(batch, REV)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(REV))?;
    let deleted = column(batch, DELETED)?.as_boolean_opt().ok_or_else(|| wrong(DELETED))?;
    let properties: Vec<(&str, Cells)> = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(field, array)| Some((field.metadata().get(META_PROPERTY)?.as_str(), array)))
        .map(|(property, array)| Ok((property, Cells::of(property, array)?)))
        .collect::<Result<_, PageError>>()?;
    let rare = batch.column_by_name(RARE).map(|_| text(batch, RARE)).transpose()?;
    (0..batch.num_rows())
        .map(|row| {
            let mut held = match rare.as_ref().filter(|rare| rare.is_valid(row)) {
                Some(rare) => flatten(rare.value(row)).map_err(|_| wrong(RARE))?,
                None => BTreeMap::new(),
            };
            for (property, cells) in &properties {
                if let Some(value) = cells.value(row).map_err(|_| wrong(property))? {
                    held.insert((*property).to_owned(), value);
                }
            }
            Ok(Event {
                id: id.value(row).to_owned(),
                source: source.value(row).to_owned(),
                name: name.value(row).to_owned(),
                actor: actor.is_valid(row).then(|| actor.value(row).to_owned()),
                time: Timestamp::from_micros(time.value(row)),
                properties: held,
                rev: u64::try_from(rev.value(row)).map_err(|_| wrong(REV))?,
                deleted: deleted.value(row),
                received: Timestamp::from_micros(received.value(row)),
            })
        })
        .collect()
}

/// One property column.
enum Cells {
    Bool(BooleanArray),
    Int(Int64Array),
    Decimal(Decimal128Array, u32),
    Text(StringArray),
}

impl Cells {
    fn of(property: &str, array: &ArrayRef) -> Result<Cells, PageError> {
        Ok(match array.data_type() {
            DataType::Boolean => Cells::Bool(array.as_boolean().clone()),
            DataType::Int64 => Cells::Int(array.as_primitive::<Int64Type>().clone()),
            DataType::Decimal128(_, scale) => {
                let scale = u32::try_from(*scale).map_err(|_| wrong(property))?;
                Cells::Decimal(array.as_primitive::<Decimal128Type>().clone(), scale)
            }
            _ => Cells::Text(plain(array)?),
        })
    }

    fn value(&self, row: usize) -> Result<Option<Value>, tidemill_schemas::decimal::DecimalError> {
        Ok(match self {
            Cells::Bool(cells) => cells.is_valid(row).then(|| Value::Bool(cells.value(row))),
            Cells::Int(cells) => cells.is_valid(row).then(|| Value::Number(Decimal::from(cells.value(row)))),
            Cells::Decimal(cells, scale) if cells.is_valid(row) => {
                Some(Value::Number(Decimal::new(cells.value(row), *scale)?))
            }
            Cells::Decimal(..) => None,
            Cells::Text(cells) => cells.is_valid(row).then(|| Value::Text(cells.value(row).to_owned())),
        })
    }
}

fn wrong(column: &str) -> PageError {
    PageError::Format(format!("column `{}` is missing or of another type", column.escape_debug()))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, PageError> {
    batch.column_by_name(name).ok_or_else(|| wrong(name))
}

fn text(batch: &RecordBatch, name: &str) -> Result<StringArray, PageError> {
    plain(column(batch, name)?)
}

/// Text without its dictionary.
fn plain(array: &ArrayRef) -> Result<StringArray, PageError> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn instants<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a TimestampMicrosecondArray, PageError> {
    column(batch, name)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong(name))
}
