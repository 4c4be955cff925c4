//! Port errors say what to do next.

/// Why a port call did not simply succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A condition did not hold; nothing was written. Reload, decide again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// It did not happen. Send again, later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// It may have happened. Read before writing again.
    #[error("unknown outcome: {0}")]
    Unknown(String),
    /// It can never happen. Give up and say why.
    #[error("invalid: {0}")]
    Invalid(String),
}

impl From<object_store::Error> for Error {
    /// An object store's own retries are over when its error arrives here. Puts are named by their content, so
    /// sending one again is always safe: nothing maps to [`Error::Unknown`].
    fn from(error: object_store::Error) -> Error {
        match error {
            object_store::Error::AlreadyExists { path, .. } => Error::Conflict(format!("object {path} exists")),
            object_store::Error::Precondition { path, .. } => Error::Conflict(format!("object {path} changed")),
            object_store::Error::NotFound { path, .. } => Error::Invalid(format!("object {path} is missing")),
            object_store::Error::InvalidPath { source } => Error::Invalid(format!("object path: {source}")),
            other => Error::Unavailable(format!("objects: {other}")),
        }
    }
}
