use tidemill_schemas::value::Value;

use super::*;

fn hashes(from: u64, to: u64) -> Vec<u128> {
    (from..to).map(|n| Value::Text(format!("user {n}")).hash128()).collect()
}

fn sketch(hashes: impl IntoIterator<Item = u128>) -> Sketch {
    let mut sketch = Sketch::default();
    hashes.into_iter().for_each(|hash| sketch.insert(hash));
    sketch
}

#[test]
fn equal_sets_give_equal_bytes_in_any_order_sparse_and_dense_and_across_the_change() {
    for size in [0, 1, 100, 4_000, 4_500, 5_000, 5_500, 6_000, 50_000] {
        let set = hashes(0, size);
        let whole = sketch(set.iter().copied()).encode();
        assert_eq!(sketch(set.iter().rev().copied()).encode(), whole, "{size} backwards");
        let twice = set.iter().chain(&set).copied();
        assert_eq!(sketch(twice).encode(), whole, "{size} twice");
        let mut merged = sketch(hashes(size / 3, size));
        merged.merge(&sketch(hashes(0, size / 2)));
        assert_eq!(merged.encode(), whole, "{size} merged");
        let mut merged = sketch(hashes(0, size / 2));
        merged.merge(&Sketch::decode(&sketch(hashes(size / 3, size)).encode()).unwrap());
        assert_eq!(merged.encode(), whole, "{size} merged the other way");
    }
}

#[test]
fn the_estimate_is_close_and_survives_encoding() {
    for size in [1u64, 10, 1_000, 100_000] {
        let sketch = sketch(hashes(0, size));
        let count = sketch.count();
        assert!(count.abs_diff(size) * 100 <= size * 3, "{count} for {size}");
        assert_eq!(Sketch::decode(&sketch.encode()).unwrap().count(), count);
    }
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    for size in [50, 20_000] {
        let bytes = sketch(hashes(0, size)).encode();
        for at in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
            for flip in [0x01, 0x80, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                if let Some(mut sketch) = Sketch::decode(&damaged) {
                    sketch.insert(u128::MAX);
                    sketch.count();
                    sketch.encode();
                }
            }
            assert!(Sketch::decode(&bytes[..at]).is_none());
        }
    }
}

#[test]
fn a_sketch_that_was_collected_first_is_the_library_s_own() {
    for size in [0, 1, 4_095, 4_096, 5_500, 9_000, 13_107, 13_108, 13_500, 16_384, 60_000] {
        let set = hashes(0, size);
        let whole = sketch(set.iter().copied()).encode();
        for loose in [true, false] {
            let mut building = Building::new(loose);
            set.iter().chain(set.iter().rev()).for_each(|hash| building.insert(*hash));
            assert_eq!(building.sketch().encode(), whole, "{size}, loose: {loose}");
        }
    }
}
