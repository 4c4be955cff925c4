use super::*;
use crate::codec::kpl::pack;

fn now() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").expect("a time")
}

fn event(id: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("\"id\":\"{id}\",") };
    format!("{{{id}\"name\":\"order\",\"time\":\"2026-03-01T11:00:00Z\"}}")
}

/// An envelope as Lambda writes it.
fn envelope(records: &[(&str, &[u8])]) -> String {
    let records: Vec<String> = records
        .iter()
        .map(|(sequence, data)| {
            format!(
                "{{\"kinesis\":{{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":\"1\",\"sequenceNumber\":\
                 \"{sequence}\",\"data\":\"{}\",\"approximateArrivalTimestamp\":1545084650.987}},\"eventSource\":\
                 \"aws:kinesis\",\"eventID\":\"shardId-000000000006:{sequence}\",\"awsRegion\":\"eu-central-1\"}}",
                STANDARD.encode(data)
            )
        })
        .collect();
    format!("{{\"Records\":[{}]}}", records.join(","))
}

fn ids(delivered: &[Delivered]) -> Vec<(String, Vec<String>)> {
    let id = |event: &Result<Event, Refused>| match event {
        Ok(event) => event.id.clone(),
        Err(refused) => refused.rejection.code.clone(),
    };
    delivered.iter().map(|record| (record.sequence.clone(), record.events.iter().map(id).collect())).collect()
}

fn decoded(envelope: &str) -> Vec<(String, Vec<String>)> {
    ids(&decode(envelope.as_bytes(), "web", now()).expect("an envelope"))
}

#[test]
fn records_are_events_aggregated_or_not() {
    let packed = pack("key", &[event("b").as_bytes(), event("c").as_bytes()]);
    let envelope = envelope(&[("49", event("a").as_bytes()), ("50", &packed)]);
    let of = |sequence: &str, ids: &[&str]| (sequence.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect());
    assert_eq!(decoded(&envelope), [of("49", &["a"]), of("50", &["b", "c"])]);
    assert_eq!(decoded("{\"Records\":[]}"), []);
}

#[test]
fn an_event_without_an_id_is_named_by_its_place_the_same_every_time() {
    let lines = format!("{}\n{}\n", event(""), event(""));
    let packed = pack("key", &[event("").as_bytes(), event("own").as_bytes(), lines.as_bytes()]);
    let envelope = envelope(&[("49", event("").as_bytes()), ("50", &packed)]);
    let found = decoded(&envelope);
    assert_eq!(found[0].1, ["49-0"]);
    assert_eq!(found[1].1, ["50-0", "own", "50-2", "50-2-1"]);
    assert_eq!(decoded(&envelope), found);
}

#[test]
fn a_bad_record_costs_itself() {
    let mut damaged = pack("key", &[event("x").as_bytes()]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let nested = pack("key", &[&pack("key", &[b"{}"])]);
    let envelope = envelope(&[
        ("1", b"not json"),
        ("2", &damaged),
        ("3", &nested),
        ("4", b"{\"id\":\"d\"}"),
        ("5", event("e").as_bytes()),
    ]);
    let found = decode(envelope.as_bytes(), "web", now()).expect("an envelope");
    let codes: Vec<String> = ids(&found).into_iter().flat_map(|(_, ids)| ids).collect();
    assert_eq!(codes, ["TM0101", "TM0124", "TM0124", "TM0102", "e"]);
    // What is refused keeps its bytes and says where it came from.
    let Err(refused) = &found[1].events[0] else { panic!("it was taken") };
    assert_eq!((refused.id.as_deref(), refused.body.as_slice()), (Some("2"), damaged.as_slice()));
    let broken = "{\"Records\":[{\"kinesis\":{\"sequenceNumber\":\"7\",\"data\":\"%%%\"}}]}";
    assert_eq!(decoded(broken), [("7".to_owned(), vec!["TM0101".to_owned()])]);
}

#[test]
fn what_is_no_envelope_is_refused_with_its_place() {
    for (text, why) in [
        ("", "expected `{`"),
        ("[]", "expected `{`"),
        ("{}", "expected an object with `Records`"),
        ("{\"Records\":{}}", "expected `[`"),
        ("{\"Records\":[{}]}", "a record without `kinesis.sequenceNumber`"),
        ("{\"Records\":[{\"kinesis\":{\"sequenceNumber\":\"1\"}}]}", "a record without `kinesis.data`"),
        ("{\"Records\":[{\"kinesis\":{\"sequenceNumber\":1}}]}", "expected a string"),
        ("{\"Records\":[]} x", "expected an object with `Records`"),
        ("{\"Records\":[", "expected `{`"),
    ] {
        let found = decode(text.as_bytes(), "web", now());
        assert!(matches!(found, Err(BodyError::Unreadable { why: found, .. }) if found == why), "{text}: {found:?}");
    }
}
