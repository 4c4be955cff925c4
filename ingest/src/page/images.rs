//! Stored images as a batch, only the columns somebody reads: what folds the change feed.
//!
//! In: images and the columns wanted. Out: a batch that says of those columns what [`super::changes_to_batch`] says of
//! the same events. Property columns are found by their fields' metadata; their names mean nothing. `None` when the
//! numbers of a property have no common scale: then the way by whole events has room for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use tidemill_schemas::decimal::{DECIMAL_DIGITS_MAX, Decimal};
use tidemill_schemas::expression::Column;
use tidemill_schemas::page::{META_PROPERTY, META_TYPE, RECEIVED};
use tidemill_schemas::value::Type;

use super::PageError;
use super::columns::{dictionary, spread};
use crate::image::{Held, Image};

/// The cells of one property at one type, by row.
type Cells<'a> = Vec<(usize, Held<'a>)>;

/// The columns `wanted`, and [`RECEIVED`], of images that are not withdrawn.
///
/// # Errors
/// Arrow's own, which no stored event causes; a number that is none.
pub fn images_to_batch(images: &[&Image<'_>], wanted: &BTreeSet<Column>) -> Result<Option<RecordBatch>, PageError> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut add = |field: Field, array: ArrayRef| {
        fields.push(field);
        arrays.push(array);
    };
    let received = instants(images, |image| image.received.micros());
    add(Field::new(RECEIVED, received.data_type().clone(), false), received);
    let mut properties = Vec::new();
    for column in wanted {
        let array: ArrayRef = match column {
            Column::Id => Arc::new(StringArray::from_iter_values(images.iter().map(|image| image.id))),
            Column::Source => Arc::new(dictionary(images.iter().map(|image| Some(image.source)))?),
            Column::Name => Arc::new(dictionary(images.iter().map(|image| Some(image.name)))?),
            Column::Actor => Arc::new(dictionary(images.iter().map(|image| image.actor))?),
            Column::Time => instants(images, |image| image.time.micros()),
            Column::Property(key) => {
                properties.push(key.as_str());
                continue;
            }
        };
        add(Field::new(column.name(), array.data_type().clone(), true), array);
    }
    for ((property, at), cells) in gather(images, &properties) {
        let Some(array) = column(at, &cells, images.len())? else { return Ok(None) };
        let metadata = HashMap::from([
            (META_PROPERTY.to_owned(), property.to_owned()),
            (META_TYPE.to_owned(), at.word().to_owned()),
        ]);
        let name = format!("{property}\0{}", at.word());
        add(Field::new(name, array.data_type().clone(), true).with_metadata(metadata), array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(images.len()));
    Ok(Some(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?))
}

/// The cells of the wanted properties.
fn gather<'a>(images: &[&Image<'a>], wanted: &[&'a str]) -> BTreeMap<(&'a str, Type), Cells<'a>> {
    let mut columns: Vec<((&str, Type), Cells<'_>)> = Vec::new();
    // Events of one kind follow each other with the same keys in the same order: the place of a key at a type, or
    // none if it is not wanted, is mostly that of the last event's.
    let mut guesses: Vec<(&str, Type, Option<usize>)> = Vec::new();
    for (row, image) in images.iter().enumerate() {
        for (nth, (key, held)) in image.properties.iter().enumerate() {
            let Some(at) = held.type_of() else { continue };
            let place = match guesses.get(nth) {
                Some((guessed, typed, place)) if guessed == key && *typed == at => *place,
                _ => {
                    let place = place_of(&mut columns, wanted, key, at);
                    guesses.resize(guesses.len().max(nth + 1), ("", Type::Time, None));
                    guesses[nth] = (key, at, place);
                    place
                }
            };
            if let Some(place) = place {
                columns[place].1.push((row, *held));
            }
        }
    }
    columns.into_iter().collect()
}

fn place_of<'a>(
    columns: &mut Vec<((&'a str, Type), Cells<'a>)>,
    wanted: &[&str],
    key: &'a str,
    at: Type,
) -> Option<usize> {
    if !wanted.contains(&key) {
        return None;
    }
    Some(columns.iter().position(|(of, _)| *of == (key, at)).unwrap_or_else(|| {
        columns.push(((key, at), Vec::new()));
        columns.len() - 1
    }))
}

fn column(at: Type, cells: &Cells<'_>, rows: usize) -> Result<Option<ArrayRef>, PageError> {
    Ok(match at {
        Type::Bool => {
            let bools = cells.iter().map(|(row, held)| (*row, *held == Held::Bool(true)));
            let (values, nulls) = spread(rows, cells.len(), bools);
            Some(Arc::new(BooleanArray::new(values.into(), nulls)))
        }
        Type::Number => return numbers(cells, rows),
        Type::Text => {
            let mut texts = vec![None; rows];
            for (row, held) in cells {
                if let Held::Text(text) = held {
                    texts[*row] = Some(*text);
                }
            }
            Some(Arc::new(dictionary(texts.into_iter())?))
        }
        // A property never has this type.
        Type::Time => Some(Arc::new(arrow::array::NullArray::new(rows))),
    })
}

fn numbers(cells: &Cells<'_>, rows: usize) -> Result<Option<ArrayRef>, PageError> {
    let mut parsed = Vec::with_capacity(cells.len());
    let mut scale = 0;
    for (row, held) in cells {
        let Held::Number(text) = held else { continue };
        let number = Decimal::parse(text).map_err(|why| PageError::Format(format!("a number in an event: {why}")))?;
        scale = scale.max(number.scale());
        parsed.push((*row, number));
    }
    let narrow = |number: &Decimal| i64::try_from(number.unscaled()).ok();
    if scale == 0 && parsed.iter().all(|(_, number)| narrow(number).is_some()) {
        let cells = parsed.iter().map(|(row, number)| (*row, narrow(number).unwrap_or_default()));
        let (values, nulls) = spread(rows, parsed.len(), cells);
        return Ok(Some(Arc::new(Int64Array::new(values.into(), nulls))));
    }
    let bound = 10u128.pow(DECIMAL_DIGITS_MAX);
    let mut wide = Vec::with_capacity(parsed.len());
    for (row, number) in parsed {
        match number.unscaled_at(scale).filter(|unscaled| unscaled.unsigned_abs() < bound) {
            Some(unscaled) => wide.push((row, unscaled)),
            None => return Ok(None),
        }
    }
    let count = wide.len();
    let (values, nulls) = spread(rows, count, wide.into_iter());
    let precision = u8::try_from(DECIMAL_DIGITS_MAX).unwrap_or(u8::MAX);
    let scale = i8::try_from(scale).unwrap_or(i8::MAX);
    let array = Decimal128Array::new(values.into(), nulls).with_precision_and_scale(precision, scale)?;
    Ok(Some(Arc::new(array)))
}

fn instants(images: &[&Image<'_>], instant: fn(&Image<'_>) -> i64) -> ArrayRef {
    let values = TimestampMicrosecondArray::from_iter_values(images.iter().map(|image| instant(image)));
    Arc::new(values.with_timezone("UTC"))
}

#[cfg(test)]
mod tests;
