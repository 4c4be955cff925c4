//! Which days of which source a command is about.

use clap::Args;

use crate::client::Request;

/// What narrows a command to some events; everything unless told.
#[derive(Debug, Args)]
pub struct Days {
    /// Only from this UTC day on
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Up to this UTC day, included
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
}

impl Days {
    /// The request for these alone.
    pub fn of(&self, request: Request) -> Request {
        let asked = [("from", &self.from), ("to", &self.to), ("source", &self.source)];
        asked.into_iter().fold(request, |request, (key, value)| match value {
            Some(value) => request.with(key, value),
            None => request,
        })
    }
}
