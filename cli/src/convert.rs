//! Conversion: CSV and Parquet rows become events in the native shape, one JSON line each.
//!
//! In: a file and a [`Mapping`]. Out: [`Row`]s. The reading itself is `tidemill_ingest::import`'s work.

use std::path::Path;

use crate::failure::Failure;

/// Which columns make an event: `--map id=order_id,name='order_completed',time=at`, `--source`, `--tz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// (event field, column or `'literal'`), in the order written.
    pub fields: Vec<(String, String)>,
    /// The source of rows that name none.
    pub source: Option<String>,
    /// The IANA zone of times without an offset.
    pub zone: Option<String>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// (row, the event as a JSON line without its end)
    Line(u64, String),
    /// (row, code, message)
    Refused(u64, String, String),
}

/// The fields a mapping may name.
const FIELDS: [&str; 6] = ["id", "name", "actor", "time", "source", "rev"];

impl Mapping {
    /// Reads `id=…,name=…`. Commas within single quotes belong to the literal.
    pub fn parse(text: &str) -> Result<Mapping, Failure> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for part in split_commas(text) {
            let wrong = |why: String| Err(Failure::input("TM0916", format!("--map: {why}")));
            let Some((field, column)) = part.split_once('=') else {
                return wrong(format!("`{part}` is no pair; write id=order_id,time=created_at"));
            };
            let (field, column) = (field.trim(), column.trim());
            if !FIELDS.contains(&field) {
                return wrong(format!("`{field}` is no field of an event; there are {}", FIELDS.join(", ")));
            }
            if column.is_empty() || fields.iter().any(|(known, _)| known == field) {
                return wrong(format!("`{field}` needs one column, or a 'literal'"));
            }
            fields.push((field.to_owned(), column.to_owned()));
        }
        Ok(Mapping { fields, ..Mapping::default() })
    }
}

fn split_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Whether a file is a table rather than JSON, by its name.
pub fn is_table(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
    matches!(end.as_str(), "csv" | "tsv" | "parquet")
}

/// Reads the file row by row; stops when `on` says no.
pub fn lines(path: &Path, _mapping: &Mapping, _on: &mut dyn FnMut(Row) -> bool) -> Result<(), Failure> {
    Err(Failure::input("TM0914", format!("{}: CSV and Parquet are not read by this build", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read() {
        let mapping = Mapping::parse("id=order_id, name='order, completed',time=at").expect("a mapping");
        let pairs: Vec<(&str, &str)> = mapping.fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("id", "order_id"), ("name", "'order, completed'"), ("time", "at")]);
        for wrong in ["id", "colour=x", "id=", "id=a,id=b", ""] {
            assert_eq!(Mapping::parse(wrong).expect_err(wrong).code, "TM0916");
        }
    }

    #[test]
    fn tables_are_known_by_their_names() {
        assert!(is_table(Path::new("a/b.CSV")) && is_table(Path::new("x.parquet")));
        assert!(!is_table(Path::new("x.ndjson.gz")) && !is_table(Path::new("csv")));
    }
}
