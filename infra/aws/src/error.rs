//! What became of a call: the SDK's errors as the ports' four.
//!
//! In: an error of the SDK. Out: [`Error`]. What matters is whether the call may have had an effect: a read never has;
//! a write has none when the service refused it, and may have one when no answer came. What an operator can mend (a
//! missing permission, a missing table, an expired token) is [`Error::Unavailable`], not [`Error::Invalid`]: work waits
//! for it and is not thrown away.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use tidemill_ports::Error;

/// Whether a call may have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It only reads, or doing it twice is doing it once.
    Repeatable,
    /// It changes something, and not knowing whether it did must be told.
    Write,
}

/// Codes of requests that were put off: nothing happened.
const THROTTLED: [&str; 9] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "ThrottledException",
    "Throttling",
    "RequestLimitExceeded",
    "LimitExceededException",
    "TooManyRequestsException",
    "RequestThrottled",
    "TransactionConflictException",
];

/// Codes of requests that are wrong and stay so.
const WRONG: [&str; 6] = [
    "ValidationException",
    "SerializationException",
    "InvalidParameterValue",
    "InvalidParameterCombination",
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "InvalidMessageContents",
];

/// Whether the service put the request off without doing anything.
pub fn is_throttled<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code).is_some_and(|code| THROTTLED.contains(&code))
}

/// The port's error; `what` names the call.
pub fn mapped<E>(what: &str, call: Call, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let unclear = |why: String| match call {
        Call::Repeatable => Error::Unavailable(why),
        Call::Write => Error::Unknown(why),
    };
    match &error {
        SdkError::ConstructionFailure(_) => {
            Error::Unavailable(format!("{what} was not sent: {}", DisplayErrorContext(&error)))
        }
        SdkError::ServiceError(refused) => {
            let (code, message) = (refused.err().code().unwrap_or("?"), refused.err().message().unwrap_or(""));
            let why = format!("{what}: {code}: {message}");
            let status = refused.raw().status().as_u16();
            match code {
                "ConditionalCheckFailedException" => Error::Conflict(why),
                code if THROTTLED.contains(&code) => Error::Unavailable(why),
                code if WRONG.contains(&code) => Error::Invalid(why),
                _ if status >= 500 => unclear(why),
                _ => Error::Unavailable(why),
            }
        }
        _ => unclear(format!("{what} was not answered: {}", DisplayErrorContext(&error))),
    }
}

#[cfg(test)]
mod tests;
