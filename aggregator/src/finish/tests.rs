use std::sync::Arc;

use tidemill_schemas::metric::{Function, Metric};

use super::*;
use crate::fold::{Fold, Limits};
use crate::spill::MemorySpill;
use crate::testing::*;

fn day(metrics: Vec<Metric>, rows: &[Row]) -> (Arc<Plan>, DayCells) {
    let plan = Arc::new(Plan::new(&definition(metrics, &["country"], "UTC")));
    let day = date("2026-10-25");
    let mut fold = Fold::new(Arc::clone(&plan), day, day, Limits::default(), Box::new(MemorySpill::default()));
    fold.update(&batch(rows, Layout::default()), None).unwrap();
    let cells = fold.finish().unwrap().remove(0).1;
    (plan, cells)
}

fn sale(country: Option<&str>, amount: &str) -> Row {
    let mut row = row("2026-10-25T12:00:00Z", &[("amount", number(amount))]);
    if let Some(country) = country {
        row.properties.insert("country".to_owned(), text(country));
    }
    row
}

fn shown(detail: &Detail) -> Vec<(String, Vec<String>)> {
    let value = |value: &Value| {
        let mut json = String::new();
        value.write_json(&mut json);
        json
    };
    let group = |group: &Group| match group {
        Group::Key(key) => key.iter().map(value).collect::<Vec<_>>().join(","),
        Group::Other => "other".to_owned(),
    };
    detail.rows.iter().map(|row| (group(&row.group), row.values.iter().map(value).collect())).collect()
}

#[test]
fn groups_are_ranked_by_the_first_metric_and_other_is_exact() {
    let metrics = vec![
        metric("sum", Function::Sum(amount())),
        metric("avg", Function::Avg(amount())),
        metric("amounts", Function::CountDistinct(amount())),
    ];
    let rows = [
        sale(Some("c"), "5"),
        sale(Some("b"), "5"),
        sale(Some("a"), "1"),
        sale(Some("d"), "1"),
        sale(Some("d"), "0"),
        sale(None, "100"),
        sale(Some("e"), "-7"),
    ];
    let (plan, cells) = day(metrics, &rows);
    let detail = detail(&plan, &cells).unwrap();
    assert_eq!(detail.groups, 6);
    let row = |group: &str, values: [&str; 3]| (group.to_owned(), values.map(str::to_owned).to_vec());
    assert_eq!(
        shown(&detail),
        [
            row("\"b\"", ["5", "5", "1"]),
            row("\"c\"", ["5", "5", "1"]),
            row("other", ["-5", "-1.25", "3"]),
            row("null", ["100", "100", "1"]),
        ]
    );
}

#[test]
fn null_ranks_last_and_without_more_groups_there_is_no_other() {
    let mut none = sale(Some("a"), "1");
    none.properties.remove("amount");
    let (plan, cells) = day(vec![metric("sum", Function::Sum(amount()))], &[none, sale(Some("b"), "-1")]);
    let rows = shown(&detail(&plan, &cells).unwrap());
    assert_eq!(rows.iter().map(|(group, _)| group.as_str()).collect::<Vec<_>>(), ["\"b\"", "\"a\""]);
    assert_eq!(rows[1].1, ["null"]);
    assert_eq!(digest(&plan, &cells).unwrap().skipped["sum"], 1);
}

#[test]
fn a_day_without_events_shows_what_sql_shows_over_no_rows() {
    let (plan, cells) = day(every_metric(), &[]);
    let digest = digest(&plan, &cells).unwrap();
    for (metric, value) in plan.metrics.iter().zip(&digest.values) {
        let zero = ["rows", "kinds", "distinct", "amounts", "approx"].contains(&metric.name.as_str());
        assert_eq!(*value, if zero { number("0") } else { Value::Null }, "{}", metric.name);
    }
    assert!(detail(&plan, &cells).unwrap().rows.is_empty());
}
