//! `tidemill explain`: how an insight is computed, and why that way.

use clap::Args;

use crate::client::{Request, url};
use crate::failure::Failure;
use crate::render::tree;
use crate::session::Session;

/// Say how an insight is computed, and why
#[derive(Debug, Args)]
pub struct Explain {
    /// The insight's name
    insight: String,
}

impl Explain {
    /// Explains it.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let client = session.client().await?;
        let request = Request::get(format!("/v1/insights/{}/explain", url::segment(&self.insight)));
        let response = client.ask(&request).await?;
        if terminal.json {
            return terminal.print(String::from_utf8_lossy(&response.body).trim_end());
        }
        for line in tree::lines(&response.json()?) {
            terminal.print(&line)?;
        }
        Ok(())
    }
}
