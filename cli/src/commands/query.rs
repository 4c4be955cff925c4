//! `tidemill query`: an insight's numbers, in the format asked for.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};

use crate::client::{Client, Request, url};
use crate::failure::{Exit, Failure};
use crate::json::Json;
use crate::render::rows::Rows;
use crate::render::{self, footer, shapes, table};
use crate::session::Session;
use crate::terminal::{Mark, Terminal};

/// Slices of one answer that are followed.
const SLICES_MAX: usize = 10_000;

/// Read an insight's numbers
#[derive(Debug, Args)]
pub struct Query {
    /// The insight's name
    pub insight: String,

    /// A row per period; without it the range is one period
    #[arg(long, value_name = "PERIOD", value_parser = ["minute", "hour", "day", "week", "month", "quarter", "year"])]
    pub every: Option<String>,

    /// The last n days, weeks, months, quarters or years up to the newest event's: 7d, 4w, 12m, 8q, 2y
    /// [default: the last 30 of --every]
    #[arg(long, value_name = "7d", conflicts_with_all = ["from", "to"])]
    pub last: Option<String>,

    /// From this day of the insight's zone on: 2026-08-01, 2026-08, 2026, 2026-08-01T00:00:00Z
    #[arg(long, value_name = "T")]
    pub from: Option<String>,

    /// Up to this day, which is left out
    #[arg(long, value_name = "T")]
    pub to: Option<String>,

    /// Break down by these of the insight's properties
    #[arg(long, value_name = "P,…", value_delimiter = ',')]
    pub by: Vec<String>,

    /// Only events for which this SQL holds
    #[arg(long = "where", value_name = "EXPR")]
    pub filter: Option<String>,

    /// Of paths: whole paths, or the transitions they are made of
    #[arg(long, value_name = "WHAT", value_parser = ["paths", "transitions"])]
    pub show: Option<String>,

    /// By an earlier definition, or one that is catching up: see `tidemill show`
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<String>,

    /// Exit with code 3 when the answer is partial
    #[arg(long)]
    pub fail_on_partial: bool,

    /// The format
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// As the server said it
    Json,
    /// One JSON row per line
    Ndjson,
    /// With a header; text cells defused
    Csv,
    /// A table for documents
    Markdown,
    /// A Parquet file
    Parquet,
    /// An Arrow stream
    Arrow,
}

impl Query {
    /// Reads and prints.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let format = if terminal.json { Format::Json } else { self.output };
        if matches!(format, Format::Parquet | Format::Arrow) && std::io::stdout().is_terminal() {
            return Err(Failure::input("TM0918", "that format is no text; it would garble the terminal")
                .help("redirect it: tidemill query … -o parquet > numbers.parquet"));
        }
        let client = session.client().await?;
        client.drain(terminal).await?;
        let answer = self.answer(&client).await?;
        print(&client, terminal, format, &self.insight, &answer).await?;
        if self.fail_on_partial && answer.is_partial() {
            return Err(Failure { message: "the answer is partial".to_owned(), ..Failure::silent(Exit::Partial) });
        }
        Ok(())
    }

    /// Asks the server, following its cursors.
    pub async fn answer(&self, client: &Client) -> Result<Answer, Failure> {
        let mut request = Request::get(format!("/v1/insights/{}/series", url::segment(&self.insight)));
        let (from, to) = (self.from.as_deref().map(first_day), self.to.as_deref().map(first_day));
        let (every, last, filter) = (self.every.clone(), self.last.clone(), self.filter.clone());
        let by = (!self.by.is_empty()).then(|| self.by.join(","));
        let given = [
            ("from", from),
            ("to", to),
            ("last", last),
            ("every", every),
            ("by", by),
            ("where", filter),
            ("show", self.show.clone()),
            ("fingerprint", self.fingerprint.clone()),
        ];
        for (key, value) in given.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            request = request.with(key, value);
        }
        Answer::follow(client, &request).await
    }
}

/// A month or a year as its first day; what else is written is the server's to read, in the insight's zone.
fn first_day(text: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('-') {
        None if text.len() == 4 && is_number(text) => format!("{text}-01-01"),
        Some((year, month)) if text.len() == 7 && is_number(year) && is_number(month) => format!("{text}-01"),
        _ => text.to_owned(),
    }
}

