//! Kinesis to pages, as a Lambda does it: envelope, base64, frames, events, columns, Parquet.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidemill_ingest::codec::{kinesis, kpl};
use tidemill_ingest::page::{self, Record};
use tidemill_schemas::calendar::utc_date;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;
use tidemill_tests::generator::Random;

use crate::{cpu, shape, told};

/// Records of one delivery.
const ENVELOPE_RECORDS: usize = 1_000;
/// Events the producer library packs into one record.
const PACKED_EVENTS: usize = 100;

/// Measures each step by what it adds.
pub fn run(events: usize) {
    let now = Timestamp::parse("2026-03-01T12:00:00Z").expect("a time");
    let mut random = Random::of(7);
    let lines: Vec<String> = (0..events).map(|_| shape::line(&mut random, now)).collect();
    let bytes: usize = lines.iter().map(String::len).sum();
    println!("{events} events of {} bytes", bytes / events);

    let parts: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let packed: Vec<Vec<u8>> = parts.chunks(PACKED_EVENTS).map(|parts| kpl::pack("key", parts)).collect();
    let before = cpu();
    let unpacked: usize = packed.iter().map(|record| kpl::unpack(record).expect("a frame").len()).sum();
    told("KPL: frame, MD5 and user records", unpacked, cpu() - before);

    let plain = envelopes(&parts);
    let aggregated = envelopes(&packed.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for (what, envelopes) in [("single records", plain), ("aggregated records", aggregated)] {
        let before = cpu();
        let mut decoded = Vec::new();
        for envelope in &envelopes {
            let delivered = kinesis::decode(envelope.as_bytes(), "web", now).expect("an envelope");
            decoded
                .extend(delivered.into_iter().flat_map(|record| record.events).map(|event| event.expect("an event")));
        }
        told(&format!("{what}: envelope, base64, decode, validate"), events, cpu() - before);
        assert_eq!(decoded.len(), events);
        let records: Vec<Record> = decoded.into_iter().map(|event| Record { event, correction: false }).collect();
        let day = utc_date(records[0].event.time);
        let page = page::encode("web", day, &records, &|_| Type::Text).expect("a page");
        told(&format!("{what}: and columns, Parquet"), events, cpu() - before);
        println!("  {} bytes an event in the page", page.bytes.len() / events);
    }
}

fn envelopes(records: &[&[u8]]) -> Vec<String> {
    let one = |(nth, data): (usize, &&[u8])| {
        format!(
            "{{\"kinesis\":{{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":\"u_{nth:012}\",\"sequenceNumber\":\
             \"4959{nth:052}\",\"data\":\"{}\",\"approximateArrivalTimestamp\":1545084650.987}},\"eventSource\":\
             \"aws:kinesis\",\"eventVersion\":\"1.0\",\"eventID\":\"shardId-000000000006:4959{nth:052}\",\"eventName\":\
             \"aws:kinesis:record\",\"invokeIdentityArn\":\"arn:aws:iam::123456789012:role/lambda-role\",\"awsRegion\":\
             \"eu-central-1\",\"eventSourceARN\":\"arn:aws:kinesis:eu-central-1:123456789012:stream/events\"}}",
            STANDARD.encode(data)
        )
    };
    let envelope = |records: &[&[u8]]| {
        let records: Vec<String> = records.iter().enumerate().map(one).collect();
        format!("{{\"Records\":[{}]}}", records.join(","))
    };
    records.chunks(ENVELOPE_RECORDS).map(envelope).collect()
}
