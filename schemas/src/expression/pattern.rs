//! Regular expressions with the meaning DuckDB (RE2) gives them.
//!
//! In: a pattern's text. Out: a compiled [`Regex`] of linear time and bounded size. Everyone who evaluates
//! [`super::Pattern::Regex`] compiles it here, or two engines would disagree on `\d`, `\w`, `\s` and `\b`: RE2 reads
//! them as ASCII, Rust's regex as Unicode.

use regex::{Regex, RegexBuilder};

/// Bytes of a pattern.
pub const REGEX_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a compiled pattern.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Compiles a pattern.
///
/// # Errors
/// Why it is no regular expression, or means different things to different engines; in words for users.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(format!("the pattern has {} bytes, the limit is {REGEX_BYTES_MAX}", pattern.len()));
    }
    let translated = translate(pattern)?;
    RegexBuilder::new(&translated).size_limit(REGEX_COMPILED_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern gets too large; lower its repetitions".to_owned(),
        error => reason(&error.to_string()),
    })
}

/// The last line of the parser's report: the reason, without the drawing above it.
fn reason(report: &str) -> String {
    let last = report.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(report);
    last.trim().strip_prefix("error: ").unwrap_or(last.trim()).to_owned()
}

/// Spells out RE2's ASCII classes and refuses what only Rust's regex understands.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next().ok_or("the pattern ends with a lone backslash")?;
                let brace = chars.peek() == Some(&'{');
                out.push_str(&escape(escaped, in_class, brace)?);
            }
            '[' if !in_class => {
                in_class = true;
                out.push(c);
                // A first `]`, also after `^`, is a plain character.
                for first in ['^', ']'] {
                    if chars.next_if_eq(&first).is_some() {
                        out.push(first);
                    }
                }
            }
            '[' if chars.peek() != Some(&':') => out.push_str("\\["),
            '[' => {
                // A named class, `[:alpha:]`, up to its own bracket.
                out.push(c);
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            '&' | '~' if in_class && chars.peek() == Some(&c) => {
                return Err(format!("`{c}{c}` inside [ ] means different things to different engines; write it once"));
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

fn escape(escaped: char, in_class: bool, brace: bool) -> Result<String, String> {
    Ok(match escaped {
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        's' => r"[\t\n\x0C\r ]".to_owned(),
        'S' => r"[^\t\n\x0C\r ]".to_owned(),
        'b' if !in_class && !brace => r"(?-u:\b)".to_owned(),
        'b' | 'B' | '<' | '>' => {
            return Err(format!(
                "`\\{escaped}` means different things to different engines; only `\\b` outside [ ] is read"
            ));
        }
        other => format!("\\{other}"),
    })
}

#[cfg(test)]
mod tests;
