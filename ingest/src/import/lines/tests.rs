use arrow::array::Array;
use arrow::datatypes::DataType;
use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::codec::native::encode;
use crate::page::batch_to_events;

fn lines() -> Lines {
    Lines::new(Import::new("f.ndjson", arbitrary::now()))
}

fn text(bytes: impl Into<Vec<u8>>) -> Text {
    Text { bytes: bytes.into().into(), too_long: None }
}

/// What became of each line, by columns: an event, or the refusal's words.
fn by_columns(text: &Text, first: u64) -> Vec<(u32, Result<Event, Refused>)> {
    let converted = lines().convert(text, first).expect("converted");
    let mut told: Vec<(u32, Result<Event, Refused>)> =
        converted.refused.into_iter().map(|(row, refused)| (row, Err(refused))).collect();
    for part in converted.parts.iter().chain(&converted.withdrawn) {
        let events = batch_to_events(&part.batch).expect("page columns");
        assert_eq!(events.len(), part.rows.len());
        told.extend(part.rows.iter().copied().zip(events.into_iter().map(Ok)));
    }
    told.sort_by_key(|(row, _)| *row);
    told
}

/// What the codec says of each line.
fn by_codec(text: &Text, first: u64) -> Vec<(u32, Result<Event, Refused>)> {
    let lines = lines();
    text.each(first).map(|(row, _, line)| (row, lines.verdict(first + u64::from(row), line))).collect()
}

fn agree(bytes: impl Into<Vec<u8>>) -> Vec<(u32, Result<Event, Refused>)> {
    let text = text(bytes);
    let told = by_columns(&text, 7);
    assert_eq!(told, by_codec(&text, 7), "{}", String::from_utf8_lossy(&text.bytes));
    told
}

#[test]
fn plain_lines_need_no_codec() {
    let body = concat!(
        r#"{"id":"a","name":"paid","time":"2026-07-01T10:00:00+02:00","properties":{"x":{"y":1,"z":"t\n"},"n":1.50,"b":true}}"#,
        "\n\n",
        r#" { "id" : "b long enough to lie outside" , "source":"shop", "name":"paid", "actor":"u","time":1500,"rev":3,"properties":{"n":-2e3,"gone":null}} "#,
        "\r\n",
        r#"{"id":"c","name":"left","time":"2026-07-01T10:00:00Z","deleted":false,"properties":null}"#,
    );
    let text = text(body);
    let converted = lines().convert(&text, 0).expect("converted");
    assert_eq!(converted.parts.len(), 1);
    assert_eq!(converted.parts[0].rows, [0, 2, 3]);
    // Only what went by columns has its texts as views.
    assert_eq!(converted.parts[0].batch.column(0).data_type(), &DataType::Utf8View);
    assert_eq!(by_columns(&text, 0), by_codec(&text, 0));
    assert_eq!(text.lines(), 4);
}

