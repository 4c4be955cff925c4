use proptest::prelude::*;
use tidemill_schemas::metric::{Function, Metric};
use tidemill_schemas::value::{Type, Value};

use super::*;
use crate::finish::{detail, digest};
use crate::spill::MemorySpill;
use crate::states;
use crate::testing::*;
use tidemill_schemas::snapshot::Group;

const FIRST: &str = "2026-10-23";
const LAST: &str = "2026-10-28";

fn roomy() -> Limits {
    Limits::default()
}

fn folded(plan: &Arc<Plan>, batches: &[RecordBatch], limits: Limits) -> Vec<(Date, DayCells)> {
    let mut fold = Fold::new(Arc::clone(plan), date(FIRST), date(LAST), limits, Box::new(MemorySpill::default()));
    for batch in batches {
        fold.update(batch, None).unwrap();
    }
    fold.finish().unwrap()
}

fn bytes(days: &[(Date, DayCells)]) -> Vec<(Date, Vec<u8>)> {
    days.iter().map(|(date, day)| (*date, states::to_bytes(day).unwrap())).collect()
}

fn plan(by: &[&str]) -> Arc<Plan> {
    Arc::new(Plan::new(&definition(every_metric(), by, "Europe/Berlin")))
}

/// The metric values of some rows, the long way.
fn naive(rows: &[&Row]) -> Vec<Value> {
    let amounts: Vec<tidemill_schemas::decimal::Decimal> = rows
        .iter()
        .filter_map(|row| match row.properties.get("amount") {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        })
        .collect();
    let of = |key: &str| rows.iter().filter_map(|row| row.properties.get(key)).collect::<Vec<&Value>>();
    let count = |n: usize| Value::Number(tidemill_schemas::decimal::Decimal::from(n as u64));
    let distinct = |values: Vec<&Value>| values.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    let sum = amounts.iter().try_fold(tidemill_schemas::decimal::Decimal::ZERO, |a, b| a.checked_add(*b)).unwrap();
    let ratio = |a, n: usize| {
        let n = tidemill_schemas::decimal::Decimal::from(n as u64);
        tidemill_schemas::decimal::Decimal::ratio(a, n, 6).map_or(Value::Null, Value::Number)
    };
    let half = tidemill_schemas::decimal::Decimal::parse("0.5").unwrap();
    let paid: Vec<_> = amounts.iter().copied().filter(|amount| *amount > half).collect();
    let paid_sum = paid.iter().try_fold(tidemill_schemas::decimal::Decimal::ZERO, |a, b| a.checked_add(*b)).unwrap();
    let mut sorted = amounts.clone();
    sorted.sort();
    let hundred = tidemill_schemas::decimal::Decimal::from(100 * paid.len() as u64);
    vec![
        count(rows.len()),
        count(of("kind").len()),
        if amounts.is_empty() { Value::Null } else { Value::Number(sum) },
        ratio(sum, amounts.len()),
        sorted.first().map_or(Value::Null, |least| Value::Number(*least)),
        of("country").into_iter().max().cloned().unwrap_or(Value::Null),
        ratio(hundred, rows.len()),
        count(distinct(of("kind"))),
        count(distinct(of("amount"))),
        count(distinct(of("amount"))),
        sorted.get(sorted.len().div_ceil(2).max(1) - 1).map_or(Value::Null, |value| Value::Number(*value)),
        if paid.is_empty() { Value::Null } else { Value::Number(paid_sum) },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_order_layout_and_memory_never_show(
        rows in rows(),
        cuts in proptest::collection::vec((0usize..60, layouts()), 0..5),
        memory in prop_oneof![Just(0usize), Just(600), Just(4000)],
        by in 0usize..3,
    ) {
        let plan = plan([&[][..], &["country"], &["kind", "country"]][by]);
        let whole = bytes(&folded(&plan, &[batch(&rows, Layout::default())], roomy()));
        let mut batches = Vec::new();
        let mut rest = rows.as_slice();
        let mut reversed = Vec::new();
        for (cut, layout) in cuts {
            let (part, after) = rest.split_at(cut.min(rest.len()));
            batches.push(batch(part, layout));
            rest = after;
        }
        batches.push(batch(rest, Layout { plain: true, ..Layout::default() }));
        batches.reverse();
        let limits = Limits { memory_bytes_max: memory, ..roomy() };
        prop_assert_eq!(&bytes(&folded(&plan, &batches, limits)), &whole);
        reversed.extend(rows.iter().rev().cloned());
        prop_assert_eq!(&bytes(&folded(&plan, &[batch(&reversed, Layout::default())], limits)), &whole);
    }

    #[test]
    fn days_and_groups_are_those_of_the_plain_reading(rows in rows()) {
        let plan = plan(&["country"]);
        for (date, day) in folded(&plan, &[batch(&rows, Layout::default())], roomy()) {
            let of_day: Vec<&Row> = rows.iter().filter(|row| plan.zone.day(date).contains(row.time)).collect();
            let digest = digest(&plan, &day).unwrap();
            prop_assert_eq!(digest.events, of_day.len() as u64);
            let deadline = plan.zone.day(date).end.plus_seconds(3600);
            prop_assert_eq!(digest.late, of_day.iter().filter(|row| row.received > deadline).count() as u64);
            let without = of_day.iter().filter(|row| !row.properties.contains_key("amount")).count() as u64;
            prop_assert_eq!(digest.skipped.get("sum").copied().unwrap_or(0), without);
            prop_assert_eq!(digest.skipped.get("paid_sum"), None);
            prop_assert_eq!(digest.values, naive(&of_day));
            for (key, cell) in &day.groups {
                let value = |row: &&&Row| row.properties.get("country").cloned().unwrap_or(Value::Null) == key[0];
                let of_group: Vec<&Row> = of_day.iter().filter(value).copied().collect();
                prop_assert_eq!(cell.values(&plan).unwrap(), naive(&of_group));
            }
            let listed = detail(&plan, &day).unwrap();
            if let Some(other) = listed.rows.iter().find(|row| row.group == Group::Other) {
                let keys: Vec<&Value> = listed.rows.iter().filter_map(|row| match &row.group {
                    Group::Key(key) => Some(&key[0]),
                    Group::Other => None,
                }).collect();
                let rest: Vec<&Row> = of_day.iter().filter(|row| {
                    row.properties.get("country").is_some_and(|country| !keys.contains(&country))
                }).copied().collect();
                prop_assert_eq!(&other.values, &naive(&rest));
            }
        }
    }
}

#[test]
fn days_are_handed_out_once_their_window_has_ended_and_empty_ones_are_there() {
    let plan = plan(&[]);
    let mut fold = Fold::new(Arc::clone(&plan), date(FIRST), date(LAST), roomy(), Box::new(MemorySpill::default()));
    fold.update(&batch(&[row("2026-10-25T21:59:59Z", &[])], Layout::default()), None).unwrap();
    // The 25th has 25 hours in Berlin and ends at 23:00Z.
    let out = fold.finish_before(at("2026-10-25T22:59:59Z")).unwrap();
    assert_eq!(out.iter().map(|(date, _)| date.to_string()).collect::<Vec<_>>(), ["2026-10-23", "2026-10-24"]);
    fold.update(&batch(&[row("2026-10-25T22:59:59.999999Z", &[])], Layout::default()), None).unwrap();
    let out = fold.finish_before(at("2026-10-25T23:00:00Z")).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].1.total.events, 2);
    let error = fold.update(&batch(&[row("2026-10-25T22:00:00Z", &[])], Layout::default()), None).unwrap_err();
    assert!(matches!(error, FoldError::DayFinished { .. }));
    assert_eq!(fold.finish().unwrap().len(), 3);
}

