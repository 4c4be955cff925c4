use super::*;

#[test]
fn an_error_body_becomes_lines_and_an_exit_code() {
    let body = br#"{"type":"about:blank","title":"Bad","status":404,"code":"TM0301","message":"no insight `revenu`",
        "detail":"did you mean `revenue`?"}"#;
    let failure = Failure::of_response(404, body);
    assert_eq!(failure.exit, Exit::BadInput);
    assert_eq!(failure.lines(), ["error[TM0301]: no insight `revenu`", "did you mean `revenue`?"]);
}

#[test]
fn diagnostics_are_printed_as_they_were_rendered() {
    let body = br#"{"code":"TM0200","message":"1 error","detail":[{"rendered":"error[TM0203]: x\n --> a.yaml:1:2"}]}"#;
    let lines = Failure::of_response(400, body).lines();
    assert_eq!(lines, ["error[TM0200]: 1 error", "error[TM0203]: x", " --> a.yaml:1:2"]);
}

#[test]
fn a_body_that_is_no_json_is_quoted_briefly() {
    let failure = Failure::of_response(502, b"<html>bad gateway\nmore");
    assert_eq!(failure.exit, Exit::Failed);
    assert_eq!(failure.lines(), ["error[TM0904]: the server answered 502: <html>bad gateway"]);
}

#[test]
fn a_silent_failure_says_nothing() {
    assert!(Failure::silent(Exit::Partial).lines().is_empty());
}
