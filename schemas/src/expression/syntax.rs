//! Expressions as written: a tree in which every node knows its bytes of the file.
//!
//! Built by [`super::grammar`], turned into meaning by [`super::typing`]; seen by nobody else.

use std::ops::Range;

use super::{Arithmetic, Column, Comparison};
use crate::decimal::Decimal;
use crate::time::Timestamp;

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What it is.
    pub kind: Kind,
    /// Bytes of the file.
    pub at: Range<usize>,
    /// Levels below and including this one.
    pub depth: usize,
    /// Written in parentheses.
    pub closed: bool,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Column(Column),
    Text(String),
    Number(Decimal),
    Bool(bool),
    /// `timestamp '…'`.
    Time(Timestamp),
    Null,
    /// The `*` of `count(*)`.
    Star,
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    In {
        value: Box<Node>,
        list: Vec<Node>,
        negated: bool,
    },
    Between {
        value: Box<Node>,
        low: Box<Node>,
        high: Box<Node>,
        negated: bool,
    },
    Like {
        value: Box<Node>,
        pattern: Box<Node>,
        fold_case: bool,
        negated: bool,
    },
    IsNull {
        value: Box<Node>,
        negated: bool,
    },
    Call(Box<Call>),
}

/// A function call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The function, in lower case.
    pub name: String,
    /// Bytes of the function's name.
    pub name_at: Range<usize>,
    /// `distinct` before the argument.
    pub distinct: bool,
    /// The arguments.
    pub arguments: Vec<Node>,
    /// `filter (where …)`.
    pub filter: Option<Node>,
}

impl Kind {
    /// Whether it compares: `=`, `in`, `like`, `is null` and the like.
    pub fn is_comparison(&self) -> bool {
        matches!(
            self,
            Kind::Compare(..) | Kind::In { .. } | Kind::Between { .. } | Kind::Like { .. } | Kind::IsNull { .. }
        )
    }

    /// Calls `visit` with every direct part.
    pub fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match self {
            Kind::And(parts) | Kind::Or(parts) => parts.iter().for_each(visit),
            Kind::Not(inner) | Kind::Negate(inner) | Kind::IsNull { value: inner, .. } => visit(inner),
            Kind::Compare(_, left, right) | Kind::Arithmetic(_, left, right) => {
                visit(left);
                visit(right);
            }
            Kind::In { value, list, .. } => std::iter::once(&**value).chain(list).for_each(visit),
            Kind::Between { value, low, high, .. } => {
                visit(value);
                visit(low);
                visit(high);
            }
            Kind::Like { value, pattern, .. } => {
                visit(value);
                visit(pattern);
            }
            Kind::Call(call) => call.arguments.iter().chain(&call.filter).for_each(visit),
            _ => {}
        }
    }
}
