use super::*;

fn run(count: usize) -> (Vec<u8>, Filter, Vec<Identity>) {
    let identity =
        |at: usize| Identity { hash: hash_of(&format!("id-{at}")), day: at as i32 % 40 - 20, rev: at as u64 };
    let mut all: Vec<Identity> = (0..count).map(identity).collect();
    all.sort();
    let mut filter = Filter::for_records(count as u64);
    all.iter().for_each(|identity| filter.add(identity.hash));
    (all.iter().flat_map(Identity::encode).collect(), filter, all)
}

#[test]
fn what_was_added_is_found_and_strangers_are_not() {
    for count in [1, FENCE_RECORDS - 1, FENCE_RECORDS, FENCE_RECORDS + 1, 10_000] {
        let (bytes, filter, all) = run(count);
        let filter = Filter::decode(&filter.encode()).expect("our own");
        for identity in &all {
            let (first, last) = filter.look(identity.hash).expect("it is there");
            assert_eq!(Identity::find(&bytes[first as usize..last as usize], identity.hash), Some(*identity));
        }
        let passed = (0..10_000).filter(|at| filter.look(hash_of(&format!("other-{at}"))).is_some()).count();
        assert!(passed < 500, "{passed} of 10000 strangers pass the filter of {count}");
    }
}

#[test]
fn an_empty_filter_holds_nothing() {
    let filter = Filter::for_records(0);
    assert_eq!(filter.look(hash_of("a")), None);
    assert_eq!(Filter::decode(&filter.encode()), Ok(filter));
}

#[test]
fn other_bytes_are_no_filter() {
    let (_, filter, _) = run(5_000);
    let bytes = filter.encode();
    for length in [0, 1, HEADER_BYTES, bytes.len() / 2, bytes.len() - 1] {
        assert!(Filter::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    let mut newer = bytes;
    newer[0] = 9;
    assert!(Filter::decode(&newer).is_err());
}
