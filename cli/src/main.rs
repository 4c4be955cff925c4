//! The `tidemill` command.
//!
//! In: what a person types. Out: an exit code: 0 done, 1 failed, 2 bad input or definition, 3 answered but partial. A
//! command never touches stores itself: it speaks the HTTP API, to a server or to the same router in this process.

mod bucket;
mod client;
#[cfg(feature = "aws")]
mod cloud;
mod commands;
mod convert;
mod cost;
mod definitions;
mod deployment;
mod failure;
mod importing;
mod local;
mod project;
mod render;
mod sending;
mod session;
mod settings;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tidemill_api::render::json;
use tracing_subscriber::EnvFilter;

use crate::commands::Command;
use crate::session::Session;
use crate::terminal::Terminal;

/// Metrics as assets: define them once, keep them for ever, read them in milliseconds.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    /// The project's folder [default: here and upwards]
    #[arg(long, global = true, value_name = "DIR", env = "TIDEMILL_PROJECT", hide_env = true)]
    project: Option<PathBuf>,

    /// Whom to ask: `local` (the project's server, or this process), a server's URL, or `aws` (a deployment of yours;
    /// `aws:NAME` for a stack of another name)
    #[arg(
        long,
        global = true,
        value_name = "local|URL|aws",
        default_value = "local",
        env = "TIDEMILL_TARGET",
        hide_env = true
    )]
    target: String,

    /// Print JSON, as the server said it
    #[arg(long, global = true)]
    json: bool,

    /// No talk and no progress on stderr
    #[arg(short, long, global = true)]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let terminal = Terminal::new(arguments.json, arguments.quiet);
    let session = Session { terminal: terminal.clone(), folder: arguments.project, target: arguments.target };
    // What handlers log: warnings and errors unless TIDEMILL_LOG says otherwise.
    let filter = EnvFilter::try_from_env("TIDEMILL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.warn(&format!("error[TM0911]: no threads to work with: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(arguments.command.run(&session));
    // Reading from a terminal that says nothing must not keep the process alive.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.fail(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}
