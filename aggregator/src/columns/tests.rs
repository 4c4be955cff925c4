use std::collections::BTreeSet;

use arrow::array::{Int64Array, LargeStringArray};
use std::sync::Arc;

use super::*;
use crate::testing::frame_of;
use crate::testing::{Layout, batch, number, row, text};

fn wanted(keys: &[&str]) -> BTreeSet<Column> {
    keys.iter().map(|key| Column::Property((*key).to_owned())).collect()
}

fn property(key: &str, at: Option<Type>) -> Read {
    Read { column: Column::Property(key.to_owned()), at }
}

#[test]
fn a_property_of_several_types_is_read_at_one_or_at_any() {
    let rows = [
        row("2026-01-01T00:00:00Z", &[("k", number("34"))]),
        row("2026-01-01T00:00:00Z", &[("k", text("34"))]),
        row("2026-01-01T00:00:00Z", &[("k", Value::Bool(true))]),
        row("2026-01-01T00:00:00Z", &[]),
    ];
    for layout in [Layout::default(), Layout { rare: true, ..Layout::default() }] {
        let batch = batch(&rows, layout);
        let columns = wanted(&["k"]);
        let frame = frame_of(&batch, &columns).unwrap();
        let all = |at| {
            let vector = frame.read(&property("k", at)).unwrap();
            (0..4).map(|row| vector.value(row)).collect::<Vec<Value>>()
        };
        assert_eq!(all(None), [number("34"), text("34"), Value::Bool(true), Value::Null]);
        assert_eq!(all(Some(Type::Text)), [Value::Null, text("34"), Value::Null, Value::Null]);
        assert_eq!(all(Some(Type::Number)), [number("34"), Value::Null, Value::Null, Value::Null]);
    }
}

#[test]
fn a_column_that_is_not_there_is_null_and_a_strange_one_is_an_error() {
    let batch = batch(&[row("2026-01-01T00:00:00Z", &[])], Layout::default());
    let columns = wanted(&["k"]);
    let frame = frame_of(&batch, &columns).unwrap();
    assert_eq!(frame.read(&property("k", None)).unwrap().value(0), Value::Null);
    let actors = RecordBatch::try_from_iter([("actor", Arc::new(LargeStringArray::from(vec!["u1"])) as _)]).unwrap();
    let none = BTreeSet::new();
    let actor = Read { column: Column::Actor, at: Some(Type::Text) };
    assert_eq!(frame_of(&actors, &none).unwrap().read(&actor).unwrap().value(0), text("u1"));
    let numbers = arrow::array::Float64Array::from(vec![1.0]);
    let floats = RecordBatch::try_from_iter([("actor", Arc::new(numbers) as _)]).unwrap();
    assert!(matches!(frame_of(&floats, &none).unwrap().read(&actor), Err(EvalError::Page(..))));
    let integers = RecordBatch::try_from_iter([("actor", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
    assert_eq!(frame_of(&integers, &none).unwrap().read(&actor).unwrap().value(0), Value::Null);
}

#[test]
fn damaged_rare_values_are_an_error() {
    let json = StringArray::from(vec!["{\"k\":1e99}"]);
    let batch = RecordBatch::try_from_iter([(page::RARE, Arc::new(json) as _)]).unwrap();
    assert!(matches!(frame_of(&batch, &wanted(&["k"])), Err(EvalError::Page(..))));
}
