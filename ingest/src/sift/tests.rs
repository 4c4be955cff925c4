use super::*;

fn claim(hash: u128, rev: u64, origin: Origin, row: u64) -> Claim {
    Claim { source: 0, identity: Identity { hash, day: 7, rev }, origin, row }
}

#[test]
fn the_highest_revision_stands_then_the_first_row() {
    let mut claims = [
        claim(1, 0, Origin::Row, 4),
        claim(1, 2, Origin::Row, 9),
        claim(1, 2, Origin::Row, 8),
        claim(2, 0, Origin::Row, 1),
    ];
    let sifted = sift(&mut claims);
    assert_eq!((sifted.keep, sifted.correct, sifted.duplicates), (vec![8, 1], vec![], 2));
    assert_eq!(sifted.fresh.iter().map(|(_, identity)| identity.hash).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_is_there_is_corrected_by_a_higher_revision_only() {
    for origin in [Origin::Index, Origin::Ledger] {
        for (rev, is_correction) in [(3, false), (4, false), (5, true)] {
            let mut claims = [claim(1, rev, Origin::Row, 1), claim(1, 4, origin, 0)];
            let sifted = sift(&mut claims);
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
    let mut claims = [claim(1, 1, Origin::Index, 0), claim(1, 6, Origin::Ledger, 0), claim(1, 5, Origin::Row, 0)];
    assert_eq!(sift(&mut claims).duplicates, 1);
}

#[test]
fn sources_are_apart() {
    let mut other = claim(1, 0, Origin::Row, 2);
    other.source = 1;
    let mut claims = [claim(1, 0, Origin::Row, 1), other];
    assert_eq!(sift(&mut claims).keep, [1, 2]);
}

#[test]
fn records_come_back() {
    for origin in [Origin::Index, Origin::Ledger, Origin::Row] {
        let claim = Claim {
            source: 300,
            identity: Identity { hash: u128::MAX / 3, day: -40_000, rev: u64::MAX / 5 },
            origin,
            row: 1 << 40,
        };
        assert_eq!(Claim::decode_all(&claim.encode()).collect::<Vec<_>>(), [claim]);
    }
}
