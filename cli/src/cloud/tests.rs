use super::*;

fn text(words: &str) -> String {
    words.to_owned()
}

#[test]
fn every_trouble_has_a_code_of_its_own_and_a_next_step() {
    let (stack, status, why) = (text("tidemill"), text("X"), text("w"));
    let troubles = [
        Trouble::Choice { name: "--kinesis", value: text("x"), reason: text("r"), fix: text("f") },
        Trouble::NoCredentials { why: why.clone() },
        Trouble::NoRegion,
        Trouble::Archive { message: text("m"), fix: text("f") },
        Trouble::Busy { stack: stack.clone(), status: status.clone() },
        Trouble::HalfMade { stack: stack.clone(), status: status.clone() },
        Trouble::Denied { action: text("iam:PassRole"), why: why.clone() },
        Trouble::Failed { stack: stack.clone(), what: text("w"), reasons: vec![text("A (T): r")] },
        Trouble::Unreachable { service: "STS", why: why.clone() },
        Trouble::Service { service: "STS", why: why.clone() },
        Trouble::Stuck { stack: stack.clone(), status },
        Trouble::Foreign { stack: stack.clone() },
        Trouble::Absent { stack },
        Trouble::Bucket { bucket: text("b"), why },
    ];
    let mut codes = std::collections::BTreeSet::new();
    for trouble in troubles {
        let failure = failure(trouble);
        assert!(failure.help.as_ref().is_some_and(|help| !help.is_empty()), "{failure:?}");
        assert!(codes.insert(failure.code.clone()), "{} twice", failure.code);
        assert!(("TM0930"..="TM0949").contains(&failure.code.as_str()), "{}", failure.code);
    }
}

#[test]
fn a_resource_that_failed_says_what_helps() {
    let help = |reason: &str| {
        let failure = failed(text("m"), vec![text(reason)]);
        assert_eq!(failure.detail, [format!("  {reason}")]);
        failure.help.unwrap_or_default()
    };
    assert!(help("A (T): User x is not authorized to perform: sqs:CreateQueue on").contains("need sqs:CreateQueue"));
    assert!(help("EventsTable (T): tidemill-events already exists").contains("another --stack"));
    assert!(help("Bucket (T): The bucket you tried to delete is not empty").contains("again"));
    assert!(help("A (T): limit").contains("taken back"));
}

#[test]
fn changes_are_shown_by_what_they_do() {
    let change = |action: &str, id: &str, replacement: &str| Change {
        action: text(action),
        id: text(id),
        kind: text("AWS::SQS::Queue"),
        replacement: text(replacement),
    };
    let changes = [change("Modify", "B", "True"), change("Add", "A", ""), change("Remove", "C", "")];
    let shown = planned(&changes, &Terminal::new(false, true));
    let lines: Vec<&str> = shown.lines().skip(2).map(str::trim).collect();
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(lines[0].starts_with("+  A") && lines[1].starts_with("-  C") && lines[2].starts_with("~  B"), "{shown}");
    assert!(lines[2].ends_with("yes"), "{shown}");
    assert_eq!(verb("UPDATE_ROLLBACK_IN_PROGRESS"), "update rollback");
}
