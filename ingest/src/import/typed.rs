//! Typed columns: an array of any type as a property's column, in the type pages keep it in.
//!
//! In: an array. Out: booleans, 64-bit integers, decimals or texts, exactly; rows whose value might break a rule are
//! doubted. Nothing is decided here: a doubt costs time, never an event.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, StringViewArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, UInt64Type};
use tidemill_schemas::decimal::{DECIMAL_DIGITS_MAX, DECIMAL_SCALE_MAX, Decimal};
use tidemill_schemas::event::{EVENT_KEY_BYTES_MAX, EVENT_VALUE_BYTES_MAX};
use tidemill_schemas::value::{Type, Value};

use super::cell::{self, Cell};
use crate::page::PageError;

/// Scales columns of floats have: few, so that a file's pages have one layout.
const SCALES: [u8; 7] = [2, 4, 6, 8, 10, 14, 18];
/// Powers of ten that are exact as floats.
const TENS: [f64; 13] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
/// Below this, whole numbers and their tenths are told apart by every float.
const SHORT_MAX: f64 = 1e15;

/// Rows that might break a rule.
pub(super) struct Doubts {
    rows: Vec<bool>,
    any: bool,
}

impl Doubts {
    pub(super) fn of(rows: usize) -> Doubts {
        Doubts { rows: vec![false; rows], any: false }
    }

    pub(super) fn add(&mut self, row: usize) {
        self.rows[row] = true;
        self.any = true;
    }

    pub(super) fn none(&self) -> bool {
        !self.any
    }

    pub(super) fn rows(&self) -> &[bool] {
        &self.rows
    }
}

/// A property's column.
pub(super) enum Typed {
    /// Nothing in it, ever.
    Nothing,
    Bools(ArrayRef),
    Numbers(ArrayRef),
    Texts(ArrayRef),
}

impl Typed {
    pub(super) fn column(self) -> Option<(Type, ArrayRef)> {
        match self {
            Typed::Nothing => None,
            Typed::Bools(array) => Some((Type::Bool, array)),
            Typed::Numbers(array) => Some((Type::Number, array)),
            Typed::Texts(array) => Some((Type::Text, array)),
        }
    }
}

/// An array as a property's column.
pub(super) fn property(array: &ArrayRef, doubts: &mut Doubts) -> Result<Typed, PageError> {
    Ok(match array.data_type() {
        DataType::Null => Typed::Nothing,
        DataType::Boolean => Typed::Bools(array.clone()),
        data_type if data_type.is_integer() => Typed::Numbers(integers(array)?),
        DataType::Float16 => {
            let floats = array.as_primitive::<Float16Type>();
            Typed::Numbers(floats_of(
                floats.iter().map(|float| float.map(|float| Short::Text(float.to_f32()))),
                doubts,
            )?)
        }
        DataType::Float32 => {
            let floats = array.as_primitive::<Float32Type>();
            Typed::Numbers(floats_of(floats.iter().map(|float| float.map(Short::Text)), doubts)?)
        }
        DataType::Float64 => {
            let floats = array.as_primitive::<Float64Type>();
            Typed::Numbers(floats_of(floats.iter().map(|float| float.map(Short::Try)), doubts)?)
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Typed::Numbers(decimals(array, doubts)?)
        }
        DataType::Dictionary(_, values) => property(&cast(array, &plain(values))?, doubts)?,
        DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 => Typed::Texts(cast(array, &DataType::Utf8View)?),
        _ => Typed::Texts(shown(array, doubts)),
    })
}

fn plain(values: &DataType) -> DataType {
    match values {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        other => other.clone(),
    }
}

