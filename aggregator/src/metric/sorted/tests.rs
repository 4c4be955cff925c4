use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::metric::table::Table;
use crate::spill::MemorySpill;

fn counted(value: i64, count: u64) -> Counted {
    Counted { value: Decimal::from(value), count }
}

fn read<E: Entry>(sorted: &Sorted<E>) -> Vec<E> {
    let mut entries = Vec::new();
    sorted
        .scan(|entry| {
            entries.push(*entry);
            true
        })
        .unwrap();
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_gives_each_cell_its_entries_wherever_it_spilled(
        inserts in proptest::collection::vec((0u32..4, 0u8..30, proptest::bool::weighted(0.1)), 0..400),
    ) {
        let spill = SharedSpill::new(Box::new(MemorySpill::default()));
        let (mut members, mut values) = (Table::<Member>::default(), Table::<Counted>::default());
        let mut expected: Vec<BTreeMap<u8, u64>> = vec![BTreeMap::new(); 4];
        for (cell, value, spills) in inserts {
            members.insert(cell, Member::from(u128::from(value) << 60));
            values.insert(cell, counted(i64::from(value), 1));
            *expected[cell as usize].entry(value).or_default() += 1;
            if spills {
                members.spill(&spill).unwrap();
                values.spill(&spill).unwrap();
            }
        }
        let (members, values) = (members.finish(4, &spill).unwrap(), values.finish(4, &spill).unwrap());
        for (cell, expected) in expected.iter().enumerate() {
            let wanted: Vec<Member> = expected.keys().map(|value| Member::from(u128::from(*value) << 60)).collect();
            prop_assert_eq!(members[cell].count().unwrap(), wanted.len() as u64);
            prop_assert_eq!(read(&members[cell]), wanted);
            let wanted: Vec<Counted> = expected.iter().map(|(v, n)| counted(i64::from(*v), *n)).collect();
            prop_assert_eq!(read(&values[cell]), wanted);
        }
    }

    #[test]
    fn merging_is_a_union(sets in proptest::collection::vec(proptest::collection::btree_set(0u128..50, 0..20), 0..8)) {
        let mut merged = Sorted::default();
        for set in &sets {
            merged.merge(Sorted::of_sorted(set.iter().map(|hash| Member::from(*hash)).collect())).unwrap();
        }
        let union: BTreeSet<u128> = sets.into_iter().flatten().collect();
        prop_assert_eq!(merged.count().unwrap(), union.len() as u64);
        prop_assert_eq!(read(&merged), union.into_iter().map(Member::from).collect::<Vec<_>>());
    }
}

#[test]
fn more_runs_than_are_merged_at_once_are_merged_in_between() {
    let spill = SharedSpill::new(Box::new(MemorySpill::default()));
    let mut table = Table::<Member>::default();
    for value in 0..300u128 {
        table.insert(0, Member::from(value % 200));
        table.spill(&spill).unwrap();
    }
    assert_eq!(table.finish(2, &spill).unwrap()[0].count().unwrap(), 200);
}

#[test]
fn entries_that_were_never_written_are_refused() {
    let mut bytes = Vec::new();
    counted(12, 3).write(&mut bytes);
    assert_eq!(Counted::read(&bytes), Some(counted(12, 3)));
    bytes[16] = 19;
    assert_eq!(Counted::read(&bytes), None);
    assert_eq!(Counted::read(&bytes[1..]), None);
}
