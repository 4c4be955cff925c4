use super::*;

fn name() -> BlobName {
    BlobName {
        kind: "states".to_owned(),
        insight: "revenue".to_owned(),
        fingerprint: "0f".to_owned(),
        period: Period::Week,
        first: Date::constant(2026, 8, 2),
        last: Date::constant(2026, 8, 9),
        at: Timestamp::from_micros(1_700_000_000_000_000),
        hash: "ab".to_owned(),
    }
}

#[test]
fn a_name_reads_back() {
    let object = name().object(&Tenant::local());
    assert_eq!(object, "states/main/revenue/0f/week/2026-08-02_2026-08-09-1700000000000000-ab");
    assert_eq!(BlobName::parse(&object, &Tenant::local()), Some(name()));
    let other = Tenant("Läden & Co".to_owned());
    assert_eq!(BlobName::parse(&object, &other), None);
    assert_eq!(BlobName::parse(&name().object(&other), &other), Some(name()));
    for unknown in ["states/main/ab/abcdef", "pages/local/src=a/dt=2026-01-01/x.parquet", "", "states/main/a/b/day/x"] {
        assert_eq!(BlobName::parse(unknown, &Tenant::local()), None, "{unknown}");
    }
}

#[test]
fn what_was_replaced_a_moment_ago_stays() {
    let after = |seconds: i64| name().at.plus_seconds(seconds);
    assert!(!name().is_kept_enough([], after(BLOB_KEEP_SECONDS)));
    assert!(name().is_kept_enough([], after(BLOB_KEEP_SECONDS + 1)));
    let replaced = [after(10), after(100)];
    assert!(!name().is_kept_enough(replaced, after(BLOB_KEEP_SECONDS + 100)));
    assert!(name().is_kept_enough(replaced, after(BLOB_KEEP_SECONDS + 101)));
}
