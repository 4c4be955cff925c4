//! Accumulators: one metric over all cells of one day, a batch at a time.
//!
//! In: the argument's vector, the rows that count, and each row's cell. Out, at the end: a [`State`] per cell. Cell 0
//! is the day's total. With a breakdown most metrics fill only the groups' cells and the total is merged from them at
//! the end; distinct counts and quantiles fill both, so that the total is never held twice.

use std::cmp::Ordering;
use std::io;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::NullBuffer;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::{Value, hash_bool, hash_number, hash_text, hash_time};

use super::sketch::Sketch;
use super::sorted::{Counted, Member};
use super::table::Table;
use super::wide::Running;
use super::{Kind, State};
use crate::eval::number::order_parts;
use crate::eval::vector::{Numbers, Texts, Unscaled, Vector};
use crate::spill::SharedSpill;

/// The rows that count, ascending, and the cell of each; without cells all belong to the total.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Rows of the batch.
    pub rows: &'a [u32],
    /// The cell of each.
    pub cells: Option<&'a [u32]>,
}

impl Rows<'_> {
    /// Calls `visit` with the row and cell of every row that is not null.
    #[inline]
    fn each(&self, nulls: Option<&NullBuffer>, mut visit: impl FnMut(usize, usize)) {
        let valid = |row: u32| nulls.is_none_or(|nulls| nulls.is_valid(row as usize));
        match (self.cells, nulls) {
            (None, None) => self.rows.iter().for_each(|row| visit(*row as usize, 0)),
            (None, Some(_)) => self.rows.iter().filter(|row| valid(**row)).for_each(|row| visit(*row as usize, 0)),
            (Some(cells), None) => {
                self.rows.iter().zip(cells).for_each(|(row, cell)| visit(*row as usize, *cell as usize));
            }
            (Some(cells), Some(_)) => {
                for (row, cell) in self.rows.iter().zip(cells) {
                    if valid(*row) {
                        visit(*row as usize, *cell as usize);
                    }
                }
            }
        }
    }

    /// Counts the rows that are null, by cell.
    pub fn count_nulls(&self, nulls: &NullBuffer, counts: &mut [u64]) {
        match self.cells {
            None => counts[0] += self.rows.iter().filter(|row| nulls.is_null(**row as usize)).count() as u64,
            Some(cells) => {
                for (row, cell) in self.rows.iter().zip(cells) {
                    counts[*cell as usize] += u64::from(nulls.is_null(*row as usize));
                }
            }
        }
    }
}

/// The best value so far of `min` or `max`.
#[derive(Clone, Debug, Default)]
enum Best {
    #[default]
    None,
    Number(i128, u8),
    Other(Value),
}

/// One metric of one day.
#[derive(Debug)]
pub enum Accumulator {
    /// `count(*)`, `count(x)`
    Count(Vec<u64>),
    /// `sum`, `avg`
    Sum(Vec<Running>),
    /// `min`, `max`
    Best(Bests),
    /// `percent`: true, all
    Percent(Vec<(u64, u64)>),
    /// `count(distinct x)`
    Distinct(Table<Member>),
    /// `approx_count_distinct`
    Approx(Vec<Sketch>),
    /// `quantile`
    Quantile(Table<Counted>),
}

/// The best values by cell.
#[derive(Debug)]
pub struct Bests {
    wanted: Ordering,
    best: Vec<Best>,
}

impl Accumulator {
    /// The accumulator of a metric, without cells.
    pub fn new(kind: Kind) -> Accumulator {
        match kind {
            Kind::Count | Kind::CountOf => Accumulator::Count(Vec::new()),
            Kind::Sum | Kind::Avg => Accumulator::Sum(Vec::new()),
            Kind::Min => Accumulator::Best(Bests { wanted: Ordering::Less, best: Vec::new() }),
            Kind::Max => Accumulator::Best(Bests { wanted: Ordering::Greater, best: Vec::new() }),
            Kind::Percent => Accumulator::Percent(Vec::new()),
            Kind::Distinct => Accumulator::Distinct(Table::default()),
            Kind::Approx => Accumulator::Approx(Vec::new()),
            Kind::Quantile(_) => Accumulator::Quantile(Table::default()),
        }
    }

    /// Makes room for that many cells.
    pub fn grow(&mut self, cells: usize) {
        match self {
            Accumulator::Count(counts) => counts.resize(cells, 0),
            Accumulator::Sum(sums) => sums.resize(cells, Running::default()),
            Accumulator::Best(bests) => bests.best.resize(cells, Best::None),
            Accumulator::Percent(shares) => shares.resize(cells, (0, 0)),
            Accumulator::Approx(sketches) => sketches.resize_with(cells, Sketch::default),
            Accumulator::Distinct(_) | Accumulator::Quantile(_) => {}
        }
    }

