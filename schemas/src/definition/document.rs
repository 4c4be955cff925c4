//! YAML documents as trees that remember where everything stands.
//!
//! In: a file's text. Out: one [`Document`] per `---`, every node with its bytes of the file, and the problems met.
//! References (anchors, aliases, tags) are refused, so nothing is ever expanded; depth and size are bounded.

use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::diagnostic::{Problem, code};
use super::{DEFINITION_BYTES_MAX, DEFINITION_DEPTH_MAX};

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// Its content.
    pub root: Node,
    /// Its own text: bytes of the file.
    pub text: Range<usize>,
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Bytes of the file.
    pub at: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Text, a number, a word, or nothing.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order written.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key's text.
    pub key: String,
    /// Bytes of the key.
    pub key_at: Range<usize>,
    /// The value.
    pub value: Node,
}

/// A scalar's text and how it was written.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// The text it stands for.
    pub text: String,
    /// How it was written.
    pub style: ScalarStyle,
    /// Inside `{}` or `[]`, where a comma ends a plain scalar.
    pub flow: bool,
}

impl Scalar {
    /// Whether nothing is written, or YAML's null.
    pub fn is_null(&self) -> bool {
        self.style == ScalarStyle::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// Stands for a value that was refused already.
    fn unread(at: Range<usize>) -> Node {
        Node { at, kind: Kind::Scalar(Scalar { text: "*".to_owned(), style: ScalarStyle::Plain, flow: false }) }
    }

    /// Whether nothing is written.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }
}

/// Reads every document of a file; after a syntax error only those before it.
pub(super) fn documents(text: &str, problems: &mut Vec<Problem>) -> Vec<Document> {
    let mut options = Options::default();
    options.emit_comments = false;
    options.emit_unresolved_aliases = true;
    options.disallow_directives = true;
    let mut builder = Builder { text, open: Vec::new(), root: None, start: 0, done: Vec::new(), problems };
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => {
                if !builder.event(event, &span) {
                    break;
                }
            }
            Err(error) => {
                let problem = syntax_problem(text, &error);
                builder.problems.push(problem);
                break;
            }
        }
    }
    builder.done
}

/// A container that is still being read.
struct Open {
    at: usize,
    flow: bool,
    key: Option<(String, Range<usize>)>,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Vec<Entry>),
}

struct Builder<'a, 'p> {
    text: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
    start: usize,
    done: Vec<Document>,
    problems: &'p mut Vec<Problem>,
}

