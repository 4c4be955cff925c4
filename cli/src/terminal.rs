//! The terminal: what a command prints on stdout, and its talk and progress on stderr.
//!
//! Data goes to stdout, everything else to stderr; no progress when stderr is no terminal or `-q` is given, no colour
//! with `NO_COLOR`. A reader that closes the pipe ends the command quietly.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::{Exit, Failure};

/// What the person asked for, and what the streams are.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// `--json`: print what the server said.
    pub json: bool,
    quiet: bool,
    colour: bool,
    progress: bool,
    /// What tests read instead of the process's stdout and stderr.
    #[cfg(test)]
    pub captured: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

/// How a text is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Headlines.
    Bold,
    /// What may be skipped.
    Dim,
    /// Good.
    Green,
    /// To be looked at.
    Yellow,
    /// Wrong.
    Red,
}

impl Terminal {
    /// For the streams of this process.
    pub fn new(json: bool, quiet: bool) -> Terminal {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = std::io::stderr().is_terminal();
        let colour = !no_colour && terminal && std::io::stdout().is_terminal();
        Terminal {
            json,
            quiet,
            colour,
            progress: terminal && !quiet,
            #[cfg(test)]
            captured: std::sync::Arc::default(),
        }
    }

    /// Whether a question can be asked and answered.
    pub fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// The width of stdout in columns; `None` when it is no terminal.
    pub fn columns(&self) -> Option<u16> {
        if !std::io::stdout().is_terminal() {
            return None;
        }
        // A terminal that does not know its width says 0.
        comfy_table::Table::new().width().filter(|width| *width > 0)
    }

    /// Writes bytes to stdout.
    pub fn print_bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        #[cfg(test)]
        if let Ok(mut captured) = self.captured.lock() {
            captured.extend_from_slice(bytes);
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::silent(Exit::Failed),
            _ => Failure::failed("TM0903", format!("stdout: {error}")),
        })
    }

    /// Writes a line to stdout.
    pub fn print(&self, line: &str) -> Result<(), Failure> {
        self.print_bytes(format!("{line}\n").as_bytes())
    }

    /// Says something on stderr, unless `-q`.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.warn(line);
        }
    }

    /// Says something on stderr, always. A stderr that is gone is nobody's loss.
    pub fn warn(&self, line: &str) {
        #[cfg(test)]
        if let Ok(mut captured) = self.captured.lock() {
            captured.extend_from_slice(format!("{line}\n").as_bytes());
            return;
        }
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// A failure's lines on stderr.
    pub fn fail(&self, failure: &Failure) {
        for line in failure.lines() {
            let line = match line.strip_prefix("error") {
                Some(rest) => format!("{}{rest}", self.mark(Mark::Red, "error")),
                None => line,
            };
            self.warn(&line);
        }
    }

    /// The text in colour, where colour is wanted.
    pub fn mark(&self, mark: Mark, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match mark {
            Mark::Bold => 1,
            Mark::Dim => 2,
            Mark::Green => 32,
            Mark::Yellow => 33,
            Mark::Red => 31,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A progress bar over `total` units; hidden where there should be none. `bytes`: the units are bytes.
    pub fn bar(&self, total: u64, what: &str, bytes: bool) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), self.draw_target());
        let template = if bytes {
            "{msg:>12} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}"
        } else {
            "{msg:>12} {bar:32} {human_pos}/{human_len} {per_sec:.0} {eta}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(what.to_owned());
        bar
    }

    /// A progress bar whose pace is told from outside, as its message.
    pub fn steps(&self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(0), self.draw_target());
        if let Ok(style) = ProgressStyle::with_template("{prefix:>8} {bar:32} {human_pos}/{human_len} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar
    }

    /// A spinner for work of unknown length.
    pub fn spinner(&self, what: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.draw_target());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        if self.progress {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar
    }

    fn draw_target(&self) -> ProgressDrawTarget {
        if self.progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
    }

    /// Asks a yes-or-no question on stderr; anything but yes is no.
    pub fn ask(&self, question: &str) -> bool {
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// Asks for a text on stderr; empty when there is no answer.
    #[cfg(feature = "aws")]
    pub fn ask_text(&self, question: &str) -> String {
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} ").and_then(|()| err.flush());
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.is_ok() { answer.trim().to_owned() } else { String::new() }
    }
}
