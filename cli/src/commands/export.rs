//! `tidemill export events`: the events as NDJSON or Parquet, ready to be sent or imported again.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use futures::StreamExt;

use crate::client::{Client, Request, broken_off, url};
use crate::commands::days::Days;
use crate::failure::Failure;
use crate::json::Json;
use crate::render::number::counted;
use crate::session::Session;

/// Write events out as NDJSON or Parquet
#[derive(Debug, Args)]
pub struct Export {
    #[command(subcommand)]
    what: What,
}

/// The forms events are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One JSON object per line, on stdout
    Ndjson,
    /// A file per source and UTC day
    Parquet,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every live event: as NDJSON on stdout, or as Parquet files in a folder
    Events {
        #[command(flatten)]
        days: Days,
        /// In which form
        #[arg(short, long, value_enum, default_value = "ndjson")]
        output: Form,
        /// The folder for Parquet files; it must not hold any yet
        #[arg(long, value_name = "FOLDER", default_value = "events")]
        folder: PathBuf,
    },
}

impl Export {
    /// Streams them.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let What::Events { days, output, folder } = self.what;
        let client = session.client().await?;
        client.drain_feed(&session.terminal).await?;
        match output {
            Form::Ndjson => ndjson(session, &client, &days.of(Request::get("/v1/events"))).await,
            Form::Parquet => parquet(session, &client, &days.of(Request::get("/v1/events/days")), &folder).await,
        }
    }
}

async fn ndjson(session: &Session, client: &Client, request: &Request) -> Result<(), Failure> {
    let mut parts = client.caller().download(request).await?;
    while let Some(part) = parts.next().await {
        session.terminal.print_bytes(&part.map_err(|error| broken_off(&error))?)?;
    }
    Ok(())
}

async fn parquet(session: &Session, client: &Client, request: &Request, folder: &Path) -> Result<(), Failure> {
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::input("TM0925", format!("the folder {} is not empty", folder.display()))
            .help("name another one with --folder: old files beside new ones would be imported with them"));
    }
    let answer = client.ask_json(request).await?;
    let days = answer.items_at("days");
    let bar = session.terminal.bar(days.len() as u64, "exporting", false);
    for day in days {
        one_day(client, day, folder).await.inspect_err(|_| bar.finish_and_clear())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    session.terminal.say(&format!("{} in {}", counted(days.len() as u64, "file"), folder.display()));
    Ok(())
}

/// Writes a day's file; it bears its name only once it is whole.
async fn one_day(client: &Client, day: &Json, folder: &Path) -> Result<(), Failure> {
    let (source, date) = (day.text_at("source"), day.text_at("day"));
    let folder = folder.join(format!("src={}", url::segment(source))).join(format!("dt={date}"));
    let failed = |path: &Path, error: std::io::Error| Failure::file(path, &error);
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let (path, unfinished) = (folder.join("events.parquet"), folder.join("events.parquet.unfinished"));
    let request = Request::get("/v1/events/parquet").with("source", source).with("day", date);
    let mut parts = client.caller().download(&request).await?;
    let mut file = std::fs::File::create(&unfinished).map_err(|error| failed(&unfinished, error))?;
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| broken_off(&error))?;
        file.write_all(&part).map_err(|error| failed(&unfinished, error))?;
    }
    std::fs::rename(&unfinished, &path).map_err(|error| failed(&path, error))
}
