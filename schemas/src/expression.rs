//! Expressions: the typed meaning of a definition's SQL.
//!
//! SQL text is parsed once (`grammar`), typed ([`typing`]) and lowered (`lowering`) into [`Expr`]; everything downstream — the vectorised
//! evaluator, the oracle, the fingerprint — sees only this tree. Semantics are SQL's three-valued logic: a comparison
//! with null is null, and a row passes a filter only when it is true. Reading a property at a type it does not have
//! gives null: `"34"` is not `34`.

pub(crate) mod aggregate;
pub(crate) mod grammar;
pub(crate) mod lexer;
mod literal;
pub(crate) mod lowering;
mod names;
pub mod parse;
pub mod pattern;
pub(crate) mod syntax;
pub mod typing;

use serde::{Deserialize, Serialize};

use crate::value::{Type, Value};

/// A column of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// The event's id; text.
    Id,
    /// The event's source; text.
    Source,
    /// The event's name; text.
    Name,
    /// The event's actor; text, may be null.
    Actor,
    /// The event's time.
    Time,
    /// A property, by its flattened key.
    Property(String),
}

impl Column {
    /// The name users write.
    pub fn name(&self) -> &str {
        match self {
            Column::Id => "id",
            Column::Source => "source",
            Column::Name => "name",
            Column::Actor => "actor",
            Column::Time => "time",
            Column::Property(key) => key,
        }
    }

    /// The type, where it does not depend on the event.
    pub fn fixed_type(&self) -> Option<Type> {
        match self {
            Column::Id | Column::Source | Column::Name | Column::Actor => Some(Type::Text),
            Column::Time => Some(Type::Time),
            Column::Property(_) => None,
        }
    }
}

/// A column read: at one type, or (`None`) whatever it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Read {
    /// What is read.
    pub column: Column,
    /// The type it is read at; a value of another type reads as null. `None` reads any type, and stands only where a
    /// value's type does not matter: `is null`, `count`, `count(distinct …)`, `by`.
    pub at: Option<Type>,
}

/// How two values of one type are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Neq,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
}

/// Exact decimal arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
}

/// A test of text against a pattern known when the definition is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// `like`: `%` any run, `_` any one character, no escape; the whole text must match.
    Like(String),
    /// `ilike`: the same, letter case ignored.
    Ilike(String),
    /// `starts_with(text, prefix)`.
    StartsWith(String),
    /// `ends_with(text, suffix)`.
    EndsWith(String),
    /// `contains(text, part)`.
    Contains(String),
    /// `regexp_matches(text, regex)`: somewhere in the text; linear time.
    Regex(String),
}

/// An expression. Each has one [`Type`], see [`Expr::type_of`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// A constant; null has every type.
    Literal(Value),
    /// A column.
    Read(Read),
    /// All hold (three-valued); never empty, never nested directly in another `And`.
    And(Vec<Expr>),
    /// One holds (three-valued); never empty, never nested directly in another `Or`.
    Or(Vec<Expr>),
    /// The opposite (three-valued).
    Not(Box<Expr>),
    /// Two values of one type compared; false < true, text by Unicode code point, as DuckDB.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `expr in (…)`: constants of the expression's type, sorted, without duplicates and without null.
    In(Box<Expr>, Vec<Value>),
    /// `expr is null`; never null itself.
    IsNull(Box<Expr>),
    /// Text against a pattern.
    Matches(Box<Expr>, Pattern),
    /// Two numbers.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// `lower(text)`, by Unicode.
    Lower(Box<Expr>),
}

impl Expr {
    /// `name in (…)`.
    pub fn named(names: &[String]) -> Expr {
        let name = Expr::Read(Read { column: Column::Name, at: Some(Type::Text) });
        Expr::In(Box::new(name), names.iter().cloned().map(Value::Text).collect())
    }

    /// All of these; `None`: there are none.
    pub fn all(mut parts: Vec<Expr>) -> Option<Expr> {
        if parts.len() > 1 { Some(Expr::And(parts)) } else { parts.pop() }
    }

    /// The expression's type; `None` for the constant null and for a read of any type.
    pub fn type_of(&self) -> Option<Type> {
        match self {
            Expr::Literal(value) => value.type_of(),
            Expr::Read(read) => read.at,
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Compare(..) | Expr::In(..) | Expr::IsNull(_) => {
                Some(Type::Bool)
            }
            Expr::Matches(..) => Some(Type::Bool),
            Expr::Arithmetic(..) => Some(Type::Number),
            Expr::Lower(_) => Some(Type::Text),
        }
    }

    /// Levels of the tree: 1 for a constant or a read.
    pub fn depth(&self) -> usize {
        1 + match self {
            Expr::Literal(_) | Expr::Read(_) => 0,
            Expr::And(parts) | Expr::Or(parts) => parts.iter().map(Expr::depth).max().unwrap_or(0),
            Expr::Not(inner)
            | Expr::In(inner, _)
            | Expr::IsNull(inner)
            | Expr::Matches(inner, _)
            | Expr::Lower(inner) => inner.depth(),
            Expr::Compare(_, left, right) | Expr::Arithmetic(_, left, right) => left.depth().max(right.depth()),
        }
    }

    /// Calls `visit` with every column read in the expression.
    pub fn reads<'a>(&'a self, visit: &mut dyn FnMut(&'a Read)) {
        match self {
            Expr::Literal(_) => {}
            Expr::Read(read) => visit(read),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| part.reads(visit)),
            Expr::Not(inner)
            | Expr::In(inner, _)
            | Expr::IsNull(inner)
            | Expr::Matches(inner, _)
            | Expr::Lower(inner) => {
                inner.reads(visit);
            }
            Expr::Compare(_, left, right) | Expr::Arithmetic(_, left, right) => {
                left.reads(visit);
                right.reads(visit);
            }
        }
    }
}
