//! Expression text as tokens, by DuckDB's lexical rules.
//!
//! In: a [`Text`]: characters and the bytes of the file they stand at. Out: tokens, each with its bytes of the file,
//! so that whatever is said about them later points at the right place however the text was embedded.

use std::ops::Range;

use crate::definition::diagnostic::{Problem, code};

/// An expression's text and where it stands.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    /// The text.
    pub text: &'a str,
    /// For every byte of the text, and its end, the byte of the file. `None`: the text is the file.
    pub offsets: Option<Vec<usize>>,
    /// Whether the text stood in a YAML flow collection, where a comma ends it.
    pub flow: bool,
}

impl<'a> Text<'a> {
    /// A text that is its own file.
    pub fn whole(text: &'a str) -> Text<'a> {
        Text { text, offsets: None, flow: false }
    }

    /// Bytes of the file for bytes of the text.
    pub fn at(&self, range: Range<usize>) -> Range<usize> {
        let Some(offsets) = &self.offsets else { return range };
        let last = offsets.last().copied().unwrap_or_default();
        let of = |at: usize| offsets.get(at).copied().unwrap_or(last);
        // The end is found from the last character: after it the file may hold a fold or a quote.
        let end = match self.text.get(range.clone()).and_then(|text| text.chars().next_back()) {
            Some(tail) if tail.is_ascii() => of(range.end - 1) + 1,
            _ => of(range.end),
        };
        of(range.start)..end.max(of(range.start))
    }

    /// All of it.
    pub fn span(&self) -> Range<usize> {
        self.at(0..self.text.len())
    }
}

/// A token's kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// An unquoted word, as written.
    Word(String),
    /// A quoted identifier, without its quotes.
    Quoted(String),
    /// A text literal, without its quotes.
    Text(String),
    /// A number literal, as written.
    Number(String),
    /// An operator or punctuation.
    Sign(&'static str),
    /// The end.
    End,
}

impl Token {
    /// How a message names it.
    pub fn shown(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Quoted(word) => format!("`\"{word}\"`"),
            Token::Text(_) => "a text".to_owned(),
            Token::Number(number) => format!("`{number}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".to_owned(),
        }
    }
}

/// A token and its bytes of the file.
#[derive(Clone, Debug)]
pub struct Located {
    /// What it is.
    pub token: Token,
    /// Bytes of the file.
    pub at: Range<usize>,
}

/// Signs, longer ones first. Those outside the subset are read so that they can be named.
const SIGNS: [&str; 36] = [
    "!~~", "->>", "<=>", "==", "<>", "!=", "<=", ">=", "||", "::", "->", "//", "**", "~~", "!~", "^@", "&&", "<<",
    ">>", "=", "<", ">", "+", "-", "*", "(", ")", ",", ".", "/", "%", "^", "&", "|", "~", "@",
];
/// Further signs of one character.
const LONE: [&str; 9] = ["[", "]", "{", "}", ":", ";", "?", "$", "!"];

/// The text's tokens, [`Token::End`] last.
///
/// # Errors
/// The first character that starts no token, or a quote that is never closed.
pub fn tokens(text: &Text<'_>) -> Result<Vec<Located>, Problem> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip()?;
        let start = lexer.at;
        let token = lexer.token()?;
        let done = token == Token::End;
        found.push(Located { token, at: text.at(start..lexer.at) });
        if done {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    text: &'a Text<'a>,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text.text[self.at..]
    }

    /// Skips space and comments.
    fn skip(&mut self) -> Result<(), Problem> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            let space = rest.len() - trimmed.len();
            if let Some(comment) = trimmed.strip_prefix("--") {
                self.at += space + 2 + comment.find('\n').unwrap_or(comment.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    let start = self.at + space;
                    return Err(self
                        .problem(start..start + 2, "this comment is never closed")
                        .help("close it with */"));
                };
                self.at += space + length + 4;
            } else {
                self.at += space;
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, Problem> {
        let Some(first) = self.rest().chars().next() else { return Ok(Token::End) };
        let second = self.rest().chars().nth(1);
        match first {
            '\'' => self.quoted('\'', "text").map(Token::Text),
            '"' => self.quoted('"', "name").map(Token::Quoted),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            _ if is_word_start(first) => self.word(second),
            _ => self.sign(first),
        }
    }

    fn quoted(&mut self, quote: char, what: &str) -> Result<String, Problem> {
        let start = self.at;
        let mut content = String::new();
        let mut chars = self.text.text[start + 1..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != quote {
                content.push(c);
            } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
                content.push(c);
                chars.next();
            } else {
                self.at = start + 1 + at + 1;
                return Ok(content);
            }
        }
        let problem = self.problem(start..start + 1, format!("this {what} is never closed"));
        Err(problem.help(format!("close it with {quote}; inside, write {quote} twice")))
    }

    fn number(&mut self) -> Result<Token, Problem> {
        let (start, bytes) = (self.at, self.text.text.as_bytes());
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'_') {
                at += 1;
            }
            at
        };
        let mut at = digits(start);
        if bytes.get(at) == Some(&b'.') {
            at = digits(at + 1);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
                at = digits(at + 1 + sign);
            }
        }
        if self.text.text[at..].chars().next().is_some_and(is_word_part) {
            let rest = &self.text.text[at..];
            let word = rest.find(|c| !is_word_part(c)).unwrap_or(rest.len());
            let problem = self.problem(start..at + word, "a number cannot run into a word");
            return Err(problem.help("quote a property whose name starts with a digit: \"2nd\""));
        }
        self.at = at;
        Ok(Token::Number(self.text.text[start..at].to_owned()))
    }

    fn word(&mut self, second: Option<char>) -> Result<Token, Problem> {
        let rest = self.rest();
        let length = rest.find(|c| !is_word_part(c)).unwrap_or(rest.len());
        if length == 1 && second == Some('\'') && rest.starts_with(['e', 'E', 'x', 'X', 'b', 'B', 'n', 'N']) {
            let problem = self.problem(self.at..self.at + 2, "texts with a prefix letter are not read");
            return Err(problem.help("write a plain text: '…'"));
        }
        let word = rest[..length].to_owned();
        self.at += length;
        Ok(Token::Word(word))
    }

    fn sign(&mut self, first: char) -> Result<Token, Problem> {
        let found = SIGNS.iter().chain(&LONE).find(|sign| self.rest().starts_with(**sign));
        if let Some(sign) = found {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        let at = self.at..self.at + first.len_utf8();
        let problem = self.problem(at, format!("`{}` means nothing here", first.escape_debug()));
        Err(match first {
            '`' => problem.help("quote names with \"…\""),
            '‘' | '’' | '“' | '”' => problem.help("use straight quotes: '…' for text, \"…\" for names"),
            '−' | '–' => problem.help("use a plain minus: -"),
            '\u{a0}' => problem.help("use a plain space"),
            _ => problem.help("quote names that hold it: \"…\""),
        })
    }

    fn problem(&self, at: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::new(code::EXPRESSION, self.text.at(at), message)
    }
}

/// Whether a word may start so.
pub(crate) fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Whether a word may go on so.
pub(crate) fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
