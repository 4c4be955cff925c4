//! Accumulators: one metric over all cells of one day, a batch at a time.
//!
//! In: the argument's vector, the rows that count, and each row's cell. Out, at the end: a [`State`] per cell. Cell 0
//! is the day's total. With a breakdown most metrics fill only the groups' cells and the total is merged from them at
//! the end; distinct counts and quantiles fill both, so that the total is never held twice.

mod each;

use std::cmp::Ordering;
use std::io;

use arrow::array::BooleanArray;
use arrow::buffer::{NullBuffer, ScalarBuffer};
use tidemill_schemas::calendar::{Date, WeekStart};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

pub(crate) use each::is_same;
use each::{Seen, each_hash, each_kind, each_new};

use super::sketch::Building;
use super::sorted::{Counted, Member};
use super::table::{List, Table};
use super::trail::{self, Moment, Presence};
use super::wide::Running;
use super::{Kind, State};
use crate::actors::bucket;
use crate::eval::number::order_parts;
use crate::eval::vector::{Numbers, Unscaled, Vector};
use crate::fold::rows::Which;
use crate::spill::SharedSpill;

/// Cells of a metric whose sketches may collect values first.
const LOOSE_CELLS_MAX: usize = 64;

/// The rows that count, ascending, and the cell of each; without cells all belong to the total.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Rows of the batch.
    pub rows: Which<'a>,
    /// The cell of each, one after the other.
    pub cells: Option<Cells<'a>>,
}

/// The cells of rows.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    /// The cell of each row.
    pub of_rows: &'a [u32],
    /// How many rows each cell has, cells without rows left out; `None`: not counted.
    pub counts: Option<&'a [(u32, u64)]>,
}

