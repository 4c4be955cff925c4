//! Groups: breakdown columns to small codes, codes to cells.
//!
//! Each batch gives every selected row a code per breakdown column: the dictionary's own key where there is one,
//! interned otherwise. A code stands for a value only within its batch; a day turns codes into its own cell numbers
//! once per batch and code, so that rows cost one look-up in a small table.

use arrow::array::{Array, StringArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use hashbrown::HashMap;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

use crate::eval::vector::{Numbers, Texts, Vector};
use crate::fold::rows::Which;
use crate::metric::GroupKey;

/// Combined codes up to this many are looked up in a plain table.
const DENSE_CODES_MAX: u64 = 1 << 18;

/// Codes of one batch.
#[derive(Debug)]
pub enum Codes {
    /// One column with a dictionary: its keys are the codes.
    Keys {
        /// Key of each row.
        keys: ScalarBuffer<i32>,
        /// Which rows have one; `None`: all.
        nulls: Option<NullBuffer>,
        /// The dictionary.
        values: StringArray,
    },
    /// Anything else.
    Combined(Combined),
}

/// The cell of each row, and how many rows each cell got.
#[derive(Debug, Default)]
pub struct Numbered {
    /// The cell of each row, one after the other; empty when nobody asked.
    pub cells: Vec<u32>,
    /// Cells with their rows, each cell once.
    pub counts: Vec<(u32, u64)>,
}

impl Codes {
    /// Codes of the breakdown columns for the selected rows.
    pub fn new(vectors: &[Vector], rows: usize, selected: &[Which<'_>]) -> Codes {
        let few = |texts: &Texts| texts.values.len() <= texts.rows().max(64);
        if let [Vector::Text(texts)] = vectors
            && let Some(keys) = &texts.keys
            && texts.values.null_count() == 0
            && few(texts)
        {
            return Codes::Keys { keys: keys.clone(), nulls: texts.nulls.clone(), values: texts.values.clone() };
        }
        Codes::Combined(Combined::new(vectors, rows, selected))
    }

    /// Gives each of `rows` its cell: `number` is asked once for every group that occurs. The cells row by row are told
    /// only if `each`.
    ///
    /// # Errors
    /// What `number` returns.
    pub fn cells<E>(
        &self,
        rows: Which<'_>,
        each: bool,
        mut number: impl FnMut(GroupKey) -> Result<u32, E>,
    ) -> Result<Numbered, E> {
        let (keys, nulls, values) = match self {
            Codes::Keys { keys, nulls, values } => (keys, nulls, values),
            Codes::Combined(combined) => return combined.cells(rows, each, number),
        };
        let none = values.len();
        let mut number = |code: usize| {
            number(vec![if code == none { Value::Null } else { Value::Text(values.value(code).to_owned()) }])
        };
        match (nulls, rows) {
            (None, Which::All(count)) => dense(keys[..count].iter().map(|key| *key as usize), none, each, number),
            (None, Which::List(rows)) => dense(rows.iter().map(|row| keys[*row as usize] as usize), none, each, number),
            (Some(nulls), rows) => {
                let code = |row: usize| if nulls.is_valid(row) { keys[row] as usize } else { none };
                match rows {
                    Which::All(count) => dense((0..count).map(code), none + 1, each, &mut number),
                    Which::List(rows) => dense(rows.iter().map(|row| code(*row as usize)), none + 1, each, &mut number),
                }
            }
        }
    }
}

/// Numbers rows by their codes, which are below `bound`: counted first, so that every code is looked up once.
fn dense<E>(
    codes: impl ExactSizeIterator<Item = usize> + Clone,
    bound: usize,
    each: bool,
    mut number: impl FnMut(usize) -> Result<u32, E>,
) -> Result<Numbered, E> {
    // Two histograms in turn: rows of one group follow each other, and a count waits for the one before it.
    let mut halves = [vec![0u32; bound], vec![0u32; bound]];
    for (nth, code) in codes.clone().enumerate() {
        halves[nth & 1][code] += 1;
    }
    let mut cell_of = vec![0u32; bound];
    let mut counts = Vec::new();
    for code in 0..bound {
        let rows = halves[0][code] + halves[1][code];
        if rows > 0 {
            cell_of[code] = number(code)?;
            counts.push((cell_of[code], u64::from(rows)));
        }
    }
    let cells = if each { codes.map(|code| cell_of[code]).collect() } else { Vec::new() };
    Ok(Numbered { cells, counts })
}

/// Codes of several columns, or of one without a dictionary.
#[derive(Debug)]
pub struct Combined {
    columns: Vec<Coded>,
    /// The combined code of every selected row; meaningless for other rows.
    combined: Vec<u64>,
    /// One more than the greatest combined code.
    bound: u64,
}

/// One column: the code of each row, and each code's value.
#[derive(Debug)]
struct Coded {
    codes: Vec<u32>,
    values: Vec<Value>,
}

impl Combined {
    fn new(vectors: &[Vector], rows: usize, selected: &[Which<'_>]) -> Combined {
        let columns: Vec<Coded> = vectors.iter().map(|vector| Coded::new(vector, selected)).collect();
        let mut combined = vec![0u64; rows];
        let mut bound = 1u64;
        for column in &columns {
            // At most 3 columns of fewer codes than rows plus dictionary entries: 2^21 each fit; beyond that codes are
            // narrowed first, so that the product always stays within 64 bits.
            let width = column.values.len() as u64;
            for rows in selected {
                rows.each(|row| combined[row] = combined[row] * width + u64::from(column.codes[row]));
            }
            bound = bound.saturating_mul(width.max(1));
        }
        Combined { columns, combined, bound }
    }

    /// The values behind a combined code: the last column's is the remainder.
    fn key_of(&self, mut code: u64) -> GroupKey {
        let mut key: GroupKey = Vec::with_capacity(self.columns.len());
        for column in self.columns.iter().rev() {
            let width = column.values.len() as u64;
            key.push(column.values[(code % width) as usize].clone());
            code /= width;
        }
        key.reverse();
        key
    }

    fn cells<E>(
        &self,
        rows: Which<'_>,
        each: bool,
        mut number: impl FnMut(GroupKey) -> Result<u32, E>,
    ) -> Result<Numbered, E> {
        if self.bound <= DENSE_CODES_MAX.min(4 * rows.len() as u64 + 64) {
            let number = |code: usize| number(self.key_of(code as u64));
            let code = |row: usize| self.combined[row] as usize;
            return match rows {
                Which::All(count) => dense((0..count).map(code), self.bound as usize, each, number),
                Which::List(rows) => {
                    dense(rows.iter().map(|row| code(*row as usize)), self.bound as usize, each, number)
                }
            };
        }
        let mut known: HashMap<u64, (u32, u64), foldhash::fast::FixedState> = HashMap::default();
        let (mut cells, mut failed) = (Vec::with_capacity(rows.len()), None);
        rows.each(|row| {
            let entry =
                known.entry(self.combined[row]).or_insert_with(|| match number(self.key_of(self.combined[row])) {
                    Ok(cell) => (cell, 0),
                    Err(why) => {
                        failed.get_or_insert(why);
                        (0, 0)
                    }
                });
            entry.1 += 1;
            cells.push(entry.0);
        });
        match failed {
            Some(why) => Err(why),
            None => Ok(Numbered { cells, counts: known.into_values().collect() }),
        }
    }
}

impl Coded {
    fn new(vector: &Vector, selected: &[Which<'_>]) -> Coded {
        let rows = || selected.iter().flat_map(Which::iter);
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
