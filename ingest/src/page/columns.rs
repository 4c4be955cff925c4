//! Columns: events to an Arrow batch of the page schema, every value in the narrowest exact type of its column.
//!
//! In: events, in the order of the rows. Out: a batch, and which properties it holds at which types. Numbers of a
//! property are INT64 where all fit, else the narrowest DECIMAL that holds them; a number that would push the column
//! beyond 38 digits goes to `$rare`, as do the properties beyond [`PAGE_PROPERTY_COLUMNS_MAX`], the ones with the
//! fewest values first. The same events always give the same batch.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use tidemill_schemas::decimal::{DECIMAL_DIGITS_MAX, Decimal};
use tidemill_schemas::event::Event;
use tidemill_schemas::page::{META_PROPERTY, META_TYPE, PAGE_PROPERTY_COLUMNS_MAX, RARE, column_name, envelope_fields};
use tidemill_schemas::value::{Type, Value};

use super::PageError;
use crate::codec::native::write_properties;

/// The types properties were seen with.
pub type Properties = BTreeMap<String, BTreeSet<Type>>;

/// A batch and what it holds.
pub(super) struct Built {
    pub(super) batch: RecordBatch,
    /// Properties by the name of the live events that bear them.
    pub(super) names: BTreeMap<String, Properties>,
}

/// Events as a batch with the columns of a page, without the file: what folds images of the change feed.
///
/// # Errors
/// Arrow's own, which no event that passed its check causes.
pub fn changes_to_batch(events: &[&Event]) -> Result<RecordBatch, PageError> {
    Ok(build(events, &|_| Type::Text)?.batch)
}

/// The cells of one property at one type.
struct Column<'a> {
    property: &'a str,
    at: Type,
    cells: Vec<(usize, &'a Value)>,
}

/// What stands in `$rare`, by row.
type RareCells<'a> = BTreeMap<usize, BTreeMap<&'a str, &'a Value>>;

pub(super) fn build(events: &[&Event], primary: &dyn Fn(&str) -> Type) -> Result<Built, PageError> {
    let mut columns = gather(events);
    let names = names_of(events, &columns);
    let mut rare = RareCells::new();
    keep_commonest(&mut columns, &mut rare);

    let mut fields = envelope_fields();
    let mut arrays = envelope(events)?;
    let mut used: HashSet<String> = fields.iter().map(|field| field.name().clone()).collect();
    used.insert(RARE.to_owned());
    for column in &columns {
        let Some(array) = column.array(events.len(), &mut rare)? else { continue };
        let name = unused(column_name(column.property, column.at, primary(column.property)), &mut used);
        let metadata = HashMap::from([
            (META_PROPERTY.to_owned(), column.property.to_owned()),
            (META_TYPE.to_owned(), column.at.word().to_owned()),
        ]);
        fields.push(Field::new(name, array.data_type().clone(), true).with_metadata(metadata));
        arrays.push(array);
    }
    if !rare.is_empty() {
        fields.push(Field::new(RARE, DataType::Utf8, true));
        arrays.push(Arc::new(StringArray::from_iter((0..events.len()).map(|row| {
            rare.get(&row).map(|cells| {
                let mut out = String::new();
                write_properties(&mut out, cells.iter().map(|(key, value)| (*key, *value)));
                out
            })
        }))));
    }
    Ok(Built { batch: RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?, names })
}

/// A column's name, made unlike the others in any letter case: DuckDB takes `Repo` and `repo` for one column. The later
/// one, in order of property and type, is numbered: `repo$2`. Readers go by the field's metadata, not by its name.
pub(super) fn unused(name: String, used: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 2;
    while !used.insert(candidate.to_lowercase()) {
        candidate = format!("{name}${number}");
        number += 1;
    }
    candidate
}

