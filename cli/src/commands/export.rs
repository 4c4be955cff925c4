//! `tidemill export events`: the events as NDJSON, ready to be sent again.

use clap::{Args, Subcommand};

use crate::client::Request;
use crate::failure::Failure;
use crate::session::Session;

/// Header of an answer that names the next slice.
const NEXT: &str = "tidemill-next";

/// Write events out as NDJSON
#[derive(Debug, Args)]
pub struct Export {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every live event, one JSON object per line
    Events {
        /// Only from this instant on (RFC 3339)
        #[arg(long, value_name = "T")]
        from: Option<String>,
        /// Up to this instant, which is left out
        #[arg(long, value_name = "T")]
        to: Option<String>,
        /// Only of this source
        #[arg(long)]
        source: Option<String>,
    },
}

impl Export {
    /// Streams them to stdout, slice by slice.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let What::Events { from, to, source } = self.what;
        let client = session.client().await?;
        client.drain_feed(&session.terminal).await?;
        let mut request = Request::get("/v1/events");
        for (key, value) in [("from", from), ("to", to), ("source", source)] {
            request = value.map_or(request.clone(), |value| request.with(key, value));
        }
        loop {
            let response = client.ask(&request).await?;
            session.terminal.print_bytes(&response.body)?;
            let next = response.headers.get(NEXT).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let Some(next) = next else { return Ok(()) };
            request.query.retain(|(key, _)| key != "cursor");
            request = request.with("cursor", next);
        }
    }
}
