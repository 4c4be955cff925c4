//! Names in expressions: columns, reserved words, and what is outside the subset.

use std::ops::Range;

use super::Column;
use super::lexer::Token;
use crate::definition::diagnostic::{Problem, code};

/// Words SQL keeps for itself: DuckDB takes them as column names only in quotes (all of those that it does).
#[rustfmt::skip]
const RESERVED: [&str; 103] = [
    "all", "analyse", "analyze", "and", "anti", "any", "array", "as", "asc", "asof", "asymmetric", "at",
    "authorization", "between", "binary", "both", "by", "case", "cast", "check", "collate", "collation", "column",
    "concurrently", "constraint", "create", "cross", "default", "deferrable", "desc", "describe", "distinct", "do",
    "else", "end", "except", "fetch", "for", "foreign", "freeze", "from", "full", "glob", "group", "having", "ilike",
    "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lambda", "lateral", "leading", "left",
    "like", "limit", "natural", "not", "notnull", "offset", "on", "only", "or", "order", "outer", "overlaps", "pivot",
    "pivot_longer", "pivot_wider", "placing", "positional", "primary", "qualify", "references", "returning", "right",
    "select", "semi", "show", "similar", "some", "summarize", "symmetric", "table", "tablesample", "then", "to",
    "trailing", "union", "unique", "unpack", "unpivot", "using", "variadic", "verbose", "when", "where", "window",
    "with",
];

/// Columns of a page that are tidemill's own.
const OWN: [&str; 3] = ["received", "rev", "deleted"];
/// What a property is prefixed with whose name is taken by a column (see [`crate::page::column_name`]).
const PREFIX: &str = "properties.";

/// Whether SQL keeps this word (in lower case) for itself.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// What is said of a reserved word where a column should be.
pub(crate) fn reserved(word: &str, at: Range<usize>) -> Problem {
    if let Some(problem) = unsupported(&Token::Word(word.to_owned()), &at) {
        return problem;
    }
    Problem::new(code::RESERVED, at, format!("`{word}` is a word of SQL itself"))
        .help(format!("if a property is meant, quote it: \"{word}\""))
}

/// The column a key names. Letter case does not matter for the event's own columns, as in DuckDB.
///
/// # Errors
/// One of the columns that are tidemill's own.
pub(crate) fn column(key: &str, at: Range<usize>) -> Result<Column, Problem> {
    let lower = key.to_ascii_lowercase();
    if let Some(column) = own_column(&lower) {
        return Ok(column);
    }
    if OWN.contains(&lower.as_str()) {
        let message = format!("`{key}` is tidemill's own column and not part of the event");
        return Err(Problem::new(code::RESERVED, at, message)
            .help(format!("a property of that name is written `{PREFIX}{lower}`")));
    }
    // A property whose name is taken by a column is written, and stored, with a prefix.
    let property = match lower.strip_prefix(PREFIX) {
        Some(rest) if own_column(rest).is_some() || OWN.contains(&rest) => &key[PREFIX.len()..],
        _ => key,
    };
    Ok(Column::Property(property.to_owned()))
}

fn own_column(lower: &str) -> Option<Column> {
    Some(match lower {
        "id" => Column::Id,
        "source" => Column::Source,
        "name" => Column::Name,
        "actor" => Column::Actor,
        "time" => Column::Time,
        _ => return None,
    })
}

/// Constructs outside the subset that a single token gives away.
pub(crate) fn unsupported(token: &Token, at: &Range<usize>) -> Option<Problem> {
    let (what, help) = match token {
        Token::Sign(sign) => match *sign {
            "/" | "//" => ("division (`/`)", "define both sides as metrics, or multiply by the inverse"),
            "%" => ("`%`", "only + - * are exact on decimals"),
            "^" | "**" => ("powers", "only + - * are exact on decimals"),
            "||" => ("joining texts (`||`)", "break down by both columns instead: `by: [a, b]`"),
            "::" => ("casting (`::`)", "a property has the type it was sent with; send it as the type you need"),
            "->" | "->>" => ("JSON access (`->`)", "nested properties are flattened: write a.b"),
            "[" | "{" => ("lists and structs", "arrays are kept as their JSON text; use contains(…)"),
            "~" | "!~" | "~~" | "!~~" => ("`~`", "use like, ilike or regexp_matches(text, 'pattern')"),
            "^@" => ("`^@`", "use starts_with(text, 'prefix')"),
            "&&" => ("`&&`", "write `and`"),
            "!" => ("`!`", "write `not`"),
            "|" | "&" | "<<" | ">>" => ("bitwise operators", "write `and`, `or`"),
            "<=>" => ("`<=>`", "write `=`, and `is null` where null matters"),
            ";" => ("`;`", "one expression is enough; leave it out"),
            "?" | "$" => ("parameters", "write the value itself"),
            _ => return None,
        },
        Token::Word(word) => match word.to_ascii_lowercase().as_str() {
            "case" => ("`case`", "give each branch its own metric with `filter (where …)`"),
            "cast" | "try_cast" => ("casting", "a property has the type it was sent with"),
            "select" | "exists" | "with" => ("sub-queries", "an expression looks at one event at a time"),
            "interval" => ("intervals", "windows of time are chosen when the insight is read"),
            "similar" | "glob" => ("this kind of pattern", "use like, ilike or regexp_matches(text, 'pattern')"),
            "isnull" | "notnull" => ("this spelling", "write `is null` or `is not null`"),
            "collate" => ("collations", "text is compared by Unicode code point"),
            _ => return None,
        },
        _ => return None,
    };
    let message = format!("{what} {} not understood", if what.ends_with('s') { "are" } else { "is" });
    Some(Problem::new(code::UNSUPPORTED, at.clone(), message).help(help))
}
