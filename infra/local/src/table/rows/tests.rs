use super::*;

fn query(from: Option<&[u8]>, to: Option<&[u8]>, after: Option<&[u8]>, backwards: bool) -> Query {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    Query { partition: vec![0xFF], from: owned(from), to: owned(to), after: owned(after), backwards, limit: 0 }
}

#[test]
fn keys_of_different_partitions_never_meet() {
    assert_ne!(key(b"a", b"bc"), key(b"ab", b"c"));
    let end = behind(key(&[0xFF], &[]));
    assert!(key(&[0xFF], &[0xFF; 1024]) < end);
    assert!(end <= key(&[0, 0], &[]));
}

#[test]
fn a_query_that_can_hold_nothing_has_no_bounds() {
    assert_eq!(bounds(&query(Some(b"b"), Some(b"b"), None, false)), None);
    assert_eq!(bounds(&query(Some(b"c"), Some(b"b"), None, false)), None);
    assert_eq!(bounds(&query(None, Some(b"b"), Some(b"b"), false)), None);
    assert_eq!(bounds(&query(Some(b"b"), None, Some(b"a"), true)), None);
    assert!(bounds(&query(Some(b"b"), None, Some(b"c"), true)).is_some());
}

#[test]
fn a_value_cut_short_is_no_item() {
    assert_eq!(split(&[0; 7]), None);
    assert_eq!(split(&[0, 0, 0, 0, 0, 0, 0, 9, 1]), Some((9, &[1][..])));
}
