//! CSV: a header row, then one event a row.
//!
//! In: bytes. Out: a verdict per row. CSV has no types, so a property is a number where its text is a JSON number
//! tidemill can keep exactly, a boolean where it is `true` or `false`, absent where it is empty, and else text: `007` and
//! a number of 40 digits stay the text they are.

use std::collections::BTreeMap;
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::event::Broken;
use tidemill_schemas::value::Value;

use super::cell::Cell;
use super::mapping::{Bound, Place};
use super::{Import, ImportError, Verdict, column_names, event_of, refused};
use crate::codec::json::write_text;

/// Opens a CSV file; reads its header.
///
/// # Errors
/// [`ImportError`]: no header, or a field without a column.
pub fn open<R: Read>(file: R, import: Import) -> Result<Rows<R>, ImportError> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.headers().map_err(|error| ImportError::Unreadable(error.to_string()))?;
    let columns = column_names(header.iter())?;
    let bound = import.mapping.bind(&columns)?;
    Ok(Rows { reader, import, bound, columns, record: ByteRecord::new(), number: 0, over: false })
}

/// The verdicts of a CSV file, in order; an error ends them.
pub struct Rows<R> {
    reader: csv::Reader<R>,
    import: Import,
    bound: Bound,
    columns: Vec<String>,
    record: ByteRecord,
    number: u64,
    over: bool,
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Verdict, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {
                self.number += 1;
                Some(Ok(self.verdict()))
            }
            Ok(false) => {
                self.over = true;
                None
            }
            Err(error) => {
                self.over = true;
                Some(Err(ImportError::Unreadable(error.to_string())))
            }
        }
    }
}

impl<R> Rows<R> {
    fn verdict(&self) -> Verdict {
        let broken = match self.event() {
            Ok(event) => return Ok(event),
            Err(broken) => broken,
        };
        let id = match &self.bound.id {
            Some(Place::Column(column)) => self.record.get(*column).map(|id| String::from_utf8_lossy(id).into_owned()),
            _ => None,
        };
        Err(refused(self.number, id, &broken, self.as_json()))
    }

    fn event(&self) -> Result<tidemill_schemas::event::Event, Broken> {
        if self.record.len() != self.columns.len() {
            let (has, header) = (self.record.len(), self.columns.len());
            return Err(Broken::Unreadable(format!("the row has {has} cells, the header {header}")));
        }
        let cell = |column: usize| {
            let bytes = self.record.get(column).unwrap_or_default();
            std::str::from_utf8(bytes).map_err(|_| Broken::Unreadable("not UTF-8".to_owned()))
        };
        let mut properties = BTreeMap::new();
        for (column, key) in &self.bound.properties {
            if let Some(value) = typed(cell(*column)?) {
                properties.insert(key.clone(), value);
            }
        }
        let text = |column: usize| cell(column).map(|text| Cell::Text(text.to_owned()));
        event_of(&self.import, &self.bound, self.number, &text, properties)
    }

    /// The row as a JSON object of texts, for the quarantine.
    fn as_json(&self) -> String {
        let mut out = String::from("{");
        for (column, text) in self.record.iter().enumerate() {
            if column > 0 {
                out.push(',');
            }
            let spare = format!("column{}", column + 1);
            write_text(&mut out, self.columns.get(column).unwrap_or(&spare));
            out.push(':');
            write_text(&mut out, &String::from_utf8_lossy(text));
        }
        out.push('}');
        out
    }
}

fn typed(text: &str) -> Option<Value> {
    match text {
        "" => None,
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        text => Some(Decimal::parse(text).map_or_else(|_| Value::Text(text.to_owned()), Value::Number)),
    }
}
