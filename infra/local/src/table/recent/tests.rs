use super::*;

fn key(number: usize) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn recent(count: usize) -> Recent {
    let mut recent = Recent::default();
    (0..count).for_each(|number| recent.put(key(number), Some(Bytes::from(vec![0; 20]))));
    recent
}

#[test]
fn bytes_are_those_of_what_is_held() {
    let mut held = recent(3);
    let three = held.bytes();
    held.put(key(1), None);
    held.put(key(1), Some(Bytes::from(vec![1; 20])));
    assert_eq!(held.bytes(), three);
    let all = held.range(&(Bound::Included(key(0)), Bound::Excluded(key(9))));
    held.settle(&all, BTreeMap::new());
    assert_eq!((held.bytes(), held.is_empty()), (0, true));
}

#[test]
fn a_sweep_goes_through_everything_once_and_ends_where_it_began() {
    let mut held = recent(2 * SLICE_ITEMS_MIN + 10);
    let mut sweep = Sweep { through: Some(vec![7]), after: None };
    let mut seen = Vec::new();
    for round in 0..3 {
        let slice = sweep.slice(&held, 1, &[100 + round]);
        seen.extend(slice.rows.iter().map(|(key, _)| key.clone()));
        // What is written meanwhile, behind the sweep, waits for the next one.
        held.settle(&slice.rows, BTreeMap::from([(key(0), None)]));
        assert_eq!(slice.through, (round == 2).then(|| vec![7]), "round {round}");
        sweep = slice.next;
    }
    assert_eq!(seen, (0..2 * SLICE_ITEMS_MIN + 10).map(key).collect::<Vec<_>>());
    assert_eq!(held.get(&key(0)), Some(&None));
    assert!(sweep.slice(&held, 1, &[200]).rows.is_empty(), "few items wait");
}