impl Builder<'_, '_> {
    /// Takes one event; false when reading cannot go on.
    fn event(&mut self, event: Event<'_>, span: &Span) -> bool {
        let at = self.bytes(span);
        self.refuse_references(&event, span, &at);
        match event {
            Event::DocumentStart(explicit, _) => self.start = if explicit { at.end } else { self.start },
            Event::DocumentEnd => self.end_document(at.start),
            Event::Scalar(text, style, _, _) => {
                let flow = self.open.last().is_some_and(|open| open.flow);
                self.add(Node { at, kind: Kind::Scalar(Scalar { text: text.into_owned(), style, flow }) });
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.add(Node::unread(at)),
            Event::SequenceStart(style, ..) => return self.push(at, style, Content::List(Vec::new())),
            Event::MappingStart(style, ..) => return self.push(at, style, Content::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => self.pop(at.end),
            _ => {}
        }
        true
    }

    fn refuse_references(&mut self, event: &Event<'_>, span: &Span, at: &Range<usize>) {
        if matches!(event, Event::Alias(_) | Event::UnresolvedAlias(_)) {
            let problem = Problem::new(code::REFERENCE, at.clone(), "YAML aliases (`*…`) are not read");
            self.problems.push(problem.help(match self.text.get(at.clone()) {
                Some("*") => "quote the star: '*'",
                _ => "write the value out; if a star is meant, quote it: '*'",
            }));
        }
        if event.anchor_id().is_some_and(|id| id != 0) {
            let problem = Problem::new(code::REFERENCE, at.clone(), "YAML anchors (`&…`) are not read");
            self.problems.push(problem.help("write the value out where it is used"));
        }
        if event.tag().is_some() {
            let at = span.tag_span().map_or(at.clone(), |tag| self.bytes(&tag));
            let problem = Problem::new(code::REFERENCE, at, "YAML tags (`!…`) are not read");
            self.problems.push(problem.help("leave the tag out; quote the value if it starts with `!`"));
        }
    }

    fn bytes(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        let end = range.end.min(self.text.len());
        range.start.min(end)..end
    }

    fn push(&mut self, at: Range<usize>, style: StructureStyle, content: Content) -> bool {
        if self.open.len() >= DEFINITION_DEPTH_MAX {
            let message = format!("nested deeper than {DEFINITION_DEPTH_MAX} levels");
            self.problems.push(Problem::new(code::TOO_LARGE, at, message).help("a definition needs three or four"));
            return false;
        }
        self.open.push(Open { at: at.start, flow: style == StructureStyle::Flow, key: None, content });
        true
    }

    fn pop(&mut self, end: usize) {
        let Some(open) = self.open.pop() else { return };
        let kind = match open.content {
            Content::List(nodes) => Kind::List(nodes),
            Content::Map(entries) => Kind::Map(entries),
        };
        self.add(Node { at: open.at..end.max(open.at), kind });
    }

    fn add(&mut self, node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.content {
            Content::List(nodes) => nodes.push(node),
            Content::Map(entries) => match open.key.take() {
                Some((key, key_at)) => entries.push(Entry { key, key_at, value: node }),
                None => match node.kind {
                    Kind::Scalar(scalar) => open.key = Some((scalar.text, node.at)),
                    _ => {
                        self.problems.push(
                            Problem::new(code::WRONG_SHAPE, node.at.clone(), "a key must be a plain word")
                                .help("write `key: value`"),
                        );
                        open.key = Some((String::new(), node.at));
                    }
                },
            },
        }
    }

    fn end_document(&mut self, end: usize) {
        self.open.clear();
        let text = self.start.min(end)..end;
        self.start = end;
        let Some(root) = self.root.take().filter(|root| !root.is_null()) else { return };
        if text.len() > DEFINITION_BYTES_MAX {
            let message = format!("a definition of {} bytes; the limit is {DEFINITION_BYTES_MAX}", text.len());
            self.problems.push(Problem::new(code::TOO_LARGE, root.at.start..root.at.start + 1, message));
            return;
        }
        self.done.push(Document { root, text });
    }
}

fn syntax_problem(text: &str, error: &ScanError) -> Problem {
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let problem = Problem::new(code::SYNTAX, at..at, format!("this is not YAML: {}", error.kind()));
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let reason = error.kind().to_string();
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim_start());
    if reason.contains("trailing content") && value.starts_with(['"', '\'']) {
        problem
            .help("a value that starts with a quote ends with it: write the expression on a line of its own below `|`")
    } else if reason.contains("':' indicator") {
        problem.help("a `[` or `{` above may not be closed; quote a value that holds `: `")
    } else if line.contains('\t') && line.trim_start_matches(' ').starts_with('\t') {
        problem.help("indent with spaces; YAML does not take tabs")
    } else if line.matches(": ").count() > 1 {
        problem.help("quote a value that holds `: ` or starts with a sign such as ' \" * & ! % @ `")
    } else if line.contains(": *") {
        problem.help("quote the star: '*'")
    } else {
        problem.help("quote the value if it is an expression with quotes, colons or braces in it")
    }
}

/// For every byte of a scalar's text, and its end, the byte of the file it comes from: escapes, folding and
/// indentation are walked over in step. Where a line is folded the answer is the nearest byte on the right line.
pub(super) fn offsets(file: &str, at: &Range<usize>, scalar: &Scalar) -> Vec<usize> {
    let raw = file.get(at.clone()).unwrap_or_default();
    let mut from = match scalar.style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        // The header (`|`, `>-`) ends with its line.
        ScalarStyle::Literal | ScalarStyle::Folded if raw.starts_with(['|', '>']) => {
            raw.find('\n').map_or(raw.len(), |newline| newline + 1)
        }
        _ => 0,
    }
    .min(raw.len());
    let mut found = Vec::with_capacity(scalar.text.len() + 1);
    for wanted in scalar.text.chars() {
        from = align(raw, from, wanted, scalar.style);
        found.extend(std::iter::repeat_n(at.start + from, wanted.len_utf8()));
        from += consumed(&raw[from..], wanted, scalar.style);
    }
    found.push(at.start + from);
    found
}

/// Skips what the text does not show: indentation and the breaks that folding removed.
fn align(raw: &str, from: usize, wanted: char, style: ScalarStyle) -> usize {
    let rest = &raw[from..];
    if wanted.is_whitespace() {
        return from;
    }
    let skipped = rest.len() - rest.trim_start().len();
    let rest = &rest[skipped..];
    // A line continued with a backslash.
    if style == ScalarStyle::DoubleQuoted && (rest.starts_with("\\\n") || rest.starts_with("\\\r\n")) {
        let after = &rest[1..];
        return from + skipped + 1 + (after.len() - after.trim_start().len());
    }
    from + skipped
}

/// Bytes of the file one character of the text takes.
fn consumed(rest: &str, wanted: char, style: ScalarStyle) -> usize {
    let mut chars = rest.chars();
    match (chars.next(), style) {
        (None, _) => 0,
        (Some('\''), ScalarStyle::SingleQuoted) if rest.starts_with("''") => 2,
        (Some('\\'), ScalarStyle::DoubleQuoted) => {
            let kind = chars.next();
            let digits = match kind {
                Some('x') => 2,
                Some('u') => 4,
                Some('U') => 8,
                _ => 0,
            };
            let head = 1 + kind.map_or(0, char::len_utf8);
            rest.char_indices().map(|(at, _)| at).find(|at| *at >= head + digits).unwrap_or(rest.len())
        }
        (Some(found), _) if wanted.is_whitespace() && !found.is_whitespace() => 0,
        (Some(found), _) => found.len_utf8(),
    }
}