impl Rows<'_> {
    /// Calls `visit` with the row and cell of every row that is not null.
    #[inline]
    pub fn each(&self, nulls: Option<&NullBuffer>, mut visit: impl FnMut(usize, usize)) {
        let Some(cells) = self.cells else { return self.rows.each_valid(nulls, |row| visit(row, 0)) };
        let cells = cells.of_rows;
        match (self.rows, nulls) {
            (Which::All(_), nulls) => self.rows.each_valid(nulls, |row| visit(row, cells[row] as usize)),
            (Which::List(rows), None) => {
                rows.iter().zip(cells).for_each(|(row, cell)| visit(*row as usize, *cell as usize));
            }
            (Which::List(rows), Some(nulls)) => {
                for (row, cell) in rows.iter().zip(cells) {
                    if nulls.is_valid(*row as usize) {
                        visit(*row as usize, *cell as usize);
                    }
                }
            }
        }
    }

    /// Adds the number of rows of each cell.
    pub fn count(&self, counts: &mut [u64]) {
        match self.cells {
            None => counts[0] += self.rows.len() as u64,
            Some(Cells { counts: Some(counted), .. }) => {
                counted.iter().for_each(|(cell, rows)| counts[*cell as usize] += rows);
            }
            Some(Cells { of_rows, .. }) => of_rows.iter().for_each(|cell| counts[*cell as usize] += 1),
        }
    }

    /// Counts the rows that are null, by cell.
    pub fn count_nulls(&self, nulls: &NullBuffer, counts: &mut [u64]) {
        match self.rows {
            Which::All(rows) if self.cells.is_none() && nulls.len() == rows => counts[0] += nulls.null_count() as u64,
            _ => self.each(None, |row, cell| counts[cell] += u64::from(nulls.is_null(row))),
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
    Distinct(Table<Member>, Seen),
    /// `approx_count_distinct`
    Approx(Vec<Building>, Seen),
    /// `quantile`
    Quantile(Table<Counted>),
    /// What actors did, and when
    Trail(List<Moment>),
    /// What actors did in the day's bucket
    Presence(Table<Presence>, i32, Seen),
}

/// What the rows of a batch are to an insight over actors.
#[derive(Debug)]
pub struct Traces {
    /// Event times by row, in microseconds; `None`: only the day matters.
    pub times: Option<ScalarBuffer<i64>>,
    /// The selections each row belongs to, a bit for each.
    pub masks: Vec<u32>,
    /// Masks there can be; the same for every batch of an insight.
    pub kinds: u32,
}

/// The best values by cell.
#[derive(Debug)]
pub struct Bests {
    wanted: Ordering,
    best: Vec<Best>,
}

impl Accumulator {
    /// The accumulator of a metric over the day `date`, without cells.
    pub fn new(kind: Kind, date: Date, week_start: WeekStart) -> Accumulator {
        match kind {
            Kind::Count | Kind::CountOf => Accumulator::Count(Vec::new()),
            Kind::Sum | Kind::Avg => Accumulator::Sum(Vec::new()),
            Kind::Min => Accumulator::Best(Bests { wanted: Ordering::Less, best: Vec::new() }),
            Kind::Max => Accumulator::Best(Bests { wanted: Ordering::Greater, best: Vec::new() }),
            Kind::Percent => Accumulator::Percent(Vec::new()),
            Kind::Distinct => Accumulator::Distinct(Table::default(), Seen::default()),
            Kind::Approx => Accumulator::Approx(Vec::new(), Seen::default()),
            Kind::Quantile(_) => Accumulator::Quantile(Table::default()),
            Kind::Trail => Accumulator::Trail(List::default()),
            Kind::Presence(every) => {
                let bucket = every.map_or(0, |every| bucket::of(every, date, week_start));
                Accumulator::Presence(Table::default(), bucket, Seen::default())
            }
        }
    }

    /// Makes room for that many cells.
    pub fn grow(&mut self, cells: usize) {
        match self {
            Accumulator::Count(counts) => counts.resize(cells, 0),
            Accumulator::Sum(sums) => sums.resize(cells, Running::default()),
            Accumulator::Best(bests) => bests.best.resize(cells, Best::None),
            Accumulator::Percent(shares) => shares.resize(cells, (0, 0)),
            Accumulator::Approx(sketches, _) => {
                while sketches.len() < cells {
                    sketches.push(Building::new(sketches.len() < LOOSE_CELLS_MAX));
                }
            }
            Accumulator::Distinct(..)
            | Accumulator::Quantile(_)
            | Accumulator::Trail(_)
            | Accumulator::Presence(..) => {}
        }
    }

    /// Takes rows in. `argument` is `None` for `count(*)`; `hashes` are those of its dictionary, where they are known.
    pub fn update(&mut self, argument: Option<&Vector>, hashes: Option<&[u128]>, rows: Rows<'_>) {
        let nulls = argument.and_then(Vector::nulls);
        let nulls = nulls.as_ref();
        match (self, argument) {
            (Accumulator::Count(counts), _) => match nulls {
                None => rows.count(counts),
                Some(_) => rows.each(nulls, |_, cell| counts[cell] += 1),
            },
            (Accumulator::Sum(sums), Some(Vector::Number(numbers))) => sum(sums, numbers, rows),
            (Accumulator::Best(bests), Some(vector)) => bests.update(vector, nulls, rows),
            (Accumulator::Percent(shares), Some(vector)) => percent(shares, &vector.clone().into_bools(), rows),
            (Accumulator::Distinct(table, seen), Some(vector)) => {
                let grouped = rows.cells.is_some();
                each_new(vector, hashes, nulls, rows, seen, |cell, hash, first| {
                    if first {
                        table.insert(0, hash.into());
                    }
                    if grouped {
                        table.insert(cell as u32, hash.into());
                    }
                });
            }
            (Accumulator::Approx(sketches, seen), Some(vector)) => {
                each_new(vector, hashes, nulls, rows, seen, |cell, hash, _| sketches[cell].insert(hash));
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

    /// Takes rows in whose actors are `argument`: of insights over actors.
    pub fn follow(&mut self, argument: &Vector, hashes: Option<&[u128]>, rows: Rows<'_>, traces: &Traces) {
        let nulls = argument.nulls();
        let (times, masks) = (traces.times.as_deref(), &traces.masks);
        match (self, times) {
            (Accumulator::Trail(list), Some(times)) => {
                each_hash(argument, hashes, nulls.as_ref(), rows, |row, cell, hash| {
                    list.push(
                        cell as u32,
                        Moment { actor: trail::actor(hash), time: times[row], mask: masks[row], count: 1 },
                    );
                });
            }
            (Accumulator::Presence(table, bucket, _), Some(times)) => {
                let bucket = *bucket;
                each_hash(argument, hashes, nulls.as_ref(), rows, |row, cell, hash| {
                    let (actor, mask) = (trail::actor(hash), masks[row] as u8);
                    table.insert(cell as u32, Presence { actor, bucket, mask, first: times[row] });
                });
            }
            (Accumulator::Presence(table, bucket, seen), None) => {
                let bucket = *bucket;
                // Whoever was met with this mask in this cell before adds nothing.
                each_kind(argument, hashes, nulls.as_ref(), rows, (masks, traces.kinds), seen, |cell, mask, hash| {
                    let presence = Presence { actor: trail::actor(hash), bucket, mask: mask as u8, first: 0 };
                    table.insert(cell as u32, presence);
                });
            }
            _ => {}
        }
    }

    /// Takes rows in of which only the distinct values are known, by their hashes; for counts and distinct counts
    /// without a breakdown.
    pub fn values(&mut self, hashes: &[u128], rows: Rows<'_>) {
        match self {
            Accumulator::Count(counts) => rows.count(counts),
            Accumulator::Distinct(table, _) => hashes.iter().for_each(|hash| table.insert(0, (*hash).into())),
            Accumulator::Approx(sketches, _) => hashes.iter().for_each(|hash| sketches[0].insert(*hash)),
            _ => {}
        }
    }

    /// Bytes of what may be spilled.
    pub fn bytes(&self) -> usize {
        match self {
            Accumulator::Distinct(table, _) => table.bytes(),
            Accumulator::Quantile(table) => table.bytes(),
            Accumulator::Trail(list) => list.bytes(),
            Accumulator::Presence(table, ..) => table.bytes(),
            _ => 0,
        }
    }

    /// Spills what may be spilled.
    ///
    /// # Errors
    /// The spill's own.
    pub fn spill(&mut self, spill: &SharedSpill) -> io::Result<()> {
        match self {
            Accumulator::Distinct(table, _) => table.spill(spill),
            Accumulator::Quantile(table) => table.spill(spill),
            Accumulator::Trail(list) => list.spill(spill),
            Accumulator::Presence(table, ..) => table.spill(spill),
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
            Accumulator::Distinct(table, _) => table.finish(cells, spill)?.into_iter().map(State::Distinct).collect(),
            Accumulator::Approx(sketches, _) => {
                sketches.into_iter().map(|building| State::Approx(Box::new(building.sketch()))).collect()
            }
            Accumulator::Quantile(table) => table.finish(cells, spill)?.into_iter().map(State::Quantile).collect(),
            Accumulator::Trail(list) => list.finish(cells, spill)?.into_iter().map(State::Trail).collect(),
            Accumulator::Presence(table, ..) => table.finish(cells, spill)?.into_iter().map(State::Presence).collect(),
        })
    }

    /// Whether cell 0 is filled row by row even with a breakdown, or, of what actors did, left empty.
    pub fn fills_total(&self) -> bool {
        !matches!(
            self,
            Accumulator::Count(_)
                | Accumulator::Sum(_)
                | Accumulator::Best(_)
                | Accumulator::Percent(_)
                | Accumulator::Approx(..)
        )
    }
}

fn sum(sums: &mut [Running], numbers: &Numbers, rows: Rows<'_>) {
    let nulls = numbers.nulls.as_ref();
    match &numbers.values {
        Unscaled::Narrow(values) => sum_batch(sums, numbers.scale, nulls, rows, |row| i128::from(values[row])),
        // Columns of 64-bit decimals come as 128 bits and are added like those; wider ones may leave 128 bits.
        Unscaled::Wide(values) if numbers.small => sum_batch(sums, numbers.scale, nulls, rows, |row| values[row]),
        Unscaled::Wide(values) => rows.each(nulls, |row, cell| sums[cell].add(values[row], numbers.scale, 1)),
        Unscaled::Mixed(values) => {
            rows.each(nulls, |row, cell| sums[cell].add(values[row].unscaled(), values[row].scale(), 1));
        }
    }
}

/// Adds values of 64 bits: fewer than 2^32 of them fit 128, so that nothing is checked before the end of the batch.
fn sum_batch(
    sums: &mut [Running],
    scale: u8,
    nulls: Option<&NullBuffer>,
    rows: Rows<'_>,
    value: impl Fn(usize) -> i128,
) {
    if rows.cells.is_none() {
        let (mut total, mut n) = (0i128, 0u64);
        rows.each(nulls, |row, _| {
            total += value(row);
            n += 1;
        });
        sums[0].add(total, scale, n);
    } else if sums.len() > rows.rows.len() {
        rows.each(nulls, |row, cell| sums[cell].add(value(row), scale, 1));
    } else {
        let mut parts = vec![(0i128, 0u64); sums.len()];
        rows.each(nulls, |row, cell| {
            let part = &mut parts[cell];
            part.0 += value(row);
            part.1 += 1;
        });
        for (sum, (total, n)) in sums.iter_mut().zip(parts).filter(|(_, (_, n))| *n > 0) {
            sum.add(total, scale, n);
        }
    }
}

fn percent(shares: &mut [(u64, u64)], bools: &BooleanArray, rows: Rows<'_>) {
    let truth = crate::eval::truth(bools);
    if rows.cells.is_none()
        && let Which::All(all) = rows.rows
    {
        shares[0].0 += truth.count_set_bits() as u64;
        shares[0].1 += all as u64;
        return;
    }
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
