//! Failures: what a person reads when a command cannot do what was asked, and the exit code a script sees.
//!
//! In: anything that went wrong. Out: `error[TM0901]: what` with detail and help lines, and an [`Exit`]. Never a
//! backtrace, never a key.

use crate::json::Json;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something failed that was not the asker's doing.
    Failed = 1,
    /// Bad input or a bad definition.
    BadInput = 2,
    /// Answered, but partial, and `--fail-on-partial` was given.
    Partial = 3,
}

/// Why a command ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Stable code, `TM09xx` for the command line's own; empty when there is nothing to add to what was printed.
    pub code: String,
    /// What went wrong; empty when everything has been said already.
    pub message: String,
    /// More lines, printed as they are.
    pub detail: Vec<String>,
    /// How to fix it.
    pub help: Option<String>,
}

impl Failure {
    /// Bad input: exit code 2.
    pub fn input(code: &str, message: impl Into<String>) -> Failure {
        Failure { exit: Exit::BadInput, code: code.to_owned(), message: message.into(), detail: Vec::new(), help: None }
    }

    /// A failure that is not the asker's doing: exit code 1.
    pub fn failed(code: &str, message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, ..Failure::input(code, message) }
    }

    /// Ends with this exit code and says no more.
    pub fn silent(exit: Exit) -> Failure {
        Failure { exit, ..Failure::input("", "") }
    }

    /// The same with a line on how to fix it.
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// The same with a line of detail.
    #[cfg(feature = "aws")]
    pub fn detail(mut self, line: impl Into<String>) -> Failure {
        self.detail.push(format!("  {}", line.into()));
        self
    }

    /// A file that could not be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Failure {
        let shown = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure::input("TM0902", format!("there is no file {shown}")),
            std::io::ErrorKind::PermissionDenied => {
                Failure::failed("TM0903", format!("no permission for {shown}")).help("check the file's owner and mode")
            }
            _ => Failure::failed("TM0903", format!("{shown}: {error}")),
        }
    }

    /// What a server's error body says: `{"type","title","status","code","message","detail"}`.
    pub fn of_response(status: u16, body: &[u8]) -> Failure {
        let exit = if (400..500).contains(&status) { Exit::BadInput } else { Exit::Failed };
        let Some(json) = Json::parse(body) else {
            let text = String::from_utf8_lossy(body);
            let line = text.lines().next().map_or(String::new(), |line| format!(": {line}"));
            let failure = Failure::failed("TM0904", format!("the server answered {status}{line}"));
            return Failure { exit, ..failure };
        };
        let text = |key: &str| json.get(key).and_then(Json::text).unwrap_or_default().to_owned();
        let message = match (text("message"), text("title")) {
            (message, _) if !message.is_empty() => message,
            (_, title) if !title.is_empty() => title,
            _ => format!("the server answered {status}"),
        };
        let mut failure = Failure::input(&text("code"), message);
        failure.exit = exit;
        failure.detail = detail_lines(json.get("detail"));
        failure.help = json.get("help").and_then(Json::text).map(str::to_owned);
        if status == 401 && failure.help.is_none() {
            failure.help = Some("set TIDEMILL_KEY to a key of this server".to_owned());
        }
        failure
    }

    /// The lines to print on stderr, without colour.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.message.is_empty() {
            let code = if self.code.is_empty() { String::new() } else { format!("[{}]", self.code) };
            lines.push(format!("error{code}: {}", self.message));
        }
        lines.extend(self.detail.iter().cloned());
        lines.extend(self.help.iter().map(|help| format!("  = help: {help}")));
        lines
    }
}

/// A problem's detail: text, or a list of diagnostics that are rendered already.
fn detail_lines(detail: Option<&Json>) -> Vec<String> {
    match detail {
        Some(Json::Text(text)) => text.lines().map(str::to_owned).collect(),
        Some(Json::List(items)) => items
            .iter()
            .flat_map(|item| {
                let rendered = item.get("rendered").and_then(Json::text).map(str::to_owned);
                rendered.unwrap_or_else(|| item.shown()).lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect(),
        None | Some(Json::Null) => Vec::new(),
        Some(other) => crate::render::tree::lines(other),
    }
}

#[cfg(test)]
mod tests;