/// All cells, by property and type, in that order.
fn gather<'a>(events: &[&'a Event]) -> Vec<Column<'a>> {
    let mut columns: Vec<Column<'a>> = Vec::new();
    let mut index: HashMap<(&'a str, Type), usize> = HashMap::new();
    // Events of one kind follow each other with the same keys in the same order: look where the last one's was.
    let mut guesses: Vec<usize> = Vec::new();
    for (row, event) in events.iter().enumerate() {
        let mut nth = 0;
        for (key, value) in &event.properties {
            let Some(at) = value.type_of() else { continue };
            let guessed = guesses.get(nth).copied().filter(|&guess| {
                let column = &columns[guess];
                column.at == at && column.property == key
            });
            let place = guessed.unwrap_or_else(|| {
                *index.entry((key.as_str(), at)).or_insert_with(|| {
                    columns.push(Column { property: key, at, cells: Vec::new() });
                    columns.len() - 1
                })
            });
            columns[place].cells.push((row, value));
            match guesses.get_mut(nth) {
                Some(guess) => *guess = place,
                None => guesses.push(place),
            }
            nth += 1;
        }
    }
    columns.sort_by(|a, b| (a.property, a.at).cmp(&(b.property, b.at)));
    columns
}

/// Properties by event name, live events only.
fn names_of(events: &[&Event], columns: &[Column<'_>]) -> BTreeMap<String, Properties> {
    let mut codes: HashMap<&str, usize> = HashMap::new();
    let mut found: Vec<(&str, Properties)> = Vec::new();
    let of_row: Vec<usize> = events
        .iter()
        .map(|event| {
            if event.deleted {
                return usize::MAX;
            }
            *codes.entry(&event.name).or_insert_with(|| {
                found.push((&event.name, Properties::new()));
                found.len() - 1
            })
        })
        .collect();
    let mut seen = vec![false; found.len()];
    for column in columns {
        let mut touched = Vec::new();
        for (row, _) in &column.cells {
            let code = of_row[*row];
            if code < seen.len() && !seen[code] {
                seen[code] = true;
                touched.push(code);
            }
        }
        for code in touched {
            seen[code] = false;
            found[code].1.entry(column.property.to_owned()).or_default().insert(column.at);
        }
    }
    found.into_iter().map(|(name, properties)| (name.to_owned(), properties)).collect()
}

/// Moves the columns beyond the limit to `$rare`: the ones with the fewest cells, then the last in order.
fn keep_commonest<'a>(columns: &mut Vec<Column<'a>>, rare: &mut RareCells<'a>) {
    if columns.len() <= PAGE_PROPERTY_COLUMNS_MAX {
        return;
    }
    columns.sort_by(|a, b| (b.cells.len(), a.property, a.at).cmp(&(a.cells.len(), b.property, b.at)));
    for column in columns.split_off(PAGE_PROPERTY_COLUMNS_MAX) {
        for (row, value) in column.cells {
            rare.entry(row).or_default().insert(column.property, value);
        }
    }
    columns.sort_by(|a, b| (a.property, a.at).cmp(&(b.property, b.at)));
}

impl<'a> Column<'a> {
    /// The column as an array of `rows` rows; `None` when all of it went to `rare`.
    fn array(&self, rows: usize, rare: &mut RareCells<'a>) -> Result<Option<ArrayRef>, PageError> {
        Ok(match self.at {
            Type::Bool => {
                let cells = self.cells.iter().map(|(row, value)| (*row, matches!(value, Value::Bool(true))));
                let (values, nulls) = spread(rows, self.cells.len(), cells);
                Some(Arc::new(BooleanArray::new(values.into(), nulls)))
            }
            Type::Number => self.numbers(rows, rare)?,
            Type::Text => {
                let mut values = vec![None; rows];
                for (row, value) in &self.cells {
                    if let Value::Text(text) = value {
                        values[*row] = Some(text.as_str());
                    }
                }
                Some(texts(&values)?)
            }
            // The event's own `time` alone has this type; a property never does.
            Type::Time => None,
        })
    }

