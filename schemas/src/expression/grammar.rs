//! Expression text → syntax tree, with DuckDB's order of operations.
//!
//! From loose to tight: `or`, `and`, `not`, `is null`, comparison, `in`/`between`/`like`, `+ -`, `*`, unary minus. Where
//! readers (or SQL dialects) disagree on an order, parentheses are asked for. The first mistake ends the parse; depth
//! is bounded while the tree is built, so that neither building nor dropping it can exhaust the stack.
//!
//! The grammar is our own because a general SQL parser builds chains of any depth, knows no place for many of its
//! nodes, and orders `like` and `=` otherwise than DuckDB. A test holds it against one: all we accept is SQL there too.

use std::ops::Range;

use super::lexer::{Located, Text, Token, tokens};
use super::literal::{not_a_time, number_literal, time_literal};
use super::syntax::{Call, Kind, Node};
use super::{Arithmetic, Comparison, names};
use crate::definition::EXPRESSION_DEPTH_MAX;
use crate::definition::diagnostic::{Problem, code};

/// Parses one expression.
///
/// # Errors
/// The first thing that is not in the subset.
pub(crate) fn parse(text: &Text<'_>) -> Result<Node, Problem> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, next: 0, depth: 0, flow: text.flow };
    if parser.peek() == &Token::End {
        return Err(Problem::new(code::EXPRESSION, text.span(), "an expression is missing here"));
    }
    let node = parser.or()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("the expression should end here")),
    }
}

struct Parser {
    tokens: Vec<Located>,
    next: usize,
    depth: usize,
    flow: bool,
}

type Parsed = Result<Node, Problem>;

