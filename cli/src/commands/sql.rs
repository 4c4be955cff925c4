//! `tidemill sql`: views over the pages as they are, for DuckDB.

use clap::Args;

use crate::client::Request;
use crate::failure::Failure;
use crate::session::Session;

/// Print views that DuckDB runs over the pages: live events per source, days per insight
#[derive(Debug, Args)]
pub struct Sql {
    /// Where the pages lie: a folder, or a URL like s3://bucket [default: the project's own folder]
    #[arg(long, value_name = "FOLDER|URL")]
    root: Option<String>,
}

impl Sql {
    /// Prints them.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let client = session.client().await?;
        client.drain_feed(&session.terminal).await?;
        let root = match self.root {
            Some(root) => root,
            None => {
                let store = session.project()?.store();
                let folder = std::path::absolute(&store).unwrap_or(store);
                tidemill_local::blobs_folder(&folder).display().to_string()
            }
        };
        let root = if root.ends_with('/') { root } else { format!("{root}/") };
        let answer = client.ask_json(&Request::get("/v1/sql")).await?;
        // A quote in the folder's name ends no text.
        session.terminal.print(answer.text_at("sql").replace("{root}", &root.replace('\'', "''")).trim_end())
    }
}
