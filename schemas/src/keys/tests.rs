use super::*;

const HOSTILE: [&str; 12] = ["", "a", "a#b", "a/b", "../x", "\0", "\0\u{1}", "a\0", "a\0\u{1}b", "\u{FFFF}", "é", "ab"];

#[test]
fn encoding_is_injective_and_reversible() {
    let mut seen = std::collections::BTreeMap::new();
    for a in HOSTILE {
        for b in HOSTILE {
            let bytes = Encoder::default().text(a).text(b).end();
            let mut decoder = Decoder::new(&bytes);
            assert_eq!((decoder.text().unwrap().as_str(), decoder.text().unwrap().as_str()), (a, b));
            assert_eq!(seen.insert(bytes, (a, b)), None, "{a:?} {b:?}");
        }
    }
}

#[test]
fn byte_order_is_component_order() {
    let mut texts = HOSTILE.to_vec();
    texts.sort_unstable();
    let encoded: Vec<_> = texts.iter().map(|text| Encoder::default().text(text).end()).collect();
    assert!(encoded.is_sorted());
    let dates = ["0001-01-01", "1969-12-31", "2024-02-29", "2026-11-24", "9999-12-30"];
    let encoded: Vec<_> = dates.iter().map(|date| Encoder::default().date(date.parse().unwrap()).end()).collect();
    assert!(encoded.is_sorted());
    for (date, bytes) in dates.iter().zip(&encoded) {
        assert_eq!(Decoder::new(bytes).date().unwrap().to_string(), *date);
    }
}

#[test]
fn tenants_never_share_a_partition() {
    let a = event(&Tenant("a".to_owned()), "b\0", "id");
    let b = event(&Tenant("a\0b".to_owned()), "", "id");
    assert_ne!(a.partition, b.partition);
}

#[test]
fn the_longest_identity_fits_a_key() {
    let long = "\0".repeat(128);
    let key = event(&Tenant(long.clone()), &long, &long);
    assert!(key.partition.len() <= PARTITION_BYTES_MAX && key.sort.len() <= SORT_BYTES_MAX);
}
