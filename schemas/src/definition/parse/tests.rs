use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::definition::{Body, From};
use crate::expression::{Column, Expr};
use crate::metric::Function;

const REVENUE: &str = "\
# What we earn.
insight: revenue                      # standard
type: standard
from: order_completed
where: status = 'paid' and amount > 0
metrics:
  orders: count(*)
  revenue: sum(amount)
  buyers: count(distinct user_id)
  order_value: avg(amount)
  mobile_share: percent(device = 'mobile')
by: [country, plan]
timezone: Asia/Kolkata
refresh: 5m
alerts:
  - { when: revenue < 10000, window: day, notify: ops }
";

fn one(text: &str) -> Parsed {
    match parse("test.yaml", text) {
        Ok(mut parsed) if parsed.len() == 1 => parsed.remove(0),
        Ok(parsed) => panic!("{} definitions", parsed.len()),
        Err(found) => panic!("{}", shown(&found)),
    }
}

fn shown(found: &[Diagnostic]) -> String {
    found.iter().map(|diagnostic| format!("{diagnostic}\n")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_of_the_contract_is_read() {
    let parsed = one(REVENUE);
    let definition = &parsed.definition;
    assert_eq!(definition.name, "revenue");
    assert_eq!(definition.timezone.name(), "Asia/Kolkata");
    assert_eq!((definition.refresh, definition.top), (Refresh::Minutes5, TOP_DEFAULT));
    assert_eq!(definition.by, [Column::Property("country".to_owned()), Column::Property("plan".to_owned())]);
    assert_eq!(definition.alerts[0].when, "revenue < 10000");
    let Body::Standard(standard) = &definition.body else { panic!("it is standard") };
    assert_eq!(standard.from, From::Names(vec!["order_completed".to_owned()]));
    assert!(matches!(&standard.filter, Some(Expr::And(parts)) if parts.len() == 2));
    let words: Vec<&str> = standard.metrics.iter().map(|metric| metric.function.word()).collect();
    assert_eq!(words, ["count", "sum", "count(distinct)", "avg", "percent"]);
    assert!(matches!(&standard.metrics[2].function, Function::CountDistinct(Expr::Read(read)) if read.at.is_none()));
}

#[test]
fn spans_point_at_names_events_and_properties() {
    let spans = one(REVENUE).spans;
    assert_eq!((spans.name.line, spans.name.column, spans.name.length), (2, 10, 7));
    assert_eq!(spans.keys["timezone"].line, 13);
    let (event, place) = &spans.events[0];
    assert_eq!((event.as_str(), place.line, place.column), ("order_completed", 4, 7));
    let found: Vec<String> = spans
        .properties
        .iter()
        .map(|use_| {
            let read = use_.read.map_or("any", Type::word);
            format!("{} {read} {}:{}", use_.key, use_.place.line, use_.place.column)
        })
        .collect();
    assert_eq!(
        found,
        [
            "status text 5:8",
            "amount number 5:28",
            "amount number 8:16",
            "user_id any 9:26",
            "amount number 10:20",
            "device text 11:25",
            "country any 12:6",
            "plan any 12:15",
        ]
    );
}

#[test]
fn a_file_holds_several_insights_and_each_text_stands_alone() {
    let second = "insight: all_events\nfrom: '*'\nmetrics: {events: count(*)}\nweek_start: monday\n";
    let parsed = parse("f", &format!("---\n{REVENUE}---\n# next\n{second}---\n")).unwrap();
    assert_eq!(parsed.len(), 2);
    assert!(parsed[1].text.starts_with("# next\ninsight: all_events"));
    for each in &parsed {
        assert_eq!(one(&each.text).definition, each.definition);
    }
    let Body::Standard(standard) = &parsed[1].definition.body else { panic!("it is standard") };
    assert_eq!(standard.from, From::All);
}

#[test]
fn stored_json_gives_the_same_definition() {
    let definition = one(REVENUE).definition;
    let json = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), definition);
}

#[test]
fn the_deepest_expression_is_stored_and_loaded() {
    for wrap in [" = true", " not in (true)", " not between false and true", " is not null"] {
        deepest_of(wrap);
    }
}

fn deepest_of(wrap: &str) {
    let deepest = |levels: usize| {
        let mut condition = "p".to_owned();
        for _ in 0..levels {
            condition = format!("({condition}{wrap})");
        }
        parse("f", &format!("insight: a\nfrom: b\nmetrics:\n  m: count(*) filter (where not {condition})\n"))
    };
    let levels = (1..100).take_while(|levels| deepest(*levels).is_ok()).last().unwrap();
    assert!(levels > 5, "{wrap}: {levels}");
    let definition = deepest(levels).unwrap().remove(0).definition;
    let json = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), definition);
}

#[test]
fn hints_type_what_use_does_not() {
    let text = "insight: a\nfrom: b\nmetrics: {last: max(plan)}\n";
    let read = |parsed: &Parsed| match &parsed.definition.metrics()[0].function {
        Function::Max(Expr::Read(read)) => read.at,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&one(text)), Some(Type::Number));
    let hints = Hints::from([("plan".to_owned(), Type::Text)]);
    assert_eq!(read(&parse_hinted("f", text, &hints).unwrap()[0]), Some(Type::Text));
    let typed = one("insight: a\nfrom: b\nwhere: plan >= ''\nmetrics: {last: max(plan)}\n");
    assert_eq!(read(&typed), Some(Type::Text));
}

/// Every `schemas/samples/errors/*.yaml` is refused with exactly the words beside it; `UPDATE=1` rewrites them.
#[test]
fn mistakes_are_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/errors");
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == "yaml")) {
        count += 1;
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let found = parse(&format!("insights/{name}"), &text).err().map_or("accepted\n".to_owned(), |f| shown(&f));
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        if found == "accepted\n" || std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    assert!(count >= 30, "{count} samples");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        let _ = parse("f", &text);
    }

    #[test]
    fn any_lines_are_answered(lines in prop::collection::vec(prop::sample::select(vec![
        "insight: a", "from: b", "from: '*'", "where: |", "  x = 'ü'", "where: >-", "metrics:", "  m: count(*)", "---",
        "...", "\tx", "  - {a: b}", "'a': \"b\\u00e4\\\n   c\"", "by: [", "]", "? x", ": y", "&a *a", "!t v", "%YAML 1.2",
        "metrics: {m: \"sum(a) filter (where \\\"b\\\" = 1)\"}", "\u{feff}", "where: 'a''b", "", "  ''", "alerts: [{when: m < 1}]",
    ]), 0..12)) {
        if let Err(found) = parse("f", &lines.join("\n")) {
            prop_assert!(!found.is_empty());
            prop_assert!(found.iter().all(|diagnostic| !diagnostic.to_string().is_empty()));
        }
    }

    #[test]
    fn any_expression_is_answered(text in "[-a-c0-9'\"()=<>*+., ünotiadrlkewh]{0,40}") {
        let yaml = format!("insight: a\nfrom: b\nwhere: |\n  {text}\nmetrics: {{m: count(*)}}\n");
        let _ = parse("f", &yaml);
    }
}
