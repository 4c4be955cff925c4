//! The commands: one file each, all of them through [`crate::client`].

use clap::Subcommand;

use crate::failure::Failure;
use crate::session::Session;

pub mod apply;
pub mod backfill;
pub mod check;
pub mod compact;
pub mod completions;
pub mod cost;
mod days;
pub mod demo;
pub mod deploy;
pub mod destroy;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod import;
pub mod init;
pub mod keys;
pub mod ls;
pub mod plan;
pub mod quarantine;
pub mod query;
pub mod schema;
pub mod send;
pub mod show;
pub mod sql;
pub mod up;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a project: tidemill.toml and a first definition
    Init(init::Init),
    /// Serve the project's API on this machine
    Up(up::Up),
    /// Try it: a project with real events, its numbers, and a server
    Demo(demo::Demo),
    /// Check definitions without changing anything
    Check(check::Check),
    /// Show what `apply` would change
    Plan(plan::Plan),
    /// Put the project's definitions into effect
    Apply(apply::Apply),
    /// List insights
    Ls(ls::Ls),
    /// Show an insight's definition and its latest numbers
    Show(show::Show),
    /// Say how an insight is computed, and why
    Explain(explain::Explain),
    /// Send events: NDJSON or JSON files, gzipped or not; `-` is stdin
    Send(send::Send),
    /// Import history: NDJSON, CSV or Parquet files
    Import(import::Import),
    /// Read an insight's numbers
    Query(query::Query),
    /// Compute history, or look after a running backfill
    Backfill(backfill::Backfill),
    /// Write events out as NDJSON
    Export(export::Export),
    /// Rewrite the pages of days that are over, sorted, in few files
    Compact(compact::Compact),
    /// Print views that DuckDB runs over the pages
    Sql(sql::Sql),
    /// Look at events that were rejected
    Quarantine(quarantine::Quarantine),
    /// Make, list and revoke keys for a server that others can reach
    Keys(keys::Keys),
    /// Make or change tidemill's stack in an AWS account
    Deploy(deploy::Deploy),
    /// Remove tidemill's stack from an AWS account
    Destroy(destroy::Destroy),
    /// What a month costs on AWS: of this project, or of the reference
    Cost(cost::Cost),
    /// Look for what is wrong with the project or its server
    Doctor(doctor::Doctor),
    /// Print the JSON Schema of definition files, for editors
    Schema(schema::Schema),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

impl Command {
    /// Does it.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Command::Init(command) => command.run(session),
            Command::Up(command) => command.run(session).await,
            Command::Demo(command) => command.run(session).await,
            Command::Check(command) => command.run(session).await,
            Command::Plan(command) => command.run(session).await,
            Command::Apply(command) => command.run(session).await,
            Command::Ls(command) => command.run(session).await,
            Command::Show(command) => command.run(session).await,
            Command::Explain(command) => command.run(session).await,
            Command::Send(command) => command.run(session).await,
            Command::Import(command) => command.run(session).await,
            Command::Query(command) => command.run(session).await,
            Command::Backfill(command) => command.run(session).await,
            Command::Export(command) => command.run(session).await,
            Command::Compact(command) => command.run(session).await,
            Command::Sql(command) => command.run(session).await,
            Command::Quarantine(command) => command.run(session).await,
            Command::Keys(command) => command.run(session).await,
            Command::Deploy(command) => command.run(session).await,
            Command::Destroy(command) => command.run(session).await,
            Command::Cost(command) => command.run(session).await,
            Command::Doctor(command) => command.run(session).await,
            Command::Schema(command) => command.run(session),
            Command::Completions(command) => command.run(session),
        }
    }
}

#[cfg(test)]
mod tests;