    /// Takes rows in. `argument` is `None` for `count(*)`.
    pub fn update(&mut self, argument: Option<&Vector>, rows: Rows<'_>) {
        let nulls = argument.and_then(Vector::nulls);
        let nulls = nulls.as_ref();
        match (self, argument) {
            (Accumulator::Count(counts), _) => count(counts, nulls, rows),
            (Accumulator::Sum(sums), Some(Vector::Number(numbers))) => sum(sums, numbers, rows),
            (Accumulator::Best(bests), Some(vector)) => bests.update(vector, nulls, rows),
            (Accumulator::Percent(shares), Some(vector)) => percent(shares, &vector.clone().into_bools(), rows),
            (Accumulator::Distinct(table), Some(vector)) => {
                each_hash(vector, nulls, rows, |cell, hash, again| {
                    if !again {
                        table.insert(0, hash.into());
                    }
                    if rows.cells.is_some() {
                        table.insert(cell as u32, hash.into());
                    }
                });
            }
            (Accumulator::Approx(sketches), Some(vector)) => {
                each_hash(vector, nulls, rows, |cell, hash, again| {
                    if !again || rows.cells.is_some() {
                        sketches[cell].insert(hash);
                    }
                });
            }
            (Accumulator::Quantile(table), Some(Vector::Number(numbers))) => {
                rows.each(nulls, |row, cell| {
                    let entry = Counted { value: numbers.decimal(row), count: 1 };
                    table.insert(0, entry);
                    if cell > 0 {
                        table.insert(cell as u32, entry);
                    }
                });
            }
            _ => {}
        }
    }

    /// Bytes of what may be spilled.
    pub fn bytes(&self) -> usize {
        match self {
            Accumulator::Distinct(table) => table.bytes(),
            Accumulator::Quantile(table) => table.bytes(),
            _ => 0,
        }
    }

    /// Spills what may be spilled.
    ///
    /// # Errors
    /// The spill's own.
    pub fn spill(&mut self, spill: &SharedSpill) -> io::Result<()> {
        match self {
            Accumulator::Distinct(table) => table.spill(spill),
            Accumulator::Quantile(table) => table.spill(spill),
            _ => Ok(()),
        }
    }

    /// The states of cells 0 to `cells - 1`; with a breakdown the total of most metrics is still to be merged.
    ///
    /// # Errors
    /// The spill's own.
    pub fn finish(mut self, cells: usize, spill: &SharedSpill) -> io::Result<Vec<State>> {
        self.grow(cells);
        Ok(match self {
            Accumulator::Count(counts) => counts.into_iter().map(State::Count).collect(),
            Accumulator::Sum(sums) => {
                sums.into_iter().map(|running| State::Sum { sum: running.sum(), n: running.n }).collect()
            }
            Accumulator::Best(Bests { wanted, best }) => {
                let state = if wanted == Ordering::Less { State::Min } else { State::Max };
                best.into_iter().map(|best| state(best.value())).collect()
            }
            Accumulator::Percent(shares) => {
                shares.into_iter().map(|(part, whole)| State::Percent { part, whole }).collect()
            }
            Accumulator::Distinct(table) => table.finish(cells, spill)?.into_iter().map(State::Distinct).collect(),
            Accumulator::Approx(sketches) => {
                sketches.into_iter().map(|sketch| State::Approx(Box::new(sketch))).collect()
            }
            Accumulator::Quantile(table) => table.finish(cells, spill)?.into_iter().map(State::Quantile).collect(),
        })
    }

    /// Whether cell 0 is filled row by row even with a breakdown.
    pub fn fills_total(&self) -> bool {
        matches!(self, Accumulator::Distinct(_) | Accumulator::Quantile(_))
    }
}

fn count(counts: &mut [u64], nulls: Option<&NullBuffer>, rows: Rows<'_>) {
    if rows.cells.is_none() && nulls.is_none() {
        counts[0] += rows.rows.len() as u64;
        return;
    }
    rows.each(nulls, |_, cell| counts[cell] += 1);
}

fn sum(sums: &mut [Running], numbers: &Numbers, rows: Rows<'_>) {
    let nulls = numbers.nulls.as_ref();
    match (&numbers.values, rows.cells) {
        (Unscaled::Narrow(values), None) => {
            // Fewer than 2^32 values of 64 bits fit 128.
            let (mut total, mut n) = (0i128, 0u64);
            rows.each(nulls, |row, _| {
                total += i128::from(values[row]);
                n += 1;
            });
            sums[0].add(total, numbers.scale, n);
        }
        (Unscaled::Narrow(values), Some(_)) => {
            rows.each(nulls, |row, cell| sums[cell].add(i128::from(values[row]), numbers.scale, 1));
        }
        (Unscaled::Wide(values), _) => rows.each(nulls, |row, cell| sums[cell].add(values[row], numbers.scale, 1)),
        (Unscaled::Mixed(values), _) => {
            rows.each(nulls, |row, cell| sums[cell].add(values[row].unscaled(), values[row].scale(), 1));
        }
    }
}

