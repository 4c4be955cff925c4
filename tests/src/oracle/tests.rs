//! The oracle against cases worked out by hand.

use tidemill_schemas::calendar::{WeekStart, Zone};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::definition::Refresh;
use tidemill_schemas::expression::{Arithmetic, Comparison, Expr, Pattern};
use tidemill_schemas::metric::{Function, Metric};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;

use super::compare::differences;
use super::evaluate::{evaluate, lower};
use super::*;

fn number(text: &str) -> Value {
    Value::Number(text.parse::<Decimal>().unwrap())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn event(id: &str, rev: u64, time: &str, properties: &[(&str, Value)]) -> Event {
    let time = Timestamp::parse(time).unwrap();
    Event {
        id: id.to_owned(),
        source: "shop".to_owned(),
        name: "order".to_owned(),
        actor: None,
        time,
        properties: properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        rev,
        deleted: false,
        received: time.plus_seconds(1),
    }
}

fn tombstone(id: &str, rev: u64) -> Event {
    Event { deleted: true, properties: BTreeMap::new(), ..event(id, rev, "2026-01-01T00:00:00Z", &[]) }
}

fn property(key: &str, at: Option<Type>) -> Expr {
    Expr::Read(Read { column: Column::Property(key.to_owned()), at })
}

fn amount() -> Expr {
    property("amount", Some(Type::Number))
}

fn metric(name: &str, function: Function) -> Metric {
    Metric { name: name.to_owned(), function, filter: None }
}

fn definition(zone: &str, by: &[&str], metrics: Vec<Metric>) -> Definition {
    Definition {
        name: "orders".to_owned(),
        title: None,
        owner: None,
        source: None,
        timezone: Zone::named(zone).unwrap(),
        week_start: WeekStart::Sunday,
        refresh: Refresh::Minutes5,
        by: by.iter().map(|key| Column::Property((*key).to_owned())).collect(),
        top: 25,
        alerts: Vec::new(),
        body: Body::Standard(Standard { from: From::All, filter: None, metrics }),
    }
}

fn ask(definition: &Definition, events: &[Event], first: &str, last: &str, every: Option<Period>) -> Vec<String> {
    let question = Question {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        every,
        by: definition.by.clone(),
        top: 2,
    };
    let answer = answer(definition, events, &question).unwrap();
    let cells = |row: &Row| row.iter().map(|(_, cell)| cell.clone()).collect::<Vec<_>>().join(" ");
    answer.rows.iter().map(cells).collect()
}

#[test]
fn the_highest_revision_stands_whatever_came_when() {
    let events = [
        event("a", 2, "2026-03-02T10:00:00Z", &[("amount", number("7"))]),
        event("a", 1, "2026-03-01T10:00:00Z", &[("amount", number("5"))]),
        event("b", 0, "2026-03-01T10:00:00Z", &[("amount", number("1"))]),
        tombstone("c", 5),
        event("c", 4, "2026-03-01T10:00:00Z", &[("amount", number("100"))]),
        tombstone("d", 1),
        event("d", 2, "2026-03-01T11:00:00Z", &[("amount", number("0.50"))]),
        event("b", 0, "2026-03-01T10:00:00Z", &[("amount", number("1"))]),
    ];
    let orders = definition("UTC", &[], vec![metric("n", Function::Count), metric("sum", Function::Sum(amount()))]);
    assert_eq!(
        ask(&orders, &events, "2026-03-01", "2026-03-03", Some(Period::Day)),
        [r#""2026-03-01T00:00:00Z" 2 1.5"#, r#""2026-03-02T00:00:00Z" 1 7"#, r#""2026-03-03T00:00:00Z" 0 null"#]
    );
    assert_eq!(ask(&orders, &events, "2026-03-01", "2026-03-03", None), [r#""2026-03-01T00:00:00Z" 3 8.5"#]);
}

#[test]
fn days_end_at_local_midnight() {
    let events = [
        event("a", 0, "2026-03-28T22:59:59.999999Z", &[]),
        event("b", 0, "2026-03-28T23:00:00Z", &[]),
        event("c", 0, "2026-03-29T21:59:59Z", &[]),
        event("d", 0, "2026-03-29T22:00:00Z", &[]),
    ];
    let orders = definition("Europe/Berlin", &[], vec![metric("n", Function::Count)]);
    assert_eq!(
        ask(&orders, &events, "2026-03-28", "2026-03-30", Some(Period::Day)),
        [r#""2026-03-28T00:00:00+01:00" 1"#, r#""2026-03-29T00:00:00+01:00" 2"#, r#""2026-03-30T00:00:00+02:00" 1"#]
    );
    // 2026-03-29 is a Sunday: the first day of a week.
    assert_eq!(
        ask(&orders, &events, "2026-03-22", "2026-04-04", Some(Period::Week)),
        [r#""2026-03-22T00:00:00+01:00" 1"#, r#""2026-03-29T00:00:00+01:00" 3"#]
    );
}

#[test]
fn groups_are_ranked_over_the_whole_range() {
    let sold = |id: &str, day: u8, country: Value, value: &str| {
        event(id, 0, &format!("2026-01-0{day}T12:00:00Z"), &[("country", country), ("amount", number(value))])
    };
    let events = [
        sold("1", 1, text("IN"), "10"),
        sold("2", 2, text("IN"), "10"),
        sold("3", 1, text("DE"), "15"),
        sold("4", 1, text(""), "12"),
        sold("5", 1, number("34"), "12"),
        sold("6", 1, Value::Null, "99"),
        sold("7", 2, text("34"), "1"),
    ];
    let orders = definition("UTC", &["country"], vec![metric("sum", Function::Sum(amount()))]);
    assert_eq!(
        ask(&orders, &events, "2026-01-01", "2026-01-02", Some(Period::Day)),
        [
            r#""2026-01-01T00:00:00Z" "IN" 10"#,
            r#""2026-01-01T00:00:00Z" "DE" 15"#,
            r#""2026-01-01T00:00:00Z" "$other" 24"#,
            r#""2026-01-01T00:00:00Z" "$null" 99"#,
            r#""2026-01-02T00:00:00Z" "IN" 10"#,
            r#""2026-01-02T00:00:00Z" "$other" 1"#,
        ]
    );
}

#[test]
fn ties_go_by_key_and_null_values_come_last() {
    let sold = |id: &str, country: Value, amount: Option<&str>| {
        let mut properties = vec![("country", country)];
        properties.extend(amount.map(|amount| ("amount", number(amount))));
        event(id, 0, "2026-01-01T12:00:00Z", &properties)
    };
    let events = [
        sold("1", text("A"), None),
        sold("2", text("34"), Some("-5")),
        sold("3", number("34"), Some("-5")),
        sold("4", text("z"), None),
    ];
    let orders = definition("UTC", &["country"], vec![metric("sum", Function::Sum(amount()))]);
    // The number comes before the text, both before what has no value; of the two without, one is beyond the top 3.
    let question = Question {
        first: "2026-01-01".parse().unwrap(),
        last: "2026-01-01".parse().unwrap(),
        every: None,
        by: orders.by.clone(),
        top: 3,
    };
    let rows = answer(&orders, &events, &question).unwrap().rows;
    let groups: Vec<&str> = rows.iter().map(|row| row[1].1.as_str()).collect();
    assert_eq!(groups, ["34", "\"34\"", "\"A\"", "\"$other\""]);
}

#[test]
fn a_group_is_all_null_only_when_every_column_is() {
    let pair = |id: &str, a: Value, b: Value| event(id, 0, "2026-01-01T12:00:00Z", &[("a", a), ("b", b)]);
    let events = [
        pair("1", text("x"), Value::Null),
        pair("2", Value::Null, Value::Null),
        pair("3", Value::Null, text("y")),
        pair("4", Value::Null, text("y")),
    ];
    let orders = definition("UTC", &["a", "b"], vec![metric("n", Function::Count)]);
    assert_eq!(
        ask(&orders, &events, "2026-01-01", "2026-01-01", None),
        [
            r#""2026-01-01T00:00:00Z" "$null" "y" 2"#,
            r#""2026-01-01T00:00:00Z" "x" "$null" 1"#,
            r#""2026-01-01T00:00:00Z" "$null" "$null" 1"#,
        ]
    );
}

#[test]
fn every_metric_by_hand() {
    let values = ["1", "2", "2", "10.5", "-3"];
    let mut events: Vec<Event> = values
        .iter()
        .enumerate()
        .map(|(at, value)| event(&at.to_string(), 0, "2026-01-01T12:00:00Z", &[("amount", number(value))]))
        .collect();
    events.push(event("text", 0, "2026-01-01T12:00:00Z", &[("amount", text("2"))]));
    events.push(event("none", 0, "2026-01-01T12:00:00Z", &[]));
    let any = || property("amount", None);
    let over = Expr::Compare(Comparison::Gt, Box::new(amount()), Box::new(Expr::Literal(number("1"))));
    let q = |text: &str| Function::Quantile(amount(), text.parse().unwrap());
    let mut filtered = metric("filtered", Function::Percent(over.clone()));
    filtered.filter = Some(Expr::Not(Box::new(Expr::IsNull(Box::new(amount())))));
    let metrics = vec![
        metric("count", Function::Count),
        metric("of", Function::CountOf(any())),
        metric("sum", Function::Sum(amount())),
        metric("avg", Function::Avg(amount())),
        metric("min", Function::Min(amount())),
        metric("max", Function::Max(amount())),
        metric("distinct", Function::CountDistinct(any())),
        metric("share", Function::Percent(over)),
        filtered,
        metric("q0", q("0")),
        metric("median", q("0.5")),
        metric("q80", q("0.8")),
        metric("q81", q("0.81")),
    ];
    let orders = definition("UTC", &[], metrics);
    // 3 of 7 rows are over 1, and 3 of the 5 with a number; ranks: -3 1 2 2 10.5.
    assert_eq!(
        ask(&orders, &events, "2026-01-01", "2026-01-01", None),
        [r#""2026-01-01T00:00:00Z" 7 6 12.5 2.5 -3 10.5 5 42.857143 60 -3 2 2 10.5"#]
    );
    let question = Question {
        first: "2026-01-01".parse().unwrap(),
        last: "2026-01-01".parse().unwrap(),
        every: None,
        by: vec![],
        top: 25,
    };
    let skipped = answer(&orders, &events, &question).unwrap().skipped;
    assert_eq!(skipped.keys().collect::<Vec<_>>(), ["avg", "max", "median", "min", "q0", "q80", "q81", "sum"]);
    assert!(skipped.values().all(|rows| *rows == 2));
}

#[test]
fn sums_are_exact_and_only_the_result_must_fit() {
    let nines = "9".repeat(38);
    let minus = format!("-{nines}");
    let sum = |values: &[&str]| {
        let events: Vec<Event> = values
            .iter()
            .enumerate()
            .map(|(at, value)| event(&at.to_string(), 0, "2026-01-01T12:00:00Z", &[("amount", number(value))]))
            .collect();
        let events: Vec<&Event> = events.iter().collect();
        measure::value(&metric("sum", Function::Sum(amount())), &events)
    };
    assert_eq!(sum(&["10000000000000000", "-10000000000000000", "0.1", "0.2", "0.3"]), Ok(number("0.6")));
    assert_eq!(sum(&[&nines, &nines, &minus]), Ok(number(&nines)));
    assert_eq!(sum(&[&minus, &minus, &nines, "1"]), Ok(number(&format!("-{}8", "9".repeat(37)))));
    assert_eq!(sum(&["1", "-1.000000000000000001"]), Ok(number("-0.000000000000000001")));
    assert_eq!(sum(&["-10", "9"]), Ok(number("-1")));
    assert_eq!(sum(&[&nines, &nines]), Err(Overflow::at("sum")));
}

#[test]
fn unknown_is_neither_true_nor_false() {
    let order = event("a", 0, "2026-01-01T12:00:00Z", &[("status", text("paid")), ("amount", text("34"))]);
    let literal = |value: Value| Box::new(Expr::Literal(value));
    let status = || property("status", Some(Type::Text));
    let yes = Expr::Compare(Comparison::Eq, Box::new(status()), literal(text("paid")));
    // amount is text here, so reading it as a number is null, and 34 = "34" is unknown.
    let unknown = Expr::Compare(Comparison::Eq, Box::new(amount()), literal(number("34")));
    let is = |expr: &Expr| evaluate(expr, &order).unwrap();
    assert_eq!(is(&unknown), Value::Null);
    assert_eq!(is(&Expr::Not(Box::new(unknown.clone()))), Value::Null);
    assert_eq!(is(&Expr::And(vec![yes.clone(), unknown.clone()])), Value::Null);
    assert_eq!(is(&Expr::Or(vec![unknown.clone(), yes.clone()])), Value::Bool(true));
    assert_eq!(is(&Expr::And(vec![unknown.clone(), Expr::Not(Box::new(yes.clone()))])), Value::Bool(false));
    assert_eq!(is(&Expr::IsNull(Box::new(amount()))), Value::Bool(true));
    assert_eq!(is(&Expr::IsNull(Box::new(property("amount", None)))), Value::Bool(false));
    assert_eq!(is(&Expr::In(Box::new(amount()), vec![number("34")])), Value::Null);
    assert_eq!(is(&Expr::Arithmetic(Arithmetic::Mul, literal(number("1.5")), literal(number("-2")))), number("-3"));
    let like = |pattern: &str| is(&Expr::Matches(Box::new(status()), Pattern::Like(pattern.to_owned())));
    assert_eq!(like("p%d"), Value::Bool(true));
    assert_eq!(like("p_d"), Value::Bool(false));
    assert_eq!(like("%"), Value::Bool(true));
    assert_eq!(like("PAID"), Value::Bool(false));
    let pattern = Pattern::Ilike("PA__".to_owned());
    assert_eq!(is(&Expr::Matches(Box::new(status()), pattern)), Value::Bool(true));
    assert_eq!(lower("İΑΣ"), "iασ");
}

#[test]
fn late_is_an_hour_after_the_local_day() {
    let mut on_time = event("a", 0, "2026-01-01T12:00:00Z", &[]);
    on_time.received = Timestamp::parse("2026-01-02T01:00:00Z").unwrap();
    let mut late = event("b", 0, "2026-01-01T12:00:00Z", &[]);
    late.received = on_time.received.plus_micros(1);
    let orders = definition("UTC", &[], vec![metric("n", Function::Count)]);
    let question = Question {
        first: "2026-01-01".parse().unwrap(),
        last: "2026-01-01".parse().unwrap(),
        every: None,
        by: vec![],
        top: 25,
    };
    assert_eq!(answer(&orders, &[on_time, late], &question).unwrap().late, 1);
}

#[test]
fn differences_are_told() {
    let exact = Function::CountDistinct(property("user", None));
    let approx = Function::ApproxCountDistinct(property("user", None));
    let users = definition("UTC", &[], vec![metric("users", exact), metric("about", approx)]);
    let row = |users: &str, about: &str| {
        vec![
            ("time".to_owned(), "\"2026-01-01T00:00:00Z\"".to_owned()),
            ("users".to_owned(), users.to_owned()),
            ("about".to_owned(), about.to_owned()),
        ]
    };
    let expected = Answer { rows: vec![row("1000", "1000")], ..Answer::default() };
    let body = |users: &str, about: &str| {
        format!(r#"{{"rows":[{{"time":"2026-01-01T00:00:00Z","users":{users},"about":{about}}}]}}"#)
    };
    assert_eq!(differences(&users, &expected, &body("1000.0", "1032")), Vec::<String>::new());
    assert_eq!(differences(&users, &expected, &body("1000", "1033")), ["row 0: `about` must be 1000, is 1033"]);
    assert_eq!(differences(&users, &expected, &body("999", "1000")), ["row 0: `users` must be 1000, is 999"]);
    assert_eq!(differences(&users, &expected, r#"{"rows":[]}"#), ["1 rows expected, 0 given"]);
    let late = r#"{"rows":[],"completeness":{"late":2,"skipped":{"x":1,"y":0}}}"#;
    let empty = Answer::default();
    assert_eq!(
        differences(&users, &empty, late),
        ["late: 0 expected, 2 given", r#"skipped: {} expected, {"x": 1} given"#]
    );
}
