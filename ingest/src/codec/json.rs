//! A JSON scanner: one pass over text, borrowing what it can, numbers as their own text.
//!
//! In: text. Out: tokens, or a [`Fault`] at the scanner's place. It accepts exactly the texts serde_json accepts, but
//! hands numbers out unparsed, so that no number passes through `f64`, and it can skip a value of any depth without
//! recursion. It knows nothing of events.

use std::borrow::Cow;

/// Why scanning stopped; where is [`Scanner::at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON: what was expected.
    Syntax(&'static str),
    /// A `\u` escape that is half of a surrogate pair: JSON's grammar allows it, Unicode does not.
    Surrogate,
}

/// A place in a JSON text.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at byte `at` of `text`.
    pub fn new(text: &'a str, at: usize) -> Scanner<'a> {
        Scanner { text, at }
    }

    /// The byte offset of the next byte to read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte, after white space; `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                other => return Some(*other),
            }
        }
        None
    }

    /// Whether the next byte, after white space, is `byte`; steps over it if so.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over `byte`.
    ///
    /// # Errors
    /// [`Fault::Syntax`] with the words for what was expected.
    #[inline]
    pub fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(Fault::Syntax(expected)) }
    }

    /// Steps over `true`, `false` or `null`.
    ///
    /// # Errors
    /// [`Fault::Syntax`] when the text is another word.
    pub fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Fault::Syntax("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// A number's own text.
    ///
    /// # Errors
    /// [`Fault::Syntax`] when it is no JSON number.
    pub fn number(&mut self) -> Result<&'a str, Fault> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        let mut at = from + usize::from(bytes.get(from) == Some(&b'-'));
        match bytes.get(at) {
            Some(b'0') => at += 1,
            Some(b'1'..=b'9') => at = digits(bytes, at),
            _ if at == from => return Err(Fault::Syntax("expected a value")),
            _ => return Err(Fault::Syntax("expected a digit")),
        }
        if bytes.get(at) == Some(&b'.') {
            let end = digits(bytes, at + 1);
            if end == at + 1 {
                return Err(Fault::Syntax("expected a digit after the point"));
            }
            at = end;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            let start = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(bytes, start);
            if end == start {
                return Err(Fault::Syntax("expected a digit in the exponent"));
            }
            at = end;
        }
        self.at = at;
        Ok(&self.text[from..at])
    }

    /// A string, its escapes resolved.
    ///
    /// # Errors
    /// [`Fault`]; after [`Fault::Surrogate`] the scanner stands inside the string.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.expect(b'"', "expected a string")?;
        let from = self.at;
        let end = self.plain();
        match self.text.as_bytes().get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Ok(Cow::Borrowed(&self.text[from..end]))
            }
            Some(b'\\') => {
                let mut out = String::with_capacity(end - from + 32);
                self.escaped(&mut out)?;
                Ok(Cow::Owned(out))
            }
            other => {
                self.at = end;
                Err(unended(other))
            }
        }
    }

    /// The rest of a string that holds an escape, from the scanner's place to behind the closing quote.
    fn escaped(&mut self, out: &mut String) -> Result<(), Fault> {
        loop {
            let from = self.at;
            self.at = self.plain();
            out.push_str(&self.text[from..self.at]);
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let escaped = self.escape()?;
                    out.push(escaped);
                }
                other => return Err(unended(other)),
            }
        }
    }

    /// The first byte from here on that ends a run of plain string content.
    #[inline]
    fn plain(&self) -> usize {
        let bytes = &self.text.as_bytes()[self.at..];
        let (words, rest) = bytes.as_chunks::<8>();
        for (nth, word) in words.iter().enumerate() {
            let stops = stops(u64::from_le_bytes(*word));
            if stops != 0 {
                return self.at + nth * 8 + (stops.trailing_zeros() / 8) as usize;
            }
        }
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
        self.at + words.len() * 8 + end.unwrap_or(rest.len())
    }

    /// One escape, behind its backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let simple = match self.text.as_bytes().get(self.at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(Fault::Syntax("expected an escape after `\\`")),
        };
        self.at += 1;
        Ok(simple)
    }

    /// A `\u` escape, behind its `u`, with its second half where it is a pair.
    fn unicode(&mut self) -> Result<char, Fault> {
        let first = self.hex4()?;
        if let Some(found) = char::from_u32(first) {
            return Ok(found);
        }
        if first >= 0xDC00 || !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            return Err(Fault::Surrogate);
        }
        self.at += 2;
        let second = self.hex4()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(Fault::Surrogate);
        }
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(Fault::Surrogate)
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.text.as_bytes().get(self.at).and_then(|byte| char::from(*byte).to_digit(16));
            code = code * 16 + digit.ok_or(Fault::Syntax("expected four hex digits after `\\u`"))?;
            self.at += 1;
        }
        Ok(code)
    }

    /// Steps over one value of any kind and depth, checking its grammar (but not its surrogates).
    ///
    /// # Errors
    /// [`Fault::Syntax`].
    pub fn skip(&mut self) -> Result<(), Fault> {
        // What is open: `true` for an object. On the heap, so that no depth overflows the stack.
        let mut open: Vec<bool> = Vec::new();
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    if !self.take(b'}') {
                        self.skip_key()?;
                        open.push(true);
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(false);
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            if self.skip_ends(&mut open)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here. Whether nothing is open any more; if not, another value is due.
    fn skip_ends(&mut self, open: &mut Vec<bool>) -> Result<bool, Fault> {
        while let Some(&object) = open.last() {
            match (self.peek(), object) {
                (Some(b','), _) => {
                    self.at += 1;
                    if object {
                        self.skip_key()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    open.pop();
                }
                (_, true) => return Err(Fault::Syntax("expected `,` or `}`")),
                (_, false) => return Err(Fault::Syntax("expected `,` or `]`")),
            }
        }
        Ok(true)
    }

    fn skip_key(&mut self) -> Result<(), Fault> {
        self.skip_string("expected a key in double quotes")?;
        self.expect(b':', "expected `:`")
    }

    fn skip_scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.skip_string("expected a string"),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number().map(|_| ()),
        }
    }

    fn skip_string(&mut self, expected: &'static str) -> Result<(), Fault> {
        self.expect(b'"', expected)?;
        loop {
            self.at = self.plain();
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.escape() {
                        Err(Fault::Surrogate) | Ok(_) => {}
                        Err(fault) => return Err(fault),
                    }
                }
                other => return Err(unended(other)),
            }
        }
    }
}

/// Eight bytes at once: a bit in the lowest byte that ends a run of plain string content. Bits above it mean nothing.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // A borrow spreads upwards only, so the lowest bit of each is true.
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word & (ONES << 7);
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | is(b'"') | is(b'\\')
}

fn digits(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn unended(next: Option<&u8>) -> Fault {
    match next {
        None => Fault::Syntax("the string does not end"),
        Some(_) => Fault::Syntax("a control character in a string must be escaped"),
    }
}

/// Appends `text` as a JSON string.
pub fn write_text(out: &mut String, text: &str) {
    use std::fmt::Write;
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0C => "\\f",
            0..=0x1F => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        from = at + 1;
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}").expect("a String takes every write");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

#[cfg(test)]
mod tests;