fn percent(shares: &mut [(u64, u64)], bools: &BooleanArray, rows: Rows<'_>) {
    let truth = crate::eval::truth(bools);
    rows.each(None, |row, cell| {
        shares[cell].0 += u64::from(truth.value(row));
        shares[cell].1 += 1;
    });
}

impl Bests {
    fn update(&mut self, vector: &Vector, nulls: Option<&NullBuffer>, rows: Rows<'_>) {
        let Bests { wanted, best } = self;
        match vector {
            Vector::Number(numbers) => rows.each(nulls, |row, cell| best[cell].number(*wanted, numbers.parts(row))),
            Vector::Text(texts) => rows.each(nulls, |row, cell| best[cell].text(*wanted, texts.at(row))),
            Vector::Time(times) => rows.each(nulls, |row, cell| {
                best[cell].other(*wanted, Value::Time(Timestamp::from_micros(times.values[row])));
            }),
            Vector::Bool(bools) => {
                rows.each(nulls, |row, cell| best[cell].other(*wanted, Value::Bool(bools.value(row))));
            }
            Vector::Null(_) | Vector::Any(_) => {}
        }
    }
}

impl Best {
    #[inline]
    fn number(&mut self, wanted: Ordering, parts: (i128, u8)) {
        let better = match self {
            Best::Number(held, scale) => order_parts(parts, (*held, *scale)) == wanted,
            _ => true,
        };
        if better {
            *self = Best::Number(parts.0, parts.1);
        }
    }

    fn text(&mut self, wanted: Ordering, text: &str) {
        match self {
            Best::Other(Value::Text(held)) => {
                if text.cmp(held.as_str()) == wanted {
                    text.clone_into(held);
                }
            }
            _ => *self = Best::Other(Value::Text(text.to_owned())),
        }
    }

    fn other(&mut self, wanted: Ordering, value: Value) {
        match self {
            Best::Other(held) if value.cmp(held) != wanted => {}
            _ => *self = Best::Other(value),
        }
    }

    fn value(self) -> Option<Value> {
        match self {
            Best::None => None,
            Best::Number(unscaled, scale) => Decimal::new(unscaled, u32::from(scale)).ok().map(Value::Number),
            Best::Other(value) => Some(value),
        }
    }
}

/// Calls `visit` with the cell and the value's 128-bit hash of every row that is not null, and whether the same value
/// is known to have been seen in this call.
fn each_hash(vector: &Vector, nulls: Option<&NullBuffer>, rows: Rows<'_>, mut visit: impl FnMut(usize, u128, bool)) {
    match vector {
        Vector::Null(_) => {}
        Vector::Text(texts) if texts.keys.is_some() && texts.values.len() <= 4 * rows.rows.len() + 1024 => {
            each_text_hash(texts, nulls, rows, visit);
        }
        Vector::Text(texts) => rows.each(nulls, |row, cell| visit(cell, hash_text(texts.at(row)), false)),
        Vector::Number(numbers) => rows.each(nulls, |row, cell| visit(cell, hash_number(numbers.decimal(row)), false)),
        Vector::Bool(bools) => rows.each(nulls, |row, cell| visit(cell, hash_bool(bools.value(row)), false)),
        Vector::Time(times) => rows.each(nulls, |row, cell| {
            visit(cell, hash_time(Timestamp::from_micros(times.values[row])), false);
        }),
        Vector::Any(parts) => {
            let valid: Vec<Option<NullBuffer>> = parts.iter().map(Vector::nulls).collect();
            let holds = |part: usize, row: usize| valid[part].as_ref().is_none_or(|nulls| nulls.is_valid(row));
            rows.each(nulls, |row, cell| {
                if let Some(part) = (0..parts.len()).find(|part| holds(*part, row)) {
                    visit(cell, hash_at(&parts[part], row), false);
                }
            });
        }
    }
}

fn each_text_hash(texts: &Texts, nulls: Option<&NullBuffer>, rows: Rows<'_>, mut visit: impl FnMut(usize, u128, bool)) {
    let mut hashes: Vec<Option<u128>> = vec![None; texts.values.len()];
    rows.each(nulls, |row, cell| {
        let Some(known) = hashes.get_mut(texts.place(row)) else { return };
        match known {
            Some(hash) => visit(cell, *hash, true),
            None => {
                let hash = *known.insert(hash_text(texts.at(row)));
                visit(cell, hash, false);
            }
        }
    });
}

/// The hash of a row of a vector of one type that is not null there.
fn hash_at(vector: &Vector, row: usize) -> u128 {
    match vector {
        Vector::Bool(bools) => hash_bool(bools.value(row)),
        Vector::Number(numbers) => hash_number(numbers.decimal(row)),
        Vector::Text(texts) => hash_text(texts.at(row)),
        Vector::Time(times) => hash_time(Timestamp::from_micros(times.values[row])),
        Vector::Null(_) | Vector::Any(_) => Value::Null.hash128(),
    }
}