#[test]
fn rows_of_other_names_sources_and_days_and_withdrawn_ones_do_not_count() {
    let mut definition = definition(every_metric(), &[], "UTC");
    definition.source = Some("shop".to_owned());
    let tidemill_schemas::definition::Body::Standard(standard) = &mut definition.body else { panic!("it is standard") };
    standard.from = tidemill_schemas::definition::From::Names(vec!["order".to_owned()]);
    let plan = Arc::new(Plan::new(&definition));
    let mut rows: Vec<Row> = (0..6).map(|_| row("2026-10-25T12:00:00Z", &[])).collect();
    rows[1].name = "visit".to_owned();
    rows[2].source = "other".to_owned();
    rows[3].time = at("2026-10-29T00:00:00Z");
    rows[4].time = at("2026-10-22T23:59:59.999999Z");
    for plain in [false, true] {
        let mut fold = Fold::new(Arc::clone(&plan), date(FIRST), date(LAST), roomy(), Box::new(MemorySpill::default()));
        let live = BooleanArray::from(vec![Some(true), None, Some(true), Some(true), Some(true), Some(true)]);
        fold.update(&batch(&rows, Layout { plain, ..Layout::default() }), Some(&live)).unwrap();
        let live = BooleanArray::from(vec![Some(false), None, Some(true), Some(true), Some(true), None]);
        fold.update(&batch(&rows, Layout { plain, ..Layout::default() }), Some(&live)).unwrap();
        let events: u64 = fold.finish().unwrap().iter().map(|(_, day)| day.total.events).sum();
        assert_eq!(events, 2);
    }
}

