//! Errors as users see them over HTTP: `{"type","title","status","code","message","detail"}`.
//!
//! Every one has a stable code and says what to do. An internal error says that it is one, and nothing of the inside.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidemill_ports::Error;

use crate::render::arrow::ColumnsError;

/// An answer that is an error.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Value,
    retry_after_seconds: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Problem {
        Problem { status, code, message: message.into(), detail: Value::Null, retry_after_seconds: None }
    }

    /// TM0301: the body as a whole cannot be read.
    pub fn unreadable(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "TM0301", message)
    }

    /// TM0302: the body is too large.
    pub fn too_large(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TM0302", message)
    }

    /// TM0303: no key, or one nobody knows.
    pub fn unauthorized() -> Problem {
        let message = "a known key is needed; send `Authorization: Bearer <key>`, made by `tidemill keys add`";
        Problem::new(StatusCode::UNAUTHORIZED, "TM0303", message)
    }

    /// TM0304: the key may not do this.
    pub fn forbidden(needed: &str) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "TM0304", format!("this key may not do that; it takes a {needed} key"))
    }

    /// TM0305: no insight has this name.
    pub fn no_insight(name: &str, near: Option<&str>) -> Problem {
        let hint = near
            .map_or_else(|| "`tidemill ls` shows what is applied".to_owned(), |near| format!("did you mean `{near}`?"));
        Problem::new(StatusCode::NOT_FOUND, "TM0305", format!("no insight is named `{name}`; {hint}"))
    }

    /// TM0306: a parameter cannot be used.
    pub fn parameter(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "TM0306", message)
    }

    /// TM0307: a store does not answer; the request can be sent again.
    pub fn unavailable(message: impl Into<String>) -> Problem {
        let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TM0307", message);
        problem.retry_after_seconds = Some(1);
        problem
    }

    /// TM0308: a definition is not valid; the detail lists why.
    pub fn definition(detail: Value) -> Problem {
        let message = "the definition is not valid; nothing was applied";
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "TM0308", message);
        problem.detail = detail;
        problem
    }

    /// TM0309: there is nothing here.
    pub fn not_found(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "TM0309", message)
    }

    /// TM0310: there is nothing to compute.
    pub fn nothing(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "TM0310", message)
    }

    /// TM0311: too many requests at once.
    pub fn busy() -> Problem {
        let message = "too many requests at once; send again after the time in Retry-After";
        let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "TM0311", message);
        problem.retry_after_seconds = Some(1);
        problem
    }

    /// TM0318: what is stored already has not been worked off.
    pub fn behind(changes: u64, most: u64, seconds: u32) -> Problem {
        let message = format!(
            "{changes} stored events are not in totals and pages yet, more than {most}; send again after the time in \
             Retry-After"
        );
        let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "TM0318", message);
        problem.retry_after_seconds = Some(seconds);
        problem
    }

    /// TM0319: the body took too long to arrive.
    pub fn slow(seconds: u64) -> Problem {
        let message = format!("the body took longer than {seconds} s to arrive; send smaller ones");
        Problem::new(StatusCode::REQUEST_TIMEOUT, "TM0319", message)
    }

    /// TM0312: the range asked for is incomplete and the caller refuses partial answers.
    pub fn partial(detail: Value) -> Problem {
        let message = "the answer would be partial; see the detail, or leave out partial=refuse";
        let mut problem = Problem::new(StatusCode::CONFLICT, "TM0312", message);
        problem.detail = detail;
        problem
    }

    /// TM0313: the insight never had this definition.
    pub fn no_lineage(name: &str, fingerprint: &str) -> Problem {
        let message = format!(
            "`{name}` never had a definition with the fingerprint `{fingerprint}`; leave it out for the one that answers"
        );
        Problem::new(StatusCode::NOT_FOUND, "TM0313", message)
    }

    /// TM0316: none of the forms asked for is one that can be answered.
    pub fn not_acceptable(forms: &[&str]) -> Problem {
        let message = format!("no form that `accept` names can be answered; there are {}", forms.join(", "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "TM0316", message)
    }

    /// TM0317: numbers that columns of one type cannot hold.
    pub fn no_columns(error: &ColumnsError) -> Problem {
        let message = [Some(error.message.as_str()), error.help].into_iter().flatten().collect::<Vec<_>>().join("; ");
        Problem::new(StatusCode::NOT_ACCEPTABLE, "TM0317", message)
    }

    /// TM0142: an import of the source is being committed, or is to wait until it may.
    pub fn importing(message: impl Into<String>, seconds: u32) -> Problem {
        let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TM0142", message);
        problem.retry_after_seconds = Some(seconds);
        problem
    }

    /// TM0115: the key may not write a source.
    pub fn source_forbidden(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "TM0115", message)
    }

    /// An import that cannot be done as it is.
    pub fn import(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// TM0399: our fault.
    pub fn internal(why: &dyn std::fmt::Display) -> Problem {
        tracing::error!(%why, "internal error");
        let message = "this is a fault of tidemill; the server's log says more";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "TM0399", message)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::Conflict(_) | Error::Unavailable(_) | Error::Unknown(_) => {
                tracing::warn!(%error, "a store did not answer");
                Problem::unavailable("a store did not answer; send the same request again")
            }
            Error::Invalid(why) => Problem::internal(&why),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": format!("urn:tidemill:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
