use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int32Array,
    ListArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use bytes::Bytes;

use super::*;
use crate::arbitrary::now;
use crate::codec::native::encode;

fn import(map: &str, zone: &str) -> Import {
    let mut import = Import::new("f.csv", now());
    if !map.is_empty() {
        import.mapping = Mapping::parse(map).unwrap();
    }
    import.zone = Zone::named(zone).unwrap();
    import
}

/// A verdict as the event's native line or the refusal's words.
fn told(verdict: Result<Verdict, ImportError>) -> String {
    match verdict {
        Ok(Ok(event)) => encode(&event),
        Ok(Err(refused)) => {
            format!("{:?} {} <- {}", refused.id, refused.rejection, String::from_utf8_lossy(&refused.body))
        }
        Err(error) => format!("{}: {error}", error.code()),
    }
}

fn csv_rows(text: &str, import: Import) -> Vec<String> {
    match csv::open(text.as_bytes(), import) {
        Ok(rows) => rows.map(told).collect(),
        Err(error) => vec![format!("{}: {error}", error.code())],
    }
}

#[test]
fn csv_columns_become_fields_and_typed_properties() {
    let text = "id,name,time,actor,amount,ok,zip,note,big\n\
                1,paid,2026-07-01T10:00:00+02:00,ann,12.50,true,007,\"a, \"\"b\"\"\",12345678901234567890123456789012345678901\n\
                2,paid,1500,,1e3,false,,,\n";
    assert_eq!(
        csv_rows(text, import("", "UTC")),
        [
            r#"{"id":"1","source":"default","name":"paid","actor":"ann","time":"2026-07-01T08:00:00Z","properties":{"amount":12.5,"big":"12345678901234567890123456789012345678901","note":"a, \"b\"","ok":true,"zip":"007"}}"#,
            r#"{"id":"2","source":"default","name":"paid","time":"1970-01-01T00:00:01.5Z","properties":{"amount":1000,"ok":false}}"#,
        ]
    );
}

