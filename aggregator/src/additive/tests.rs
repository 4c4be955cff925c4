use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fold::{Fold, Limits};
use crate::states::to_bytes;
use crate::testing::*;

fn add(
    totals: &mut BTreeMap<(Date, CellKey), AdditiveCell>,
    more: BTreeMap<(Date, CellKey), AdditiveCell>,
    plan: &Plan,
) {
    for (key, cell) in more {
        totals.entry(key).or_insert_with(|| AdditiveCell::zero(plan)).add(&cell).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_came_less_what_went_is_a_recompute_of_what_is_left(
        kept in rows(),
        gone in rows(),
        grouped in proptest::bool::ANY,
        layout in layouts(),
    ) {
        let by: &[&str] = if grouped { &["country", "kind"] } else { &[] };
        let plan = Arc::new(Plan::new(&definition(additive_metrics(), by, "Europe/Berlin")));
        let mut totals = BTreeMap::new();
        add(&mut totals, deltas(&plan, &batch(&gone, layout), None, 1).unwrap(), &plan);
        for half in kept.chunks(7) {
            add(&mut totals, deltas(&plan, &batch(half, layout), None, 1).unwrap(), &plan);
        }
        add(&mut totals, deltas(&plan, &batch(&gone, Layout::default()), None, -1).unwrap(), &plan);
        let (first, last) = (date("2026-10-23"), date("2026-10-28"));
        let mut fold = Fold::new(Arc::clone(&plan), first, last, Limits::default(), Box::new(MemorySpill::default()));
        fold.update(&batch(&kept, Layout::default()), None).unwrap();
        for (date, recomputed) in fold.finish().unwrap() {
            let of_day = totals.iter().filter(|((day, _), _)| *day == date);
            let cells: Vec<(CellKey, AdditiveCell)> = of_day.map(|((_, key), cell)| (key.clone(), cell.clone())).collect();
            let json = serde_json::to_string(&cells).unwrap();
            let cells: Vec<(CellKey, AdditiveCell)> = serde_json::from_str(&json).unwrap();
            let compact = postcard::to_allocvec(&cells).unwrap();
            let cells: Vec<(CellKey, AdditiveCell)> = postcard::from_bytes(&compact).unwrap();
            let groups_only: Vec<_> = cells.iter().filter(|(key, _)| *key != CellKey::Total).cloned().collect();
            prop_assert_eq!(to_bytes(&day_cells(&plan, cells).unwrap()).unwrap(), to_bytes(&recomputed).unwrap());
            if grouped {
                prop_assert_eq!(to_bytes(&day_cells(&plan, groups_only).unwrap()).unwrap(), to_bytes(&recomputed).unwrap());
            }
        }
    }
}

#[test]
fn totals_that_cannot_be_are_refused() {
    let plan = Plan::new(&definition(additive_metrics(), &["country"], "UTC"));
    let cells = deltas(&plan, &batch(&[row("2026-10-25T12:00:00Z", &[])], Layout::default()), None, -1).unwrap();
    let cells: Vec<(CellKey, AdditiveCell)> = cells.into_iter().map(|((_, key), cell)| (key, cell)).collect();
    assert_eq!(cells.len(), 2);
    assert!(!cells[0].1.is_zero());
    assert_eq!(day_cells(&plan, cells).unwrap_err().code(), "TM0406");
}

#[test]
fn a_plan_that_does_not_add_up_has_no_deltas() {
    let plan = Plan::new(&definition(every_metric(), &[], "UTC"));
    let error = deltas(&plan, &batch(&[row("2026-10-25T12:00:00Z", &[])], Layout::default()), None, 1).unwrap_err();
    assert_eq!(error.code(), "TM0406");
}