/// A whole answer, all its slices.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The last slice: its envelope speaks for the whole.
    envelope: Json,
    /// The body, when there was only one slice.
    body: Option<bytes::Bytes>,
    /// The rows of all slices.
    objects: Vec<Json>,
    is_partial: bool,
}

impl Answer {
    async fn follow(client: &Client, request: &Request) -> Result<Answer, Failure> {
        let mut request = request.clone();
        let mut objects = Vec::new();
        let mut is_partial = false;
        for slice in 0..SLICES_MAX {
            let response = client.ask(&request).await?;
            let json = response.json()?;
            objects.extend_from_slice(json.items_at("rows"));
            is_partial |= footer::is_partial(&json);
            match json.get("next").filter(|next| **next != Json::Null) {
                Some(next) => {
                    request.query.retain(|(key, _)| key != "cursor");
                    request = request.with("cursor", next.shown());
                }
                None => {
                    let body = (slice == 0).then_some(response.body);
                    return Ok(Answer { envelope: json, body, objects, is_partial });
                }
            }
        }
        Err(Failure::failed("TM0904", "the answer does not end").help("ask for a shorter range"))
    }

    /// Whether some of it is missing.
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The answer as JSON: the server's own bytes when it came in one piece.
    fn json(&self) -> Vec<u8> {
        if let Some(body) = &self.body {
            return body.trim_ascii_end().to_vec();
        }
        let entries = self.envelope.entries().iter().map(|(key, value)| match key.as_str() {
            "rows" => (key.clone(), Json::List(self.objects.clone())),
            _ => (key.clone(), value.clone()),
        });
        Json::Map(entries.collect()).to_string().into_bytes()
    }

    fn every(&self) -> &str {
        self.envelope.text_at("every")
    }

    /// The table and its footer, for people.
    pub fn print_table(&self, terminal: &Terminal) -> Result<(), Failure> {
        let rows = Rows::of(&self.objects);
        if rows.cells.is_empty() {
            terminal.print("no rows")?;
        } else {
            let (kind, width) = (self.envelope.text_at("type"), terminal.columns());
            let shape = shapes::of_rows(kind, &self.objects, self.every(), width);
            terminal.print(&shape.unwrap_or_else(|| table::of_rows(&rows, self.every(), width)))?;
        }
        for line in footer::lines(&self.envelope) {
            terminal.print(&terminal.mark(Mark::Dim, &format!(" {line}")))?;
        }
        Ok(())
    }
}

async fn print(
    client: &Client,
    terminal: &Terminal,
    format: Format,
    insight: &str,
    answer: &Answer,
) -> Result<(), Failure> {
    let rows = || Rows::of(&answer.objects);
    let with_end = |mut bytes: Vec<u8>| {
        bytes.push(b'\n');
        bytes
    };
    let bytes = match format {
        Format::Table => return answer.print_table(terminal),
        Format::Json => with_end(answer.json()),
        Format::Ndjson => answer.objects.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes(),
        Format::Csv => render::csv::of_rows(&rows()),
        Format::Markdown => render::markdown::of_rows(&rows(), answer.every()).into_bytes(),
        Format::Parquet | Format::Arrow => {
            let functions = functions(client, insight).await?;
            let zone = answer.envelope.text_at("timezone");
            let columns = render::arrow::batch(&rows(), &functions, zone).and_then(|batch| match format {
                Format::Parquet => render::arrow::parquet(&batch),
                _ => render::arrow::stream(&batch),
            });
            columns.map_err(no_columns)?
        }
    };
    if answer.is_partial() && format != Format::Json {
        terminal.say(&format!("{} the answer is partial", terminal.mark(Mark::Yellow, "warning")));
    }
    terminal.print_bytes(&bytes)
}

fn no_columns(error: render::arrow::ColumnsError) -> Failure {
    let failure = Failure::failed("TM0904", error.message);
    error.help.map_or_else(|| failure.clone(), |help| failure.clone().help(help))
}

/// The metrics' functions decide the types of their columns.
async fn functions(client: &Client, insight: &str) -> Result<render::arrow::Functions, Failure> {
    let path = format!("/v1/insights/{}/explain", url::segment(insight));
    let explained = client.ask_json(&Request::get(path)).await?;
    let metrics = explained.items_at("metrics").iter();
    Ok(metrics.map(|metric| (metric.text_at("name").to_owned(), metric.text_at("function").to_owned())).collect())
}

#[cfg(test)]
mod tests;
