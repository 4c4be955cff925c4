//! Typed vectors: what an expression gives over a batch.
//!
//! Values under a null mean nothing and are never looked at. Text keeps its dictionary, numbers keep their column's
//! scale; both are views of the batch's own buffers where nothing had to be computed.

use arrow::array::{Array, BooleanArray, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::{Type, Value};

/// One value per row.
#[derive(Clone, Debug)]
pub enum Vector {
    /// Null in every one of that many rows; of any type.
    Null(usize),
    /// Booleans.
    Bool(BooleanArray),
    /// Numbers.
    Number(Numbers),
    /// Texts.
    Text(Texts),
    /// Instants.
    Time(Times),
    /// A property read at any type: one vector per type it has, in [`Type`]'s order. The first that is not null counts.
    Any(Vec<Vector>),
}

/// Exact numbers.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// The unscaled values.
    pub values: Unscaled,
    /// Digits after the point, 0 to 18; of no meaning for [`Unscaled::Mixed`].
    pub scale: u8,
    /// Whether every one is known to fit 64 bits.
    pub small: bool,
    /// Which rows hold one; `None`: all.
    pub nulls: Option<NullBuffer>,
}

/// The integers behind [`Numbers`].
#[derive(Clone, Debug)]
pub enum Unscaled {
    /// All fit 64 bits.
    Narrow(ScalarBuffer<i64>),
    /// All fit 128 bits at the common scale.
    Wide(ScalarBuffer<i128>),
    /// No common scale fits.
    Mixed(Vec<Decimal>),
}

/// Texts, with or without a dictionary.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Row → place in `values`; `None`: the row itself is the place.
    pub keys: Option<ScalarBuffer<i32>>,
    /// The texts.
    pub values: StringArray,
    /// Which rows hold one; `None`: all.
    pub nulls: Option<NullBuffer>,
}

/// Instants, in microseconds since the epoch.
#[derive(Clone, Debug)]
pub struct Times {
    /// Microseconds.
    pub values: ScalarBuffer<i64>,
    /// Which rows hold one; `None`: all.
    pub nulls: Option<NullBuffer>,
}

impl Numbers {
    /// Rows.
    pub fn rows(&self) -> usize {
        match &self.values {
            Unscaled::Narrow(values) => values.len(),
            Unscaled::Wide(values) => values.len(),
            Unscaled::Mixed(values) => values.len(),
        }
    }

    /// The row's value; what stands under a null is unspecified.
    pub fn decimal(&self, row: usize) -> Decimal {
        let unscaled = match &self.values {
            Unscaled::Narrow(values) => i128::from(values[row]),
            Unscaled::Wide(values) => values[row],
            Unscaled::Mixed(values) => return values[row],
        };
        Decimal::new(unscaled, u32::from(self.scale)).unwrap_or(Decimal::ZERO)
    }

    /// The row's value as `(unscaled, scale)`, not made canonical.
    #[inline]
    pub fn parts(&self, row: usize) -> (i128, u8) {
        match &self.values {
            Unscaled::Narrow(values) => (i128::from(values[row]), self.scale),
            Unscaled::Wide(values) => (values[row], self.scale),
            Unscaled::Mixed(values) => (values[row].unscaled(), values[row].scale()),
        }
    }

    /// Numbers given one by one, packed as narrowly as they fit. Values under a null are replaced.
    pub fn pack(mut values: Vec<Decimal>, nulls: Option<NullBuffer>) -> Numbers {
        if let Some(nulls) = &nulls {
            for (row, value) in values.iter_mut().enumerate() {
                if nulls.is_null(row) {
                    *value = Decimal::ZERO;
                }
            }
        }
        let scale = values.iter().map(|value| value.scale()).max().unwrap_or(0);
        let values = match values.iter().map(|value| value.unscaled_at(scale)).collect::<Option<Vec<i128>>>() {
            Some(wide) => Unscaled::Wide(wide.into()),
            None => Unscaled::Mixed(values),
        };
        Numbers { values, scale, small: false, nulls }
    }
}

impl Texts {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.keys.as_ref().map_or(self.values.len(), |keys| keys.len())
    }

    /// The row's text; what stands under a null is unspecified.
    #[inline]
    pub fn at(&self, row: usize) -> &str {
        let place = self.place(row);
        if place < self.values.len() { self.values.value(place) } else { "" }
    }

    /// The row's place in `values`.
    #[inline]
    pub fn place(&self, row: usize) -> usize {
        // A negative key stands only under a null; it becomes a place beyond every dictionary.
        self.keys.as_ref().map_or(row, |keys| keys[row] as usize)
    }
}

impl Vector {
    /// Rows.
    pub fn rows(&self) -> usize {
        match self {
            Vector::Null(rows) => *rows,
            Vector::Bool(values) => values.len(),
            Vector::Number(numbers) => numbers.rows(),
            Vector::Text(texts) => texts.rows(),
            Vector::Time(times) => times.values.len(),
            Vector::Any(parts) => parts.first().map_or(0, Vector::rows),
        }
    }

