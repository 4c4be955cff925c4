use super::*;

fn parsed(text: &str) -> String {
    match Decimal::parse(text) {
        Ok(decimal) => decimal.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn text_is_read_exactly_and_written_canonically() {
    for (text, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("1234.50", "1234.5"),
        ("18446744073709551616", "18446744073709551616"),
        ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ("2e3", "2000"),
        ("2.5E-3", "0.0025"),
        ("1e37", "10000000000000000000000000000000000000"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("0e999999999999999999999", "0"),
        ("-12.30e1", "-123"),
        ("1e38", "error: more than 38 digits"),
        ("1e400", "error: more than 38 digits"),
        ("1e-400", "error: more than 18 decimals"),
        ("0.0000000000000000001", "error: more than 18 decimals"),
        ("123456789012345678901234567890123456789", "error: more than 38 digits"),
        ("", "error: not a number"),
        ("-", "error: not a number"),
        ("01", "error: not a number"),
        ("1.", "error: not a number"),
        (".5", "error: not a number"),
        ("1e", "error: not a number"),
        ("+1", "error: not a number"),
        ("NaN", "error: not a number"),
        ("1 ", "error: not a number"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn order_holds_across_scales_and_at_the_ends() {
    let mut texts =
        ["1e37", "-1e37", "0.000000000000000001", "0", "-1", "2", "1.5"].map(|t| Decimal::parse(t).unwrap());
    texts.sort();
    assert_eq!(
        texts.map(|d| d.to_string()),
        [
            "-10000000000000000000000000000000000000",
            "-1",
            "0",
            "0.000000000000000001",
            "1.5",
            "2",
            "10000000000000000000000000000000000000"
        ]
    );
}

#[test]
fn a_result_that_does_not_fit_is_none() {
    let large = Decimal::parse("99999999999999999999999999999999999999").unwrap();
    assert_eq!(large.checked_add(Decimal::from(1i64)), None);
    assert_eq!(large.checked_mul(Decimal::from(2i64)), None);
    let tiny = Decimal::parse("0.000000000000000001").unwrap();
    assert_eq!(tiny.checked_mul(tiny), None);
    assert_eq!(large.checked_add(tiny), None);
}

#[test]
fn ratio_rounds_half_to_even() {
    for (a, b, scale, expected) in [
        ("1", "3", 6, "0.333333"),
        ("2", "3", 6, "0.666667"),
        ("1", "2", 0, "0"),
        ("3", "2", 0, "2"),
        ("5", "2", 0, "2"),
        ("-3", "2", 0, "-2"),
        ("-1", "2", 0, "0"),
        ("0.0000005", "1", 6, "0"),
        ("0.0000015", "1", 6, "0.000002"),
        ("0.0000025", "1", 6, "0.000002"),
        ("0.000000500000000001", "1", 6, "0.000001"),
        ("700", "12", 6, "58.333333"),
        ("99999999999999999999999999999999", "7", 6, "14285714285714285714285714285714.142857"),
        ("1", "99999999999999999999999999999999999999", 6, "0"),
        ("0", "5", 6, "0"),
    ] {
        let ratio = Decimal::ratio(Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap(), scale);
        assert_eq!(ratio.map(|r| r.to_string()).as_deref(), Some(expected), "{a} / {b}");
    }
    assert_eq!(Decimal::ratio(Decimal::from(1i64), Decimal::ZERO, 6), None);
}
