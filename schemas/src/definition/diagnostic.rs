//! Diagnostics: what is wrong with a definition, where, why and how to put it right.
//!
//! In: a [`Problem`] at a byte range of a file. Out: a [`Diagnostic`] with line, column and the line's text, which
//! shows itself as compilers do. Codes are stable: one per kind of mistake, never reused (see [`code`]).

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// Characters of a line shown in a snippet before it is cut.
const SNIPPET_CHARS_MAX: usize = 160;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The definition is refused.
    Error,
    /// The definition stands, but probably does not say what was meant.
    Warning,
}

impl Severity {
    /// The word users read.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One thing that is wrong, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable code, `TM02xx`.
    pub code: &'static str,
    /// The file, as it was named by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters marked on that line, at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: Option<String>,
    /// The line's text.
    pub snippet: String,
}

/// As compilers show it: message, place, the line with the part in question marked, help.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = " ".repeat(self.line.to_string().len());
        writeln!(f, "{}[{}]: {}", self.severity.word(), self.code, self.message)?;
        writeln!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        let (snippet, column) = self.visible();
        // Tabs stay tabs below the snippet, so that the marks stand under what they mean whatever a tab's width.
        let indent: String = snippet.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let room = snippet.chars().count().saturating_sub(column - 1).max(1);
        writeln!(f, "{gutter} |\n{} | {snippet}", self.line)?;
        write!(f, "{gutter} | {indent}{}", "^".repeat(self.length.clamp(1, room)))?;
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// The part of the snippet worth showing and the column within it: long lines are cut around the mark.
    fn visible(&self) -> (String, usize) {
        let count = self.snippet.chars().count();
        if count <= SNIPPET_CHARS_MAX {
            return (self.snippet.clone(), self.column.clamp(1, count + 1));
        }
        let column = self.column.clamp(1, count + 1);
        let from = (column - 1).saturating_sub(SNIPPET_CHARS_MAX / 2).min(count - SNIPPET_CHARS_MAX);
        let (before, after) = (from > 0, from + SNIPPET_CHARS_MAX < count);
        let cut: String = self.snippet.chars().skip(from).take(SNIPPET_CHARS_MAX).collect();
        let shown = format!("{}{cut}{}", if before { "…" } else { "" }, if after { "…" } else { "" });
        (shown, column - from + usize::from(before))
    }
}

/// Something wrong at a byte range of the file; not yet tied to lines and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// One of [`code`].
    pub code: &'static str,
    /// Bytes of the file.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: Option<String>,
}

impl Problem {
    /// An error without help.
    pub fn new(code: &'static str, at: Range<usize>, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Error, code, at, message: message.into(), help: None }
    }

    /// With a way to put it right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// With "did you mean", when something is near enough.
    #[must_use]
    pub fn near(mut self, nearest: Option<impl fmt::Display>) -> Problem {
        if let Some(nearest) = nearest {
            self.help = Some(format!("did you mean `{nearest}`?"));
        }
        self
    }
}

/// A place in a file, with its line's text: enough to point at it later, without the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, as it was named by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters marked on that line, at least 1.
    pub length: usize,
    /// The line's text.
    pub snippet: String,
}

impl Place {
    /// A diagnostic at this place.
    pub fn diagnostic(
        &self,
        severity: Severity,
        code: &'static str,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            code,
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            length: self.length,
            message,
            help,
            snippet: self.snippet.clone(),
        }
    }
}

/// A file's text, for turning byte ranges into lines and columns.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl Source<'_> {
    /// The place of a byte range; what reaches beyond its first line is cut.
    pub fn place(&self, at: &Range<usize>) -> Place {
        let start = floor(self.text, at.start);
        let end = floor(self.text, at.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let marked = self.text[start..end.min(line_end)].trim_end();
        Place {
            file: self.file.to_owned(),
            line: self.text[..start].matches('\n').count() + 1,
            column: visible(&self.text[line_start..start]).chars().count() + 1,
            length: marked.chars().count().max(1),
            snippet: visible(&self.text[line_start..line_end]),
        }
    }

    /// A problem, tied to its place.
    pub fn diagnostic(&self, problem: Problem) -> Diagnostic {
        self.place(&problem.at).diagnostic(problem.severity, problem.code, problem.message, problem.help)
    }

    /// Problems in the order of the file.
    pub fn diagnostics(&self, mut problems: Vec<Problem>) -> Vec<Diagnostic> {
        problems.sort_by_key(|problem| (problem.at.start, problem.at.end));
        problems.into_iter().map(|problem| self.diagnostic(problem)).collect()
    }
}

