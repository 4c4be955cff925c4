use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemill_schemas::event::SOURCE_DEFAULT;
use tidemill_schemas::value::Value;

use super::super::{BodyError, Refused};
use super::*;
use crate::arbitrary::{event, now};

fn verdicts(body: &[u8]) -> Vec<Result<Event, Refused>> {
    decode(body, SOURCE_DEFAULT, now()).unwrap().events
}

fn one(body: &str) -> Result<Event, Refused> {
    let mut all = verdicts(body.as_bytes());
    assert_eq!(all.len(), 1, "{body}");
    all.remove(0)
}

/// An event with this `properties` text.
fn properties(text: &str) -> Result<BTreeMap<String, Value>, String> {
    one(&format!(r#"{{"id":"1","name":"n","time":0,"properties":{text}}}"#))
        .map(|event| event.properties)
        .map_err(|refused| refused.rejection.to_string())
}

fn shown(properties: &BTreeMap<String, Value>) -> String {
    let mut out = String::new();
    write_properties(&mut out, properties.iter().map(|(key, value)| (key.as_str(), value)));
    out
}

#[test]
fn every_field_is_read() {
    let event =
        one(r#" {"id":"e1","source":"web","name":"paid","actor":"ann","time":"2026-08-01T10:00:00.1234567+05:30",
             "properties":{"a":1},"rev":7,"deleted":false} "#)
        .unwrap();
    assert_eq!(event.id, "e1");
    assert_eq!(event.source, "web");
    assert_eq!(event.name, "paid");
    assert_eq!(event.actor.as_deref(), Some("ann"));
    assert_eq!(event.time.to_string(), "2026-08-01T04:30:00.123456Z");
    assert_eq!(shown(&event.properties), r#"{"a":1}"#);
    assert_eq!(event.rev, 7);
    assert_eq!(event.received, now());
    let least =
        one(r#"{"id":"e1","name":"paid","time":1500.0005,"actor":null,"source":null,"properties":null}"#).unwrap();
    assert_eq!((least.source.as_str(), least.time.micros(), least.rev), (SOURCE_DEFAULT, 1_500_000, 0));
    assert_eq!(one(r#"{"id":"e1","name":"x","time":-1.5}"#).unwrap().time.micros(), -1500);
}

#[test]
fn a_withdrawal_needs_its_identity_alone() {
    let event = one(r#"{"id":"e1","deleted":true,"rev":3,"name":"old"}"#).unwrap();
    assert_eq!(event, tombstone("e1".to_owned(), SOURCE_DEFAULT.to_owned(), 3, now()));
}

#[test]
fn properties_are_flattened_and_keep_their_types() {
    for (given, expected) in [
        (r#"{"a":{"b":{"c":1}},"d":"x"}"#, r#"{"a.b.c":1,"d":"x"}"#),
        (r#"{"a":null,"b":{},"c":{"d":{},"e":null}}"#, "{}"),
        (r#"{"a":""}"#, r#"{"a":""}"#),
        (
            r#"{"a":18446744073709551616,"b":1.50,"c":-0,"d":1e3}"#,
            r#"{"a":18446744073709551616,"b":1.5,"c":0,"d":1000}"#,
        ),
        (
            r#"{"a":[ 1.50, {"b" : [ true, null ]}, "\u0041\n" ],"c":[]}"#,
            r#"{"a":"[1.50,{\"b\":[true,null]},\"A\\n\"]","c":"[]"}"#,
        ),
        (r#"{"a":"\u0000\ud83d\ude00"}"#, "{\"a\":\"\\u0000😀\"}"),
        (r#"{"a":[1e400]}"#, r#"{"a":"[1e400]"}"#),
        (r#"{"34":"34","b":34,"c":true}"#, r#"{"34":"34","b":34,"c":true}"#),
    ] {
        assert_eq!(shown(&properties(given).unwrap()), expected, "{given}");
    }
}

#[test]
fn what_breaks_a_rule_is_told_with_field_reason_and_fix() {
    let nested = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    let long = "k".repeat(129);
    for (given, expected) in [
        (r#"{"a":1,"a":2}"#.to_owned(), "TM0113: `a` is given twice; send it once"),
        (r#"{"a":null,"a":2}"#.to_owned(), "TM0113: `a` is given twice"),
        (r#"{"a":{"b":1},"a.b":2}"#.to_owned(), "TM0113: `a.b` is given twice"),
        (r#"{"a":{"b":1},"a":{"c":2}}"#.to_owned(), "TM0113: `a` is given twice"),
        (r#"{"a":[{"b":1,"b":2}]}"#.to_owned(), "TM0113: `a[].b` is given twice"),
        (r#"{"a":1e400}"#.to_owned(), "TM0109: the number in `a` cannot be kept exactly (more than 38 digits)"),
        (r#"{"a":1e-19}"#.to_owned(), "TM0109: the number in `a` cannot be kept exactly (more than 18 decimals)"),
        (nested(32), "TM0108"),
        ("{\"a\":".to_owned() + &"[".repeat(31) + &"]".repeat(31) + "}", "TM0108"),
        (r#"{"":1}"#.to_owned(), "TM0106: `` has 0 bytes"),
        (format!(r#"{{"{long}":1}}"#), "TM0106: `kkkk"),
        (r#"{"a\u0000":1}"#.to_owned(), "TM0110: `a\\0` holds a control character"),
        (r#"{"a":"\ud800"}"#.to_owned(), "TM0110: `a` holds a control character or half of a surrogate pair"),
        (r#"{"a":"\udc00x"}"#.to_owned(), "TM0110"),
        (format!(r#"{{"a":"{}"}}"#, "v".repeat(8193)), "TM0107: the text of `a` has 8193 bytes"),
        ("5".to_owned(), "TM0103: `properties` must be an object"),
        (
            "{".to_owned() + &(0..257).map(|n| format!("\"p{n}\":1")).collect::<Vec<_>>().join(",") + "}",
            "TM0105: the event has 257",
        ),
        (r#"{"a":01}"#.to_owned(), "TM0101: not a JSON object: expected `,` or `}` at column"),
    ] {
        // A second line makes it NDJSON, where the first may be no JSON at all.
        let body = format!(
            "{{\"id\":\"1\",\"name\":\"n\",\"time\":0,\"properties\":{given}}}\n{{\"id\":\"2\",\"name\":\"n\",\"time\":0}}"
        );
        let all = verdicts(body.as_bytes());
        let told = all[0].as_ref().unwrap_err().rejection.to_string();
        assert!(told.starts_with(expected), "{given:.80}: {told}");
        assert_eq!(all[0].as_ref().unwrap_err().id.as_deref(), Some("1"));
        assert!(all[1].is_ok());
    }
    assert_eq!(properties(&nested(31)).unwrap().len(), 1);
}

#[test]
fn the_envelope_is_checked() {
    for (given, expected) in [
        (r#"{"name":"n","time":0}"#, "TM0102: `id` is missing"),
        (r#"{"id":null,"name":"n","time":0}"#, "TM0102: `id` is missing"),
        (r#"{"id":"1","time":0}"#, "TM0102: `name` is missing"),
        (r#"{"id":"1","name":"n"}"#, "TM0102: `time` is missing"),
        (r#"{"id":1,"name":"n","time":0}"#, "TM0103: `id` must be text"),
        (r#"{"id":"1","name":["n"],"time":0}"#, "TM0103: `name` must be text"),
        (r#"{"id":"1","name":"n","time":true}"#, "TM0103: `time` must be RFC 3339 text or epoch milliseconds"),
        (r#"{"id":"1","name":"n","time":0,"rev":-1}"#, "TM0103: `rev` must be a whole number"),
        (r#"{"id":"1","name":"n","time":0,"rev":9223372036854775808}"#, "TM0103: `rev`"),
        (r#"{"id":"1","name":"n","time":0,"deleted":1}"#, "TM0103: `deleted` must be true or false"),
        (r#"{"id":"1","id":"2","name":"n","time":0}"#, "TM0113: `id` is given twice"),
        (r#"{"id":"1","event":"n","time":0}"#, "TM0114: unknown field `event`; did you mean `name`?"),
        (r#"{"id":"1","propertes":{},"time":0}"#, "TM0114: unknown field `propertes`; did you mean `properties`?"),
        (r#"{"id":"1","zzz":"n","time":0}"#, "TM0114: unknown field `zzz`; what describes"),
        (r#"{"id":"","name":"n","time":0}"#, "TM0106: `id` has 0 bytes"),
        (r#"{"id":"a\tb","name":"n","time":0}"#, "TM0110: `id` holds a control character"),
        (r#"{"id":"1","name":"n","time":"yesterday"}"#, "TM0111: `time` is not a time"),
        (r#"{"id":"1","name":"n","time":"2026-08-01T12:00:00"}"#, "TM0111"),
        (r#"{"id":"1","name":"n","time":1e40}"#, "TM0111"),
        (r#"{"id":"1","name":"n","time":"0000-12-31T00:00:00Z"}"#, "TM0111"),
        (
            r#"{"id":"1","name":"n","time":"2026-08-01T12:05:00.000001Z"}"#,
            "TM0112: `time` is 2026-08-01T12:05:00.000001Z",
        ),
        (r#"{"id":"1","name":"n","time":"9999-12-31T23:59:59Z"}"#, "TM0112"),
        (r#"{"id":"1","name":"n","time":253402300799999}"#, "TM0112"),
        (r#"{"id":"1","name":"n","time":253402300800000}"#, "TM0111"),
        (r#"{"id":"1","name":"n","time":0} x"#, "TM0101: not a JSON object: something follows the object at column"),
    ] {
        let body = format!("{given}\n{{\"id\":\"2\",\"name\":\"n\",\"time\":0}}");
        let told = verdicts(body.as_bytes())[0].as_ref().unwrap_err().rejection.to_string();
        assert!(told.starts_with(expected), "{given}: {told}");
    }
    assert!(one(r#"{"id":"1","name":"n","time":"0001-01-01T00:00:00Z"}"#).is_ok());
    assert!(one(r#"{"id":"1","name":"n","time":0,"rev":9223372036854775807}"#).is_ok());
}

#[test]
fn an_event_is_bounded_in_every_shape_of_body() {
    let big = format!(r#"{{"id":"big","x":"{}"}}"#, "v".repeat(EVENT_BYTES_MAX));
    let good = r#"{"id":"2","name":"n","time":0}"#;
    for body in
        [format!("{big}\n{good}"), format!("[{big},{good}]"), format!("{good}\n{big}"), format!("[{good},{big}]")]
    {
        let all = verdicts(body.as_bytes());
        let refused: Vec<_> = all.iter().filter_map(|verdict| verdict.as_ref().err()).collect();
        assert_eq!((all.len(), refused.len()), (2, 1));
        assert_eq!(refused[0].id.as_deref(), Some("big"));
        assert!(["TM0104", "TM0114"].contains(&refused[0].rejection.code.as_str()), "{}", refused[0].rejection);
        assert_eq!(refused[0].body, big.as_bytes());
    }
}

#[test]
fn a_body_is_an_object_an_array_or_lines() {
    let (a, b) = (r#"{"id":"1","name":"n","time":0}"#, r#"{"id":"2","name":"n","time":0}"#);
    let ids = |body: &str| -> Vec<String> {
        verdicts(body.as_bytes())
            .into_iter()
            .map(|verdict| verdict.map_or_else(|r| r.rejection.code, |e| e.id))
            .collect()
    };
    assert_eq!(ids(a), ["1"]);
    assert_eq!(ids(&format!("\u{feff}{a}")), ["1"]);
    assert_eq!(ids("{\n  \"id\": \"1\",\n  \"name\": \"n\",\n  \"time\": 0\n}\n"), ["1"]);
    assert_eq!(ids(&format!("{{\n\"id\":\"0\",\"name\":\"n\",\"time\":0}}\n{a}\n")), ["0", "1"]);
    assert_eq!(ids(&format!("\n\n{a}\r\n\r\n  {b}  \n\n")), ["1", "2"]);
    assert_eq!(ids(&format!("[{a}, {b}]\n")), ["1", "2"]);
    assert_eq!(ids("[]"), [""; 0]);
    assert_eq!(ids(&format!("[5,{a},[{{}}]]")), ["TM0101", "1", "TM0101"]);
    assert_eq!(ids(&format!("{a}\n{{\"id\":\n{b}")), ["1", "TM0101", "2"]);
    assert_eq!(ids(&format!("garbage\n{b}")), ["TM0101", "2"]);
    assert_eq!(ids(&format!("{a}{b}\n{b}")), ["TM0101", "2"]);
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(ids(&format!("[{{\"id\":\"9\",\"properties\":{{\"a\":{deep}}}}},{a}]")), ["TM0108", "1"]);
}

#[test]
fn lines_that_are_no_utf8_cost_themselves_alone() {
    let mut body = b"{\"id\":\"1\",\"name\":\"\xFF\",\"time\":0}\n".to_vec();
    body.extend_from_slice(b"{\"id\":\"2\",\"name\":\"n\",\"time\":0}\n");
    let all = verdicts(&body);
    assert_eq!(all[0].as_ref().unwrap_err().rejection.code, "TM0101");
    assert!(all[1].is_ok());
    assert_eq!(all.len(), 2);
}

#[test]
fn an_unreadable_body_is_told_with_its_place() {
    for (body, expected) in [
        (&b""[..], "1:1: the body is empty"),
        (b" \n ", "2:2: the body is empty"),
        (b"hello", "1:1: expected a JSON object or array"),
        (b"{\"id\":\n  \"1\",}", "2:7: expected a key in double quotes"),
        (b"[{\"id\":\"1\"}\n {}]", "2:2: expected `,` or `]`"),
        (b"[{\"id\":\"1\"}", "1:12: expected `,` or `]`"),
        (b"[] x", "1:4: something follows the array"),
        (b"[{\"a\":\xFF}]", "1:7: not UTF-8"),
    ] {
        match decode(body, SOURCE_DEFAULT, now()) {
            Err(error @ BodyError::Unreadable { .. }) => {
                assert!(error.to_string().starts_with(expected), "{error}");
                assert_eq!((error.code(), error.is_too_large()), ("TM0120", false));
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(events in proptest::collection::vec(event(), 1..4)) {
        let lines: String = events.iter().map(|event| encode(event) + "\n").collect();
        let back: Vec<Event> = verdicts(lines.as_bytes()).into_iter().map(|verdict| verdict.unwrap()).collect();
        prop_assert_eq!(&back, &events);
        let array = format!("[{}]", events.iter().map(encode).collect::<Vec<_>>().join(","));
        let back: Vec<Event> = verdicts(array.as_bytes()).into_iter().map(|verdict| verdict.unwrap()).collect();
        prop_assert_eq!(&back, &events);
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&body, SOURCE_DEFAULT, now());
    }

    #[test]
    fn no_damaged_body_panics(event in event(), cut in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut body = format!("[{}]", encode(&event)).into_bytes();
        let at = cut.index(body.len());
        body[at] = byte;
        let _ = decode(&body, SOURCE_DEFAULT, now());
        body.truncate(at);
        let _ = decode(&body, SOURCE_DEFAULT, now());
    }
}
