use tidemill_schemas::calendar::Date;
use tidemill_schemas::definition::Definition;
use tidemill_schemas::definition::parse::parse;

use super::*;

const TEXT: &str = "
insight: commits
type: standard
from: commit
metrics: { commits: count(*) }
by: [repo, kind]
timezone: America/New_York
week_start: monday
";

fn definition() -> Definition {
    parse("t.yaml", TEXT).expect("valid").remove(0).definition
}

fn ask(change: impl FnOnce(&mut ReadQuery)) -> Result<Ask, String> {
    let mut query = ReadQuery::default();
    change(&mut query);
    let now = Timestamp::parse("2026-08-20T12:00:00Z").expect("a time");
    Ask::of(query, &definition(), Some(date("2026-08-12")), now).map_err(|problem| format!("{problem:?}"))
}

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

#[test]
fn without_a_range_the_last_thirty_periods_are_meant() {
    let days = ask(|_| ()).expect("fine");
    assert_eq!((days.first, days.last, days.every), (date("2026-07-14"), date("2026-08-12"), None));
    let months = ask(|query| query.every = Some("month".to_owned())).expect("fine");
    assert_eq!((months.first, months.last), (date("2024-03-01"), date("2026-08-12")));
}

#[test]
fn a_range_is_half_open_whether_its_ends_are_days_or_instants() {
    let range = |from: &str, to: &str| {
        let asked = ask(|query| (query.from, query.to) = (Some(from.to_owned()), Some(to.to_owned()))).expect("fine");
        (asked.first, asked.last)
    };
    assert_eq!(range("2026-08-01", "2026-08-03"), (date("2026-08-01"), date("2026-08-02")));
    let instants = range("2026-08-01T00:00:00-04:00", "2026-08-03T00:00:00-04:00");
    assert_eq!(instants, (date("2026-08-01"), date("2026-08-02")));
    assert_eq!(range("1785556800000", "2026-08-03"), (date("2026-08-01"), date("2026-08-02")));
}

#[test]
fn weeks_back_begin_where_the_definition_says() {
    let asked = ask(|query| query.last = Some("2w".to_owned())).expect("fine");
    assert_eq!(asked.first, date("2026-08-03"));
}

#[test]
fn a_breakdown_keeps_the_order_asked_for() {
    assert_eq!(ask(|query| query.by = Some("kind,repo".to_owned())).expect("fine").by, [1, 0]);
    assert_eq!(ask(|query| query.by = Some("*".to_owned())).expect("fine").by, [0, 1]);
}

#[test]
fn what_cannot_be_answered_is_said() {
    let refused = |change: fn(&mut ReadQuery), word: &str| {
        let why = ask(change).expect_err("refused");
        assert!(why.contains(word), "{why}");
    };
    refused(|query| query.every = Some("hour".to_owned()), "every=day");
    refused(|query| query.every = Some("decade".to_owned()), "must be day");
    refused(|query| query.from = Some("2026-08-01T00:00:00Z".to_owned()), "start of a day in America/New_York");
    refused(|query| query.from = Some("yesterday".to_owned()), "`from` must be a day");
    refused(|query| query.from = Some("2027-01-01".to_owned()), "range is empty");
    refused(|query| query.by = Some("colour".to_owned()), "not in the definition's breakdown (repo, kind)");
    refused(|query| query.by = Some("repo,repo".to_owned()), "twice");
    refused(|query| query.last = Some("7".to_owned()), "`last` must be");
    refused(|query| query.last = Some("0d".to_owned()), "`last` must be");
    refused(|query| query.cursor = Some("x".to_owned()), "`cursor`");
    refused(|query| query.partial = Some("no".to_owned()), "`partial`");
    refused(|query| query.filter = Some("a = 1".to_owned()), "`where` cannot");
}
