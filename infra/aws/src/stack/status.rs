//! What a stack's status allows. Pure.

use super::Trouble;

/// What can be done with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Made; it can be changed and removed.
    Ready,
    /// Something is under way; wait.
    Busy,
    /// Planned and never made: it can only be removed.
    Planned,
    /// Made or removed in part: it can only be removed.
    HalfMade,
    /// An update failed, and so did taking it back.
    Stuck,
    /// Removed.
    Gone,
}

/// What a status allows.
pub fn phase(status: &str) -> Phase {
    match status {
        "REVIEW_IN_PROGRESS" => Phase::Planned,
        "DELETE_COMPLETE" => Phase::Gone,
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "DELETE_FAILED" => Phase::HalfMade,
        _ if status.ends_with("_IN_PROGRESS") => Phase::Busy,
        _ if status.ends_with("_COMPLETE") => Phase::Ready,
        _ => Phase::Stuck,
    }
}

/// Whether an operation that ended with this status came through.
pub fn came_through(status: &str) -> bool {
    ["CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"].contains(&status)
}

/// Refuses a stack that cannot be changed.
///
/// # Errors
/// Which of the reasons it is.
pub fn changeable(stack: &str, status: &str) -> Result<(), Trouble> {
    let (stack, status) = (stack.to_owned(), status.to_owned());
    match phase(&status) {
        Phase::Ready | Phase::Gone => Ok(()),
        Phase::Busy => Err(Trouble::Busy { stack, status }),
        Phase::Planned | Phase::HalfMade => Err(Trouble::HalfMade { stack, status }),
        Phase::Stuck => Err(Trouble::Stuck { stack, status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_phase() {
        for (status, is) in [
            ("CREATE_COMPLETE", Phase::Ready),
            ("UPDATE_COMPLETE", Phase::Ready),
            ("UPDATE_ROLLBACK_COMPLETE", Phase::Ready),
            ("IMPORT_COMPLETE", Phase::Ready),
            ("CREATE_IN_PROGRESS", Phase::Busy),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Phase::Busy),
            ("ROLLBACK_IN_PROGRESS", Phase::Busy),
            ("DELETE_IN_PROGRESS", Phase::Busy),
            ("REVIEW_IN_PROGRESS", Phase::Planned),
            ("ROLLBACK_COMPLETE", Phase::HalfMade),
            ("ROLLBACK_FAILED", Phase::HalfMade),
            ("CREATE_FAILED", Phase::HalfMade),
            ("DELETE_FAILED", Phase::HalfMade),
            ("UPDATE_ROLLBACK_FAILED", Phase::Stuck),
            ("UPDATE_FAILED", Phase::Stuck),
            ("DELETE_COMPLETE", Phase::Gone),
        ] {
            assert_eq!(phase(status), is, "{status}");
        }
    }

    #[test]
    fn an_update_that_was_taken_back_did_not_come_through() {
        assert!(came_through("UPDATE_COMPLETE"));
        assert!(!came_through("UPDATE_ROLLBACK_COMPLETE"));
        assert!(!came_through("ROLLBACK_COMPLETE"));
        assert!(changeable("a", "UPDATE_ROLLBACK_COMPLETE").is_ok());
    }
}
