//! Markdown tables, for pasting into issues and documents.

use crate::json::Json;
use crate::render::rows::Rows;
use crate::render::{number, period};

/// The rows as a Markdown table; numbers right-aligned.
pub fn of_rows(rows: &Rows, every: &str) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heading = |name: &String| if name == "time" { escaped(period::heading(every)) } else { escaped(name) };
    let mut out = line(rows.columns.iter().map(heading).collect());
    let rule = |at| if rows.is_number(at) { "---:" } else { "---" }.to_owned();
    out.push_str(&line((0..rows.columns.len()).map(rule).collect()));
    for row in &rows.cells {
        let cells = row.iter().zip(&rows.columns).map(|(cell, name)| match cell {
            Json::Number(text) => number::grouped(text),
            Json::Text(text) if name == "time" => period::shown(text, every),
            other => escaped(&other.shown()),
        });
        out.push_str(&line(cells.collect()));
    }
    out
}

/// Text that stays within its cell and is no markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '*' | '_' | '`' | '<' | '[' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_escapes() {
        let json = br#"[{"time":"2026-08-01T00:00:00Z","dir":"a|b<c>","n":12345}]"#;
        let rows = Rows::of(Json::parse(json).expect("it is JSON").items());
        let expected = "| month | dir | n |\n| --- | --- | ---: |\n| 2026-08 | a\\|b\\<c> | 12,345 |\n";
        assert_eq!(of_rows(&rows, "month"), expected);
    }
}
