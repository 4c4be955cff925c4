//! The stack: tidemill's part of an AWS account, made, changed and removed through CloudFormation.
//!
//! In: what somebody chose, the functions' archive, credentials. Out: a plan of changes, their progress, the stack's
//! outputs, or a [`Trouble`] that says what to do. Nothing is changed that was not planned first, and nothing that holds
//! data is removed unless that was asked for. This module asks nobody and prints nothing: commands do.

pub mod archive;
pub mod bucket;
pub mod choices;
pub mod cloud;
pub mod follow;
pub mod status;
pub mod template;
pub mod trouble;

pub use archive::Archive;
pub use choices::Choices;
pub use cloud::{Caller, Change, Cloud, Plan, Resource, Stack};
pub use follow::Step;
pub use status::Phase;
pub use trouble::Trouble;

/// The stack's name unless somebody says otherwise.
pub const STACK_NAME: &str = "tidemill";

/// The name of the stack that holds the functions' archives.
pub fn artifacts_name(stack: &str) -> String {
    format!("{stack}-artifacts")
}
