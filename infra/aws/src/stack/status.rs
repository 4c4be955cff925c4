//! What a stack's status allows. Pure.

use super::{Stack, Trouble};

/// How the descriptions of our templates begin.
const OURS: &str = "tidemill: ";

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
pub fn changeable(found: &Stack) -> Result<(), Trouble> {
    let phase = removable(found)?;
    let (stack, status) = (found.name.clone(), found.status.clone());
    match phase {
        Phase::Planned | Phase::HalfMade => Err(Trouble::HalfMade { stack, status }),
        _ => Ok(()),
    }
}

/// Refuses a stack that cannot be removed; its phase otherwise.
///
/// # Errors
/// Which of the reasons it is.
pub fn removable(found: &Stack) -> Result<Phase, Trouble> {
    let (stack, status) = (found.name.clone(), found.status.clone());
    let phase = phase(&status);
    // One that was only planned says nothing of itself yet, and has nothing that could be lost.
    if phase != Phase::Planned && !found.description.starts_with(OURS) {
        return Err(Trouble::Foreign { stack });
    }
    match phase {
        Phase::Busy => Err(Trouble::Busy { stack, status }),
        Phase::Stuck => Err(Trouble::Stuck { stack, status }),
        phase => Ok(phase),
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
    }

    #[test]
    fn only_our_own_stacks_are_touched() {
        let stack = |status: &str, description: &str| Stack {
            id: "arn".to_owned(),
            name: "a".to_owned(),
            status: status.to_owned(),
            description: description.to_owned(),
            parameters: Vec::new(),
            outputs: Vec::new(),
        };
        let ours = "tidemill: metrics as assets";
        assert!(changeable(&stack("UPDATE_ROLLBACK_COMPLETE", ours)).is_ok());
        assert_eq!(removable(&stack("ROLLBACK_COMPLETE", ours)), Ok(Phase::HalfMade));
        assert_eq!(removable(&stack("REVIEW_IN_PROGRESS", "")), Ok(Phase::Planned));
        let is = |status: &str, description: &str| changeable(&stack(status, description)).unwrap_err();
        assert!(matches!(is("CREATE_COMPLETE", "shop"), Trouble::Foreign { .. }));
        assert!(matches!(is("CREATE_IN_PROGRESS", ""), Trouble::Foreign { .. }));
        assert!(matches!(is("UPDATE_IN_PROGRESS", ours), Trouble::Busy { .. }));
        assert!(matches!(is("ROLLBACK_COMPLETE", ours), Trouble::HalfMade { .. }));
        assert!(matches!(is("REVIEW_IN_PROGRESS", ""), Trouble::HalfMade { .. }));
        assert!(matches!(is("UPDATE_ROLLBACK_FAILED", ours), Trouble::Stuck { .. }));
    }
}
