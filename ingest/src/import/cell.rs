//! Cells: one value of an Arrow array of any type.
//!
//! In: an array and a row. Out: an exact value, flat properties, or JSON text. Nothing passes through a float that was
//! none, and a float becomes the shortest decimal that reads back as it.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tidemill_schemas::calendar::{DateTime, Zone, utc_date};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::{Broken, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, EVENT_PROPERTIES_MAX, EVENT_VALUE_BYTES_MAX};
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::value::Value;

use crate::codec::json::write_text;

/// Bytes of JSON text that are written for one value, after which its further items are left out. Beyond what any event
/// may hold: whoever reaches it is refused.
pub(super) const WRITTEN_BYTES_MAX: usize = 2 * EVENT_BYTES_MAX;
/// Bytes of one text within it; what is longer is cut.
const WRITTEN_TEXT_BYTES_MAX: usize = EVENT_BYTES_MAX;

/// One value of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    /// An instant.
    Time(Timestamp),
    /// A date and time of no zone.
    Local(DateTime),
}

impl Cell {
    pub(super) fn value(self) -> Option<Value> {
        Some(match self {
            Cell::Null => return None,
            Cell::Bool(value) => Value::Bool(value),
            Cell::Number(value) => Value::Number(value),
            Cell::Text(value) => Value::Text(value),
            Cell::Time(value) => Value::Text(value.to_string()),
            Cell::Local(value) => Value::Text(value.to_string()),
        })
    }
}