    fn numbers(&self, rows: usize, rare: &mut RareCells<'a>) -> Result<Option<ArrayRef>, PageError> {
        let mut numbers: Vec<(usize, Decimal)> = Vec::with_capacity(self.cells.len());
        for (row, value) in &self.cells {
            if let Value::Number(number) = value {
                numbers.push((*row, *number));
            }
        }
        let whole = |number: &Decimal| number.scale() == 0 && i64::try_from(number.unscaled()).is_ok();
        if numbers.iter().all(|(_, number)| whole(number)) {
            let cells = numbers.iter().map(|(row, number)| (*row, number.unscaled() as i64));
            let (values, nulls) = spread(rows, numbers.len(), cells);
            return Ok(Some(Arc::new(Int64Array::new(values.into(), nulls))));
        }
        let scale = numbers.iter().map(|(_, number)| number.scale()).max().unwrap_or(0);
        let room = DECIMAL_DIGITS_MAX - u32::from(scale);
        let mut digits = 0;
        let mut kept = Vec::with_capacity(numbers.len());
        for ((row, number), (_, value)) in numbers.iter().zip(&self.cells) {
            match number.unscaled_at(scale) {
                Some(unscaled) if whole_digits(*number) <= room => {
                    digits = digits.max(whole_digits(*number));
                    kept.push((*row, unscaled));
                }
                _ => {
                    rare.entry(*row).or_default().insert(self.property, value);
                }
            }
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let precision = u8::try_from(digits + u32::from(scale)).unwrap_or(38).clamp(1, 38);
        let count = kept.len();
        let (values, nulls) = spread(rows, count, kept.into_iter());
        let array = Decimal128Array::new(values.into(), nulls);
        let scale = i8::try_from(scale).unwrap_or(i8::MAX);
        Ok(Some(Arc::new(array.with_precision_and_scale(precision, scale)?)))
    }
}

/// Digits before the point; 0 for what is below 1.
fn whole_digits(number: Decimal) -> u32 {
    let digits = number.unscaled().unsigned_abs().checked_ilog10().map_or(0, |log| log + 1);
    digits.saturating_sub(u32::from(number.scale()))
}

/// Cells spread over the rows, and which rows have none.
pub(super) fn spread<T: Clone + Default>(
    rows: usize,
    count: usize,
    cells: impl Iterator<Item = (usize, T)>,
) -> (Vec<T>, Option<NullBuffer>) {
    let mut values = vec![T::default(); rows];
    if count == rows {
        for (row, value) in cells {
            values[row] = value;
        }
        return (values, None);
    }
    let mut valid = vec![false; rows];
    for (row, value) in cells {
        values[row] = value;
        valid[row] = true;
    }
    (values, Some(NullBuffer::from(valid)))
}

/// Text with a dictionary, unless most values differ.
fn texts(values: &[Option<&str>]) -> Result<ArrayRef, PageError> {
    let dictionary = dictionary(values.iter().copied())?;
    let present = values.len() - dictionary.null_count();
    if dictionary.values().len() * 2 > present {
        return Ok(Arc::new(StringArray::from_iter(values.iter().copied())));
    }
    Ok(Arc::new(dictionary))
}

/// Text with a dictionary in order of first appearance.
pub(super) fn dictionary<'a>(
    values: impl Iterator<Item = Option<&'a str>>,
) -> Result<DictionaryArray<Int32Type>, PageError> {
    let mut codes: HashMap<&str, i32, foldhash::fast::FixedState> = HashMap::default();
    let mut words: Vec<&str> = Vec::new();
    let mut last: Option<(&str, i32)> = None;
    let keys = values
        .map(|value| {
            let text = value?;
            if let Some((held, code)) = last
                && held == text
            {
                return Some(code);
            }
            let code = *codes.entry(text).or_insert_with(|| {
                words.push(text);
                (words.len() - 1) as i32
            });
            last = Some((text, code));
            Some(code)
        })
        .collect::<Int32Array>();
    Ok(DictionaryArray::try_new(keys, Arc::new(StringArray::from_iter_values(words)))?)
}

/// The envelope's arrays, in the order of [`envelope_fields`].
fn envelope(events: &[&Event]) -> Result<Vec<ArrayRef>, PageError> {
    let instants = |instant: fn(&Event) -> i64| -> ArrayRef {
        let values = TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| instant(event)));
        Arc::new(values.with_timezone("UTC"))
    };
    // Revisions come from checked events, at most i64::MAX.
    let rev = |event: &&Event| i64::try_from(event.rev).unwrap_or(i64::MAX);
    Ok(vec![
        Arc::new(StringArray::from_iter_values(events.iter().map(|event| &event.id))),
        Arc::new(dictionary(events.iter().map(|event| Some(event.source.as_str())))?),
        Arc::new(dictionary(events.iter().map(|event| Some(event.name.as_str())))?),
        Arc::new(dictionary(events.iter().map(|event| event.actor.as_deref()))?),
        instants(|event| event.time.micros()),
        instants(|event| event.received.micros()),
        Arc::new(Int64Array::from_iter_values(events.iter().map(rev))),
        Arc::new(BooleanArray::from_iter(events.iter().map(|event| Some(event.deleted)))),
    ])
}

#[cfg(test)]
mod tests;