/// An array as the texts of an identity field; `None` when rows have to be looked at one by one.
pub(super) fn identity(array: &ArrayRef, doubts: &mut Doubts) -> Result<Option<ArrayRef>, PageError> {
    Ok(match array.data_type() {
        DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 => Some(cast(array, &DataType::Utf8View)?),
        DataType::Dictionary(_, values) => identity(&cast(array, &plain(values))?, doubts)?,
        DataType::Null => Some(arrow::array::new_null_array(&DataType::Utf8View, array.len())),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Some(shown(array, doubts))
        }
        data_type if data_type.is_integer() => Some(cast(array, &DataType::Utf8View)?),
        _ => None,
    })
}

fn integers(array: &ArrayRef) -> Result<ArrayRef, PageError> {
    if let Some(unsigned) = array.as_primitive_opt::<UInt64Type>()
        && arrow::compute::max(unsigned).is_some_and(|most| i64::try_from(most).is_err())
    {
        let wide = Decimal128Array::from_iter(unsigned.iter().map(|value| value.map(i128::from)));
        return Ok(Arc::new(wide.with_precision_and_scale(38, 0)?));
    }
    Ok(cast(array, &DataType::Int64)?)
}

/// A float whose shortest decimal is wanted.
enum Short {
    /// By trying a few scales.
    Try(f64),
    /// By writing it.
    Text(f32),
}

impl Short {
    /// Its shortest decimal; `None`: none that can be kept. NaN is no value.
    fn decimal(self) -> Option<Option<Decimal>> {
        match self {
            Short::Text(float) if float.is_nan() => Some(None),
            Short::Text(float) => Decimal::parse(&float.to_string()).ok().map(Some),
            Short::Try(float) if float.is_nan() => Some(None),
            Short::Try(float) => match short(float) {
                Some((unscaled, scale)) => Decimal::new(unscaled.into(), scale).ok().map(Some),
                None => Decimal::parse(&float.to_string()).ok().map(Some),
            },
        }
    }
}

/// The only decimal of at most 15 digits that reads back as this float, if there is one with few decimals. Two such
/// decimals never share a float, so it is also the shortest.
fn short(float: f64) -> Option<(i64, u32)> {
    TENS.iter().zip(0..).find_map(|(ten, scale)| {
        let whole = (float * ten).round();
        (whole.abs() < SHORT_MAX && whole / ten == float).then_some((whole as i64, scale))
    })
}

fn floats_of(floats: impl Iterator<Item = Option<Short>>, doubts: &mut Doubts) -> Result<ArrayRef, PageError> {
    let mut numbers: Vec<Option<Decimal>> = Vec::with_capacity(floats.size_hint().0);
    for (row, float) in floats.enumerate() {
        numbers.push(match float.map(Short::decimal) {
            None => None,
            Some(Some(number)) => number,
            Some(None) => {
                doubts.add(row);
                None
            }
        });
    }
    numbers_of(numbers, doubts)
}

/// Decimals in one column, at the smallest of [`SCALES`] that holds them all.
pub(super) fn numbers_of(numbers: Vec<Option<Decimal>>, doubts: &mut Doubts) -> Result<ArrayRef, PageError> {
    let most = numbers.iter().flatten().map(|number| number.scale()).max().unwrap_or(0);
    let scale = SCALES.into_iter().find(|scale| *scale >= most).unwrap_or(DECIMAL_SCALE_MAX);
    let mut largest: u128 = 0;
    let unscaled = numbers.into_iter().enumerate().map(|(row, number)| {
        let unscaled = number?.unscaled_at(scale).filter(|unscaled| digits(*unscaled) <= DECIMAL_DIGITS_MAX);
        match unscaled {
            Some(unscaled) => largest = largest.max(unscaled.unsigned_abs()),
            // Too wide for this column: as an event it finds its place.
            None => doubts.add(row),
        }
        unscaled
    });
    let array: Decimal128Array = unscaled.collect();
    let precision = if largest < 10u128.pow(18) { 18 } else { 38 };
    Ok(Arc::new(array.with_precision_and_scale(precision, scale as i8)?))
}

fn digits(unscaled: i128) -> u32 {
    unscaled.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1)
}

