use super::*;

fn days(text: &str) -> Vec<Json> {
    Json::parse(text.as_bytes()).expect("JSON").items_at("days").to_vec()
}

#[test]
fn a_projects_rate_is_that_of_its_last_month() {
    let told = days(
        r#"{"days":[{"source":"a","day":"2025-01-01","rows":999999},{"source":"a","day":"2026-03-01","rows":100},
        {"source":"b","day":"2026-03-01","rows":100},{"source":"a","day":"2026-03-10","rows":400}]}"#,
    );
    // 600 events in ten days.
    assert_eq!(rate(&told), Some(("2026-03-10".to_owned(), 1_825)));
    assert_eq!(rate(&[]), None);
}
