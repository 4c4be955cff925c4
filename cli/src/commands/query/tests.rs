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
        fail_on_partial: false,
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
    let insight = r#"{"insight":"revenue","timezone":"Asia/Kolkata"}"#;
    let router = Router::new().route("/v1/insights/revenue", get(move || async move { insight }));
    Client::of_router(router.route("/v1/insights/revenue/series", get(series)))
}

#[tokio::test]
async fn the_range_is_asked_for_in_the_insights_zone_and_cursors_are_followed() {
    let answer = query().answer(&server()).await.expect("answered");
    assert!(answer.is_partial());
    assert_eq!(answer.objects.len(), 2);
    let first = &answer.objects[0];
    assert_eq!(first.text_at("from"), "2026-01-01T00:00:00+05:30");
    assert_eq!(first.text_at("to"), "2026-03-01T00:00:00+05:30");
    assert_eq!((first.text_at("every"), first.text_at("by")), ("month", "country,plan"));
    assert_eq!(answer.objects[1].text_at("cursor"), "more");
    let json = Json::parse(&answer.json()).expect("JSON");
    assert_eq!(json.items_at("rows").len(), 2);
    assert_eq!(json.get("next"), Some(&Json::Null));
}

#[tokio::test]
async fn one_slice_is_passed_on_byte_for_byte() {
    let body = "{ \"rows\" : [ {\"x\":1.50} ],\"next\":null}\n";
    let router = Router::new()
        .route("/v1/insights/revenue", get(|| async { "{}" }))
        .route("/v1/insights/revenue/series", get(move || async move { body }));
    let answer = query().answer(&Client::of_router(router)).await.expect("answered");
    assert_eq!(answer.json(), body.trim_end().as_bytes());
}
