//! Importers: tables — CSV, Parquet — to native events.
//!
//! In: a file's rows and a [`Mapping`] from its columns to an event's fields; the columns not mapped become
//! properties. Out: one verdict per row, in order. The files come from outside and may hold anything; a bad row costs
//! that row.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_schemas::calendar::{DateTime, Zone};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::{Broken, Event, SOURCE_DEFAULT};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

use crate::codec::Refused;
use crate::codec::native::{time_of_millis, time_of_text};

mod cell;
pub mod convert;
pub mod csv;
pub mod inspect;
pub mod lines;
mod mapping;
pub mod parquet;
pub mod places;
pub mod survey;
mod thrift;
mod times;
mod typed;

pub use mapping::{Mapping, Place};

use cell::Cell;
use mapping::Bound;

/// What came of one row.
pub type Verdict = Result<Event, Refused>;

/// What an import knows besides its rows.
#[derive(Clone, Debug)]
pub struct Import {
    /// The file's name: the first half of ids made with `#row`.
    pub file: String,
    /// Which column is what.
    pub mapping: Mapping,
    /// The source of rows that name none.
    pub source: String,
    /// The zone of times without an offset.
    pub zone: Zone,
    /// Our clock: becomes `received`, and bounds event times.
    pub now: Timestamp,
}

impl Import {
    /// An import of `file` with the columns named like the fields, the default source, and times in UTC.
    pub fn new(file: &str, now: Timestamp) -> Import {
        Import {
            file: file.to_owned(),
            mapping: Mapping::default(),
            source: SOURCE_DEFAULT.to_owned(),
            zone: Zone::utc(),
            now,
        }
    }
}

/// Why a file was not imported, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The text of `--map` cannot be read.
    #[error("--map: {0}; write field=column, field='text' or id=#row, separated by commas")]
    Map(String),
    /// A field has no column.
    #[error("no column `{column}` for `{field}`; the file has {has}; map it: --map {field}=COLUMN{or}")]
    NoColumn {
        /// The field.
        field: &'static str,
        /// The column looked for.
        column: String,
        /// The columns there are.
        has: String,
        /// What else may be written, with a leading space.
        or: &'static str,
    },
    /// Two columns of one name.
    #[error("the column `{0}` is there twice; rename one")]
    ColumnTwice(String),
    /// The file is damaged, or of another format.
    #[error("the file cannot be read on: {0}")]
    Unreadable(String),
}

impl ImportError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ImportError::Map(_) => "TM0130",
            ImportError::NoColumn { .. } => "TM0131",
            ImportError::ColumnTwice(_) => "TM0132",
            ImportError::Unreadable(_) => "TM0133",
        }
    }
}

/// One row's cells as fields and properties. `number` is the row's, from 1; `cell` reads a column.
fn event_of(
    import: &Import,
    bound: &Bound,
    number: u64,
    cell: &dyn Fn(usize) -> Result<Cell, Broken>,
    properties: BTreeMap<String, Value>,
) -> Result<Event, Broken> {
    let field = |name: &str, place: &Option<Place<usize>>| -> Result<Cell, Broken> {
        match place {
            None => Ok(Cell::Null),
            Some(Place::Literal(text)) => Ok(Cell::Text(text.clone())),
            Some(Place::Row) => Ok(Cell::Text(format!("{}:{number}", import.file))),
            Some(Place::Column(column)) => cell(*column).map_err(|broken| named(broken, name)),
        }
    };
    let text = |name: &'static str, place: &Option<Place<usize>>| match field(name, place)? {
        Cell::Null => Ok(None),
        Cell::Text(text) if text.is_empty() => Ok(None),
        Cell::Text(text) => Ok(Some(text)),
        Cell::Number(number) => Ok(Some(number.to_string())),
        _ => Err(Broken::WrongType(name.to_owned(), "text or a number")),
    };
    let id = text("id", &bound.id)?.ok_or(Broken::Missing("id"))?;
    let name = text("name", &bound.name)?.ok_or(Broken::Missing("name"))?;
    let time = match field("time", &bound.time)? {
        Cell::Null => return Err(Broken::Missing("time")),
        Cell::Text(text) if text.is_empty() => return Err(Broken::Missing("time")),
        cell => time_of_cell(cell, &import.zone),
    };
    let event = Event {
        id,
        source: text("source", &bound.source)?.unwrap_or_else(|| import.source.clone()),
        name,
        actor: text("actor", &bound.actor)?,
        time: time.ok_or_else(|| Broken::Time("time".to_owned()))?,
        properties,
        rev: match text("rev", &bound.rev)? {
            None => 0,
            Some(text) => rev_of(&text).ok_or_else(|| Broken::WrongType("rev".to_owned(), "a whole number"))?,
        },
        deleted: false,
        received: import.now,
    };
    event.check(import.now)?;
    Ok(event)
}

/// A cell as an event's time.
fn time_of_cell(cell: Cell, zone: &Zone) -> Option<Timestamp> {
    match cell {
        Cell::Text(text) => time_of(text.trim(), zone),
        Cell::Number(number) => time_of_millis(&number.to_string()),
        Cell::Time(time) => time.in_range(),
        Cell::Local(local) => zone.instant_of(local),
        Cell::Null | Cell::Bool(_) => None,
    }
}

/// A number or time that cannot be kept is told with its field.
fn named(broken: Broken, field: &str) -> Broken {
    match broken {
        Broken::Time(_) => Broken::Time(field.to_owned()),
        Broken::Number(_, why) => Broken::Number(field.to_owned(), why),
        other => other,
    }
}

fn rev_of(text: &str) -> Option<u64> {
    let number = Decimal::parse(text).ok().filter(|number| number.scale() == 0)?;
    u64::try_from(i64::try_from(number.unscaled()).ok()?).ok()
}

/// RFC 3339, epoch milliseconds, or a local date with or without a time of day.
fn time_of(text: &str, zone: &Zone) -> Option<Timestamp> {
    if let Some(time) = time_of_text(text) {
        return Some(time);
    }
    if Decimal::parse(text).is_ok() {
        return time_of_millis(text);
    }
    zone.instant_of(text.parse::<DateTime>().ok()?)
}

/// The verdict on a row that broke a rule; the row's number goes before the message.
fn refused(number: u64, id: Option<String>, broken: &Broken, body: String) -> Refused {
    let mut rejection = broken.rejection();
    rejection.message = format!("row {number}: {}", rejection.message);
    Refused { id, rejection, body: body.into_bytes() }
}

/// The columns' names: no two alike, the nameless ones (a saved index) named by their place.
fn column_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<String>, ImportError> {
    let names: Vec<String> = names
        .enumerate()
        .map(|(at, name)| if name.is_empty() { format!("column{}", at + 1) } else { name.to_owned() })
        .collect();
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(ImportError::ColumnTwice(twice.escape_debug().to_string())),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests;
