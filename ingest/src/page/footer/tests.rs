use std::collections::BTreeSet;

use proptest::prelude::*;
use tidemill_schemas::calendar::utc_date;
use tidemill_schemas::event::Event;
use tidemill_schemas::value::Type;

use super::*;
use crate::arbitrary::now;
use crate::page::{Record, batch_to_events, encode};

/// Events of a few names, the names in stretches as in a compacted page.
fn events(names: &[u8], stretch: usize) -> Vec<Event> {
    let mut body = String::new();
    for (at, name) in names.iter().flat_map(|name| std::iter::repeat_n(name, stretch)).enumerate() {
        let line = format!(
            "{{\"id\":\"e{at}\",\"name\":\"n{name}\",\"actor\":\"a{}\",\"time\":{},\"properties\":{{\"n\":{at}}}}}\n",
            at % 11,
            1_000 + at
        );
        body.push_str(&line);
    }
    let decoded = crate::codec::native::decode(body.as_bytes(), "s", now()).unwrap();
    decoded.events.into_iter().map(Result::unwrap).collect()
}

fn page(events: &[Event]) -> bytes::Bytes {
    let records: Vec<Record> = events.iter().map(|event| Record { event: event.clone(), correction: false }).collect();
    encode("s", utc_date(events[0].time), &records, &|_| Type::Number).unwrap().bytes
}

fn footer(bytes: &bytes::Bytes) -> Footer {
    match Footer::open(&Parts::whole(bytes.clone()), bytes.len() as u64, true).unwrap() {
        Opened::Footer(footer) => footer,
        Opened::More(bytes) => panic!("the whole page is there, and {bytes} bytes are asked for"),
    }
}

/// A page's rows of some names, from no more bytes than its footer asks for.
fn of_names(bytes: &bytes::Bytes, names: &[String]) -> (Vec<Event>, usize) {
    let footer = footer(bytes);
    let (mut found, mut fetched) = (Vec::new(), 0);
    for group in 0..footer.groups().count() {
        let rows = footer.rows_of_names(group, names);
        if matches!(rows, Rows::None) {
            continue;
        }
        let columns = footer.columns(Wanted::Everything, true, true);
        let ranges = footer.ranges(group, &columns, &rows);
        fetched += ranges.iter().map(|range| (range.end - range.start) as usize).sum::<usize>();
        let held = ranges.iter().map(|range| (range.start, bytes.slice(range.start as usize..range.end as usize)));
        let parts = Parts::new(bytes.len() as u64, held.collect());
        for batch in footer.read(parts, group, &columns, rows).unwrap() {
            found.extend(batch_to_events(&batch.unwrap()).unwrap());
        }
    }
    (found, fetched)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_row_of_a_wanted_name_is_skipped(
        names in proptest::collection::vec(0u8..6, 1..12),
        stretch in 1usize..900,
        wanted in proptest::collection::btree_set(0u8..8, 1..3),
    ) {
        let events = events(&names, stretch);
        let wanted: Vec<String> = wanted.iter().map(|name| format!("n{name}")).collect();
        let (found, _) = of_names(&page(&events), &wanted);
        let of = |events: &[Event]| -> Vec<Event> {
            events.iter().filter(|event| wanted.contains(&event.name)).cloned().collect()
        };
        prop_assert_eq!(of(&found), of(&events));
    }
}

#[test]
fn a_name_that_lies_in_a_few_data_pages_costs_a_few_bytes() {
    let events = events(&[1, 2, 3, 4, 5, 6, 7, 8], 15_000);
    let bytes = page(&events);
    let (all, everything) = of_names(&bytes, &(1..9).map(|name| format!("n{name}")).collect::<Vec<_>>());
    let (one, some) = of_names(&bytes, &["n2".into()]);
    assert_eq!(all.len(), events.len());
    assert!(one.len() < events.len() / 2, "{} of {} rows", one.len(), events.len());
    assert!(some * 4 < everything * 3, "{some} of {everything} bytes");
    assert_eq!(of_names(&bytes, &["n9".into()]), (Vec::new(), 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What the counting of values without rows stands on.
    #[test]
    fn a_vocabulary_is_exactly_what_occurs(names in proptest::collection::vec(0u8..40, 1..40), stretch in 20usize..200) {
        let events = events(&names, stretch);
        let bytes = page(&events);
        let footer = footer(&bytes);
        for (column, of) in [
            (Column::Name, (|event: &Event| Some(event.name.clone())) as fn(&Event) -> Option<String>),
            (Column::Actor, |event: &Event| event.actor.clone()),
        ] {
            let Some(range) = footer.vocabulary(0, &column) else {
                prop_assert!(events.len() < 512, "large pages have dictionaries");
                continue;
            };
            let held = vec![(range.start, bytes.slice(range.start as usize..range.end as usize))];
            let parts = Parts::new(bytes.len() as u64, held);
            let read = footer.read_vocabulary(parts, 0, &column).unwrap();
            let read: BTreeSet<String> = read.iter().flatten().map(str::to_owned).collect();
            prop_assert_eq!(read, events.iter().filter_map(of).collect::<BTreeSet<String>>());
        }
    }
}

#[test]
fn bounds_are_those_of_the_rows() {
    let events = events(&[1, 2], 700);
    let bounds = footer(&page(&events)).bounds(0);
    let times = || events.iter().map(|event| event.time.micros());
    assert_eq!(bounds.time, Some((times().min().unwrap(), times().max().unwrap())));
    assert_eq!(bounds.received, Some((now().micros(), now().micros())));
}

#[test]
fn a_column_nobody_reads_is_not_among_the_columns() {
    let bytes = page(&events(&[1, 2], 700));
    let footer = footer(&bytes);
    let wanted = BTreeSet::from([Column::Actor]);
    let wanted = Wanted::Columns { columns: &wanted, identity: false };
    assert_eq!(footer.columns(wanted, false, false).len(), 1);
    assert_eq!(footer.columns(wanted, true, true).len(), 3);
}

#[test]
fn a_footer_that_is_longer_than_what_is_there_says_how_long_it_is() {
    let bytes = page(&events(&[1, 2], 700));
    let cut = bytes.slice(bytes.len() - 100..);
    let Opened::More(needed) = Footer::open(&Parts::whole(cut), bytes.len() as u64, false).unwrap() else {
        panic!("100 bytes are no footer");
    };
    let enough = bytes.slice(bytes.len() - needed as usize..);
    let opened = Footer::open(&Parts::whole(enough), bytes.len() as u64, false).unwrap();
    assert!(matches!(opened, Opened::Footer(_)));
}

#[test]
fn bytes_that_were_not_fetched_are_an_error() {
    let bytes = page(&events(&[1, 2], 700));
    let footer = footer(&bytes);
    let columns = footer.columns(Wanted::Everything, true, true);
    let nothing = Parts::new(bytes.len() as u64, Vec::new());
    let outcome = footer.read(nothing, 0, &columns, Rows::All).map(|batches| batches.collect::<Result<Vec<_>, _>>());
    assert!(outcome.and_then(|batches| batches).is_err());
}
