//! `tidemill quarantine ls`: events that were rejected, each with its reason.

use clap::{Args, Subcommand};

use crate::client::Request;
use crate::failure::Failure;
use crate::json::Json;
use crate::render::rows::Rows;
use crate::render::table;
use crate::session::Session;

/// Look at events that were rejected
#[derive(Debug, Args)]
pub struct Quarantine {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them, the latest first
    Ls {
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

impl Quarantine {
    /// Lists them.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let What::Ls { limit } = self.what;
        let terminal = &session.terminal;
        let request = Request::get("/v1/quarantine").with("limit", limit.to_string());
        let response = session.client().await?.ask(&request).await?;
        if terminal.json {
            return terminal.print(String::from_utf8_lossy(&response.body).trim_end());
        }
        let answer = response.json()?;
        // Whatever the list is called: there is only one.
        let listed = answer.entries().iter().map(|(_, value)| value.items()).find(|items| !items.is_empty());
        let Some(items) = listed else {
            terminal.say("nothing was rejected");
            return Ok(());
        };
        terminal.print(&table::of_rows(&Rows::of(items), "", terminal.columns()))?;
        if answer.get("next").is_some_and(|next| *next != Json::Null) {
            terminal.say("there are more: raise --limit");
        }
        Ok(())
    }
}