/// A value that is not nested; a nested one as its JSON text.
pub(super) fn read(array: &ArrayRef, row: usize) -> Result<Cell, Broken> {
    if array.is_null(row) {
        return Ok(Cell::Null);
    }
    if let Some(raw) = raw(array, row) {
        return Ok(Cell::Text(raw.text()));
    }
    let (whole, number) = (|value: i64| Ok(Cell::Number(Decimal::from(value))), |text: String| number(&text));
    match array.data_type() {
        DataType::Null => Ok(Cell::Null),
        DataType::Boolean => Ok(Cell::Bool(array.as_boolean().value(row))),
        DataType::Int8 => whole(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => whole(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => whole(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => whole(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => whole(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => whole(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => whole(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Ok(Cell::Number(Decimal::from(array.as_primitive::<UInt64Type>().value(row)))),
        DataType::Float16 => float(array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(..) => number(array.as_primitive::<Decimal32Type>().value_as_string(row)),
        DataType::Decimal64(..) => number(array.as_primitive::<Decimal64Type>().value_as_string(row)),
        DataType::Decimal128(..) => number(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(..) => number(array.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Dictionary(..) => {
            // Just this row: keys are normalised for a whole array at once.
            let one = array.slice(row, 1);
            let dictionary = one.as_any_dictionary();
            read(dictionary.values(), dictionary.normalized_keys()[0])
        }
        DataType::Timestamp(unit, zone) => instant(array, *unit, row, zone.is_some()),
        DataType::Date32 => date(i64::from(array.as_primitive::<Date32Type>().value(row))),
        DataType::Date64 => date(array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)),
        data_type if data_type.is_nested() => {
            let mut out = String::new();
            write(array, row, 2, &mut out)?;
            Ok(Cell::Text(out))
        }
        _ => shown(array, row),
    }
}

/// A text or bytes, where they lie.
enum Raw<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A value that is present, if it is of a type whose values may be long.
fn raw(array: &ArrayRef, row: usize) -> Option<Raw<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => Raw::Text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Raw::Text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Raw::Text(array.as_string_view().value(row)),
        DataType::Binary => Raw::Bytes(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Raw::Bytes(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => Raw::Bytes(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => Raw::Bytes(array.as_fixed_size_binary().value(row)),
        _ => return None,
    })
}

impl<'a> Raw<'a> {
    fn len(&self) -> usize {
        match self {
            Raw::Text(text) => text.len(),
            Raw::Bytes(bytes) => bytes.len(),
        }
    }

    /// As a text: bytes that are none are written in hexadecimal.
    fn text(&self) -> String {
        match self {
            Raw::Text(text) => (*text).to_owned(),
            Raw::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            },
        }
    }

    /// The beginning of one that is too long.
    fn cut(self) -> Raw<'a> {
        match self {
            Raw::Text(text) => Raw::Text(&text[..text.floor_char_boundary(WRITTEN_TEXT_BYTES_MAX)]),
            Raw::Bytes(bytes) => Raw::Bytes(&bytes[..bytes.len().min(WRITTEN_TEXT_BYTES_MAX)]),
        }
    }
}

/// Adds a value to flat properties at `path`, at nesting `depth`; structs and maps by dots.
pub(super) fn flatten(
    path: &str,
    array: &ArrayRef,
    row: usize,
    depth: usize,
    out: &mut BTreeMap<String, Value>,
) -> Result<(), Broken> {
    if depth > EVENT_DEPTH_MAX {
        return Err(Broken::TooDeep);
    }
    if array.is_null(row) {
        return Ok(());
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            for (field, column) in fields.iter().zip(columns.columns()) {
                flatten(&format!("{path}.{}", field.name()), column, row, depth + 1, out)?;
            }
            Ok(())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            for entry in 0..entries.len() {
                if out.len() > EVENT_PROPERTIES_MAX {
                    return Err(Broken::TooManyProperties(out.len() + entries.len() - entry));
                }
                let key = read(entries.column(0), entry)?.value();
                let key = key.map(text_of).unwrap_or_default();
                flatten(&format!("{path}.{key}"), entries.column(1), entry, depth + 1, out)?;
            }
            Ok(())
        }
        _ => {
            // Before it is copied: every row may repeat it.
            let length = raw(array, row).map_or(0, |raw| raw.len());
            if length > EVENT_VALUE_BYTES_MAX {
                return Err(Broken::ValueTooLarge(path.to_owned(), length));
            }
            let value = read(array, row).map_err(|broken| super::named(broken, path))?.value();
            match value.and_then(|value| out.insert(path.to_owned(), value)) {
                Some(_) => Err(Broken::DuplicateKey(path.to_owned())),
                None => Ok(()),
            }
        }
    }
}

/// Appends a value's JSON text; what has no exact number is `null`, and what is beyond [`WRITTEN_BYTES_MAX`] left out.
pub(super) fn write(array: &ArrayRef, row: usize, depth: usize, out: &mut String) -> Result<(), Broken> {
    if depth > EVENT_DEPTH_MAX {
        return Err(Broken::TooDeep);
    }
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    let items = match array.data_type() {
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            out.push('{');
            for (nth, (field, column)) in fields.iter().zip(columns.columns()).enumerate() {
                if out.len() > WRITTEN_BYTES_MAX {
                    break;
                }
                if nth > 0 {
                    out.push(',');
                }
                write_text(out, field.name());
                out.push(':');
                write(column, row, depth + 1, out)?;
            }
            out.push('}');
            return Ok(());
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            out.push('{');
            for entry in 0..entries.len() {
                if out.len() > WRITTEN_BYTES_MAX {
                    break;
                }
                if entry > 0 {
                    out.push(',');
                }
                write_text(out, &read(entries.column(0), entry)?.value().map(text_of).unwrap_or_default());
                out.push(':');
                write(entries.column(1), entry, depth + 1, out)?;
            }
            out.push('}');
            return Ok(());
        }
        DataType::List(_) => array.as_list::<i32>().value(row),
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row),
        data_type if data_type.is_nested() && !matches!(data_type, DataType::Dictionary(..)) => {
            // Views, unions and run-ends inside lists: as Arrow shows them.
            write_text(out, &shown(array, row)?.value().map(text_of).unwrap_or_default());
            return Ok(());
        }
        _ => {
            if let Some(raw) = raw(array, row) {
                write_text(out, &raw.cut().text());
                return Ok(());
            }
            match read(array, row).ok().and_then(Cell::value) {
                Some(Value::Text(text)) => write_text(out, &text),
                Some(value) => value.write_json(out),
                None => out.push_str("null"),
            }
            return Ok(());
        }
    };
    out.push('[');
    for item in 0..items.len() {
        if out.len() > WRITTEN_BYTES_MAX {
            break;
        }
        if item > 0 {
            out.push(',');
        }
        write(&items, item, depth + 1, out)?;
    }
    out.push(']');
    Ok(())
}

fn number(text: &str) -> Result<Cell, Broken> {
    Decimal::parse(text).map(Cell::Number).map_err(|why| Broken::Number("value".to_owned(), why))
}

/// The shortest decimal that reads back as this float; NaN, which is how tables say "no value", is null.
fn float<F: Into<f64> + std::fmt::Display + Copy>(value: F) -> Result<Cell, Broken> {
    if value.into().is_nan() { Ok(Cell::Null) } else { number(&value.to_string()) }
}

fn instant(array: &ArrayRef, unit: TimeUnit, row: usize, zoned: bool) -> Result<Cell, Broken> {
    let micros = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).saturating_mul(MICROS_PER_SECOND),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).saturating_mul(1_000),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000),
    };
    let time = in_range(micros)?;
    Ok(if zoned { Cell::Time(time) } else { Cell::Local(Zone::utc().local_of(time)) })
}

fn date(day: i64) -> Result<Cell, Broken> {
    Ok(Cell::Text(utc_date(in_range(day.saturating_mul(MICROS_PER_DAY))?).to_string()))
}

fn in_range(micros: i64) -> Result<Timestamp, Broken> {
    Timestamp::from_micros(micros).in_range().ok_or_else(|| Broken::Time("value".to_owned()))
}

/// As Arrow shows it: times of day, durations and the like.
fn shown(array: &ArrayRef, row: usize) -> Result<Cell, Broken> {
    let unreadable = |error: arrow::error::ArrowError| Broken::Unreadable(error.to_string());
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options).map_err(unreadable)?;
    Ok(Cell::Text(formatter.value(row).try_to_string().map_err(unreadable)?))
}

fn text_of(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        other => {
            let mut out = String::new();
            other.write_json(&mut out);
            out
        }
    }
}
