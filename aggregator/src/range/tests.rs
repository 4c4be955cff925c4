use std::sync::Arc;

use proptest::prelude::*;
use tidemill_schemas::calendar::Period;
use tidemill_schemas::snapshot::Group;
use tidemill_schemas::value::Value;

use super::*;
use crate::finish::detail;
use crate::fold::{Fold, Limits};
use crate::spill::MemorySpill;
use crate::states::to_bytes;
use crate::testing::*;

fn days(plan: &Arc<Plan>, rows: &[Row]) -> Vec<(Date, DayCells)> {
    let (first, last) = (date("2026-10-22"), date("2026-11-02"));
    let mut fold = Fold::new(Arc::clone(plan), first, last, Limits::default(), Box::new(MemorySpill::default()));
    fold.update(&batch(rows, Layout::default()), None).unwrap();
    fold.finish().unwrap()
}

/// The rows of days by period, each day as its stored states.
fn series(
    plan: &Plan,
    days: impl Iterator<Item = (Date, DayCells)>,
    every: Option<Period>,
    by: &[usize],
    top: usize,
) -> Result<Vec<PeriodRows>, FoldError> {
    let spill = SharedSpill::new(Box::new(MemorySpill::default()));
    let mut periods: Vec<(Date, Vec<Content>)> = Vec::new();
    for (date, day) in days {
        let first = periods.first().map_or(date, |(first, _)| *first);
        let start = every.map_or(first, |every| every.first(date, plan.week_start));
        let content = Content::of(to_bytes(&day).unwrap().into());
        match periods.last_mut() {
            Some((last, contents)) if *last == start => contents.push(content),
            _ => periods.push((start, vec![content])),
        }
    }
    let mut range = Range::new(plan, by, spill);
    periods.iter().try_for_each(|(start, contents)| range.add(*start, contents))?;
    range.rows(top)
}

fn plan(by: &[&str]) -> Arc<Plan> {
    Arc::new(Plan::new(&definition(every_metric(), by, "Europe/Berlin")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_breakdown_by_fewer_columns_is_that_breakdown(rows in rows(), every in 0usize..4) {
        let every = [None, Some(Period::Day), Some(Period::Week), Some(Period::Month)][every];
        let (wide, narrow) = (plan(&["kind", "country"]), plan(&["country"]));
        let from_wide = series(&wide, days(&wide, &rows).into_iter(), every, &[1], 2).unwrap();
        let direct = series(&narrow, days(&narrow, &rows).into_iter(), every, &[0], 2).unwrap();
        prop_assert_eq!(from_wide, direct);
    }

    #[test]
    fn a_range_of_one_period_has_the_detail_of_its_merged_days(rows in rows()) {
        let plan = plan(&["country"]);
        let mut whole = DayCells::empty(&plan);
        days(&plan, &rows).into_iter().for_each(|(_, day)| whole.merge(day).unwrap());
        let rows = series(&plan, days(&plan, &rows).into_iter(), None, &[0], 2).unwrap();
        prop_assert_eq!(rows.len(), 1);
        prop_assert_eq!(&rows[0].total, &digest(&plan, &whole).unwrap());
        prop_assert_eq!(&rows[0].rows, &detail(&plan, &whole).unwrap().rows);
        prop_assert_eq!(rows[0].start, date("2026-10-22"));
    }
}

#[test]
fn the_top_groups_are_those_of_the_whole_range_and_periods_without_events_are_there() {
    let plan = plan(&["country"]);
    let mut rows = Vec::new();
    for (day, country, times) in [("23", "a", 3), ("23", "b", 1), ("26", "b", 5), ("26", "c", 2), ("27", "d", 4)] {
        for _ in 0..times {
            rows.push(row(&format!("2026-10-{day}T12:00:00Z"), &[("country", text(country))]));
        }
    }
    let rows = series(&plan, days(&plan, &rows).into_iter(), Some(Period::Week), &[0], 2).unwrap();
    type Shown = (String, u64, Vec<(String, u64)>);
    let shown: Vec<Shown> = rows
        .iter()
        .map(|period| {
            let group = |group: &Group| match group {
                Group::Key(key) => match &key[0] {
                    Value::Text(text) => text.clone(),
                    _ => "null".to_owned(),
                },
                Group::Other => "other".to_owned(),
            };
            let groups = period.rows.iter().map(|row| (group(&row.group), row.events)).collect();
            (period.start.to_string(), period.total.events, groups)
        })
        .collect();
    let groups = |groups: &[(&str, u64)]| groups.iter().map(|(g, n)| ((*g).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(
        shown,
        [
            ("2026-10-18".to_owned(), 4, groups(&[("b", 1), ("other", 3)])),
            ("2026-10-25".to_owned(), 11, groups(&[("b", 5), ("d", 4), ("other", 2)])),
            ("2026-11-01".to_owned(), 0, groups(&[])),
        ]
    );
    let totals = series(&plan, std::iter::empty(), None, &[], 2).unwrap();
    assert!(totals.is_empty());
}
