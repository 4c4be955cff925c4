//! CSV: RFC 4180, with text cells that a spreadsheet would take for a formula defused by a leading `'`.

use crate::render::json::Json;
use crate::render::rows::Rows;

/// The rows as CSV, with a header. Numbers and times are exact; null is an empty cell.
pub fn of_rows(rows: &Rows) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    // Writing into memory does not fail, and every row has as many cells as there are columns.
    let _ = writer.write_record(rows.columns.iter().map(|name| defused(name)));
    for row in &rows.cells {
        let _ = writer.write_record(row.iter().map(cell));
    }
    if rows.columns.is_empty() { Vec::new() } else { writer.into_inner().unwrap_or_default() }
}

fn cell(cell: &Json) -> String {
    match cell {
        Json::Text(text) => defused(text),
        other => other.shown(),
    }
}

/// Text that cannot start a formula.
fn defused(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_defused_and_numbers_are_not() {
        let json = br#"[{"name":"=1+1","n":-5.10},{"name":"a,\"b\"\nc","n":null},{"name":"@x","n":1}]"#;
        let rows = Rows::of(Json::parse(json).expect("it is JSON").items());
        let text = String::from_utf8(of_rows(&rows)).expect("UTF-8");
        assert_eq!(text, "name,n\n'=1+1,-5.10\n\"a,\"\"b\"\"\nc\",\n'@x,1\n");
    }

    #[test]
    fn no_columns_no_bytes() {
        assert!(of_rows(&Rows::default()).is_empty());
    }
}
