//! `tidemill keys`: who may talk to a server that others can reach. A secret is shown once, when it is made.

use axum::http::Method;
use clap::{Args, Subcommand};

use crate::client::{Request, url};
use crate::failure::Failure;
use crate::json::{Json, quoted};
use crate::render::table;
use crate::session::Session;

/// Make, list and revoke keys
#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key; its secret goes to stdout and is never shown again
    Add {
        /// A note for people: whose it is
        name: String,
        /// What it may do: `write` sends events, `read` reads numbers and status, `admin` does everything
        #[arg(long, value_parser = ["write", "read", "admin"])]
        right: String,
        /// The one source it may write [default: any]
        #[arg(long)]
        source: Option<String>,
    },
    /// List the keys
    Ls,
    /// Revoke a key, at once
    Revoke {
        /// Its id, as `ls` shows it
        id: String,
    },
}

impl Keys {
    /// Does it.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self.what {
            What::Add { name, right, source } => add(session, &name, &right, source.as_deref()).await,
            What::Ls => list(session).await,
            What::Revoke { id } => revoke(session, &id).await,
        }
    }
}

async fn add(session: &Session, name: &str, right: &str, source: Option<&str>) -> Result<(), Failure> {
    if right == "read" && source.is_some() {
        // It would look like a limit on what can be read, which it is not.
        return Err(Failure::input("TM0924", "--source limits what a key may write, and a read key writes nothing")
            .help("leave --source out: a read key reads every source"));
    }
    let source = source.map_or("null".to_owned(), quoted);
    let body = format!("{{\"name\":{},\"right\":\"{right}\",\"source\":{source}}}", quoted(name));
    let answer = ask(session, &Request::send(Method::POST, "/v1/keys", "application/json", body)).await?;
    let terminal = &session.terminal;
    if terminal.json {
        return terminal.print(&answer.to_string());
    }
    let id = answer.get("key").map(|key| key.text_at("id")).unwrap_or_default();
    terminal.say(&format!("made the {right} key {id}; this is its secret, keep it now: it is stored nowhere"));
    terminal.print(answer.text_at("secret"))?;
    terminal.say("callers send it as `Authorization: Bearer …`; the command line reads it from TIDEMILL_KEY");
    Ok(())
}

async fn list(session: &Session) -> Result<(), Failure> {
    let answer = ask(session, &Request::get("/v1/keys")).await?;
    let terminal = &session.terminal;
    if terminal.json {
        return terminal.print(&answer.to_string());
    }
    let keys = answer.items_at("keys");
    if keys.is_empty() {
        terminal.say("no keys yet; make one with `tidemill keys add NAME --right write`");
        return Ok(());
    }
    let header = ["id", "name", "right", "source", "created_at"].map(str::to_owned);
    let cell = |key: &Json, name: &str| match key.get(name) {
        None | Some(Json::Null) if name == "source" => "any".to_owned(),
        value => value.map(Json::shown).unwrap_or_default(),
    };
    let lines: Vec<Vec<String>> = keys.iter().map(|key| header.iter().map(|name| cell(key, name)).collect()).collect();
    terminal.print(&table::of_texts(&header, &lines, &[], terminal.columns()))
}

async fn revoke(session: &Session, id: &str) -> Result<(), Failure> {
    let path = format!("/v1/keys/{}", url::segment(id));
    let answer = ask(session, &Request { method: Method::DELETE, ..Request::get(path) }).await?;
    if session.terminal.json {
        return session.terminal.print(&answer.to_string());
    }
    session.terminal.say(&format!("revoked {id}; who uses it is refused from now on"));
    Ok(())
}

async fn ask(session: &Session, request: &Request) -> Result<Json, Failure> {
    session.client().await?.ask_json(request).await
}