#[test]
fn whatever_is_doubtful_is_the_codecs_to_judge() {
    let at = r#""name":"n","time":"2026-07-01T00:00:00Z""#;
    let long = "x".repeat(9_000);
    let deep = format!("{}1{}", r#"{"d":"#.repeat(40), "}".repeat(40));
    let many: Vec<String> = (0..300).map(|nth| format!(r#""p{nth}":1"#)).collect();
    let bodies = [
        format!(r#"{{"id":"1",{at}}} x"#),
        format!(r#"{{"id":"1","id":"2",{at}}}"#),
        format!(r#"{{"id":"",{at}}}"#),
        format!(r#"{{"id":"{}",{at}}}"#, "i".repeat(129)),
        format!(r#"{{"id":"a\u0001b",{at}}}"#),
        format!(r#"{{"id":"a\ud800",{at}}}"#),
        format!(r#"{{"id":7,{at}}}"#),
        format!(r#"{{"id":"1",{at},"extra":1}}"#),
        format!(r#"{{"id":"1",{at},"rev":-1}}"#),
        format!(r#"{{"id":"1",{at},"rev":2.0}}"#),
        format!(r#"{{"id":"1",{at},"deleted":true,"rev":4}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":1,"a":2}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":null,"a":2}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a.b":1,"a":{{"b":2}}}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":{{}},"a":{{"b":2}}}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":"x","a":2}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":[1, {{"b":null}}]}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"":1}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":"{long}"}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":1e40}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":12345678901234567890123456789012345678}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{"a":0.000000000000000001}}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{deep}}}"#),
        format!(r#"{{"id":"1",{at},"properties":{{{}}}}}"#, many.join(",")),
        format!(r#"{{"id":"1",{at},"properties":"p"}}"#),
        r#"{"id":"1","name":"n"}"#.to_owned(),
        r#"{"id":"1","name":"n","time":"soon"}"#.to_owned(),
        r#"{"id":"1","name":"n","time":"2026-08-01T12:05:00.000001Z"}"#.to_owned(),
        r#"{"id":"1","name":"n","time":"9999-12-31T23:00:00Z"}"#.to_owned(),
        r#"{"id":"1","#.to_owned(),
        "{}".to_owned(),
        "[1]".to_owned(),
        "null".to_owned(),
        format!(r#"{{"id":"{}"}}"#, "y".repeat(70_000)),
    ];
    for body in &bodies {
        agree(body.as_bytes());
    }
    // Between good ones, and all together: what one leaves behind harms no other.
    let good = format!(r#"{{"id":"g",{at},"properties":{{"a":"t","n":0.5}}}}"#);
    let all: Vec<String> = bodies.iter().flat_map(|body| [good.clone(), body.clone()]).collect();
    let told = agree(all.join("\n"));
    assert!(told.iter().filter(|(_, told)| told.is_ok()).count() > bodies.len());
    let mut bytes = all.join("\n").into_bytes();
    bytes.extend_from_slice(b"\n{\"id\":\"\xFF\"}\n");
    bytes.extend_from_slice(good.as_bytes());
    let told = agree(bytes);
    assert!(matches!(&told[told.len() - 2].1, Err(refused) if refused.rejection.code == "TM0101"));
    assert!(told[told.len() - 1].1.is_ok());
}

#[test]
fn more_properties_than_columns_are_kept_as_the_codec_keeps_them() {
    let line = |nth: usize| {
        let properties: Vec<String> = (0..200).map(|key| format!(r#""k{}":{key}"#, key + 200 * nth)).collect();
        format!(r#"{{"id":"{nth}","name":"n","time":0,"properties":{{{}}}}}"#, properties.join(","))
    };
    agree((0..3).map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_line_that_is_too_long_costs_itself() {
    let told = by_columns(&Text { too_long: Some(9 << 20), ..text("{\"id\":") }, 4);
    let [(0, Err(refused))] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(refused.rejection.code, "TM0104");
    assert!(refused.rejection.message.starts_with("line 5: "), "{}", refused.rejection.message);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let line = r#"{"id":"1","name":"n","time":0}"#;
    let told = by_columns(&text(format!("\u{feff}{line}\n\u{feff}{line}")), 0);
    assert!(told[0].1.is_ok() && told[1].1.is_err(), "{told:?}");
}

proptest! {
    #[test]
    fn both_ways_agree_on_any_events(events in proptest::collection::vec(arbitrary::event(), 1..40), cut in 0usize..400) {
        let mut body: Vec<u8> = events.iter().map(|event| encode(event) + "\n").collect::<String>().into_bytes();
        let told = agree(body.clone());
        prop_assert_eq!(told.iter().filter(|(_, told)| told.is_ok()).count(), events.len());
        let wanted: Vec<u32> = (0..events.len() as u32).step_by(3).collect();
        let some = lines().events(&text(body.clone()), 0, &wanted);
        prop_assert_eq!(some.iter().map(|event| &event.id).collect::<Vec<_>>(), events.iter().step_by(3).map(|event| &event.id).collect::<Vec<_>>());
        // And on what is no event any more.
        let at = cut % body.len();
        body[at] = b"\"{}[]:,\\x0\n"[cut % 11];
        agree(body);
    }
}
