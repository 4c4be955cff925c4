//! Events as columns: the one place that turns events into Arrow, for pages and for running totals alike.
//!
//! Each property and type gets the narrowest exact column: INT64 or DECIMAL for numbers, dictionaries for text that
//! repeats. What fits no common column, or is too rare to deserve one, goes to `$rare` as JSON.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::error::ArrowError;
use tidemill_schemas::decimal::{DECIMAL_DIGITS_MAX, Decimal};
use tidemill_schemas::event::Event;
use tidemill_schemas::page::{
    META_PROPERTY, META_TYPE, PAGE_PROPERTY_COLUMNS_MAX, RARE, column_name, envelope_fields,
};
use tidemill_schemas::value::{Type, Value};

/// Text is kept as a dictionary while its distinct values are at most this part of the rows.
const DICTIONARY_SHARE_MAX: f64 = 0.5;
/// Rows up to which text is always a dictionary: a small one costs nothing.
const DICTIONARY_ROWS_MIN: usize = 1_024;

/// A property at a type, with the rows that hold it.
struct Cells<'e> {
    property: &'e str,
    at: Type,
    rows: Vec<(usize, &'e Value)>,
}

/// The events as one batch. `primary`: see [`column_name`]; a property it does not know bears its type in its name.
pub fn batch(events: &[&Event], primary: &dyn Fn(&str) -> Option<Type>) -> Result<RecordBatch, ArrowError> {
    let mut fields = envelope_fields();
    let mut arrays = envelope(events);
    let (columns, rare) = divide(events);
    let mut taken: BTreeSet<String> = fields.iter().map(|field| field.name().to_lowercase()).collect();
    taken.insert(RARE.to_owned());
    for cells in &columns {
        let Some(array) = array(cells, events.len())? else { continue };
        let name = name(cells, primary, &mut taken);
        let metadata = HashMap::from([
            (META_PROPERTY.to_owned(), cells.property.to_owned()),
            (META_TYPE.to_owned(), cells.at.word().to_owned()),
        ]);
        fields.push(Field::new(name, array.data_type().clone(), true).with_metadata(metadata));
        arrays.push(array);
    }
    if !rare.is_empty() {
        fields.push(Field::new(RARE, DataType::Utf8, true));
        arrays.push(rare_column(&rare, events.len()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn envelope(events: &[&Event]) -> Vec<ArrayRef> {
    let time = |of: fn(&Event) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| of(event))).with_timezone("UTC"))
    };
    let text = |of: fn(&Event) -> Option<&str>| -> ArrayRef {
        Arc::new(events.iter().map(|event| of(event)).collect::<DictionaryArray<Int32Type>>())
    };
    vec![
        Arc::new(StringArray::from_iter_values(events.iter().map(|event| &event.id))),
        text(|event| Some(&event.source)),
        text(|event| Some(&event.name)),
        text(|event| event.actor.as_deref()),
        time(|event| event.time.micros()),
        time(|event| event.received.micros()),
        Arc::new(Int64Array::from_iter_values(
            events.iter().map(|event| i64::try_from(event.rev).unwrap_or(i64::MAX)),
        )),
        Arc::new(events.iter().map(|event| Some(event.deleted)).collect::<BooleanArray>()),
    ]
}

/// What goes to `$rare`: row → property → value.
type Rare<'e> = BTreeMap<usize, BTreeMap<&'e str, &'e Value>>;

/// The properties that get columns of their own, by property and type, and what does not.
fn divide<'e>(events: &[&'e Event]) -> (Vec<Cells<'e>>, Rare<'e>) {
    let mut places: HashMap<(&str, Type), usize> = HashMap::new();
    let mut columns: Vec<Cells<'e>> = Vec::new();
    for (row, event) in events.iter().enumerate() {
        for (property, value) in &event.properties {
            let Some(at) = value.type_of() else { continue };
            let place = *places.entry((property, at)).or_insert_with(|| {
                columns.push(Cells { property, at, rows: Vec::new() });
                columns.len() - 1
            });
            columns[place].rows.push((row, value));
        }
    }
    let mut rare = Rare::new();
    let mut spare = |cells: Cells<'e>| {
        for (row, value) in cells.rows {
            rare.entry(row).or_default().insert(cells.property, value);
        }
    };
    let (mut columns, unfit): (Vec<_>, Vec<_>) = columns.into_iter().partition(|cells| common(cells).is_some());
    unfit.into_iter().for_each(&mut spare);
    // The most frequent keep their columns; ties by name, so that equal events give equal pages.
    columns.sort_by(|a, b| (b.rows.len(), a.property, a.at).cmp(&(a.rows.len(), b.property, b.at)));
    if columns.len() > PAGE_PROPERTY_COLUMNS_MAX {
        columns.drain(PAGE_PROPERTY_COLUMNS_MAX..).for_each(&mut spare);
    }
    columns.sort_by_key(|cells| (cells.property, cells.at));
    (columns, rare)
}

