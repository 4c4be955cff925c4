//! `tidemill schema`: the JSON Schema of definition files.

use clap::Args;

use crate::failure::Failure;
use crate::session::Session;

/// Print the JSON Schema of definition files, for editors
#[derive(Debug, Args)]
pub struct Schema {}

impl Schema {
    /// Prints it.
    pub fn run(self, session: &Session) -> Result<(), Failure> {
        session.terminal.print(crate::definitions::json_schema().trim_end())
    }
}
