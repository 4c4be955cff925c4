use super::*;
use crate::arbitrary::now;

fn event(properties: &str) -> Event {
    let line = format!(r#"{{"id":"1","name":"n","time":0,"properties":{properties}}}"#);
    let decoded = crate::codec::native::decode(line.as_bytes(), "s", now()).unwrap();
    decoded.events.into_iter().next().unwrap().unwrap()
}

/// The property columns of rows with these properties, as `name: type`.
fn columns(rows: &[&str], primary: Type) -> Vec<String> {
    let events: Vec<Event> = rows.iter().map(|row| event(row)).collect();
    let built = build(&events.iter().collect::<Vec<_>>(), &|_| primary).unwrap();
    let envelope = envelope_fields().len();
    let fields = built.batch.schema_ref().fields()[envelope..].to_vec();
    fields.iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect()
}

#[test]
fn numbers_take_the_narrowest_exact_type() {
    for (rows, expected) in [
        (vec![r#"{"a":1}"#, r#"{"a":-9223372036854775808}"#], "a: Int64"),
        (vec![r#"{"a":1}"#, r#"{"a":9223372036854775808}"#], "a: Decimal128(19, 0)"),
        (vec![r#"{"a":1.5}"#, r#"{"a":100}"#], "a: Decimal128(4, 1)"),
        (vec![r#"{"a":0.001}"#], "a: Decimal128(3, 3)"),
        // The long one goes to `$rare`, the others keep their column.
        (vec![r#"{"a":1e37}"#, r#"{"a":0.5}"#], "a: Decimal128(1, 1)|$rare: Utf8"),
        (vec![r#"{"a":1e36}"#, r#"{"a":0.5}"#], "a: Decimal128(38, 1)"),
    ] {
        let expected: Vec<&str> = expected.split('|').collect();
        assert_eq!(columns(&rows, Type::Number), expected, "{rows:?}");
    }
}

#[test]
fn a_property_has_a_column_per_type_and_text_a_dictionary_where_it_repeats() {
    assert_eq!(
        columns(&[r#"{"a":1}"#, r#"{"a":"x"}"#, r#"{"a":true}"#], Type::Number),
        ["a$boolean: Boolean", "a: Int64", "a$text: Utf8"]
    );
    assert_eq!(columns(&[r#"{"a":"x"}"#, r#"{"a":"x"}"#, r#"{}"#], Type::Text), ["a: Dictionary(Int32, Utf8)"]);
    assert_eq!(columns(&["{}"], Type::Text), [""; 0]);
}

#[test]
fn names_differ_in_any_letter_case() {
    assert_eq!(
        columns(&[r#"{"Repo":1,"repo":2,"REPO":3,"Id":4,"properties.id":5,"$rare":6}"#], Type::Number),
        [
            "properties.$rare: Int64",
            "properties.Id: Int64",
            "REPO: Int64",
            "Repo$2: Int64",
            "properties.id$2: Int64",
            "repo$3: Int64"
        ]
    );
}

#[test]
fn the_rarest_columns_go_to_rare() {
    let mut keys: Vec<String> = (0..200).map(|n| format!("\"p{n:03}\":1")).collect();
    let first = format!("{{{}}}", keys.join(","));
    keys.truncate(100);
    keys.extend((0..100).map(|n| format!("\"q{n:03}\":\"x\"")));
    let second = format!("{{{}}}", keys.join(","));
    let found = columns(&[&first, &second], Type::Number);
    // 300 properties: 100 with two cells, 200 with one, of which the last 44 in order are out.
    assert_eq!(found.len(), PAGE_PROPERTY_COLUMNS_MAX + 1);
    assert!(found.contains(&"q055$text: Utf8".to_owned()) && !found.contains(&"q056$text: Utf8".to_owned()));
    assert_eq!(found.last().map(String::as_str), Some("$rare: Utf8"));
}

#[test]
fn properties_are_told_by_event_name() {
    let (mut a, b) = (event(r#"{"x":1}"#), event(r#"{"x":"t","y":true}"#));
    a.name = "a".to_owned();
    let mut gone = event("{}");
    (gone.name, gone.deleted) = ("gone".to_owned(), true);
    let built = build(&[&a, &b, &gone], &|_| Type::Text).unwrap();
    let x = |at| Properties::from([("x".to_owned(), BTreeSet::from([at]))]);
    assert_eq!(built.names.keys().collect::<Vec<_>>(), ["a", "n"]);
    assert_eq!(built.names["a"], x(Type::Number));
    assert_eq!(built.names["n"].len(), 2);
}
