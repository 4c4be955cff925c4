use super::*;
use crate::definition::parse;
use crate::time::Timestamp;
use crate::value::Value;

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (name, properties) in [
        ("order_completed", vec![("status", Value::Text(String::new())), ("amount", Value::Number(1i64.into()))]),
        ("page_viewed", vec![("path", Value::Text(String::new())), ("amount", Value::Text(String::new()))]),
    ] {
        let mut other = Catalogue::default();
        other.add(&Event {
            id: "1".to_owned(),
            source: "s".to_owned(),
            name: name.to_owned(),
            actor: None,
            time: Timestamp::MIN,
            properties: properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            rev: 1,
            deleted: false,
            received: Timestamp::MIN,
        });
        catalogue.merge(&other);
    }
    catalogue
}

fn check(from: &str, condition: &str) -> Vec<String> {
    let text = format!("insight: a\nfrom: {from}\nwhere: {condition}\nmetrics: {{n: count(*)}}\n");
    let parsed = parse("f.yaml", &text).unwrap_or_else(|found| panic!("{}", found[0]));
    let found = check_known(&parsed[0], &catalogue());
    found
        .iter()
        .map(|d| {
            format!("{} {} {}:{} {}", d.severity.word(), d.code, d.line, d.column, d.help.as_deref().unwrap_or(""))
        })
        .collect()
}

#[test]
fn unknown_names_are_found_with_what_was_meant() {
    assert_eq!(check("order_completed", "status = 'paid' and amount > 0"), [""; 0]);
    assert_eq!(check("ordr_completed", "statu = 'x'"), ["warning TM0240 2:7 did you mean `order_completed`?"]);
    assert_eq!(
        check("order_completed", "statu = 'paid'"),
        ["error TM0241 3:8 did you mean `status`? if `statu` is a new one, send an event that has it first"]
    );
    assert_eq!(check("order_completed", "path = 'x'"), ["warning TM0241 3:8 seen so far: amount, status"]);
    assert_eq!(check("'*'", "path = 'x' and amount = 'x'"), [""; 0]);
    assert_eq!(
        check("order_completed", "amount = '5'"),
        ["error TM0242 3:8 it is not a text: compare it without quotes"]
    );
    assert_eq!(check("page_viewed", "amount > 5")[0].split_once(" send").unwrap().0, "error TM0242 3:8");
    assert_eq!(check("page_viewed", "amount is null"), [""; 0]);
}

#[test]
fn nothing_seen_finds_nothing() {
    let parsed = parse("f", "insight: a\nfrom: b\nwhere: c = 1\nmetrics: {n: count(*)}\n").unwrap();
    assert_eq!(check_known(&parsed[0], &Catalogue::default()), []);
}

#[test]
fn merging_is_a_union() {
    let mut twice = catalogue();
    twice.merge(&catalogue());
    assert_eq!(twice, catalogue());
    assert_eq!(catalogue().hints().get("amount"), None);
    assert_eq!(catalogue().hints().get("status"), Some(&Type::Text));
}