/// A line without what would upset a terminal: a byte-order mark, a carriage return, control characters.
fn visible(line: &str) -> String {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line).trim_end_matches('\r');
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The candidate a mistyped word most likely means; ties go to the first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance_max = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The stable codes of definitions' mistakes.
pub mod code {
    /// Not YAML.
    pub const SYNTAX: &str = "TM0201";
    /// An anchor, alias, tag or merge key.
    pub const REFERENCE: &str = "TM0202";
    /// Text or nesting beyond its limit.
    pub const TOO_LARGE: &str = "TM0203";
    /// A key this type of insight does not have.
    pub const UNKNOWN_KEY: &str = "TM0204";
    /// The same key twice.
    pub const DUPLICATE_KEY: &str = "TM0205";
    /// A key that must be there.
    pub const MISSING_KEY: &str = "TM0206";
    /// A text where a list is due, and the like.
    pub const WRONG_SHAPE: &str = "TM0207";
    /// A name that breaks the rule for names.
    pub const NAME: &str = "TM0208";
    /// Not one of the words possible here.
    pub const WORD: &str = "TM0209";
    /// A type of insight that this version does not compute.
    pub const NOT_YET: &str = "TM0210";
    /// An unknown time zone.
    pub const ZONE: &str = "TM0211";
    /// A number out of range, or too many of something.
    pub const RANGE: &str = "TM0212";
    /// A key that is derived, never given.
    pub const DERIVED: &str = "TM0213";
    /// Two insights, or two columns of one, with the same name.
    pub const NAME_TAKEN: &str = "TM0214";
    /// A breakdown by something that is no column.
    pub const BREAKDOWN: &str = "TM0215";
    /// A file without an insight.
    pub const EMPTY: &str = "TM0216";
    /// An alert's condition.
    pub const ALERT: &str = "TM0217";
    /// Not an expression.
    pub const EXPRESSION: &str = "TM0220";
    /// SQL that is outside the subset.
    pub const UNSUPPORTED: &str = "TM0221";
    /// An unknown function.
    pub const FUNCTION: &str = "TM0222";
    /// Arguments a function does not take.
    pub const ARGUMENT: &str = "TM0223";
    /// A value of one type where another is due.
    pub const TYPE: &str = "TM0224";
    /// One property used at two types.
    pub const TYPE_CONFLICT: &str = "TM0225";
    /// A property whose type cannot be told.
    pub const TYPE_UNKNOWN: &str = "TM0226";
    /// A number that cannot be kept exactly.
    pub const NUMBER: &str = "TM0227";
    /// Null where it would make every row null.
    pub const NULL: &str = "TM0228";
    /// A regular expression.
    pub const REGEX: &str = "TM0229";
    /// An expression nested too deep.
    pub const DEPTH: &str = "TM0230";
    /// An aggregate where none may stand, or none where one must.
    pub const AGGREGATE: &str = "TM0231";
    /// A text compared with time that is no time.
    pub const TIME: &str = "TM0232";
    /// A word that SQL keeps for itself, or a column that tidemill does.
    pub const RESERVED: &str = "TM0233";
    /// An order of operations readers disagree on.
    pub const PARENTHESES: &str = "TM0234";
    /// An event name never seen.
    pub const UNKNOWN_EVENT: &str = "TM0240";
    /// A property never seen.
    pub const UNKNOWN_PROPERTY: &str = "TM0241";
    /// A property only ever seen with another type.
    pub const SEEN_TYPE: &str = "TM0242";
    /// Another insight is not what a comparison takes it for.
    pub const RELATED: &str = "TM0243";
}

#[cfg(test)]
mod tests;