/// The precision and scale that hold every number of a column; (0, 0) for other types. `None`: none does.
fn common(cells: &Cells<'_>) -> Option<(u32, u8)> {
    if cells.at != Type::Number {
        return Some((0, 0));
    }
    let scale = cells.rows.iter().map(|(_, value)| number(value).scale()).max().unwrap_or(0);
    let mut digits = 1;
    for (_, value) in &cells.rows {
        digits = digits.max(number(value).unscaled_at(scale)?.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1));
    }
    (digits <= DECIMAL_DIGITS_MAX).then_some((digits.max(u32::from(scale)), scale))
}

fn number(value: &Value) -> Decimal {
    match value {
        Value::Number(number) => *number,
        _ => Decimal::ZERO,
    }
}

/// The column of one property and type; `None` for times, which no property has.
fn array(cells: &Cells<'_>, rows: usize) -> Result<Option<ArrayRef>, ArrowError> {
    Ok(Some(match cells.at {
        Type::Bool => Arc::new(BooleanArray::from(spread(cells, rows, |value| matches!(value, Value::Bool(true))))),
        Type::Number => numbers(cells, rows)?,
        Type::Text => texts(cells, rows)?,
        Type::Time => return Ok(None),
    }))
}

/// The values at their rows, nothing in between.
fn spread<T: Clone>(cells: &Cells<'_>, rows: usize, of: impl Fn(&Value) -> T) -> Vec<Option<T>> {
    let mut all = vec![None; rows];
    for (row, value) in &cells.rows {
        all[*row] = Some(of(value));
    }
    all
}

fn numbers(cells: &Cells<'_>, rows: usize) -> Result<ArrayRef, ArrowError> {
    let (precision, scale) = common(cells).unwrap_or((DECIMAL_DIGITS_MAX, 0));
    let whole = |value: &Value| i64::try_from(number(value).unscaled()).ok();
    if scale == 0 && cells.rows.iter().all(|(_, value)| whole(value).is_some()) {
        return Ok(Arc::new(Int64Array::from(spread(cells, rows, |value| whole(value).unwrap_or_default()))));
    }
    let unscaled = spread(cells, rows, |value| number(value).unscaled_at(scale).unwrap_or_default());
    let array = Decimal128Array::from(unscaled);
    let (precision, scale) = (u8::try_from(precision).unwrap_or(38), i8::try_from(scale).unwrap_or(18));
    Ok(Arc::new(array.with_precision_and_scale(precision, scale)?))
}

fn texts(cells: &Cells<'_>, rows: usize) -> Result<ArrayRef, ArrowError> {
    fn text(value: &Value) -> &str {
        match value {
            Value::Text(text) => text,
            _ => "",
        }
    }
    let mut codes: HashMap<&str, i32> = HashMap::new();
    let mut values: Vec<&str> = Vec::new();
    let mut keys: Vec<Option<i32>> = vec![None; rows];
    for (row, value) in &cells.rows {
        let text = text(value);
        let code = *codes.entry(text).or_insert_with(|| {
            values.push(text);
            i32::try_from(values.len() - 1).unwrap_or(i32::MAX)
        });
        keys[*row] = Some(code);
    }
    let repeats = values.len() as f64 <= cells.rows.len() as f64 * DICTIONARY_SHARE_MAX;
    if repeats || rows <= DICTIONARY_ROWS_MIN {
        let values: ArrayRef = Arc::new(StringArray::from(values));
        return Ok(Arc::new(DictionaryArray::try_new(Int32Array::from(keys), values)?));
    }
    let mut all: Vec<Option<&str>> = vec![None; rows];
    for (row, value) in &cells.rows {
        all[*row] = Some(text(value));
    }
    Ok(Arc::new(StringArray::from(all)))
}

/// A column name nobody has yet, letter case ignored, as DuckDB does.
fn name(cells: &Cells<'_>, primary: &dyn Fn(&str) -> Option<Type>, taken: &mut BTreeSet<String>) -> String {
    // An unknown property bears its type: no type is "primary", so any other one than its own will do.
    let other = if cells.at == Type::Bool { Type::Text } else { Type::Bool };
    let base = column_name(cells.property, cells.at, primary(cells.property).unwrap_or(other));
    let mut name = base.clone();
    let mut count = 1;
    while !taken.insert(name.to_lowercase()) {
        count += 1;
        name = format!("{base}${count}");
    }
    name
}

fn rare_column(rare: &Rare<'_>, rows: usize) -> ArrayRef {
    let mut all: Vec<Option<String>> = vec![None; rows];
    for (row, properties) in rare {
        let mut text = String::from("{");
        for (at, (property, value)) in properties.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            Value::Text((*property).to_owned()).write_json(&mut text);
            text.push(':');
            value.write_json(&mut text);
        }
        text.push('}');
        all[*row] = Some(text);
    }
    Arc::new(StringArray::from(all))
}
