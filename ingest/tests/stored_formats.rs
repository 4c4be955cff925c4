//! Samples of what imports store, kept for ever: each must load as the value it was written from, and be written as the
//! same bytes. `UPDATE=1` writes samples that are missing; it never touches one that is there.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use tidemill_ingest::event_store::{decode, encode_imported};
use tidemill_ingest::gate::{Announced, Gate};
use tidemill_ingest::identity::{Filter, Identity, hash_of};
use tidemill_ingest::import_store::{IMPORTS_FORMAT, Imports, RunRef};
use tidemill_ports::Item;
use tidemill_schemas::event::Event;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

fn kept(name: &str, written: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/v1").join(name);
    if std::env::var_os("UPDATE").is_some() && !path.exists() {
        std::fs::write(&path, written).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(kept, written, "{name}");
    kept
}

fn time() -> Timestamp {
    Timestamp::parse("2026-03-29T01:30:00.000001Z").unwrap()
}

fn runs() -> Vec<RunRef> {
    vec![RunRef {
        object: "identities/main/shop/0.ids".to_owned(),
        filter: "identities/main/shop/0.filter".to_owned(),
        records: 7,
    }]
}

#[test]
fn the_gate_and_what_was_imported_load() {
    for (name, closing_until, announced) in [
        ("gate-open.json", None, None),
        ("gate-closing.json", Some(time()), None),
        ("gate-announced.json", None, Some(Announced::Sent)),
        ("gate-announced-seen.json", None, Some(Announced::Seen(time()))),
    ] {
        let gate = Gate { format: IMPORTS_FORMAT, at: time(), closing_until, announced, runs: runs() };
        let bytes = kept(name, &serde_json::to_vec(&gate).unwrap());
        assert_eq!(serde_json::from_slice::<Gate>(&bytes).unwrap(), gate);
    }
    let imports = Imports { format: IMPORTS_FORMAT, commits: 3, runs: runs() };
    let bytes = kept("imports.json", &serde_json::to_vec(&imports).unwrap());
    assert_eq!(serde_json::from_slice::<Imports>(&bytes).unwrap(), imports);
}

#[test]
fn the_identity_index_loads() {
    let mut identities: Vec<Identity> =
        (0..1_500).map(|at| Identity { hash: hash_of(&format!("e{at}")), day: at - 700, rev: at as u64 % 3 }).collect();
    identities.sort();
    let mut filter = Filter::for_records(identities.len() as u64);
    identities.iter().for_each(|identity| filter.add(identity.hash));
    let records: Vec<u8> = identities.iter().flat_map(Identity::encode).collect();
    let records = kept("identities.ids", &records);
    assert_eq!(Identity::decode_all(&records).collect::<Vec<_>>(), identities);
    let kept = kept("identities.filter", &filter.encode());
    assert_eq!(Filter::decode(&kept).unwrap(), filter);
}

#[test]
fn an_imported_event_loads() {
    let event = Event {
        id: "o-1".to_owned(),
        source: "shop".to_owned(),
        name: "order_completed".to_owned(),
        actor: Some("u7".to_owned()),
        time: time(),
        properties: BTreeMap::from([("amount".to_owned(), Value::Number(12i64.into()))]),
        rev: 4,
        deleted: false,
        received: time(),
    };
    let bytes = kept("event-imported.bin", &encode_imported(&event, time()).unwrap());
    assert_eq!(decode(&Item { rank: 4, body: Bytes::from(bytes) }).unwrap(), event);
}
