//! Conditions over the keys of groups: keys as a batch with the columns of a page, so that a condition means there what it
//! means over events.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use tidemill_ingest::page::footer::Bounds;
use tidemill_schemas::decimal::DECIMAL_SCALE_MAX;
use tidemill_schemas::expression::{Column, Expr};
use tidemill_schemas::page::{META_PROPERTY, META_TYPE};
use tidemill_schemas::value::{Type, Value};

use crate::columns::{Frame, Memory};
use crate::eval::{EvalError, Node};
use crate::fold::FoldError;
use crate::metric::GroupKey;

const TYPES: [Type; 4] = [Type::Bool, Type::Number, Type::Text, Type::Time];

/// For each key whether the condition is true of it. `columns`: what keys hold; the condition reads no other.
///
/// # Errors
/// [`FoldError::Eval`].
pub(crate) fn holds(columns: &[Column], keys: &[&GroupKey], condition: &Expr) -> Result<Vec<bool>, FoldError> {
    let of = |error| FoldError::of(error, "segments");
    let batch = batch(columns, keys).map_err(of)?;
    let wanted: BTreeSet<Column> = columns.iter().cloned().collect();
    let memory = Memory::default();
    let frame = Frame::new(&batch, &wanted, Bounds::default(), &memory).map_err(of)?;
    let holds = Node::compile(condition).holds(&frame, None).map_err(of)?;
    Ok(holds.iter().collect())
}

fn batch(columns: &[Column], keys: &[&GroupKey]) -> Result<RecordBatch, EvalError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (at, column) in columns.iter().enumerate() {
        let values: Vec<&Value> = keys.iter().filter_map(|key| key.get(at)).collect();
        for typed in TYPES {
            let is_fixed = column.fixed_type() == Some(typed);
            if !is_fixed && !values.iter().any(|value| value.type_of() == Some(typed)) {
                continue;
            }
            let array =
                array(&values, typed).ok_or_else(|| EvalError::page(column.name(), "has numbers no column holds"))?;
            fields.push(field(column, typed, array.data_type().clone()));
            arrays.push(array);
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(keys.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|why| EvalError::page("", &why.to_string()))
}

fn field(column: &Column, typed: Type, of: DataType) -> Field {
    let Column::Property(key) = column else { return Field::new(column.name(), of, true) };
    let metadata =
        HashMap::from([(META_PROPERTY.to_owned(), key.clone()), (META_TYPE.to_owned(), typed.word().to_owned())]);
    Field::new(format!("{key}${}", typed.word()), of, true).with_metadata(metadata)
}

/// The values of one type; null where they are of another.
fn array(values: &[&Value], typed: Type) -> Option<ArrayRef> {
    Some(match typed {
        Type::Bool => Arc::new(
            values
                .iter()
                .map(|value| match value {
                    Value::Bool(held) => Some(*held),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        Type::Text => Arc::new(
            values
                .iter()
                .map(|value| match value {
                    Value::Text(held) => Some(held.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        Type::Time => Arc::new(
            values
                .iter()
                .map(|value| match value {
                    Value::Time(held) => Some(held.micros()),
                    _ => None,
                })
                .collect::<TimestampMicrosecondArray>(),
        ),
        Type::Number => {
            let scale = values.iter().filter_map(|value| match value {
                Value::Number(held) => Some(held.scale()),
                _ => None,
            });
            let scale = scale.max().unwrap_or(0).min(DECIMAL_SCALE_MAX);
            let mut unscaled = Vec::with_capacity(values.len());
            for value in values {
                unscaled.push(match value {
                    Value::Number(held) => Some(held.unscaled_at(scale)?),
                    _ => None,
                });
            }
            let numbers: Decimal128Array = unscaled.into_iter().collect();
            Arc::new(numbers.with_precision_and_scale(38, scale as i8).ok()?)
        }
    })
}
