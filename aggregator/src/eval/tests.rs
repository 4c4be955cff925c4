use proptest::prelude::*;
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::expression::{Column, Expr, Pattern};

use super::*;
use crate::testing::frame_of;
use crate::testing::{Layout, Row, any, at, batch, layouts, number, read, row, rows, text};

/// The plain reading of an expression over one row.
fn naive(expr: &Expr, row: &Row) -> Result<Value, EvalError> {
    Ok(match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Read(Read { column, at }) => {
            let value = match column {
                Column::Id => text(&row.id),
                Column::Source => text(&row.source),
                Column::Name => text(&row.name),
                Column::Actor => row.actor.as_deref().map_or(Value::Null, text),
                Column::Time => Value::Time(row.time),
                Column::Property(key) => row.properties.get(key).cloned().unwrap_or(Value::Null),
            };
            if at.is_none() || value.type_of() == *at { value } else { Value::Null }
        }
        Expr::And(parts) => three(parts, row, false)?,
        Expr::Or(parts) => three(parts, row, true)?,
        Expr::Not(inner) => match naive(inner, row)? {
            Value::Bool(value) => Value::Bool(!value),
            _ => Value::Null,
        },
        Expr::Compare(how, left, right) => match (naive(left, row)?, naive(right, row)?) {
            (Value::Null, _) | (_, Value::Null) => Value::Null,
            (a, b) => Value::Bool(match how {
                Comparison::Eq => a == b,
                Comparison::Neq => a != b,
                Comparison::Lt => a < b,
                Comparison::Lte => a <= b,
                Comparison::Gt => a > b,
                Comparison::Gte => a >= b,
            }),
        },
        Expr::In(inner, values) => match naive(inner, row)? {
            Value::Null => Value::Null,
            value => Value::Bool(values.contains(&value)),
        },
        Expr::IsNull(inner) => Value::Bool(naive(inner, row)? == Value::Null),
        Expr::Matches(inner, pattern) => match naive(inner, row)? {
            Value::Text(value) => Value::Bool(naive_match(pattern, &value)),
            _ => Value::Null,
        },
        Expr::Arithmetic(how, left, right) => match (naive(left, row)?, naive(right, row)?) {
            (Value::Number(a), Value::Number(b)) => {
                let result = match how {
                    Arithmetic::Add => a.checked_add(b),
                    Arithmetic::Sub => a.checked_sub(b),
                    Arithmetic::Mul => a.checked_mul(b),
                };
                Value::Number(result.ok_or(EvalError::Overflow)?)
            }
            _ => Value::Null,
        },
        Expr::Lower(inner) => match naive(inner, row)? {
            Value::Text(value) => Value::Text(value.to_lowercase()),
            _ => Value::Null,
        },
    })
}

fn three(parts: &[Expr], row: &Row, deciding: bool) -> Result<Value, EvalError> {
    let values = parts.iter().map(|part| naive(part, row)).collect::<Result<Vec<Value>, _>>()?;
    Ok(if values.contains(&Value::Bool(deciding)) {
        Value::Bool(deciding)
    } else if values.contains(&Value::Null) {
        Value::Null
    } else {
        Value::Bool(!deciding)
    })
}

fn naive_match(pattern: &Pattern, value: &str) -> bool {
    fn like(pattern: &[char], value: &[char]) -> bool {
        match (pattern.first(), value.first()) {
            (None, None) => true,
            (Some('%'), _) => like(&pattern[1..], value) || (!value.is_empty() && like(pattern, &value[1..])),
            (Some('_'), Some(_)) => like(&pattern[1..], &value[1..]),
            (Some(a), Some(b)) => a == b && like(&pattern[1..], &value[1..]),
            _ => false,
        }
    }
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    match pattern {
        Pattern::Like(pattern) => like(&chars(pattern), &chars(value)),
        Pattern::Ilike(pattern) => like(&chars(&pattern.to_lowercase()), &chars(&value.to_lowercase())),
        Pattern::StartsWith(part) => value.starts_with(part),
        Pattern::EndsWith(part) => value.ends_with(part),
        Pattern::Contains(part) => value.contains(part),
        Pattern::Regex(regex) => regex::Regex::new(regex).unwrap().is_match(value),
    }
}

fn literal(of: impl Strategy<Value = Value>) -> impl Strategy<Value = Expr> {
    prop_oneof![9 => of, 1 => Just(Value::Null)].prop_map(Expr::Literal)
}

fn numeric() -> impl Strategy<Value = Expr> {
    let large = Just(number("99999999999999999999999999999999999999"));
    let fine = Just(number("0.000000000000000001"));
    let constants = prop_oneof![6 => crate::testing::numbers(), 1 => large, 1 => fine];
    let leaf = prop_oneof![
        2 => Just(read("amount", Type::Number)),
        1 => Just(read("kind", Type::Number)),
        1 => literal(constants)
    ];
    leaf.prop_recursive(3, 6, 2, |inner| {
        let how = prop_oneof![Just(Arithmetic::Add), Just(Arithmetic::Sub), Just(Arithmetic::Mul)];
        (how, inner.clone(), inner).prop_map(|(how, a, b)| Expr::Arithmetic(how, Box::new(a), Box::new(b)))
    })
}

