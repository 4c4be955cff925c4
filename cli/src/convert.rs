//! Conversion: CSV and Parquet rows become events in the native shape, one JSON line each.
//!
//! In: a file and [`Columns`]. Out: [`Row`]s. The reading itself is `tidemill_ingest::import`'s work.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tidemill_ingest::codec::native;
use tidemill_ingest::import::{Import, ImportError, Mapping, Verdict, csv, parquet};
use tidemill_ports::{Clock, SystemClock};
use tidemill_schemas::calendar::Zone;

use crate::failure::Failure;

/// How a table's columns make events: `--map`, `--source`, `--tz`.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Which column is which field.
    pub mapping: Mapping,
    /// The source of rows that name none.
    pub source: Option<String>,
    /// The zone of times without an offset.
    pub zone: Zone,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// (row, the event as a JSON line without its end)
    Line(u64, String),
    /// (row, code, message)
    Refused(u64, String, String),
}

/// Reads `id=…,name=…`.
pub fn mapping(text: &str) -> Result<Mapping, Failure> {
    Mapping::parse(text).map_err(|error| failure(None, &error))
}

/// Whether a file is a table rather than JSON, by its name.
pub fn is_table(path: &Path) -> bool {
    matches!(ending(path).as_str(), "csv" | "csv.gz" | "tsv" | "parquet")
}

/// Whether a file is Parquet, by its name.
pub fn is_parquet(path: &Path) -> bool {
    ending(path) == "parquet"
}

/// What follows a name's last dot, in lower case; of a `.gz` file, with what stands before it.
fn ending(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    stem.rfind('.').map(|dot| name[dot + 1..].to_owned()).unwrap_or_default()
}

/// Reads the file row by row; stops when `on` says no.
pub fn lines(path: &Path, columns: &Columns, on: &mut dyn FnMut(Row) -> bool) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::file(path, &error))?;
    let mut import = Import::new(&shown, SystemClock.now());
    (import.mapping, import.zone) = (columns.mapping.clone(), columns.zone.clone());
    if let Some(source) = &columns.source {
        import.source.clone_from(source);
    }
    let wrong = |error: ImportError| failure(Some(&shown), &error);
    match ending(path).as_str() {
        "parquet" => hand_on(&shown, parquet::open(file, import).map_err(wrong)?, on),
        "csv" | "csv.gz" => {
            let packed = ending(path) == "csv.gz";
            let text: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
            hand_on(&shown, csv::open(BufReader::new(text), import).map_err(wrong)?, on)
        }
        _ => Err(Failure::input("TM0914", format!("{shown}: only CSV and Parquet tables are read"))
            .help("save it with commas between the cells, as .csv")),
    }
}

fn hand_on(
    shown: &str,
    rows: impl Iterator<Item = Result<Verdict, ImportError>>,
    on: &mut dyn FnMut(Row) -> bool,
) -> Result<(), Failure> {
    for (number, verdict) in (1..).zip(rows) {
        let row = match verdict.map_err(|error| failure(Some(shown), &error))? {
            Ok(event) => Row::Line(number, native::encode(&event)),
            Err(refused) => {
                let message = refused.rejection.message;
                // The row stands before every message of a file already.
                let bare = message.strip_prefix(&format!("row {number}: ")).unwrap_or(&message).to_owned();
                Row::Refused(number, refused.rejection.code, bare)
            }
        };
        if !on(row) {
            return Ok(());
        }
    }
    Ok(())
}

fn failure(file: Option<&str>, error: &ImportError) -> Failure {
    let file = file.map_or(String::new(), |file| format!("{file}: "));
    Failure::input(error.code(), format!("{file}{error}"))
}

#[cfg(test)]
mod tests;
