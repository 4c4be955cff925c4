//! Tables for people: a header, a rule, right-aligned numbers.

use comfy_table::{Cell, CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};

use crate::json::Json;
use crate::render::rows::Rows;
use crate::render::{number, period};

/// Rows a table shows before it says how many more there are.
pub const TABLE_ROWS_MAX: usize = 2_000;

/// A header, a thin rule, and nothing else.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─'))
    .content_lines(ContentLineStyle::none());

/// Rows as a table. `every` names the time column and shortens its cells; `width`: columns of the terminal, if any.
pub fn of_rows(rows: &Rows, every: &str, width: Option<u16>) -> String {
    let shown = rows.cells.len().min(TABLE_ROWS_MAX);
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut numeric = Vec::new();
    let mut header = Vec::new();
    for (at, name) in rows.columns.iter().enumerate() {
        let is_time = name == "time";
        let mut cells: Vec<String> = rows.column(at).take(shown).map(|cell| shown_cell(cell, is_time, every)).collect();
        numeric.push(rows.is_number(at));
        if rows.is_number(at) {
            number::pointed(&mut cells);
        }
        header.push(if is_time { period::heading(every).to_owned() } else { name.clone() });
        columns.push(cells);
    }
    let lines: Vec<Vec<String>> =
        (0..shown).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect();
    let mut text = of_texts(&header, &lines, &numeric, width);
    if rows.cells.len() > shown {
        let more = number::counted((rows.cells.len() - shown) as u64, "more row");
        text.push_str(&format!("\n… {more}; use -o csv, ndjson or parquet for all of them"));
    }
    text
}

/// Texts as a table; `right` says which columns are right-aligned.
pub fn of_texts(header: &[String], lines: &[Vec<String>], right: &[bool], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    let aligned = |line: &[String]| -> Vec<Cell> {
        let cell = |(at, text): (usize, &String)| {
            let side = if right.get(at) == Some(&true) { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(printable(text)).set_alignment(side)
        };
        line.iter().enumerate().map(cell).collect()
    };
    table.set_header(aligned(header));
    for line in lines {
        table.add_row(aligned(line));
    }
    table.trim_fmt()
}

fn shown_cell(cell: &Json, is_time: bool, every: &str) -> String {
    match cell {
        Json::Number(text) => number::grouped(text),
        Json::Text(text) if is_time => period::shown(text, every),
        Json::Text(text) if text.is_empty() => "\"\"".to_owned(),
        other => other.shown(),
    }
}

/// Text from events, made harmless for a terminal: control characters are shown, not obeyed.
pub fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Rows {
        Rows::of(Json::parse(text.as_bytes()).expect("it is JSON").items())
    }

    #[test]
    fn numbers_line_up_on_the_right() {
        let rows = rows(
            r#"[{"time":"2026-08-01T00:00:00Z","country":"IN","orders":1200,"mean":1.5},
                {"time":"2026-08-02T00:00:00Z","country":"","orders":7,"mean":null}]"#,
        );
        let expected = "
 day         country  orders  mean
───────────────────────────────────
 2026-08-01  IN        1,200   1.5
 2026-08-02  \"\"            7";
        assert_eq!(format!("\n{}", of_rows(&rows, "day", None)), expected);
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        let table = of_rows(&rows(r#"[{"x":"a\u001b[31mb\nc"}]"#), "", None);
        assert!(table.contains("a\\u{1b}[31mb\\nc"), "{table}");
    }

    #[test]
    fn no_rows_is_an_empty_table() {
        assert_eq!(of_rows(&Rows::default(), "day", None).trim(), "");
    }
}