#[test]
fn a_sum_that_comes_back_is_exact_and_one_that_does_not_names_its_metric() {
    let large = "90000000000000000000000000000000000000";
    let plan = Arc::new(Plan::new(&definition(vec![metric("sum", Function::Sum(amount()))], &[], "UTC")));
    let of = |texts: &[&str]| {
        let rows: Vec<Row> = texts.iter().map(|n| row("2026-10-25T12:00:00Z", &[("amount", number(n))])).collect();
        let batches: Vec<RecordBatch> = rows.chunks(1).map(|rows| batch(rows, Layout::default())).collect();
        let mut fold = Fold::new(
            Arc::clone(&plan),
            date("2026-10-25"),
            date("2026-10-25"),
            roomy(),
            Box::new(MemorySpill::default()),
        );
        batches.iter().for_each(|batch| fold.update(batch, None).unwrap());
        fold.finish()
    };
    let negative = format!("-{large}");
    let days = of(&[large, large, "0.5", &negative]).map(|days| digest(&plan, &days[0].1).unwrap().values);
    assert!(matches!(days, Err(FoldError::Overflow { .. })), "39 digits with the half");
    let days = of(&[large, large, large, &negative, &negative]).unwrap();
    assert_eq!(digest(&plan, &days[0].1).unwrap().values, [number(large)]);
    let error = of(&[large, large]).unwrap_err();
    assert_eq!(error.code(), "TM0401");
    assert!(error.to_string().contains("`sum`"));
}

#[test]
fn too_many_groups_names_the_insight_and_the_limit() {
    let plan = plan(&["country"]);
    let rows: Vec<Row> = (0..4).map(|n| row("2026-10-25T12:00:00Z", &[("country", text(&n.to_string()))])).collect();
    let limits = Limits { groups_max: 3, ..roomy() };
    let mut fold = Fold::new(plan, date(FIRST), date(LAST), limits, Box::new(MemorySpill::default()));
    let error = fold.update(&batch(&rows, Layout::default()), None).unwrap_err();
    assert!(matches!(&error, FoldError::TooManyGroups { insight, limit: 3 } if insight == "revenue"));
}

#[test]
fn an_overflow_in_a_row_that_is_filtered_out_is_none() {
    use tidemill_schemas::expression::{Arithmetic, Comparison, Expr};
    let square = Expr::Arithmetic(Arithmetic::Mul, Box::new(amount()), Box::new(amount()));
    let small = Expr::Compare(Comparison::Lt, Box::new(amount()), Box::new(Expr::Literal(number("100"))));
    let of = |filter| {
        let metric = Metric { name: "m".to_owned(), function: Function::Sum(square.clone()), filter };
        let plan = Arc::new(Plan::new(&definition(vec![metric], &[], "UTC")));
        let rows = ["3", "90000000000000000000000000000000000000"]
            .map(|n| row("2026-10-25T12:00:00Z", &[("amount", number(n))]));
        let mut fold = Fold::new(Arc::clone(&plan), date(FIRST), date(LAST), roomy(), Box::new(MemorySpill::default()));
        fold.update(&batch(&rows, Layout::default()), None)?;
        let days = fold.finish()?;
        digest(&plan, &days[2].1).map(|digest| digest.values)
    };
    assert_eq!(of(Some(small)).unwrap(), [number("9")]);
    assert!(matches!(of(None), Err(FoldError::Overflow { metric }) if metric == "m"));
}

#[test]
fn numbers_and_texts_are_different_groups_and_times_can_be_compared() {
    let mut metrics = vec![metric("rows", Function::Count)];
    let time =
        tidemill_schemas::expression::Read { column: tidemill_schemas::expression::Column::Time, at: Some(Type::Time) };
    metrics.push(metric("last", Function::Max(tidemill_schemas::expression::Expr::Read(time))));
    let plan = Arc::new(Plan::new(&definition(metrics, &["kind"], "UTC")));
    let rows = [
        row("2026-10-25T12:00:00Z", &[("kind", number("34"))]),
        row("2026-10-25T13:00:00Z", &[("kind", text("34"))]),
        row("2026-10-25T14:00:00Z", &[("kind", number("34.0"))]),
        row("2026-10-25T14:00:00Z", &[]),
    ];
    let days = folded(&plan, &[batch(&rows, Layout::default())], roomy());
    let day = &days[2].1;
    assert_eq!(
        day.groups.keys().cloned().collect::<Vec<_>>(),
        [vec![Value::Null], vec![number("34")], vec![text("34")]]
    );
    assert_eq!(day.groups[&vec![number("34")]].events, 2);
    assert_eq!(day.total.values(&plan).unwrap()[1], Value::Time(at("2026-10-25T14:00:00Z")));
}