fn decimals(array: &ArrayRef, doubts: &mut Doubts) -> Result<ArrayRef, PageError> {
    let (digits, scale) = match array.data_type() {
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => (*digits, *scale),
        _ => (0, -1),
    };
    if (0..=DECIMAL_SCALE_MAX as i8).contains(&scale) && digits <= 38 {
        let wide = cast(array, &DataType::Decimal128(digits, scale))?;
        let precision = if digits <= 18 { 18 } else { 38 };
        let wide = wide.as_primitive::<Decimal128Type>().clone();
        return Ok(Arc::new(wide.with_precision_and_scale(precision, scale)?));
    }
    let texts: Vec<Option<String>> = if let Some(wide) = array.as_primitive_opt::<Decimal256Type>() {
        (0..wide.len()).map(|row| wide.is_valid(row).then(|| wide.value_as_string(row))).collect()
    } else {
        let wide = cast(array, &DataType::Decimal128(38, scale))?;
        let wide = wide.as_primitive::<Decimal128Type>();
        (0..wide.len()).map(|row| wide.is_valid(row).then(|| wide.value_as_string(row))).collect()
    };
    let mut numbers = Vec::with_capacity(texts.len());
    for (row, text) in texts.into_iter().enumerate() {
        let number = text.map(|text| Decimal::parse(&text).ok());
        if number == Some(None) {
            doubts.add(row);
        }
        numbers.push(number.flatten());
    }
    numbers_of(numbers, doubts)
}

/// Values of any other type as the texts they become.
fn shown(array: &ArrayRef, doubts: &mut Doubts) -> ArrayRef {
    let mut texts = StringViewBuilder::with_capacity(array.len());
    for row in 0..array.len() {
        match cell::read(array, row).map(Cell::value) {
            Ok(Some(Value::Text(text))) if text.len() <= EVENT_VALUE_BYTES_MAX => texts.append_value(text),
            Ok(None) => texts.append_null(),
            Ok(Some(_)) | Err(_) => {
                doubts.add(row);
                texts.append_null();
            }
        }
    }
    Arc::new(texts.finish())
}

/// Doubts texts that cannot be an id, a name or the like; with `required`, also where there is none.
pub(super) fn check_keys(texts: &StringViewArray, required: bool, doubts: &mut Doubts) {
    let views = texts.views();
    // Equal views of one array are equal texts; of the others most differ anyway.
    let mut last: Option<u128> = None;
    for row in 0..texts.len() {
        if texts.is_null(row) {
            if required {
                doubts.add(row);
            }
            continue;
        }
        if last == Some(views[row]) {
            continue;
        }
        let text = texts.value(row);
        if text.is_empty() || text.len() > EVENT_KEY_BYTES_MAX || has_control(text) {
            doubts.add(row);
        } else {
            last = Some(views[row]);
        }
    }
}

/// Whether there may be a control character: of the two-byte ones, the first byte is told by more than them.
pub(super) fn has_control(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == 0x7F) | (byte == 0xC2))
}

/// Doubts texts that are too long; the longest one's bytes.
pub(super) fn check_texts(array: &ArrayRef, doubts: &mut Doubts) -> usize {
    let mut most = 0;
    for (row, length) in lengths(array).enumerate() {
        most = most.max(length);
        if length > EVENT_VALUE_BYTES_MAX {
            doubts.add(row);
        }
    }
    most
}

/// Adds each row's bytes of text.
pub(super) fn add_lengths(array: &ArrayRef, sums: &mut [usize]) {
    sums.iter_mut().zip(lengths(array)).for_each(|(sum, length)| *sum += length);
}

fn lengths(array: &ArrayRef) -> impl Iterator<Item = usize> + '_ {
    let texts = array.as_string_view();
    // A view's low half is its length; a null's says nothing.
    texts.views().iter().enumerate().map(|(row, view)| if texts.is_null(row) { 0 } else { *view as u32 as usize })
}
