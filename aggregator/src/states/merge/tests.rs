use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::finish::{detail, detail_of, digest};
use crate::metric::DayCells;
use crate::metric::State;
use crate::metric::sorted::{Member, Sorted};
use crate::spill::MemorySpill;
use crate::states::{load, to_bytes};
use crate::testing::*;

fn spill() -> SharedSpill {
    SharedSpill::new(Box::new(MemorySpill::default()))
}

fn plan(by: &[&str]) -> Arc<Plan> {
    Arc::new(Plan::new(&definition(every_metric(), by, "Europe/Berlin")))
}

/// A day's states, in memory or cut into pieces of a spill.
fn content(day: &DayCells, piece: usize) -> Content {
    let bytes = to_bytes(day).unwrap();
    if piece == 0 {
        return Content::of(bytes.into());
    }
    let mut spilled = ContentWriter::spilling(spill());
    spilled.write_all(&bytes).unwrap();
    let whole = spilled.end().unwrap();
    // Small pieces, so that entries lie across their seams.
    let mut cut = crate::spill::Spilled::new(spill());
    bytes.chunks(piece).for_each(|part| cut.push(part).unwrap());
    let cut = whole.moved_to(cut);
    assert_eq!(cut.bytes(), whole.bytes());
    cut
}

fn bytes_of(content: &Content) -> Vec<u8> {
    content.piece(0, usize::MAX).unwrap().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_what_one_day_of_all_events_would_be(
        a in rows(), b in rows(), c in rows(), piece in 0usize..40, by in 0usize..3,
    ) {
        let columns: [&[&str]; 3] = [&[], &["country"], &["kind", "country"]];
        let plan = plan(columns[by]);
        let all: Vec<Row> = a.iter().chain(&b).chain(&c).cloned().collect();
        let whole = cells(&plan, &all);
        let parts: Vec<Content> = [&a, &b, &c].iter().enumerate()
            .map(|(at, rows)| content(&cells(&plan, rows), piece * at)).collect();
        let scratch = spill();
        let merged = merge(&plan, &parts, &scratch).unwrap();
        prop_assert_eq!(bytes_of(&merged.content), to_bytes(&whole).unwrap());
        prop_assert_eq!(merged.groups, whole.groups.len() as u64);
        let backwards: Vec<Content> = parts.iter().rev().cloned().collect();
        prop_assert_eq!(merge(&plan, &backwards, &scratch).unwrap().content.hash(), merged.content.hash());
        let right = merge(&plan, &parts[1..], &scratch).unwrap().content;
        prop_assert_eq!(merge(&plan, &[right, parts[0].clone()], &scratch).unwrap().content.hash(), merged.content.hash());
        let total = DayCells { total: merged.total, groups: BTreeMap::new() };
        prop_assert_eq!(digest(&plan, &total).unwrap(), digest(&plan, &whole).unwrap());
        prop_assert_eq!(detail_of(&plan, &merged.content, &scratch).unwrap(), detail(&plan, &whole).unwrap());
        prop_assert_eq!(to_bytes(&load(&merged.content).unwrap()).unwrap(), to_bytes(&whole).unwrap());
    }
}

/// A day with one set of members `from..to`, each a multiple of `step`.
fn day_of(plan: &Plan, from: u128, to: u128, step: u128) -> DayCells {
    let mut day = DayCells::empty(plan);
    let members = (from..to).map(|at| Member::from((at * step) << 64)).collect();
    for state in &mut day.total.states {
        if let State::Distinct(held) = state {
            *held = Sorted::of_sorted(members);
            break;
        }
    }
    day
}

#[test]
fn long_sets_are_merged_where_they_lie() {
    let plan = plan(&[]);
    let scratch = spill();
    // Long enough to be left in the spill, and together too long for memory.
    let days = [day_of(&plan, 0, 90_000, 1), day_of(&plan, 0, 90_000, 2), day_of(&plan, 0, 90_000, 3)];
    let contents: Vec<Content> = days.iter().map(|day| content(day, 100_003)).collect();
    let merged = merge(&plan, &contents, &scratch).unwrap();
    let expected = (0..270_000).filter(|n| *n < 90_000 || (n % 2 == 0 && *n < 180_000) || n % 3 == 0).count();
    let counted = merged.total.states.iter().find_map(|state| match state {
        State::Distinct(members) => Some(members.count().unwrap()),
        _ => None,
    });
    assert_eq!(counted, Some(expected as u64));
    let mut together = days[0].clone();
    days[1..].iter().for_each(|day| together.merge(day.clone()).unwrap());
    assert_eq!(bytes_of(&merged.content), to_bytes(&together).unwrap());
}

#[test]
fn states_of_another_definition_and_damage_are_refused() {
    let (plan, other) = (plan(&[]), Plan::new(&definition(vec![], &[], "UTC")));
    let day = content(&day_of(&plan, 0, 3, 1), 0);
    let refused = merge(&other, std::slice::from_ref(&day), &spill()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    let cut = Content::of(day.piece(0, 10).unwrap());
    assert_eq!(merge(&plan, &[cut], &spill()).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_damaged_set_in_a_spill_is_noticed_when_it_is_read() {
    let plan = plan(&[]);
    let mut bytes = to_bytes(&day_of(&plan, 0, 5_000, 1)).unwrap();
    let at = bytes.len() / 2;
    bytes[at..at + 64].fill(0xEE);
    let mut cut = ContentWriter::spilling(spill());
    cut.write_all(&bytes).unwrap();
    let day = content(&day_of(&plan, 0, 5_000, 2), 999);
    let refused = merge(&plan, &[cut.end().unwrap(), day], &spill()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}