fn textual() -> impl Strategy<Value = Expr> {
    let word = prop_oneof![Just("a"), Just(""), Just("b"), Just("34"), Just("Ärger"), Just("order")];
    let leaf = prop_oneof![
        Just(read("country", Type::Text)),
        Just(read("kind", Type::Text)),
        Just(Expr::Read(Read { column: Column::Name, at: Some(Type::Text) })),
        Just(Expr::Read(Read { column: Column::Actor, at: Some(Type::Text) })),
        literal(word.prop_map(text)),
    ];
    (leaf, proptest::bool::weighted(0.2)).prop_map(|(e, low)| if low { Expr::Lower(Box::new(e)) } else { e })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    ("[aABrdeÄ%_]{0,4}", 0usize..6).prop_map(|(part, kind)| match kind {
        0 => Pattern::Like(part),
        1 => Pattern::Ilike(part),
        2 => Pattern::StartsWith(part),
        3 => Pattern::EndsWith(part),
        4 => Pattern::Contains(part),
        _ => Pattern::Regex(part),
    })
}

fn condition() -> impl Strategy<Value = Expr> {
    let how = || {
        prop_oneof![
            Just(Comparison::Eq),
            Just(Comparison::Neq),
            Just(Comparison::Lt),
            Just(Comparison::Lte),
            Just(Comparison::Gt),
            Just(Comparison::Gte)
        ]
    };
    let compare = |(how, a, b)| Expr::Compare(how, Box::new(a), Box::new(b));
    let list = |(inner, mut values): (Expr, Vec<Value>)| {
        values.sort();
        values.dedup();
        Expr::In(Box::new(inner), values)
    };
    let words = prop_oneof![Just("a"), Just("34"), Just("order"), Just("u1")].prop_map(text);
    let time = || Expr::Read(Read { column: Column::Time, at: Some(Type::Time) });
    let leaf = prop_oneof![
        4 => (how(), numeric(), numeric()).prop_map(compare),
        3 => (how(), textual(), textual()).prop_map(compare),
        1 => how().prop_map(move |how| compare((how, time(), Expr::Literal(Value::Time(at("2026-10-25T00:00:00Z")))))),
        1 => (how(), proptest::bool::ANY)
            .prop_map(move |(how, b)| compare((how, read("kind", Type::Bool), Expr::Literal(Value::Bool(b))))),
        1 => Just(read("kind", Type::Bool)),
        2 => (numeric(), proptest::collection::vec(crate::testing::numbers(), 1..4)).prop_map(list),
        2 => (textual(), proptest::collection::vec(words, 1..4)).prop_map(list),
        2 => (textual(), pattern()).prop_map(|(inner, pattern)| Expr::Matches(Box::new(inner), pattern)),
        1 => Just(Expr::IsNull(Box::new(any("kind")))),
        1 => numeric().prop_map(|inner| Expr::IsNull(Box::new(inner))),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Expr::And),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn columns_of(expr: &Expr) -> std::collections::BTreeSet<Column> {
    let mut columns = std::collections::BTreeSet::new();
    expr.reads(&mut |read| {
        columns.insert(read.column.clone());
    });
    columns
}

/// Evaluates over a batch and row by row; both must agree, in values and in failing.
fn agree(expr: &Expr, rows: &[Row], layout: Layout) {
    let batch = batch(rows, layout);
    let columns = columns_of(expr);
    let frame = frame_of(&batch, &columns).unwrap();
    let expected: Result<Vec<Value>, EvalError> = rows.iter().map(|row| naive(expr, row)).collect();
    let got = Node::compile(expr)
        .evaluate(&frame, None)
        .map(|vector| (0..rows.len()).map(|row| vector.value(row)).collect::<Vec<Value>>());
    assert_eq!(got, expected, "{expr:?} over {rows:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conditions_agree_with_the_plain_reading(expr in condition(), rows in rows(), layout in layouts()) {
        agree(&expr, &rows, layout);
    }

    #[test]
    fn numbers_agree_with_the_plain_reading(expr in numeric(), rows in rows(), layout in layouts()) {
        agree(&expr, &rows, layout);
    }
}

#[test]
fn an_overflow_matters_only_in_rows_that_are_asked_for() {
    let large = number("99999999999999999999999999999999999999");
    let rows =
        [row("2026-01-01T00:00:00Z", &[("amount", number("2"))]), row("2026-01-01T00:00:00Z", &[("amount", large)])];
    let batch = batch(&rows, Layout::default());
    let expr = Expr::Arithmetic(
        Arithmetic::Mul,
        Box::new(read("amount", Type::Number)),
        Box::new(Expr::Literal(number("10"))),
    );
    let columns = columns_of(&expr);
    let frame = frame_of(&batch, &columns).unwrap();
    let node = Node::compile(&expr);
    assert_eq!(node.evaluate(&frame, None).unwrap_err(), EvalError::Overflow);
    let first = BooleanBuffer::from(vec![true, false]);
    assert_eq!(node.evaluate(&frame, Some(&first)).unwrap().value(0), Value::Number(Decimal::from(20i64)));
}

#[test]
fn a_broken_pattern_is_an_error_and_no_panic() {
    let expr = Expr::Matches(Box::new(read("country", Type::Text)), Pattern::Regex("(".to_owned()));
    let batch = batch(&[row("2026-01-01T00:00:00Z", &[("country", text("x"))])], Layout::default());
    let columns = columns_of(&expr);
    let frame = frame_of(&batch, &columns).unwrap();
    assert!(matches!(Node::compile(&expr).evaluate(&frame, None), Err(EvalError::Pattern(_))));
}

#[test]
fn small_letters_never_depend_on_their_neighbours() {
    // By the full mapping the final sigma would be another letter, and the dotted I two.
    assert_eq!(lower("ΑΣ ÄİẞK"), "ασ äißk");
    assert_eq!(lower("ABC"), "abc");
}
