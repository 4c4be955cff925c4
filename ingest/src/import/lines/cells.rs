//! Cells: the values of one property at one type, before they are a column.
//!
//! In: values with their rows, ascending. Out: an array with nulls between. The last row's value can be taken back.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringViewArray};
use arrow::buffer::{Buffer, NullBuffer};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::value::Type;

use super::super::typed::{Doubts, numbers_of};
use crate::page::PageError;

/// Bytes of a text that lie in its view.
const INLINE_BYTES_MAX: usize = 12;

/// A text's view: how long it is and where it lies, or the text itself.
pub(super) fn view(text: &[u8], block: u32, offset: u32) -> u128 {
    let mut view = [0; 16];
    view[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
    if text.len() <= INLINE_BYTES_MAX {
        view[4..4 + text.len()].copy_from_slice(text);
    } else {
        view[4..8].copy_from_slice(&text[..4]);
        view[8..12].copy_from_slice(&block.to_le_bytes());
        view[12..].copy_from_slice(&offset.to_le_bytes());
    }
    u128::from_le_bytes(view)
}

/// A value of a property.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Bool(bool),
    Number(Decimal),
    Text(u128),
}

impl Value {
    pub(super) fn type_of(self) -> Type {
        match self {
            Value::Bool(_) => Type::Bool,
            Value::Number(_) => Type::Number,
            Value::Text(_) => Type::Text,
        }
    }
}

enum Values {
    Bools(Vec<bool>),
    Numbers(Vec<Decimal>),
    Texts(Vec<u128>),
}

/// The values of one property at one type.
pub(super) struct Cells {
    rows: Vec<u32>,
    values: Values,
}

impl Cells {
    pub(super) fn of(at: Type) -> Cells {
        let values = match at {
            Type::Bool => Values::Bools(Vec::new()),
            Type::Number => Values::Numbers(Vec::new()),
            _ => Values::Texts(Vec::new()),
        };
        Cells { rows: Vec::new(), values }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn push(&mut self, row: u32, value: Value) {
        match (&mut self.values, value) {
            (Values::Bools(held), Value::Bool(value)) => held.push(value),
            (Values::Numbers(held), Value::Number(value)) => held.push(value),
            (Values::Texts(held), Value::Text(value)) => held.push(value),
            // A property has cells of its own for each type.
            _ => return,
        }
        self.rows.push(row);
    }

    /// Takes the last value back.
    pub(super) fn pop(&mut self) {
        self.rows.pop();
        match &mut self.values {
            Values::Bools(held) => drop(held.pop()),
            Values::Numbers(held) => drop(held.pop()),
            Values::Texts(held) => drop(held.pop()),
        }
    }

    /// The column, of so many rows; of texts the blocks that views name.
    pub(super) fn array(self, rows: usize, blocks: &[Buffer], doubts: &mut Doubts) -> Result<ArrayRef, PageError> {
        let nulls = (self.rows.len() < rows).then(|| {
            let mut valid = vec![false; rows];
            self.rows.iter().for_each(|row| valid[*row as usize] = true);
            NullBuffer::from(valid)
        });
        Ok(match self.values {
            Values::Bools(held) => Arc::new(BooleanArray::new(spread(&self.rows, held, rows).into(), nulls)),
            Values::Texts(held) => {
                let views = spread(&self.rows, held, rows);
                Arc::new(StringViewArray::try_new(views.into(), blocks.to_vec(), nulls)?)
            }
            Values::Numbers(held) => {
                let whole = |number: &Decimal| match number.scale() {
                    0 => i64::try_from(number.unscaled()).ok(),
                    _ => None,
                };
                if let Some(held) = held.iter().map(whole).collect::<Option<Vec<i64>>>() {
                    return Ok(Arc::new(Int64Array::new(spread(&self.rows, held, rows).into(), nulls)));
                }
                let mut numbers = vec![None; rows];
                self.rows.iter().zip(held).for_each(|(row, number)| numbers[*row as usize] = Some(number));
                numbers_of(numbers, doubts)?
            }
        })
    }
}

fn spread<T: Copy + Default>(at: &[u32], held: Vec<T>, rows: usize) -> Vec<T> {
    if held.len() == rows {
        return held;
    }
    let mut values = vec![T::default(); rows];
    at.iter().zip(held).for_each(|(row, value)| values[*row as usize] = value);
    values
}
