use proptest::prelude::*;
use tidemill_schemas::calendar::utc_date;
use tidemill_schemas::event::Event;
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};

use super::*;
use crate::arbitrary::{event, now};
use crate::page::Wanted;
use crate::page::{Record, batch_to_events, encode, open};

const ANY: fn(&str) -> Type = |_| Type::Text;

/// Sealed pages of one day: which events each holds, the first of them as corrections.
fn pages(cuts: &[(usize, &[Event])]) -> (Vec<Bytes>, Standing) {
    let mut corrected = Corrected::default();
    let mut bytes = Vec::new();
    for (corrections, events) in cuts.iter().filter(|(_, events)| !events.is_empty()) {
        let records: Vec<Record> = events
            .iter()
            .enumerate()
            .map(|(at, event)| Record { event: event.clone(), correction: at < *corrections })
            .collect();
        let page = encode("s", utc_date(now()), &records, &ANY).unwrap();
        corrected.read(page.bytes.clone(), page.corrections as u64).unwrap();
        bytes.push(page.bytes);
    }
    (bytes, Standing(corrected))
}

/// Compacts pages in slices of at most so many rows.
fn compact(bytes: &[Bytes], standing: &Standing, rows_max: u64) -> Vec<EncodedPage> {
    let mut census = Census::default();
    bytes.iter().for_each(|page| census.add(page.clone(), standing).unwrap());
    let slice = |slice: Slice| {
        let mut gathering = Gathering::new(slice, &census.columns);
        bytes.iter().for_each(|page| gathering.add(page.clone(), standing).unwrap());
        let page = gathering.page("s", utc_date(now()), &ANY).unwrap();
        assert_eq!(page.rows as u64, slice.take);
        page
    };
    census.seconds.slices(rows_max).into_iter().map(slice).collect()
}

fn back(page: &EncodedPage) -> Vec<Event> {
    let batches = open(page.bytes.clone(), Wanted::Everything).unwrap();
    batches.flat_map(|batch| batch_to_events(&batch.unwrap()).unwrap()).collect()
}

/// Events of one day under ids of their own.
fn of_one_day(events: Vec<Event>) -> Vec<Event> {
    let day = |time: Timestamp| time.micros().rem_euclid(MICROS_PER_DAY);
    let start = now().micros() - day(now());
    events
        .into_iter()
        .enumerate()
        .map(|(at, event)| Event {
            id: format!("e{at}"),
            // A few seconds, so that slices are cut inside them.
            time: Timestamp::from_micros(start + day(event.time) % (4 * MICROS_PER_SECOND)),
            deleted: false,
            ..event
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_live_rows_stay_as_they_were_however_they_lay(
        events in proptest::collection::vec(event(), 1..40),
        cut in any::<prop::sample::Index>(),
        rows_max in 1u64..50,
    ) {
        let mut expected = of_one_day(events);
        let cut = cut.index(expected.len());
        let (left, right) = expected.split_at(cut);
        let (two, standing) = pages(&[(0, left), (0, right)]);
        let (turned, _) = pages(&[(0, right), (0, left)]);
        let mut census = Census::default();
        if two.iter().any(|page| matches!(census.add(page.clone(), &standing), Err(Uncounted::Numbers(_)))) {
            // No column holds a property's numbers together: such a day stays as it lies.
            return Ok(());
        }
        let once = compact(&two, &standing, u64::MAX);
        prop_assert_eq!(once.len(), 1);
        prop_assert_eq!(&compact(&turned, &standing, u64::MAX), &once, "the order of pages does not matter");
        // The numbers of a property may lie in a wider column, and what was rare stays so: the values are the same.
        let mut found: Vec<Event> = compact(&two, &standing, rows_max).iter().flat_map(back).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        expected.sort_by(|a, b| a.id.cmp(&b.id));
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn what_was_superseded_or_withdrawn_is_gone() {
    let body: String = (0..6)
        .map(|n| format!("{{\"id\":\"e{n}\",\"name\":\"n\",\"time\":{},\"properties\":{{\"n\":{n}}}}}\n", n * 1000))
        .collect();
    let decoded = crate::codec::native::decode(body.as_bytes(), "s", now()).unwrap();
    let events: Vec<Event> = decoded.events.into_iter().map(|verdict| verdict.unwrap()).collect();
    let corrected = Event { rev: 3, name: "m".to_owned(), ..events[1].clone() };
    let withdrawn = Event { rev: 4, deleted: true, properties: BTreeMap::new(), ..events[2].clone() };
    let (bytes, standing) = pages(&[(0, &events), (2, &[corrected.clone(), withdrawn])]);
    let page = compact(&bytes, &standing, 100).remove(0);
    assert_eq!((page.rows, page.corrections), (5, 0));
    assert_eq!(back(&page)[0], corrected, "sorted by name, then time");
}

#[test]
fn row_groups_follow_in_time_and_are_sorted_by_name() {
    let rows = PAGE_ROW_GROUP_ROWS + 1_000;
    let body: String = (0..rows)
        .map(|n| {
            let time = (n * 7_919) % rows;
            format!("{{\"id\":\"e{n}\",\"name\":\"{}\",\"time\":{time}}}\n", ["b", "a", "c"][n % 3])
        })
        .collect();
    let decoded = crate::codec::native::decode(body.as_bytes(), "s", now()).unwrap();
    let events: Vec<Event> = decoded.events.into_iter().map(|verdict| verdict.unwrap()).collect();
    let (bytes, standing) = pages(&[(0, &events)]);
    let pages = compact(&bytes, &standing, u64::MAX);
    let metadata = ArrowReaderMetadata::load(
        &pages[0].bytes,
        ArrowReaderOptions::new().with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required),
    )
    .unwrap();
    let file = metadata.metadata();
    assert_eq!(file.num_row_groups(), 2);
    for group in 0..2 {
        let sorting = file.row_group(group).sorting_columns().unwrap();
        assert_eq!(sorting.iter().map(|by| by.column_idx).collect::<Vec<_>>(), [2, 4]);
        let index = file.page_index_for_row_group(group);
        let data_pages = index.offset_index(2).unwrap().page_locations().len();
        assert!((14..=18).contains(&data_pages), "a data page has 4,096 rows: {data_pages}");
        assert!(index.column_index(2).is_some() && index.column_index(4).is_some());
    }
    let all = back(&pages[0]);
    let groups = all.split_at(rows / 2);
    assert!(groups.0.iter().map(|event| event.time).max() < groups.1.iter().map(|event| event.time).min());
    for group in [groups.0, groups.1] {
        assert!(group.is_sorted_by_key(|event| (event.name.clone(), event.time)));
    }
}