    /// Which rows hold a value; `None`: all.
    pub fn nulls(&self) -> Option<NullBuffer> {
        match self {
            Vector::Null(rows) => Some(NullBuffer::new_null(*rows)),
            Vector::Bool(values) => values.nulls().cloned(),
            Vector::Number(numbers) => numbers.nulls.clone(),
            Vector::Text(texts) => texts.nulls.clone(),
            Vector::Time(times) => times.nulls.clone(),
            Vector::Any(parts) => {
                let mut any: Option<BooleanBuffer> = None;
                for part in parts {
                    let valid = part.nulls()?.into_inner();
                    any = Some(any.map_or(valid.clone(), |any| &any | &valid));
                }
                any.map(NullBuffer::new)
            }
        }
    }

    /// The type; `None` when it is null throughout or differs by row.
    pub fn type_of(&self) -> Option<Type> {
        match self {
            Vector::Null(_) | Vector::Any(_) => None,
            Vector::Bool(_) => Some(Type::Bool),
            Vector::Number(_) => Some(Type::Number),
            Vector::Text(_) => Some(Type::Text),
            Vector::Time(_) => Some(Type::Time),
        }
    }

    /// This vector read at a type: values of another type are null.
    #[must_use]
    pub fn at(self, wanted: Type) -> Vector {
        let rows = self.rows();
        match self {
            Vector::Any(parts) => {
                parts.into_iter().find(|part| part.type_of() == Some(wanted)).unwrap_or(Vector::Null(rows))
            }
            vector if vector.type_of() == Some(wanted) => vector,
            _ => Vector::Null(rows),
        }
    }

    /// This vector as booleans.
    pub fn into_bools(self) -> BooleanArray {
        let rows = self.rows();
        match self.at(Type::Bool) {
            Vector::Bool(values) => values,
            _ => BooleanArray::new_null(rows),
        }
    }

    /// One row's value.
    pub fn value(&self, row: usize) -> Value {
        if self.nulls().is_some_and(|nulls| nulls.is_null(row)) {
            return Value::Null;
        }
        match self {
            Vector::Null(_) => Value::Null,
            Vector::Bool(values) => Value::Bool(values.value(row)),
            Vector::Number(numbers) => Value::Number(numbers.decimal(row)),
            Vector::Text(texts) => Value::Text(texts.at(row).to_owned()),
            Vector::Time(times) => Value::Time(Timestamp::from_micros(times.values[row])),
            Vector::Any(parts) => {
                parts.iter().map(|part| part.value(row)).find(|value| *value != Value::Null).unwrap_or(Value::Null)
            }
        }
    }

    /// The same value in every row.
    pub fn constant(value: &Value, rows: usize) -> Vector {
        match value {
            Value::Null => Vector::Null(rows),
            Value::Bool(true) => Vector::Bool(BooleanArray::new(BooleanBuffer::new_set(rows), None)),
            Value::Bool(false) => Vector::Bool(BooleanArray::new(BooleanBuffer::new_unset(rows), None)),
            Value::Number(number) => {
                let values = match i64::try_from(number.unscaled()) {
                    Ok(narrow) => Unscaled::Narrow(vec![narrow; rows].into()),
                    Err(_) => Unscaled::Wide(vec![number.unscaled(); rows].into()),
                };
                Vector::Number(Numbers { values, scale: number.scale(), small: false, nulls: None })
            }
            Value::Text(text) => Vector::Text(Texts {
                keys: Some(vec![0; rows].into()),
                values: StringArray::from_iter_values([text]),
                nulls: None,
            }),
            Value::Time(time) => Vector::Time(Times { values: vec![time.micros(); rows].into(), nulls: None }),
        }
    }

    /// Values given one by one, those of another type than `wanted` null.
    pub fn of_values(values: &[Value], wanted: Type) -> Vector {
        let valid: NullBuffer = values.iter().map(|value| value.type_of() == Some(wanted)).collect();
        let nulls = (valid.null_count() > 0).then_some(valid);
        match wanted {
            Type::Bool => {
                let bits = values.iter().map(|value| matches!(value, Value::Bool(true))).collect();
                Vector::Bool(BooleanArray::new(bits, nulls))
            }
            Type::Number => {
                let number = |value: &Value| if let Value::Number(number) = value { *number } else { Decimal::ZERO };
                Vector::Number(Numbers::pack(values.iter().map(number).collect(), nulls))
            }
            Type::Text => {
                let text = |value: &Value| if let Value::Text(text) = value { text.clone() } else { String::new() };
                Vector::Text(Texts {
                    keys: None,
                    values: StringArray::from_iter_values(values.iter().map(text)),
                    nulls,
                })
            }
            Type::Time => {
                let micros = |value: &Value| if let Value::Time(time) = value { time.micros() } else { 0 };
                Vector::Time(Times { values: values.iter().map(micros).collect(), nulls })
            }
        }
    }
}
