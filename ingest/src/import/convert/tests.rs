use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray, Float32Array,
    Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, ListArray, StringArray, StringViewArray,
    StructArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, i256};
use tidemill_schemas::calendar::Zone;
use tidemill_schemas::event::Event;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;

use super::*;
use crate::page::writer::{PageWriter, Widest};
use crate::page::{Wanted, batch_to_events, open};

const ROWS: usize = 8;

fn import(zone: &str) -> Import {
    Import {
        zone: Zone::named(zone).expect("a zone"),
        ..Import::new("f.parquet", Timestamp::parse("2026-08-20T12:00:00Z").expect("a time"))
    }
}

fn column(name: &str, array: impl Array + 'static) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(array))
}

fn base() -> Vec<(String, ArrayRef)> {
    vec![
        column("id", StringArray::from_iter_values((0..ROWS).map(|row| format!("e{row}")))),
        column("name", StringArray::from(vec!["a"; ROWS])),
        column("time", TimestampMillisecondArray::from_iter_values((0..ROWS as i64).map(|row| row * 86_400_000 / 3))),
    ]
}

fn batch(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    let mut all = base();
    for (name, array) in columns {
        match all.iter_mut().find(|(held, _)| *held == name) {
            Some(held) => held.1 = array,
            None => all.push((name, array)),
        }
    }
    RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(name, array)| (name, array, true))).expect("a batch")
}

/// Both ways over one batch: the events, and who was refused for what.
fn both(columns: Vec<(String, ArrayRef)>, zone: &str) -> (Vec<Event>, Vec<(u32, String)>) {
    let batch = batch(columns);
    let converter = Converter::new(&batch.schema(), import(zone)).expect("bound");
    let by_columns = converter.convert(&batch, 0).expect("converted");
    let by_rows = converter.one_by_one(&batch, 0, 0..ROWS as u32).expect("converted");
    let events = |converted: &Converted| {
        let mut events: Vec<(u32, Event)> = Vec::new();
        for part in &converted.parts {
            let of = batch_to_events(&part.batch).expect("page columns");
            assert_eq!(of.len(), part.rows.len());
            events.extend(part.rows.iter().copied().zip(of));
        }
        events.sort_by_key(|(row, _)| *row);
        events
    };
    let refused = |converted: &Converted| -> Vec<(u32, String)> {
        let mut refused: Vec<_> =
            converted.refused.iter().map(|(row, refused)| (*row, refused.rejection.to_string())).collect();
        refused.sort();
        refused
    };
    assert_eq!(events(&by_columns), events(&by_rows));
    assert_eq!(refused(&by_columns), refused(&by_rows));
    paged(&by_columns, &events(&by_columns));
    (events(&by_columns).into_iter().map(|(_, event)| event).collect(), refused(&by_columns))
}

/// Whatever comes out goes into pages and back.
fn paged(converted: &Converted, expected: &[(u32, Event)]) {
    let mut widest = Widest::default();
    converted.parts.iter().for_each(|part| widest.learn(&part.batch));
    let mut back = Vec::new();
    let mut writers: Vec<(PageWriter, Vec<u32>)> = Vec::new();
    for part in &converted.parts {
        let fitting = writers.iter_mut().find(|(writer, _)| writer.fits(&part.batch));
        let (writer, rows) = match fitting {
            Some(held) => held,
            None => {
                let day = "2026-08-01".parse().expect("a date");
                let opened = PageWriter::open("s", day, &part.batch, &widest, &|_| Type::Text).expect("opened");
                writers.push((opened, Vec::new()));
                writers.last_mut().expect("just pushed")
            }
        };
        writer.write(&part.batch).expect("written");
        rows.extend(&part.rows);
    }
    for (writer, rows) in writers {
        let page = writer.close().expect("closed");
        let batches = open(page.bytes, Wanted::Everything).expect("a page");
        let events = batches.flat_map(|batch| batch_to_events(&batch.expect("read")).expect("events"));
        back.extend(rows.into_iter().zip(events));
    }
    back.sort_by_key(|(row, _)| *row);
    assert_eq!(back, expected);
}

fn texts() -> Vec<Option<&'static str>> {
    vec![Some("a"), None, Some(""), Some("naïve ✓"), Some("\u{1}\n\""), Some("a"), Some("\u{85}"), Some("長い")]
}

