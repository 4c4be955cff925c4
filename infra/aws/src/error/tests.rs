use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;

use super::*;

fn refused(status: u16, code: &str) -> SdkError<PutItemError, HttpResponse> {
    let raw = HttpResponse::new(status.try_into().expect("a status"), "".into());
    SdkError::service_error(PutItemError::generic(ErrorMetadata::builder().code(code).build()), raw)
}

#[test]
fn what_the_service_refused_did_not_happen() {
    let map = |status, code| mapped("PutItem", Call::Write, refused(status, code));
    assert!(matches!(map(400, "ConditionalCheckFailedException"), Error::Conflict(_)));
    assert!(matches!(map(400, "ProvisionedThroughputExceededException"), Error::Unavailable(_)));
    assert!(matches!(map(400, "ValidationException"), Error::Invalid(_)));
}

#[test]
fn what_an_operator_can_mend_is_waited_for() {
    for code in ["AccessDeniedException", "ResourceNotFoundException", "ExpiredTokenException"] {
        assert!(matches!(mapped("PutItem", Call::Write, refused(400, code)), Error::Unavailable(_)), "{code}");
    }
}

#[test]
fn a_write_without_an_answer_may_have_happened_and_a_read_has_not() {
    for error in [|| SdkError::timeout_error("late"), || refused(500, "InternalServerError")] {
        let error: fn() -> SdkError<PutItemError, HttpResponse> = error;
        assert!(matches!(mapped("PutItem", Call::Write, error()), Error::Unknown(_)));
        assert!(matches!(mapped("GetItem", Call::Repeatable, error()), Error::Unavailable(_)));
    }
}
