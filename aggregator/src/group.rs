//! Groups: breakdown columns to small codes, codes to cells.
//!
//! Each batch gives every selected row a code per breakdown column: the dictionary's own key where there is one,
//! interned otherwise. A code stands for a value only within its batch; a day turns codes into its own cell numbers
//! once per batch and code, so that rows cost one look-up in a small table.

use arrow::array::Array;
use hashbrown::HashMap;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

use crate::eval::vector::{Numbers, Texts, Vector};
use crate::metric::GroupKey;

/// Combined codes up to this many are looked up in a plain table.
const DENSE_CODES_MAX: u64 = 1 << 18;

/// Codes of one batch.
#[derive(Debug)]
pub struct Codes {
    columns: Vec<Coded>,
    /// The combined code of every selected row, one after the other in batch order; meaningless for other rows.
    combined: Vec<u64>,
    /// One more than the greatest combined code; `None` when it needs more than 64 bits' worth of columns.
    bound: u64,
}

/// One column: the code of each row, and each code's value.
#[derive(Debug)]
struct Coded {
    codes: Vec<u32>,
    values: Vec<Value>,
}

impl Codes {
    /// Codes of the breakdown columns for the selected rows, given as ascending lists.
    pub fn new(vectors: &[Vector], selected: &[&[u32]]) -> Codes {
        let columns: Vec<Coded> = vectors.iter().map(|vector| Coded::new(vector, selected)).collect();
        let rows = vectors.first().map_or(0, Vector::rows);
        let mut combined = vec![0u64; rows];
        let mut bound = 1u64;
        for column in &columns {
            // At most 3 columns of fewer codes than rows plus dictionary entries: 2^21 each fit; beyond that codes are
            // narrowed first, so that the product always stays within 64 bits.
            let width = column.values.len() as u64;
            for row in selected.iter().flat_map(|rows| rows.iter()) {
                let row = *row as usize;
                combined[row] = combined[row] * width + u64::from(column.codes[row]);
            }
            bound = bound.saturating_mul(width.max(1));
        }
        Codes { columns, combined, bound }
    }

    /// The group key of a row.
    pub fn key(&self, row: u32) -> GroupKey {
        let value = |column: &Coded| column.values[column.codes[row as usize] as usize].clone();
        self.columns.iter().map(value).collect()
    }

    /// Gives each of `rows` its cell: `number` is asked once for every code that occurs.
    ///
    /// # Errors
    /// What `number` returns.
    pub fn cells<E>(&self, rows: &[u32], mut number: impl FnMut(u32) -> Result<u32, E>) -> Result<Vec<u32>, E> {
        const UNKNOWN: u32 = u32::MAX;
        let mut cells = Vec::with_capacity(rows.len());
        if self.bound <= DENSE_CODES_MAX {
            let mut known = vec![UNKNOWN; self.bound as usize];
            for &row in rows {
                let slot = &mut known[self.combined[row as usize] as usize];
                if *slot == UNKNOWN {
                    *slot = number(row)?;
                }
                cells.push(*slot);
            }
            return Ok(cells);
        }
        let mut known: HashMap<u64, u32, foldhash::fast::FixedState> = HashMap::default();
        for &row in rows {
            let code = self.combined[row as usize];
            let cell = match known.get(&code) {
                Some(cell) => *cell,
                None => *known.entry(code).or_insert(number(row)?),
            };
            cells.push(cell);
        }
        Ok(cells)
    }
}

impl Coded {
    fn new(vector: &Vector, selected: &[&[u32]]) -> Coded {
        let rows = || selected.iter().flat_map(|rows| rows.iter().map(|row| *row as usize));
        let mut coded = Coded { codes: vec![0; vector.rows()], values: vec![Value::Null] };
        coded.fill(vector, &mut rows());
        coded.narrow(&mut rows());
        coded
    }

    /// Codes for the rows that are not null; code 0 is null.
    fn fill(&mut self, vector: &Vector, rows: &mut dyn Iterator<Item = usize>) {
        let nulls = vector.nulls();
        let mut rows = rows.filter(|row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row)));
        match vector {
            Vector::Null(_) => {}
            Vector::Bool(bools) => {
                self.intern(rows, |row| bools.value(row), Value::Bool);
            }
            Vector::Number(numbers) => self.numbers(numbers, rows),
            Vector::Text(texts) => self.texts(texts, &mut rows),
            Vector::Time(times) => {
                self.intern(rows, |row| times.values[row], |micros| Value::Time(Timestamp::from_micros(micros)));
            }
            Vector::Any(parts) => {
                let all: Vec<usize> = rows.collect();
                // The first type that is not null counts, so it is written last.
                for part in parts.iter().rev() {
                    self.fill(part, &mut all.iter().copied());
                }
            }
        }
    }

    fn texts(&mut self, texts: &Texts, rows: &mut dyn Iterator<Item = usize>) {
        let base = self.values.len() as u32;
        if texts.keys.is_some() && texts.values.len() <= texts.rows().max(64) {
            let value = |at| {
                if texts.values.is_null(at) { Value::Null } else { Value::Text(texts.values.value(at).to_owned()) }
            };
            self.values.extend((0..texts.values.len()).map(value));
            rows.for_each(|row| self.codes[row] = base + texts.place(row) as u32);
            return;
        }
        self.intern(rows, |row| texts.at(row), |text: &str| Value::Text(text.to_owned()));
    }

    fn numbers(&mut self, numbers: &Numbers, rows: impl Iterator<Item = usize>) {
        use crate::eval::vector::Unscaled;
        match &numbers.values {
            // One scale: equal integers are equal numbers.
            Unscaled::Narrow(values) => {
                let decimal = |_: i64, row: usize| Value::Number(numbers.decimal(row));
                self.intern_rows(rows, |row| values[row], decimal);
            }
            Unscaled::Wide(values) => {
                let decimal = |_: i128, row: usize| Value::Number(numbers.decimal(row));
                self.intern_rows(rows, |row| values[row], decimal);
            }
            Unscaled::Mixed(values) => self.intern(rows, |row| values[row], Value::Number),
        }
    }

    fn intern<T: Copy + Eq + std::hash::Hash>(
        &mut self,
        rows: impl Iterator<Item = usize>,
        at: impl Fn(usize) -> T,
        value: impl Fn(T) -> Value,
    ) {
        self.intern_rows(rows, at, |held, _| value(held));
    }

    fn intern_rows<T: Copy + Eq + std::hash::Hash>(
        &mut self,
        rows: impl Iterator<Item = usize>,
        at: impl Fn(usize) -> T,
        value: impl Fn(T, usize) -> Value,
    ) {
        let mut known: HashMap<T, u32, foldhash::fast::FixedState> = HashMap::default();
        for row in rows {
            let held = at(row);
            self.codes[row] = *known.entry(held).or_insert_with(|| {
                self.values.push(value(held, row));
                self.values.len() as u32 - 1
            });
        }
    }

    /// Renumbers the codes that occur when there are many, so that three columns fit one 64-bit code.
    fn narrow(&mut self, rows: &mut dyn Iterator<Item = usize>) {
        if self.values.len() < 1 << 21 {
            return;
        }
        let mut renumbered: HashMap<u32, u32, foldhash::fast::FixedState> = HashMap::default();
        let mut values = Vec::new();
        for row in rows {
            let code = &mut self.codes[row];
            *code = *renumbered.entry(*code).or_insert_with(|| {
                values.push(self.values[*code as usize].clone());
                values.len() as u32 - 1
            });
        }
        self.values = values;
    }
}