#[test]
fn every_type_has_the_same_values_by_columns_and_by_rows() {
    let ints = || vec![Some(0), Some(-1), None, Some(7), Some(i64::MAX), Some(i64::MIN), Some(10), Some(100)];
    let floats = vec![
        Some(0.1),
        Some(-0.0),
        None,
        Some(1e15),
        Some(123456.789),
        Some(f64::MIN_POSITIVE),
        Some(0.30000000000000004),
        Some(5e-7),
    ];
    let wild =
        vec![Some(f64::NAN), Some(f64::INFINITY), Some(1e300), Some(1e25), Some(-1e-18), None, Some(2.5), Some(1e-19)];
    let singles = floats.iter().map(|float| float.map(|float| float as f32)).collect::<Float32Array>();
    let wide = |value: i64| Some(i256::from_i128(value.into()).wrapping_mul(i256::from_i128(10i128.pow(30))));
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..ROWS).map(|row| (row % 3 > 0).then(|| vec![Some(row as i64), None])),
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ints())),
        Arc::new(Int8Array::from_iter_values(-4..4)),
        Arc::new(UInt64Array::from_iter_values([0, 1, u64::MAX, 3, 4, 5, 6, 7])),
        Arc::new(Float64Array::from(floats)),
        Arc::new(Float64Array::from(wild)),
        Arc::new(singles),
        Arc::new(
            Decimal128Array::from(vec![Some(1), None, Some(-25), Some(1000), Some(0), Some(7), Some(8), Some(9)])
                .with_precision_and_scale(20, 3)
                .expect("fits"),
        ),
        Arc::new(
            Decimal128Array::from_iter_values((0..ROWS as i128).map(|row| row * 10i128.pow(30)))
                .with_precision_and_scale(38, 30)
                .expect("fits"),
        ),
        Arc::new(
            Decimal256Array::from_iter((0..ROWS as i64).map(wide)).with_precision_and_scale(60, 20).expect("fits"),
        ),
        Arc::new(BooleanArray::from_iter((0..ROWS).map(|row| (row != 2).then_some(row % 2 == 0)))),
        Arc::new(StringArray::from(texts())),
        Arc::new(LargeStringArray::from(texts())),
        Arc::new(StringViewArray::from(texts())),
        Arc::new(texts().into_iter().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(BinaryArray::from(vec![
            Some(&b"text"[..]),
            None,
            Some(&[0xFF, 0x00]),
            Some(b""),
            Some(b"x"),
            None,
            None,
            None,
        ])),
        Arc::new(Date32Array::from_iter_values((0..ROWS as i32).map(|row| row * 4_000))),
        Arc::new(
            TimestampNanosecondArray::from_iter_values((0..ROWS as i64).map(|row| row * 1_234_567_890_123_456))
                .with_timezone("Europe/Paris"),
        ),
        Arc::new(TimestampSecondArray::from_iter_values((0..ROWS as i64).map(|row| row * 400_000_000))),
        Arc::new(list),
        arrow::array::new_null_array(&DataType::Null, ROWS),
    ];
    for (at, array) in columns.into_iter().enumerate() {
        let (events, _) = both(vec![(format!("p{at}"), array.clone())], "UTC");
        assert!(events.len() >= 4, "{:?}", array.data_type());
    }
}

#[test]
fn structs_are_flattened_and_their_nulls_reach_inside() {
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("deep", DataType::Int32, true)),
        Arc::new(Int32Array::from_iter_values(0..ROWS as i32)) as ArrayRef,
    )]);
    let nulls = (0..ROWS).map(|row| row % 2 == 0).collect::<Vec<_>>();
    let outer = StructArray::try_new(
        vec![Field::new("x", DataType::Utf8, true), Field::new("in", inner.data_type().clone(), true)].into(),
        vec![Arc::new(StringArray::from(texts())), Arc::new(inner)],
        Some(nulls.into()),
    )
    .expect("a struct");
    let (events, _) = both(vec![column("s", outer)], "UTC");
    assert_eq!(events[2].properties.keys().collect::<Vec<_>>(), ["s.in.deep", "s.x"]);
    assert!(events[1].properties.is_empty());
}

