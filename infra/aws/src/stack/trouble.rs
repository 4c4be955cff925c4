//! Trouble: why a deployment cannot go on, and what to do about it.
//!
//! In: what AWS or a check said. Out: one value per next step, so that a command can give each its code. Never a key.

use thiserror::Error;

/// Why a deployment cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// A choice that makes no sense; nothing was called yet.
    #[error("{name} is `{value}`: {reason}")]
    Choice {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
        /// Why it cannot be.
        reason: String,
        /// What would do.
        fix: String,
    },
    /// The functions' program: not there, not a program for Linux, or for another processor.
    #[error("{message}")]
    Archive {
        /// What is wrong.
        message: String,
        /// What would do.
        fix: String,
    },
    /// Nobody's credentials, or expired ones.
    #[error("no credentials for AWS")]
    NoCredentials {
        /// What the places said where they were looked for.
        why: String,
    },
    /// No region.
    #[error("no AWS region is set")]
    NoRegion,
    /// The caller may not do something.
    #[error("not allowed: {action}")]
    Denied {
        /// The action, like `cloudformation:CreateChangeSet`.
        action: String,
        /// What AWS said.
        why: String,
    },
    /// An operation of the stack is under way.
    #[error("stack `{stack}` is being changed ({status})")]
    Busy {
        /// The stack.
        stack: String,
        /// Its status.
        status: String,
    },
    /// A creation or removal that did not come through.
    #[error("stack `{stack}` is half made ({status})")]
    HalfMade {
        /// The stack.
        stack: String,
        /// Its status.
        status: String,
    },
    /// An update that could not be taken back: only a person can say which resources to leave.
    #[error("stack `{stack}` is stuck in an update ({status})")]
    Stuck {
        /// The stack.
        stack: String,
        /// Its status.
        status: String,
    },
    /// A stack of that name is somebody else's.
    #[error("stack `{stack}` is none of tidemill's")]
    Foreign {
        /// The stack.
        stack: String,
    },
    /// There is no such stack.
    #[error("there is no stack `{stack}`")]
    Absent {
        /// The stack.
        stack: String,
    },
    /// Resources failed, or the change was refused as a whole.
    #[error("stack `{stack}`: {what}")]
    Failed {
        /// The stack.
        stack: String,
        /// What failed.
        what: String,
        /// Each resource with its reason.
        reasons: Vec<String>,
    },
    /// A bucket could not be written or emptied.
    #[error("bucket `{bucket}`: {why}")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// What S3 said.
        why: String,
    },
    /// Nobody answers.
    #[error("{service} does not answer: {why}")]
    Unreachable {
        /// The service.
        service: &'static str,
        /// What went wrong.
        why: String,
    },
    /// Anything else a service said.
    #[error("{service}: {why}")]
    Service {
        /// The service.
        service: &'static str,
        /// What it said.
        why: String,
    },
}

/// What a service's error means. `code` and `message`: as it said them.
pub fn of_service(service: &'static str, code: &str, message: &str) -> Trouble {
    let lower = code.to_lowercase();
    if lower.contains("accessdenied") || lower.contains("unauthorizedoperation") {
        return denied(message);
    }
    let expired = ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"];
    if expired.iter().any(|known| code.starts_with(known)) {
        return Trouble::NoCredentials { why: format!("{code}: {message}") };
    }
    if code == "ValidationError" {
        if let Some(stack) = absent(message) {
            return Trouble::Absent { stack };
        }
        if let Some((stack, status)) = busy(message) {
            return Trouble::Busy { stack, status };
        }
    }
    Trouble::Service { service, why: format!("{code}: {message}") }
}

/// A refusal; its message names the action.
pub fn denied(message: &str) -> Trouble {
    let action = action(message).unwrap_or("an action that AWS does not name").to_owned();
    Trouble::Denied { action, why: message.to_owned() }
}

/// The action of `… is not authorized to perform: service:Action on resource: …`.
pub fn action(message: &str) -> Option<&str> {
    let rest = message.split("to perform: ").nth(1)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != ':' && c != '-').unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

/// The stack of `Stack with id X does not exist` or `Stack [X] does not exist`.
fn absent(message: &str) -> Option<String> {
    let before = message.split(" does not exist").next().filter(|before| before.len() < message.len())?;
    let name = before.rsplit([' ', '[', ':', '/']).find(|word| !word.is_empty())?;
    Some(name.trim_end_matches(']').to_owned())
}

/// The stack and status of `Stack:arn… is in UPDATE_IN_PROGRESS state and can not be updated.`
fn busy(message: &str) -> Option<(String, String)> {
    let (before, after) = message.split_once(" is in ")?;
    let status = after.split_whitespace().next()?;
    let stack = before.split("stack/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(before);
    let stack = stack.trim_start_matches("Stack:").trim_matches(['[', ']']);
    status.ends_with("_IN_PROGRESS").then(|| (stack.to_owned(), status.to_owned()))
}

#[cfg(test)]
mod tests;
