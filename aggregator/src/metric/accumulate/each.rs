//! Values of rows by their hashes, each as seldom as possible: a dictionary's values are met again and again.

use arrow::array::{Array, StringArray};
use arrow::buffer::NullBuffer;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::{Value, hash_bool, hash_number, hash_text, hash_time};

use super::Rows;
use crate::eval::vector::{Texts, Vector};

/// Which values of a dictionary have been met, by cell. It stays as long as the dictionary does: a row group's batches
/// share one, so that a value is taken in once per group of rows and cell, not once per row.
#[derive(Debug, Default)]
pub struct Seen {
    /// The dictionary; held, so that no other can come to lie at its place.
    of: Option<StringArray>,
    /// One bit per cell and value, cell by cell; a value's first bits, of cell 0, say whether it was met at all.
    bits: Vec<u64>,
}

/// Bits of one [`Seen`]; beyond them every row is taken in.
const SEEN_BITS_MAX: usize = 1 << 22;

impl Seen {
    /// Makes it that of a dictionary, with room for cells below `cells`; `false` when that takes too many bits.
    fn turn_to(&mut self, dictionary: &StringArray, cells: usize) -> bool {
        let same = self.of.as_ref().is_some_and(|held| is_same(held, dictionary));
        let bits = dictionary.len().saturating_mul(cells);
        if bits > SEEN_BITS_MAX {
            *self = Seen::default();
            return false;
        }
        if !same {
            self.bits.clear();
            self.of = Some(dictionary.clone());
        }
        let words = bits.div_ceil(64);
        if self.bits.len() < words {
            self.bits.resize(words, 0);
        }
        true
    }

    /// Notes a bit; whether it is new.
    #[inline]
    fn note(&mut self, bit: usize) -> bool {
        let (word, mask) = (&mut self.bits[bit / 64], 1u64 << (bit % 64));
        let new = *word & mask == 0;
        *word |= mask;
        new
    }
}

/// Whether two arrays are one: the same bytes at the same place.
pub(crate) fn is_same(a: &StringArray, b: &StringArray) -> bool {
    a.len() == b.len()
        && a.offsets().inner().ptr_eq(b.offsets().inner())
        && a.value_data().as_ptr() == b.value_data().as_ptr()
}

/// Calls `visit` with the cell and the value's 128-bit hash of every row that is not null, and whether the value may be
/// new to the day. A row whose value its cell is known to have is left out.
pub(super) fn each_new(
    vector: &Vector,
    hashes: Option<&[u128]>,
    nulls: Option<&NullBuffer>,
    rows: Rows<'_>,
    seen: &mut Seen,
    mut visit: impl FnMut(usize, u128, bool),
) {
    match vector {
        Vector::Null(_) => {}
        Vector::Text(texts) => match (hashes, texts.keys.as_ref()) {
            (Some(hashes), Some(keys)) => each_new_key(texts, keys, hashes, nulls, rows, seen, visit),
            _ => rows.each(nulls, |row, cell| visit(cell, hash_text(texts.at(row)), true)),
        },
        Vector::Number(numbers) => rows.each(nulls, |row, cell| visit(cell, hash_number(numbers.decimal(row)), true)),
        Vector::Bool(bools) => rows.each(nulls, |row, cell| visit(cell, hash_bool(bools.value(row)), true)),
        Vector::Time(times) => rows.each(nulls, |row, cell| {
            visit(cell, hash_time(Timestamp::from_micros(times.values[row])), true);
        }),
        Vector::Any(parts) => {
            let valid: Vec<Option<NullBuffer>> = parts.iter().map(Vector::nulls).collect();
            let holds = |part: usize, row: usize| valid[part].as_ref().is_none_or(|nulls| nulls.is_valid(row));
            rows.each(nulls, |row, cell| {
                if let Some(part) = (0..parts.len()).find(|part| holds(*part, row)) {
                    visit(cell, hash_at(&parts[part], row), true);
                }
            });
        }
    }
}

/// Calls `visit` with the row, its cell and the value's 128-bit hash, for every row that is not null.
pub(super) fn each_hash(
    vector: &Vector,
    hashes: Option<&[u128]>,
    nulls: Option<&NullBuffer>,
    rows: Rows<'_>,
    mut visit: impl FnMut(usize, usize, u128),
) {
    match vector {
        Vector::Text(Texts { keys: Some(keys), .. }) if hashes.is_some() => {
            let hashes = hashes.unwrap_or_default();
            rows.each(nulls, |row, cell| visit(row, cell, hashes[keys[row] as usize]));
        }
        Vector::Any(parts) => {
            let valid: Vec<Option<NullBuffer>> = parts.iter().map(Vector::nulls).collect();
            let holds = |part: usize, row: usize| valid[part].as_ref().is_none_or(|nulls| nulls.is_valid(row));
            rows.each(nulls, |row, cell| {
                if let Some(part) = (0..parts.len()).find(|part| holds(*part, row)) {
                    visit(row, cell, hash_at(&parts[part], row));
                }
            });
        }
        Vector::Null(_) => {}
        vector => rows.each(nulls, |row, cell| visit(row, cell, hash_at(vector, row))),
    }
}

/// Calls `visit` with cell, mask and hash of every row that is not null and may bring a new combination of them. `masks`
/// are the rows', below `kinds`.
pub(super) fn each_kind(
    vector: &Vector,
    hashes: Option<&[u128]>,
    nulls: Option<&NullBuffer>,
    rows: Rows<'_>,
    (masks, kinds): (&[u32], u32),
    seen: &mut Seen,
    mut visit: impl FnMut(usize, u32, u128),
) {
    if let (Vector::Text(Texts { keys: Some(keys), values, .. }), Some(hashes)) = (vector, hashes) {
        let cells = rows.cells.map_or(1, |cells| cells.of_rows.iter().max().map_or(1, |cell| *cell as usize + 1));
        let kinds = kinds as usize;
        if seen.turn_to(values, cells * kinds) {
            rows.each(nulls, |row, cell| {
                let key = keys[row] as usize;
                if seen.note((cell * kinds + masks[row] as usize) * values.len() + key) {
                    visit(cell, masks[row], hashes[key]);
                }
            });
            return;
        }
    }
    each_hash(vector, hashes, nulls, rows, |row, cell, hash| visit(cell, masks[row], hash));
}

/// The same where values have a dictionary, whose hashes are known.
fn each_new_key(
    texts: &Texts,
    keys: &[i32],
    hashes: &[u128],
    nulls: Option<&NullBuffer>,
    rows: Rows<'_>,
    seen: &mut Seen,
    mut visit: impl FnMut(usize, u128, bool),
) {
    let values = texts.values.len();
    let cells = rows.cells.map_or(1, |cells| {
        let greatest = match cells.counts {
            Some(counts) => counts.iter().map(|(cell, _)| *cell).max(),
            None => cells.of_rows.iter().copied().max(),
        };
        greatest.map_or(1, |cell| cell as usize + 1)
    });
    if !seen.turn_to(&texts.values, cells) {
        rows.each(nulls, |row, cell| visit(cell, hashes[keys[row] as usize], true));
    } else if rows.cells.is_none() {
        rows.each(nulls, |row, _| {
            let key = keys[row] as usize;
            if seen.note(key) {
                visit(0, hashes[key], true);
            }
        });
    } else {
        rows.each(nulls, |row, cell| {
            let key = keys[row] as usize;
            if seen.note(cell * values + key) {
                let first = cell == 0 || seen.note(key);
                visit(cell, hashes[key], first);
            }
        });
    }
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
