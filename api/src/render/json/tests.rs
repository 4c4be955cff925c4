use super::*;

#[test]
fn numbers_and_order_survive() {
    let text = r#"{"b":123456789012345678901234567890.10,"a":[1,-0.5,1e3,null,true,"x\"y"],"c":{}}"#;
    let json = Json::parse(text.as_bytes()).expect("it is JSON");
    assert_eq!(json.to_string(), text);
    assert_eq!(json.get("b"), Some(&Json::Number("123456789012345678901234567890.10".to_owned())));
}

#[test]
fn what_is_no_json_is_none() {
    assert_eq!(Json::parse(b"{\"a\":}"), None);
    assert_eq!(Json::parse(b""), None);
    assert_eq!(Json::parse("[".repeat(1000).as_bytes()), None);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(Json::parse(deep.as_bytes()), None);
}

#[test]
fn shown_is_for_people() {
    let json = Json::parse(br#"["a",2,null]"#).expect("it is JSON");
    assert_eq!(json.shown(), "a, 2, ");
    assert_eq!(Json::Null.shown(), "");
}