impl Parser {
    // --- tokens

    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn peek_second(&self) -> &Token {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)].token
    }

    fn at(&self) -> Range<usize> {
        self.tokens[self.next].at.clone()
    }

    /// Bytes from `start` to the end of the last token taken.
    fn since(&self, start: usize) -> Range<usize> {
        start..self.tokens[self.next.saturating_sub(1)].at.end.max(start)
    }

    fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn second_is_word(&self, word: &str) -> bool {
        matches!(self.peek_second(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        if found {
            self.advance();
        }
        found
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), Problem> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}` is due here"))) }
    }

    fn unexpected(&self, due: &str) -> Problem {
        let (token, at) = (self.peek(), self.at());
        if let Some(problem) = names::unsupported(token, &at) {
            return problem;
        }
        let problem = Problem::new(code::EXPRESSION, at, format!("{due}, not {}", token.shown()));
        match token {
            Token::End if self.flow => {
                problem.help("inside { } and [ ] a comma ends a YAML value: quote the whole expression")
            }
            Token::Word(_) | Token::Quoted(_) | Token::Number(_) | Token::Text(_) if self.next > 0 => {
                problem.help("an operator, `and` or `or` may be missing before it")
            }
            _ => problem,
        }
    }

    // --- nodes

    /// A node over `parts`, unless it gets too deep.
    fn node(&self, kind: Kind, start: usize) -> Parsed {
        let mut depth = 0;
        kind.parts(&mut |part| depth = depth.max(part.depth));
        let at = self.since(start);
        if depth >= EXPRESSION_DEPTH_MAX {
            return Err(too_deep(at));
        }
        Ok(Node { kind, at, depth: depth + 1, closed: false })
    }

    fn nested(&mut self, inner: fn(&mut Parser) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            return Err(too_deep(self.at()));
        }
        let node = inner(self);
        self.depth -= 1;
        node
    }

    // --- grammar, loose to tight

    fn or(&mut self) -> Parsed {
        let start = self.at().start;
        let first = self.and()?;
        if !self.is_word("or") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word("or") {
            parts.push(self.and()?);
        }
        self.node(Kind::Or(parts), start)
    }

    fn and(&mut self) -> Parsed {
        let start = self.at().start;
        let first = self.not()?;
        if !self.is_word("and") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word("and") {
            parts.push(self.not()?);
        }
        self.node(Kind::And(parts), start)
    }

    fn not(&mut self) -> Parsed {
        let start = self.at().start;
        if self.take_word("not") {
            let inner = self.nested(Parser::not)?;
            return self.node(Kind::Not(Box::new(inner)), start);
        }
        self.is()
    }

    fn is(&mut self) -> Parsed {
        let start = self.at().start;
        let value = self.comparison()?;
        if !self.is_word("is") {
            return Ok(value);
        }
        let operator = self.at();
        self.advance();
        let negated = self.take_word("not");
        if !self.take_word("null") {
            let problem = Problem::new(
                code::UNSUPPORTED,
                operator.start..self.at().end,
                "after `is` only `null` and `not null` are understood",
            );
            return Err(problem.help("compare with `=`, or name a boolean property by itself"));
        }
        ask_parentheses(&value)?;
        let node = self.node(Kind::IsNull { value: Box::new(value), negated }, start)?;
        self.end_comparison()?;
        Ok(node)
    }

    fn comparison(&mut self) -> Parsed {
        let start = self.at().start;
        let left = self.range()?;
        let Some(comparison) = self.take_comparison() else { return Ok(left) };
        ask_parentheses(&left)?;
        if self.is_word("not") {
            return Err(self.unexpected("a value is due here").help("write `not` before the whole comparison"));
        }
        let right = self.range()?;
        ask_parentheses(&right)?;
        let node = self.node(Kind::Compare(comparison, Box::new(left), Box::new(right)), start)?;
        self.end_comparison()?;
        Ok(node)
    }

    fn take_comparison(&mut self) -> Option<Comparison> {
        let Token::Sign(sign) = self.peek() else { return None };
        let comparison = match *sign {
            "=" | "==" => Comparison::Eq,
            "<>" | "!=" => Comparison::Neq,
            "<" => Comparison::Lt,
            "<=" => Comparison::Lte,
            ">" => Comparison::Gt,
            ">=" => Comparison::Gte,
            _ => return None,
        };
        self.advance();
        Some(comparison)
    }

    /// Comparisons don't chain.
    fn end_comparison(&mut self) -> Result<(), Problem> {
        let at = self.at();
        let again = self.take_comparison().is_some()
            || ["is", "in", "between", "like", "ilike"].iter().any(|w| self.is_word(w));
        if !again {
            return Ok(());
        }
        let problem = Problem::new(code::PARENTHESES, at, "comparisons do not chain");
        Err(problem.help("join them with `and`, or put parentheses around the first one"))
    }

    fn range(&mut self) -> Parsed {
        let start = self.at().start;
        let value = self.sum()?;
        let negated =
            self.is_word("not") && ["in", "between", "like", "ilike"].iter().any(|word| self.second_is_word(word));
        if negated {
            self.advance();
        }
        let value = Box::new(value);
        let kind = if self.take_word("in") {
            Kind::In { value, list: self.list()?, negated }
        } else if self.take_word("between") {
            let low = Box::new(self.sum()?);
            if !self.take_word("and") {
                return Err(self.unexpected("`and` is due here (`between … and …`)"));
            }
            Kind::Between { value, low, high: Box::new(self.sum()?), negated }
        } else if self.is_word("like") || self.is_word("ilike") {
            let fold_case = self.is_word("ilike");
            self.advance();
            Kind::Like { value, pattern: Box::new(self.sum()?), fold_case, negated }
        } else {
            return Ok(*value);
        };
        if self.is_word("escape") {
            let problem = Problem::new(code::UNSUPPORTED, self.at(), "`escape` is not understood");
            return Err(problem.help("use starts_with, ends_with, contains or regexp_matches"));
        }
        let node = self.node(kind, start)?;
        if ["in", "between", "like", "ilike"].iter().any(|word| self.is_word(word)) {
            self.end_comparison()?;
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Node>, Problem> {
        self.expect_sign("(")?;
        if matches!(self.peek(), Token::Sign(")")) {
            return Err(self.unexpected("a list needs at least one value: a value is due here"));
        }
        let mut list = Vec::new();
        loop {
            list.push(self.sum()?);
            if !self.take_sign(",") {
                self.expect_sign(")")?;
                return Ok(list);
            }
        }
    }

    fn sum(&mut self) -> Parsed {
        let start = self.at().start;
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Token::Sign("+") => Arithmetic::Add,
                Token::Sign("-") => Arithmetic::Sub,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.product()?;
            left = self.node(Kind::Arithmetic(operator, Box::new(left), Box::new(right)), start)?;
        }
    }

    fn product(&mut self) -> Parsed {
        let start = self.at().start;
        let mut left = self.unary()?;
        while self.take_sign("*") {
            let right = self.unary()?;
            left = self.node(Kind::Arithmetic(Arithmetic::Mul, Box::new(left), Box::new(right)), start)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let start = self.at().start;
        if self.take_sign("-") {
            let inner = self.nested(Parser::unary)?;
            return self.node(Kind::Negate(Box::new(inner)), start);
        }
        if self.take_sign("+") {
            return self.nested(Parser::unary);
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed {
        let start = self.at().start;
        match self.peek().clone() {
            Token::Sign("(") => self.parentheses(start),
            Token::Text(text) => {
                self.advance();
                self.node(Kind::Text(text), start)
            }
            Token::Number(number) => {
                self.advance();
                let value = number_literal(&number, self.since(start))?;
                self.node(Kind::Number(value), start)
            }
            Token::Word(word) => self.word(&word, start),
            Token::Quoted(_) => self.column(start),
            _ => Err(self.unexpected("a value is due here")),
        }
    }

    fn parentheses(&mut self, start: usize) -> Parsed {
        self.advance();
        let mut inner = self.nested(Parser::or)?;
        self.expect_sign(")")?;
        inner.at = self.since(start);
        inner.closed = true;
        Ok(inner)
    }

    fn word(&mut self, word: &str, start: usize) -> Parsed {
        let lower = word.to_ascii_lowercase();
        let constant = match lower.as_str() {
            "true" => Some(Kind::Bool(true)),
            "false" => Some(Kind::Bool(false)),
            "null" => Some(Kind::Null),
            _ => None,
        };
        if let Some(kind) = constant {
            self.advance();
            return self.node(kind, start);
        }
        match self.peek_second() {
            Token::Text(_) => self.typed_literal(&lower, start),
            Token::Sign("(") if !names::is_reserved(&lower) => self.call(lower, start),
            _ => self.column(start),
        }
    }

    /// `timestamp '…'`.
    fn typed_literal(&mut self, word: &str, start: usize) -> Parsed {
        let word_at = self.at();
        self.advance();
        let Token::Text(text) = self.peek().clone() else { return Err(self.unexpected("a text is due here")) };
        self.advance();
        let at = self.since(start);
        if !matches!(word, "timestamp" | "timestamptz") {
            let message = format!("`{word}` does not make a value of the text that follows");
            return Err(Problem::new(code::UNSUPPORTED, word_at, message)
                .help("only `timestamp '…'` does; an operator may be missing before the text"));
        }
        let time = time_literal(&text).ok_or_else(|| not_a_time(&text, at))?;
        self.node(Kind::Time(time), start)
    }

    fn column(&mut self, start: usize) -> Parsed {
        let mut key = String::new();
        loop {
            match self.peek().clone() {
                Token::Word(word) => {
                    if names::is_reserved(&word.to_ascii_lowercase()) && key.is_empty() {
                        return Err(names::reserved(&word, self.at()));
                    }
                    key.push_str(&word);
                }
                Token::Quoted(word) if word.is_empty() => {
                    return Err(Problem::new(code::EXPRESSION, self.at(), "a name cannot be empty")
                        .help("texts stand in single quotes: ''"));
                }
                Token::Quoted(word) => key.push_str(&word),
                _ => return Err(self.unexpected("a name is due after `.`")),
            }
            self.advance();
            if !self.take_sign(".") {
                break;
            }
            key.push('.');
        }
        let column = names::column(&key, self.since(start))?;
        self.node(Kind::Column(column), start)
    }

    fn call(&mut self, name: String, start: usize) -> Parsed {
        let name_at = self.at();
        self.advance();
        self.expect_sign("(")?;
        let mut call =
            Call { name, name_at, distinct: self.take_word("distinct"), arguments: Vec::new(), filter: None };
        if !self.take_sign(")") {
            loop {
                let argument = self.argument()?;
                call.arguments.push(argument);
                if !self.take_sign(",") {
                    break;
                }
            }
            self.expect_sign(")")?;
        }
        if self.is_word("filter") && matches!(self.peek_second(), Token::Sign("(")) {
            self.advance();
            self.advance();
            if !self.take_word("where") {
                return Err(self.unexpected("`where` is due here (`filter (where …)`)"));
            }
            call.filter = Some(self.nested(Parser::or)?);
            self.expect_sign(")")?;
        }
        if self.is_word("over") {
            let problem = Problem::new(code::UNSUPPORTED, self.at(), "window functions (`over`) are not computed");
            return Err(problem.help("rows are grouped by `every` when the insight is read"));
        }
        self.node(Kind::Call(Box::new(call)), start)
    }

    fn argument(&mut self) -> Parsed {
        let start = self.at().start;
        if matches!(self.peek(), Token::Sign("*")) {
            self.advance();
            return self.node(Kind::Star, start);
        }
        self.nested(Parser::or)
    }
}

pub(super) fn too_deep(at: Range<usize>) -> Problem {
    Problem::new(code::DEPTH, at, format!("nested deeper than {EXPRESSION_DEPTH_MAX} levels"))
        .help("use `in (…)` for many values, or take parentheses away")
}

/// Operands of a comparison that are comparisons themselves: dialects disagree on their order.
fn ask_parentheses(operand: &Node) -> Result<(), Problem> {
    if operand.closed || !operand.kind.is_comparison() {
        return Ok(());
    }
    Err(Problem::new(code::PARENTHESES, operand.at.clone(), "a comparison within a comparison")
        .help("put parentheses around the inner one, or join the two with `and`"))
}