#[test]
fn a_mapping_names_columns_texts_and_row_numbers_and_local_times_have_a_zone() {
    let rows = csv_rows(
        "when,who\n2026-07-01 10:00:00.25,ann\n2026-07-01,\n2026-07-01T10:00,bob\n2026-03-29 02:30:00,dst\n",
        import("id=#row,name='it''s, so',time=when,actor=who,source='x'", "Europe/Berlin"),
    );
    let line = |number: u32, actor: &str, time: &str| {
        format!(r#"{{"id":"f.csv:{number}","source":"x","name":"it's, so",{actor}"time":"{time}"}}"#)
    };
    assert_eq!(
        rows,
        [
            line(1, r#""actor":"ann","#, "2026-07-01T08:00:00.25Z"),
            line(2, "", "2026-06-30T22:00:00Z"),
            line(3, r#""actor":"bob","#, "2026-07-01T08:00:00Z"),
            // The clock skips this half hour.
            line(4, r#""actor":"dst","#, "2026-03-29T01:30:00Z"),
        ]
    );
}

#[test]
fn a_bad_row_costs_that_row() {
    let rows = csv_rows("id,name,time,rev\n1,n,0,x\n2,n\n,n,0,1\n3,n,soon,1\n4,n,0,7\n", import("", "UTC"));
    assert_eq!(
        rows,
        [
            r#"Some("1") TM0103: row 1: `rev` must be a whole number <- {"id":"1","name":"n","time":"0","rev":"x"}"#,
            r#"Some("2") TM0101: row 2: not a JSON object: the row has 2 cells, the header 4; send one object per event <- {"id":"2","name":"n"}"#,
            r#"Some("") TM0102: row 3: `id` is missing; every event needs it <- {"id":"","name":"n","time":"0","rev":"1"}"#,
            r#"Some("3") TM0111: row 4: `time` is not a time; send RFC 3339 with an offset (2026-08-01T12:00:00Z) or epoch milliseconds, years 1 to 9999 <- {"id":"3","name":"n","time":"soon","rev":"1"}"#,
            r#"{"id":"4","source":"default","name":"n","time":"1970-01-01T00:00:00Z","rev":7}"#,
        ]
    );
    assert_eq!(csv_rows("a,a\n", import("", "UTC")), ["TM0132: the column `a` is there twice; rename one"]);
    assert_eq!(
        csv_rows("name,time\n", import("", "UTC")),
        ["TM0131: no column `id` for `id`; the file has `name`, `time`; map it: --map id=COLUMN or --map id=#row"]
    );
    assert_eq!(
        csv::open(&b"id,name,time\n1,\xFF,0\n"[..], import("", "UTC"))
            .unwrap()
            .filter_map(|v| v.unwrap().err())
            .count(),
        1
    );
}

#[test]
fn a_bad_mapping_is_told() {
    for (map, expected) in [
        ("id", "`id` has no `=`"),
        ("when=x", "`when` is no field; the fields are id, name, time, actor, source, rev"),
        ("id=", "`id` is mapped to nothing"),
        ("name=#row", "`#row` stands for `id` alone"),
        ("name='x", "a quote does not end"),
        ("name='", "a quote does not end"),
        ("id=a,id=b", "`id` is mapped twice"),
    ] {
        let told = Mapping::parse(map).unwrap_err().to_string();
        assert!(told.starts_with(&format!("--map: {expected};")), "{map}: {told}");
    }
}

fn parquet_rows(columns: Vec<(&str, ArrayRef)>, import: Import) -> Vec<String> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    match parquet::open(Bytes::from(writer.into_inner().unwrap()), import) {
        Ok(rows) => rows.map(told).collect(),
        Err(error) => vec![format!("{}: {error}", error.code())],
    }
}

#[test]
fn parquet_of_any_column_types_is_read() {
    let words: DictionaryArray<Int32Type> = vec![Some("x"), None].into_iter().collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let inner: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None]));
    let nested = StructArray::from(vec![(Arc::new(Field::new("b", DataType::Int32, true)), inner)]);
    let decimals = Decimal128Array::from(vec![12345, -5]).with_precision_and_scale(9, 2).unwrap();
    let rows = parquet_rows(
        vec![
            ("id", Arc::new(UInt64Array::from(vec![u64::MAX, 1]))),
            ("name", Arc::new(StringArray::from(vec!["n", "n"]))),
            ("time", Arc::new(TimestampNanosecondArray::from(vec![1_999, -1]).with_timezone("+02:00"))),
            ("float", Arc::new(Float64Array::from(vec![0.1, f64::NAN]))),
            ("single", Arc::new(Float32Array::from(vec![0.1, -0.0]))),
            ("decimal", Arc::new(decimals)),
            ("word", Arc::new(words)),
            ("list", Arc::new(list)),
            ("nested", Arc::new(nested)),
            ("ok", Arc::new(BooleanArray::from(vec![true, false]))),
            ("day", Arc::new(Date32Array::from(vec![20_000, -1]))),
            ("local", Arc::new(TimestampMillisecondArray::from(vec![1_500, 0]))),
        ],
        import("", "UTC"),
    );
    assert_eq!(
        rows,
        [
            r#"{"id":"18446744073709551615","source":"default","name":"n","time":"1970-01-01T00:00:00.000001Z","properties":{"day":"2024-10-04","decimal":123.45,"float":0.1,"list":"[1,null]","local":"1970-01-01T00:00:01.5","nested.b":5,"ok":true,"single":0.1,"word":"x"}}"#,
            r#"{"id":"1","source":"default","name":"n","time":"1969-12-31T23:59:59.999999Z","properties":{"day":"1969-12-31","decimal":-0.05,"local":"1970-01-01T00:00:00","ok":false,"single":0}}"#,
        ]
    );
}

#[test]
fn parquet_refuses_a_row_and_keeps_its_words() {
    let rows = parquet_rows(
        vec![
            ("at", Arc::new(TimestampMillisecondArray::from(vec![3_600_000, 0]))),
            ("big", Arc::new(Float64Array::from(vec![1.0, 1e300]))),
        ],
        import("id=#row,name='n',time=at", "Asia/Kolkata"),
    );
    assert_eq!(
        rows[0],
        r#"{"id":"f.csv:1","source":"default","name":"n","time":"1969-12-31T19:30:00Z","properties":{"big":1}}"#
    );
    assert!(
        rows[1].starts_with("None TM0109: row 2: the number in `big` cannot be kept exactly (more than 38 digits)"),
        "{}",
        rows[1]
    );
    assert!(rows[1].ends_with(r#"<- {"at":"1970-01-01T00:00:00","big":null}"#), "{}", rows[1]);
    assert!(matches!(parquet::open(Bytes::from_static(b"PAR1"), import("", "UTC")), Err(ImportError::Unreadable(_))));
}
