//! Rows of a batch: all of them, or some.
//!
//! A pass without filters over a batch within one day looks at every row; saying so instead of listing them spares a
//! list and lets loops run over whole columns.

use arrow::buffer::{BooleanBuffer, NullBuffer};

/// Rows of a batch, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowSet {
    /// That many, from the first.
    All(usize),
    /// These, ascending.
    List(Vec<u32>),
}

/// Rows of a batch, lent.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// That many, from the first.
    All(usize),
    /// These, ascending.
    List(&'a [u32]),
}

impl RowSet {
    /// The rows of a batch of `rows` that are set; `None`: all.
    pub fn of(selected: Option<&BooleanBuffer>, rows: usize) -> RowSet {
        match selected {
            Some(selected) if selected.count_set_bits() < rows => RowSet::List(selected.set_indices_u32().collect()),
            _ => RowSet::All(rows),
        }
    }

    /// Lends them.
    pub fn which(&self) -> Which<'_> {
        match self {
            RowSet::All(rows) => Which::All(*rows),
            RowSet::List(rows) => Which::List(rows),
        }
    }
}

impl Which<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Which::All(rows) => *rows,
            Which::List(rows) => rows.len(),
        }
    }

    /// Every row.
    pub fn iter(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Which::All(rows) => Box::new(0..*rows),
            Which::List(rows) => Box::new(rows.iter().map(|row| *row as usize)),
        }
    }

    /// Calls `visit` with every row.
    #[inline]
    pub fn each(&self, mut visit: impl FnMut(usize)) {
        match self {
            Which::All(rows) => (0..*rows).for_each(visit),
            Which::List(rows) => rows.iter().for_each(|row| visit(*row as usize)),
        }
    }

    /// Calls `visit` with every row that holds a value.
    #[inline]
    pub fn each_valid(&self, nulls: Option<&NullBuffer>, mut visit: impl FnMut(usize)) {
        match (self, nulls) {
            (_, None) => self.each(visit),
            (Which::All(rows), Some(nulls)) if nulls.len() == *rows => nulls.valid_indices().for_each(visit),
            (_, Some(nulls)) => self.each(|row| {
                if nulls.is_valid(row) {
                    visit(row);
                }
            }),
        }
    }
}
