use proptest::prelude::*;
use tidemill_schemas::calendar::utc_date;
use tidemill_schemas::expression::Column;

use super::*;
use crate::arbitrary::{event, now};
use crate::page::{Wanted, batch_to_events, changes_to_batch, open};

fn fresh(events: &[Event]) -> Vec<Record> {
    events.iter().map(|event| Record { event: event.clone(), correction: false }).collect()
}

fn page(events: &[Event]) -> EncodedPage {
    encode("s", utc_date(now()), &fresh(events), &|_| Type::Text).unwrap()
}

fn back(page: &EncodedPage) -> Vec<Event> {
    open(page.bytes.clone(), Wanted::Everything)
        .unwrap()
        .flat_map(|batch| batch_to_events(&batch.unwrap()).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_encoded_is_read_back(events in proptest::collection::vec(event(), 1..20)) {
        let page = page(&events);
        prop_assert_eq!(&back(&page), &events);
        let images: Vec<&Event> = events.iter().collect();
        prop_assert_eq!(&batch_to_events(&changes_to_batch(&images).unwrap()).unwrap(), &events);
        prop_assert_eq!(encode("s", utc_date(now()), &fresh(&events), &|_| Type::Text).unwrap(), page);
    }

    #[test]
    fn a_damaged_page_is_an_error(events in proptest::collection::vec(event(), 1..3), at in any::<prop::sample::Index>()) {
        let page = page(&events);
        prop_assert!(open(page.bytes.slice(..at.index(page.bytes.len())), Wanted::Everything).is_err());
    }
}

fn lines(count: usize) -> Vec<Event> {
    let body: String = (0..count)
        .map(|n| {
            format!(
                "{{\"id\":\"e{n}\",\"name\":\"{}\",\"actor\":\"a{}\",\"time\":{},\"properties\":{{\"repo\":\"r{}\",\"path\":\"p{n}\",\"n\":{n},\"share\":{}.5,\"ok\":{}}}}}\n",
                ["commit", "file"][n % 2], n % 7, n * 1000, n % 3, n % 90, n % 2 == 0
            )
        })
        .collect();
    let decoded = crate::codec::native::decode(body.as_bytes(), "s", now()).unwrap();
    decoded.events.into_iter().map(|verdict| verdict.unwrap()).collect()
}

#[test]
fn a_large_page_with_dictionaries_and_index_is_read_back() {
    let events = lines(SMALL_PAGE_ROWS * 20);
    assert_eq!(back(&page(&events)), events);
}

#[test]
fn the_manifest_is_told_what_the_page_holds() {
    let mut records = fresh(&lines(10));
    records[0].correction = true;
    records[0].event.deleted = true;
    records[0].event.properties.clear();
    let page = encode("s", utc_date(now()), &records, &|_| Type::Text).unwrap();
    assert_eq!((page.rows, page.corrections), (10, 1));
    assert_eq!((page.min_time.micros(), page.max_time.micros()), (0, 9_000_000));
    assert_eq!(page.hash.len(), 32);
    assert_eq!(page.names.keys().collect::<Vec<_>>(), ["commit", "file"]);
    assert_eq!(page.properties.keys().collect::<Vec<_>>(), ["n", "ok", "path", "repo", "share"]);
    assert!(matches!(encode("s", utc_date(now()), &[], &|_| Type::Text), Err(PageError::Empty)));
}

#[test]
fn only_what_is_wanted_is_read() {
    let page = page(&lines(100));
    let columns = [Column::Name, Column::Property("repo".to_owned()), Column::Property("none".to_owned())].into();
    let names = |identity| -> Vec<String> {
        let wanted = Wanted::Columns { columns: &columns, identity };
        let batch = open(page.bytes.clone(), wanted).unwrap().next().unwrap().unwrap();
        batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    };
    assert_eq!(names(false), ["name", "time", "received", "repo"]);
    assert_eq!(names(true), ["id", "name", "time", "received", "rev", "deleted", "repo"]);
}

/// The samples of layout 1 must load for ever: a small page and one with dictionaries, index and zstd.
#[test]
fn the_samples_of_layout_1_load() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/v1");
    for (name, events) in [("page.parquet", sample()), ("page-zstd.parquet", lines(600))] {
        let path = format!("{folder}/{name}");
        if std::env::var_os("TIDEMILL_WRITE_SAMPLES").is_some() {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(&path, page(&events).bytes).unwrap();
        }
        let bytes = Bytes::from(std::fs::read(path).unwrap());
        let read: Vec<Event> = open(bytes, Wanted::Everything)
            .unwrap()
            .flat_map(|batch| batch_to_events(&batch.unwrap()).unwrap())
            .collect();
        assert_eq!(read, events);
    }
}

/// Every kind of column: mixed types, decimals, `$rare`, a withdrawal, names that collide.
fn sample() -> Vec<Event> {
    let body = concat!(
        r#"{"id":"1","name":"paid","actor":"ann","time":"2026-07-31T00:00:00Z","properties":{"amount":12.50,"plan":"pro","Plan":"x","id":7}}"#,
        "\n",
        r#"{"id":"2","name":"paid","time":"2026-07-31T23:59:59.999999Z","properties":{"amount":"n/a","plan":"pro","ok":true,"big":1e37},"rev":3}"#,
        "\n",
        r#"{"id":"3","name":"left","actor":"bob","time":"2026-07-31T12:00:00Z","properties":{"plan":"","big":0.000000000000000001,"list":[1,{"a":null}]}}"#,
        "\n",
    );
    let decoded = crate::codec::native::decode(body.as_bytes(), "shop", now()).unwrap();
    let mut events: Vec<Event> = decoded.events.into_iter().map(|verdict| verdict.unwrap()).collect();
    let gone = Event { id: "4".to_owned(), rev: 9, deleted: true, properties: BTreeMap::new(), ..events[0].clone() };
    events.insert(0, gone);
    events
}
