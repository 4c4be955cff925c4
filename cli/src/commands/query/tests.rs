use axum::Router;
use axum::extract::Query as Parameters;
use axum::routing::get;
use std::collections::BTreeMap;

use super::*;

fn query() -> Query {
    Query {
        insight: "revenue".to_owned(),
        every: Some("month".to_owned()),
        last: None,
        from: Some("2026-01".to_owned()),
        to: Some("2026-03".to_owned()),
        by: vec!["country".to_owned(), "plan".to_owned()],
        filter: None,
        show: None,
        fail_on_partial: false,
        fingerprint: None,
        output: Format::Table,
    }
}

/// Two slices; the parameters come back as rows.
fn server() -> Client {
    async fn series(Parameters(asked): Parameters<BTreeMap<String, String>>) -> String {
        let next = if asked.contains_key("cursor") { "null" } else { "\"more\"" };
        let row = serde_json::to_string(&asked).unwrap_or_default();
        format!(r#"{{"every":"month","rows":[{row}],"completeness":{{"partial":true}},"next":{next}}}"#)
    }
    Client::of_router(Router::new().route("/v1/insights/revenue/series", get(series)))
}

#[tokio::test]
async fn the_range_is_left_to_the_server_and_cursors_are_followed() {
    let answer = query().answer(&server()).await.expect("answered");
    assert!(answer.is_partial());
    assert_eq!(answer.objects.len(), 2);
    let first = &answer.objects[0];
    assert_eq!((first.text_at("from"), first.text_at("to")), ("2026-01-01", "2026-03-01"));
    assert_eq!(first.get("last"), None);
    assert_eq!((first.text_at("every"), first.text_at("by")), ("month", "country,plan"));
    assert_eq!(answer.objects[1].text_at("cursor"), "more");
    let json = Json::parse(&answer.json()).expect("JSON");
    assert_eq!(json.items_at("rows").len(), 2);
    assert_eq!(json.get("next"), Some(&Json::Null));
}

#[tokio::test]
async fn one_slice_is_passed_on_byte_for_byte() {
    let body = "{ \"rows\" : [ {\"x\":1.50} ],\"next\":null}\n";
    let router = Router::new().route("/v1/insights/revenue/series", get(move || async move { body }));
    let answer = query().answer(&Client::of_router(router)).await.expect("answered");
    assert_eq!(answer.json(), body.trim_end().as_bytes());
}

#[tokio::test]
async fn without_a_range_none_is_asked_for() {
    let asked = async |query: Query| query.answer(&server()).await.expect("answered").objects[0].to_string();
    let bare = Query { every: None, from: None, to: None, by: Vec::new(), ..query() };
    assert_eq!(asked(bare).await, "{}");
    let last = Query { every: None, last: Some("12m".to_owned()), from: None, to: None, by: Vec::new(), ..query() };
    assert_eq!(asked(last).await, r#"{"last":"12m"}"#);
}

#[test]
fn months_and_years_begin_on_their_first_day() {
    for (typed, asked) in [
        ("2026", "2026-01-01"),
        ("2026-08", "2026-08-01"),
        ("2026-08-03", "2026-08-03"),
        ("2026-08-03T00:00:00Z", "2026-08-03T00:00:00Z"),
        ("1785547800000", "1785547800000"),
        ("soon", "soon"),
    ] {
        assert_eq!(first_day(typed), asked);
    }
}
