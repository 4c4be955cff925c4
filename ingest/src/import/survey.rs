//! Surveys: which properties, of which types, the events of each source and name bear.
//!
//! In: batches of page columns. Out: what the catalogue learns. Only live values count: a column of nulls shows nothing.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use tidemill_schemas::page::{META_PROPERTY, META_TYPE, NAME, RARE, SOURCE};
use tidemill_schemas::value::Type;

use crate::codec::native::flatten;
use crate::page::{PageError, Properties};

/// Properties by source and event name.
#[derive(Clone, Debug, Default)]
pub struct Survey(pub BTreeMap<(String, String), Properties>);

impl Survey {
    /// Takes a batch in.
    ///
    /// # Errors
    /// [`PageError`]: not page columns.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), PageError> {
        let (codes, kinds) = kinds(&text(batch, SOURCE)?, &text(batch, NAME)?);
        let mut found: Vec<Properties> = vec![Properties::new(); kinds.len()];
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let (Some(property), Some(word)) = (field.metadata().get(META_PROPERTY), field.metadata().get(META_TYPE))
            else {
                continue;
            };
            let Some(at) = [Type::Bool, Type::Number, Type::Text].into_iter().find(|at| at.word() == word) else {
                continue;
            };
            for (kind, bears) in bearing(&codes, kinds.len(), array).into_iter().enumerate() {
                if bears {
                    found[kind].entry(property.clone()).or_default().insert(at);
                }
            }
        }
        if batch.column_by_name(RARE).is_some() {
            for (row, cells) in text(batch, RARE)?.iter().enumerate() {
                let cells = cells.map(flatten).transpose();
                let cells = cells.map_err(|_| PageError::Format(format!("column `{RARE}` is unreadable")))?;
                for (key, value) in cells.into_iter().flatten() {
                    found[codes[row] as usize].entry(key).or_default().extend(value.type_of());
                }
            }
        }
        for (kind, properties) in kinds.into_iter().zip(found) {
            self.merge_one(kind, properties);
        }
        Ok(())
    }

    /// Takes another survey in.
    pub fn merge(&mut self, other: Survey) {
        for (kind, properties) in other.0 {
            self.merge_one(kind, properties);
        }
    }

    fn merge_one(&mut self, kind: (String, String), properties: Properties) {
        let held = self.0.entry(kind).or_default();
        for (property, types) in properties {
            held.entry(property).or_default().extend(types);
        }
    }
}

/// A column of texts in the form that is cheapest to look at.
pub(crate) fn text(batch: &RecordBatch, name: &str) -> Result<StringViewArray, PageError> {
    let column = batch.column_by_name(name).ok_or_else(|| PageError::Format(format!("no column `{name}`")))?;
    Ok(cast(column, &DataType::Utf8View)?.as_string_view().clone())
}

/// Pairs of views that are remembered with their code.
const REMEMBERED: usize = 64;

/// A code per row, and the source and name of each code.
fn kinds(sources: &StringViewArray, names: &StringViewArray) -> (Vec<u32>, Vec<(String, String)>) {
    let mut known: HashMap<(&str, &str), u32> = HashMap::new();
    let mut kinds = Vec::new();
    // Equal views of one array are equal texts, and a batch has few kinds of event: most rows cost one comparison.
    let mut remembered: [Option<((u128, u128), u32)>; REMEMBERED] = [None; REMEMBERED];
    let codes = (0..names.len()).map(|row| {
        let views = (sources.views()[row], names.views()[row]);
        let mixed = ((views.0 ^ (views.0 >> 64)) as u64).wrapping_mul(31) ^ (views.1 ^ (views.1 >> 64)) as u64;
        let slot = (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize;
        if let Some((held, code)) = remembered[slot]
            && held == views
        {
            return code;
        }
        let kind = (sources.value(row), names.value(row));
        let code = *known.entry(kind).or_insert_with(|| {
            kinds.push((kind.0.to_owned(), kind.1.to_owned()));
            kinds.len() as u32 - 1
        });
        remembered[slot] = Some((views, code));
        code
    });
    let codes = codes.collect();
    (codes, kinds)
}

/// Which kinds of event have a value in a column.
fn bearing(codes: &[u32], kinds: usize, array: &ArrayRef) -> Vec<bool> {
    let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { return vec![true; kinds] };
    let mut bears = vec![false; kinds];
    for row in nulls.valid_indices() {
        bears[codes[row] as usize] = true;
    }
    bears
}
