use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::finish::{detail, digest};
use crate::plan::Plan;
use crate::testing::*;

fn plan(by: &[&str]) -> Arc<Plan> {
    Arc::new(Plan::new(&definition(every_metric(), by, "Europe/Berlin")))
}

/// All rows as the cells of one range of days, merged.
fn merged(parts: &[&DayCells]) -> Vec<u8> {
    let mut whole = parts[0].clone();
    parts[1..].iter().for_each(|part| whole.merge((*part).clone()).unwrap());
    to_bytes(&whole).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_associative_and_commutative_and_equals_one_fold(a in rows(), b in rows(), c in rows()) {
        let plan = plan(&["country"]);
        let [x, y, z] = [&a, &b, &c].map(|rows| cells(&plan, rows));
        let all: Vec<Row> = a.iter().chain(&b).chain(&c).cloned().collect();
        let whole = to_bytes(&cells(&plan, &all)).unwrap();
        let mut right = y.clone();
        right.merge(z.clone()).unwrap();
        prop_assert_eq!(&merged(&[&x, &y, &z]), &whole);
        prop_assert_eq!(&merged(&[&x, &right]), &whole);
        prop_assert_eq!(&merged(&[&z, &y, &x]), &whole);
        prop_assert_eq!(&merged(&[&DayCells::empty(&plan), &y, &x, &z]), &whole);
    }

    #[test]
    fn what_is_read_back_is_what_was_written(rows in rows(), damage in (0usize..5000, 1u8..=255)) {
        let plan = plan(&["kind", "country"]);
        let day = cells(&plan, &rows);
        let bytes = to_bytes(&day).unwrap();
        let back = decode(&bytes).unwrap();
        prop_assert_eq!(&to_bytes(&back).unwrap(), &bytes);
        prop_assert_eq!(digest(&plan, &back).unwrap(), digest(&plan, &day).unwrap());
        // Damage is refused, or reads as other states that are written the same way; it never panics.
        let mut damaged = bytes;
        let at = damage.0 % damaged.len();
        damaged[at] ^= damage.1;
        prop_assert!(decode(&damaged[..at]).is_err());
        if let Ok(other) = decode(&damaged) {
            prop_assert_eq!(to_bytes(&other).unwrap(), damaged);
        }
    }
}

/// The events the sample of version 1 was written from.
fn sample_rows() -> Vec<Row> {
    let amounts = ["12.5", "-3", "9999999999999999", "0.000000000000000001"];
    let mut rows: Vec<Row> = (0..40)
        .map(|n: usize| {
            let amount = number(amounts[n % amounts.len()]);
            let country = text(["de", "in", ""][n % 3]);
            row("2026-10-25T12:00:00Z", &[("amount", amount), ("country", country), ("kind", number(&n.to_string()))])
        })
        .collect();
    rows.push(row("2026-10-24T12:00:00Z", &[]));
    rows[0].received = at("2026-10-27T00:00:00Z");
    rows
}

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/v1/states.bin");

#[test]
fn the_sample_of_version_1_loads_for_ever_and_is_what_is_written_today() {
    let plan = plan(&["country"]);
    let today = to_bytes(&cells(&plan, &sample_rows())).unwrap();
    if std::env::var_os("TIDEMILL_WRITE_SAMPLES").is_some() {
        std::fs::write(SAMPLE, &today).unwrap();
    }
    let sample = std::fs::read(SAMPLE).unwrap();
    let day = decode(&sample).unwrap();
    assert_eq!(digest(&plan, &day).unwrap().events, 41);
    assert_eq!(detail(&plan, &day).unwrap().groups, 4);
    assert_eq!(sample, today, "version 1 is written differently now: add a version and keep this sample");
}

#[test]
fn foreign_and_later_bytes_are_named() {
    assert_eq!(decode(b"PAR1").unwrap_err(), StatesError::Foreign);
    assert_eq!(decode(b"").unwrap_err(), StatesError::Foreign);
    assert_eq!(decode(b"TMS\x02").unwrap_err(), StatesError::Version(2));
    assert_eq!(decode(b"TMS\x01\xFF\xFF\xFF\xFF\xFF\xFF\x01").unwrap_err(), StatesError::Truncated);
}
