use super::*;

fn code() -> Code {
    Code { bucket: "b-artifacts".to_owned(), key: "functions/1.zip".to_owned(), architecture: "arm64".to_owned() }
}

#[test]
fn what_makes_no_sense_is_told_with_its_name_its_reason_and_what_would_do() {
    let some = |text: &str| Some(text.to_owned());
    let cases: [(&str, Choices, &str); 9] = [
        ("--express-zone", Choices { express_zone: some("us-east-1a"), ..Choices::default() }, "use1-az4"),
        ("--express-zone", Choices { express_zone: some("use1-az"), ..Choices::default() }, "use1-az4"),
        ("--retention-days", Choices { retention_days: some("31"), ..Choices::default() }, "3653"),
        ("--budget-usd", Choices { budget_usd: some("1.5"), ..Choices::default() }, "9999999"),
        ("--budget-usd", Choices { budget_usd: some("+5"), ..Choices::default() }, "9999999"),
        ("--budget-email", Choices { budget_email: some("ops@host"), ..Choices::default() }, "ops@example.com"),
        ("--kinesis", Choices { kinesis: some("0"), ..Choices::default() }, "on-demand"),
        ("--kinesis", Choices { kinesis: some("1000"), ..Choices::default() }, "1 to 999"),
        ("--repair-attempts", Choices { repair_attempts: some("11"), ..Choices::default() }, "0 to 10"),
    ];
    for (option, choices, wanted) in cases {
        let Err(Trouble::Choice { name, reason, fix, .. }) = choices.check() else { panic!("{choices:?} was taken") };
        assert_eq!(name, option);
        assert!(!reason.is_empty() && fix.contains(wanted), "{option}: {fix}");
    }
    let fine = Choices {
        express_zone: some("apne1-az4"),
        retention_days: some("14"),
        budget_usd: some("25"),
        budget_email: some("a@b.example"),
        kinesis: some("3"),
        repair_attempts: some("0"),
    };
    assert_eq!(fine.check(), Ok(()));
    let empty = Choices { express_zone: some(""), budget_email: some(""), kinesis: some("off"), ..Choices::default() };
    assert_eq!(empty.check(), Ok(()));
}

#[test]
fn names_of_stacks_are_names_of_buckets() {
    for name in ["tidemill", "t", "tidemill-2", "abcdefghijklmnopqrstuvwxy"] {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    for name in ["", "Tidemill", "2tide", "tide_mill", "tide-", "a--b", "tide.mill", "abcdefghijklmnopqrstuvwxyz"] {
        assert!(matches!(check_name(name), Err(Trouble::Choice { name: "--stack", .. })), "{name}");
    }
}

#[test]
fn what_is_not_given_stays_and_is_the_default_at_first() {
    let choices = Choices { repair_attempts: Some("5".to_owned()), ..Choices::default() };
    let value = |parameters: &[(String, String)], name: &str| {
        parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let first = choices.parameters(&[], &code()).unwrap();
    assert_eq!(value(&first, "RepairAttempts").as_deref(), Some("5"));
    assert_eq!(value(&first, "RetentionDays").as_deref(), Some("30"));
    assert_eq!(value(&first, "Kinesis").as_deref(), Some("off"));
    assert_eq!(value(&first, "Architecture").as_deref(), Some("arm64"));
    assert_eq!(value(&first, "CodeKey").as_deref(), Some("functions/1.zip"));
    let before = [("RetentionDays".to_owned(), "7".to_owned()), ("CodeKey".to_owned(), "old".to_owned())];
    let second = Choices::default().parameters(&before, &code()).unwrap();
    assert_eq!(value(&second, "RetentionDays").as_deref(), Some("7"));
    assert_eq!(value(&second, "RepairAttempts").as_deref(), Some("3"));
    assert_eq!(value(&second, "CodeKey").as_deref(), Some("functions/1.zip"));
    // A parameter that the template has no more is not sent.
    let gone = [("Gone".to_owned(), "1".to_owned())];
    assert_eq!(value(&Choices::default().parameters(&gone, &code()).unwrap(), "Gone"), None);
    assert_eq!(first.len(), 9);
}
