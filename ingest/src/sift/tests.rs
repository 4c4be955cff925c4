use super::*;

fn claim(hash: u128, rev: u64, origin: Origin, row: u64) -> Claim {
    Claim { source: 0, identity: Identity { hash, day: 7, rev }, origin, row, withdraws: false }
}

#[test]
fn the_highest_revision_stands_then_the_first_row() {
    let claims = [
        claim(1, 0, Origin::Row, 4),
        claim(1, 2, Origin::Row, 9),
        claim(1, 2, Origin::Row, 8),
        claim(2, 0, Origin::Row, 1),
    ];
    let sifted = sift(&claims);
    assert_eq!((sifted.keep, sifted.correct, sifted.duplicates), (vec![8, 1], vec![], 2));
    assert_eq!(sifted.fresh.iter().map(|(_, identity)| identity.hash).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_is_there_is_corrected_by_a_higher_revision_only() {
    for origin in [Origin::Index, Origin::Ledger] {
        for (rev, is_correction) in [(3, false), (4, false), (5, true)] {
            let claims = [claim(1, rev, Origin::Row, 1), claim(1, 4, origin, 0)];
            let sifted = sift(&claims);
            assert!(sifted.keep.is_empty(), "{origin:?} {rev}");
            assert_eq!(sifted.correct.len() == 1, is_correction, "{origin:?} {rev}");
            assert_eq!(sifted.duplicates, u64::from(!is_correction), "{origin:?} {rev}");
            assert!(sifted.fresh.is_empty());
            assert_eq!(sifted.indexed.len(), usize::from(origin == Origin::Index));
        }
    }
}

#[test]
fn both_an_import_and_a_correction_of_it_count() {
    // Imported at 1, corrected to 6 by a send: 5 comes too late.
    let claims = [claim(1, 1, Origin::Index, 0), claim(1, 6, Origin::Ledger, 0), claim(1, 5, Origin::Row, 0)];
    assert_eq!(sift(&claims).duplicates, 1);
}

#[test]
fn sources_are_apart() {
    let mut other = claim(1, 0, Origin::Row, 2);
    other.source = 1;
    let claims = [claim(1, 0, Origin::Row, 1), other];
    assert_eq!(sift(&claims).keep, [1, 2]);
}

#[test]
fn records_come_back() {
    for origin in [Origin::Index, Origin::Ledger, Origin::Row] {
        let claim = Claim {
            source: 300,
            identity: Identity { hash: u128::MAX / 3, day: -40_000, rev: u64::MAX / 5 },
            origin,
            row: 1 << 40,
            withdraws: false,
        };
        for withdraws in [false, origin == Origin::Row] {
            let claim = Claim { withdraws, ..claim };
            assert_eq!(Claim::decode_all(&claim.encode()).collect::<Vec<_>>(), [claim]);
        }
    }
}

#[test]
fn a_withdrawal_is_a_correction_even_of_what_nobody_knows() {
    let withdrawn = Claim { withdraws: true, ..claim(1, 3, Origin::Row, 5) };
    let sifted = sift(&[claim(1, 2, Origin::Row, 4), withdrawn]);
    assert_eq!((sifted.keep, sifted.correct, sifted.duplicates), (vec![], vec![5], 1));
    assert!(sifted.fresh.is_empty());
    assert_eq!(sift(&[claim(1, 3, Origin::Ledger, 0), withdrawn]).duplicates, 1);
}

#[test]
fn hashes_that_differ_late_are_told_apart() {
    let claims: Vec<Claim> = (0..64u128).rev().map(|low| claim(1 << 100 | low, 0, Origin::Row, low as u64)).collect();
    assert_eq!(sift(&claims).keep, (0..64).collect::<Vec<u64>>());
}
