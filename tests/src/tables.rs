//! Tables: events as the Parquet files of somebody else, in whatever types such files have.
//!
//! In: events that are not withdrawn, and a seed. Out: files, and the mapping that makes the same events of them. Fields
//! are called `__id` and so on, so that a property may bear any name. A property with values of several types takes
//! several files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, DictionaryArray, Float64Array, Int64Array,
    LargeStringArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{Int32Type, i256};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tidemill_schemas::event::Event;
use tidemill_schemas::value::{Type, Value};

use crate::generator::Random;

/// What makes events of these files again.
pub const MAP: &str = "id=__id,source=__source,name=__name,actor=__actor,time=__time,rev=__rev";

/// The files of some events.
///
/// # Panics
/// When an event is withdrawn: no table says so.
pub fn files(random: &mut Random, events: &[Event]) -> Vec<Vec<u8>> {
    let mut files: Vec<(BTreeMap<&str, Type>, Vec<&Event>)> = Vec::new();
    for event in events {
        assert!(!event.deleted, "a table holds no withdrawals");
        let types = event.properties.iter().filter_map(|(key, value)| Some((key.as_str(), value.type_of()?)));
        let types: BTreeMap<&str, Type> = types.collect();
        let alike = |(held, _): &&mut (BTreeMap<&str, Type>, Vec<&Event>)| {
            types.iter().all(|(key, at)| held.get(key).is_none_or(|held| held == at))
        };
        match files.iter_mut().find(alike) {
            Some((held, of)) => {
                held.extend(types);
                of.push(event);
            }
            None => files.push((types, vec![event])),
        }
    }
    files.iter().map(|(types, events)| file(random, types, events)).collect()
}

fn file(random: &mut Random, types: &BTreeMap<&str, Type>, events: &[&Event]) -> Vec<u8> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let mut text = |random: &mut Random, name: &str, of: fn(&Event) -> Option<&str>| {
        columns.push((name.to_owned(), texts(random, &events.iter().map(|event| of(event)).collect::<Vec<_>>())));
    };
    text(random, "__id", |event| Some(&event.id));
    text(random, "__source", |event| Some(&event.source));
    text(random, "__name", |event| Some(&event.name));
    text(random, "__actor", |event| event.actor.as_deref());
    columns.push(("__time".to_owned(), times(random, events)));
    columns.push((
        "__rev".to_owned(),
        Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.rev as i64))),
    ));
    for (key, at) in types {
        let values: Vec<Option<&Value>> =
            events.iter().map(|event| event.properties.get(*key).filter(|value| value.type_of().is_some())).collect();
        columns.push(((*key).to_owned(), property(random, *at, &values)));
    }
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.expect("columns of one length");
    let layout = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1 + random.below(50) as usize))
        .set_data_page_row_count_limit(1 + random.below(40) as usize)
        .set_write_batch_size(8)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(layout)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("ended")
}

fn times(random: &mut Random, events: &[&Event]) -> ArrayRef {
    let micros = || events.iter().map(|event| event.time.micros());
    match random.below(4) {
        // Without a zone: read in the import's, which is UTC.
        0 => Arc::new(TimestampMicrosecondArray::from_iter_values(micros())),
        1 => Arc::new(TimestampNanosecondArray::from_iter_values(micros().map(|micros| micros * 1_000))),
        2 => Arc::new(StringArray::from_iter_values(events.iter().map(|event| event.time.to_string()))),
        _ => Arc::new(TimestampMicrosecondArray::from_iter_values(micros()).with_timezone("Asia/Kolkata")),
    }
}

fn texts(random: &mut Random, values: &[Option<&str>]) -> ArrayRef {
    match random.below(5) {
        0 => Arc::new(StringArray::from(values.to_vec())),
        1 => Arc::new(LargeStringArray::from(values.to_vec())),
        2 => Arc::new(StringViewArray::from(values.to_vec())),
        3 => Arc::new(values.iter().copied().collect::<DictionaryArray<Int32Type>>()),
        _ => Arc::new(BinaryArray::from(values.iter().map(|text| text.map(str::as_bytes)).collect::<Vec<_>>())),
    }
}

fn property(random: &mut Random, at: Type, values: &[Option<&Value>]) -> ArrayRef {
    match at {
        Type::Text | Type::Time => {
            let text = |value: &Option<&'_ Value>| match value {
                Some(Value::Text(text)) => Some(text.clone()),
                _ => None,
            };
            let owned: Vec<Option<String>> = values.iter().map(text).collect();
            texts(random, &owned.iter().map(Option::as_deref).collect::<Vec<_>>())
        }
        Type::Bool => Arc::new(BooleanArray::from_iter(
            values.iter().map(|value| value.map(|value| matches!(value, Value::Bool(true)))),
        )),
        Type::Number => numbers(random, values),
    }
}

fn numbers(random: &mut Random, values: &[Option<&Value>]) -> ArrayRef {
    let decimals: Vec<_> = values
        .iter()
        .map(|value| match value {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        })
        .collect();
    let exact = |number: f64, text: &str| number.to_string() == text;
    let floats: Vec<Option<f64>> =
        decimals.iter().map(|number| number.map(|number| number.to_string().parse().expect("a float"))).collect();
    let all_floats = decimals.iter().zip(&floats).all(|(number, float)| match (number, float) {
        (Some(number), Some(float)) => exact(*float, &number.to_string()),
        _ => true,
    });
    if all_floats && random.chance(40) {
        return Arc::new(Float64Array::from(floats));
    }
    let present: BTreeSet<_> = decimals.iter().flatten().map(|number| number.scale()).collect();
    let scale = present.last().copied().unwrap_or(0);
    let at_scale: Vec<Option<Option<i128>>> =
        decimals.iter().map(|number| number.map(|number| number.unscaled_at(scale))).collect();
    let largest = at_scale.iter().flatten().map(|unscaled| unscaled.map_or(u128::MAX, i128::unsigned_abs)).max();
    let largest = largest.unwrap_or(0);
    if scale == 0 && largest < 1 << 62 && random.chance(70) {
        return Arc::new(Int64Array::from_iter(
            at_scale.iter().map(|unscaled| unscaled.flatten().map(|value| value as i64)),
        ));
    }
    if largest < 10u128.pow(38) && random.chance(80) {
        let array = Decimal128Array::from_iter(at_scale.iter().map(|unscaled| unscaled.flatten()));
        return Arc::new(array.with_precision_and_scale(38, scale as i8).expect("they fit"));
    }
    let ten = i256::from_i128(10);
    let wide = |number: &Option<tidemill_schemas::decimal::Decimal>| {
        number.map(|number| {
            let raised = (number.scale()..18).fold(i256::ONE, |power, _| power.wrapping_mul(ten));
            i256::from_i128(number.unscaled()).wrapping_mul(raised)
        })
    };
    let array = Decimal256Array::from_iter(decimals.iter().map(wide));
    Arc::new(array.with_precision_and_scale(76, 18).expect("they fit"))
}