#[test]
fn identities_of_any_type_are_the_same() {
    let ids: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..ROWS as i64)),
        Arc::new(StringViewArray::from(vec![
            Some("a"),
            None,
            Some(""),
            Some("b\u{7}"),
            Some("c"),
            Some("\u{a0}d"),
            Some("é"),
            Some("f"),
        ])),
        Arc::new(vec!["a"; ROWS].into_iter().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(BinaryArray::from_iter_values((0..ROWS as u8).map(|row| [0xF0, row]))),
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| "x".repeat(row * 30)))),
        Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 2.0))),
        Arc::new(BooleanArray::from(vec![true; ROWS])),
    ];
    for array in ids {
        for field in ["id", "name", "actor", "source"] {
            both(vec![(field.to_owned(), array.clone())], "UTC");
        }
    }
}

#[test]
fn times_of_any_type_are_the_same() {
    let far = [0, -62_135_596_801, 253_402_128_001, i64::MAX, 1_787_229_000, 1_787_229_301, 1_787_229_299, 5];
    let times: Vec<ArrayRef> = vec![
        Arc::new(TimestampSecondArray::from_iter_values(far)),
        Arc::new(TimestampSecondArray::from_iter_values(far).with_timezone("America/New_York")),
        Arc::new(Int64Array::from_iter_values(far)),
        Arc::new(Int64Array::from_iter_values(far.map(|far| far.wrapping_mul(1_000)))),
        Arc::new(TimestampMillisecondArray::from(vec![
            Some(1),
            None,
            Some(2),
            Some(-1),
            Some(86_400_000),
            None,
            Some(0),
            Some(1_774_746_000_000),
        ])),
        Arc::new(Date32Array::from_iter_values([0, 1, 20_000, -1, 20_540, 30_000, 2, 3])),
        Arc::new(StringArray::from(vec![
            Some("2026-03-29T02:30:00"),
            Some("2026-03-29"),
            Some("nonsense"),
            Some(" 2026-01-01T00:00:00Z "),
            Some("1700000000000"),
            None,
            Some(""),
            Some("2026-03-29 01:00"),
        ])),
        Arc::new(Float64Array::from_iter_values([0.5, 1.7e12, f64::NAN, -1.0, 1e30, 0.0, 1.0, 2.0])),
    ];
    for array in times {
        for zone in ["UTC", "Europe/Paris", "America/Santiago"] {
            both(vec![("time".to_owned(), array.clone())], zone);
        }
    }
}

#[test]
fn revisions_and_sizes_are_the_same() {
    both(
        vec![column(
            "rev",
            Int64Array::from(vec![Some(1), None, Some(-1), Some(i64::MAX), Some(0), Some(3), Some(4), Some(5)]),
        )],
        "UTC",
    );
    both(vec![column("rev", UInt64Array::from_iter_values([0, u64::MAX, 2, 3, 4, 5, 6, 7]))], "UTC");
    both(vec![column("rev", StringArray::from(vec!["1", "x", "-3", "", "5", "6", "7", "8"]))], "UTC");
    let (_, refused) =
        both(vec![column("p", StringArray::from_iter_values((0..ROWS).map(|row| "x".repeat(row * 2_000))))], "UTC");
    assert_eq!(refused.len(), 3, "{refused:?}");
    // Twelve texts of 6 kB are too much together, none of them alone.
    let long: Vec<_> = (0..12)
        .map(|at| column(&format!("p{at}"), StringArray::from_iter_values((0..ROWS).map(|row| "\"".repeat(row * 850)))))
        .collect();
    let (_, refused) = both(long, "UTC");
    assert!(refused.iter().all(|(_, why)| why.starts_with("TM0104")) && !refused.is_empty(), "{refused:?}");
}

#[test]
fn what_has_no_way_by_columns_still_comes_in() {
    let many: Vec<_> = (0..300)
        .map(|at| {
            column(&format!("p{at}"), Int64Array::from_iter((0..ROWS).map(|row| (row == at % ROWS).then_some(1))))
        })
        .collect();
    assert_eq!(both(many, "UTC").0.len(), ROWS);
    let (_, refused) = both(vec![column(&"k".repeat(200), Int64Array::from_iter_values(0..ROWS as i64))], "UTC");
    assert_eq!(refused.len(), ROWS);
}
