use super::*;

fn request(first: &str, last: &str, period: Period) -> ComputeSnapshotRequest {
    ComputeSnapshotRequest {
        tenant: "main".to_owned(),
        insight: "orders".to_owned(),
        fingerprint: "f".to_owned(),
        period,
        first: first.parse().expect("a date"),
        last: last.parse().expect("a date"),
        reason: Reason::Rollup,
        requested_at: Timestamp::from_micros(0),
    }
}

#[test]
fn halves_are_the_same_days_without_gap_or_overlap() {
    assert_eq!(request("2026-02-28", "2026-02-28", Period::Day).halves(), None);
    for (last, middle, next) in [("2026-03-01", "2026-02-28", "2026-03-01"), ("2026-03-02", "2026-03-01", "2026-03-02")]
    {
        let [first, second] = request("2026-02-28", last, Period::Day).halves().expect("several days");
        assert_eq!((first.first.to_string().as_str(), first.last.to_string().as_str()), ("2026-02-28", middle));
        assert_eq!((second.first.to_string().as_str(), second.last.to_string().as_str()), (next, last));
    }
}

#[test]
fn longer_periods_are_not_cut() {
    assert_eq!(request("2026-01-01", "2026-01-31", Period::Month).halves(), None);
}
