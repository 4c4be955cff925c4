//! Syntax trees → typed expressions in their one normal form.
//!
//! `between` becomes two comparisons, `and`/`or` are flattened, constants stand on the right, lists are sorted, signs
//! are folded into numbers: equal meanings written differently get equal trees, and the evaluators see fewer shapes.
//! Only trees that [`super::typing`] found no fault with are lowered; what it left is answered with a problem, never a
//! panic.

use std::cell::Cell;

use super::grammar::too_deep;
use super::literal::{not_a_time, time_literal};
use super::pattern;
use super::syntax::{Call, Kind, Node};
use super::typing::{Types, type_of};
use super::{Arithmetic, Column, Comparison, Expr, Pattern, Read};
use crate::decimal::Decimal;
use crate::definition::diagnostic::{Problem, code};
use crate::definition::{EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX};
use crate::value::{Type, Value};

type Lowered = Result<Expr, Problem>;

/// Builds the typed expression; a property by itself is read at `at`.
pub(crate) fn lower(node: &Node, at: Option<Type>, types: &Types) -> Lowered {
    let lowered = Lowering { types, nodes: Cell::new(0) }.node(node, at)?;
    // `not between` is three levels where it was written as one.
    if lowered.depth() > EXPRESSION_DEPTH_MAX { Err(too_deep(node.at.clone())) } else { Ok(lowered) }
}

struct Lowering<'a> {
    types: &'a Types,
    /// Nodes built: `between` doubles its value, so nesting it could outgrow any text.
    nodes: Cell<usize>,
}

impl Lowering<'_> {
    fn node(&self, node: &Node, at: Option<Type>) -> Lowered {
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > EXPRESSION_NODES_MAX {
            let message = format!("this expression has more than {EXPRESSION_NODES_MAX} parts");
            return Err(Problem::new(code::DEPTH, node.at.clone(), message).help("do not nest `between`"));
        }
        Ok(match &node.kind {
            Kind::Column(column) => Expr::Read(Read { column: column.clone(), at: column.fixed_type().or(at) }),
            Kind::Text(text) if at == Some(Type::Time) => {
                let time = time_literal(text).ok_or_else(|| not_a_time(text, node.at.clone()))?;
                Expr::Literal(Value::Time(time))
            }
            Kind::Text(text) => Expr::Literal(Value::Text(text.clone())),
            Kind::Number(number) => Expr::Literal(Value::Number(*number)),
            Kind::Bool(value) => Expr::Literal(Value::Bool(*value)),
            Kind::Time(time) => Expr::Literal(Value::Time(*time)),
            Kind::Not(inner) => not(self.node(inner, Some(Type::Bool))?),
            Kind::Negate(inner) => self.negate(inner)?,
            Kind::And(parts) => and(self.conditions(parts)?),
            Kind::Or(parts) => or(self.conditions(parts)?),
            Kind::Compare(comparison, left, right) => {
                let due = self.common_type(&[left, right]);
                compare(*comparison, self.node(left, due)?, self.node(right, due)?)
            }
            Kind::Arithmetic(operator, left, right) => self.arithmetic(*operator, left, right, node)?,
            Kind::In { value, list, negated } => self.membership(value, list, *negated)?,
            Kind::Between { value, low, high, negated } => {
                let due = self.common_type(&[value, low, high]);
                let from = compare(Comparison::Gte, self.node(value, due)?, self.node(low, due)?);
                let to = compare(Comparison::Lte, self.node(value, due)?, self.node(high, due)?);
                negate_if(and(vec![from, to]), *negated)
            }
            Kind::Like { value, pattern, fold_case, negated } => {
                let text = constant_text(pattern)?;
                let pattern = if *fold_case { Pattern::Ilike(text) } else { Pattern::Like(text) };
                let value = self.node(value, Some(Type::Text))?;
                negate_if(Expr::Matches(Box::new(value), pattern), *negated)
            }
            Kind::IsNull { value, negated } => negate_if(Expr::IsNull(Box::new(self.node(value, None)?)), *negated),
            Kind::Call(call) => self.call(call, node)?,
            Kind::Null | Kind::Star => return Err(no_meaning(node)),
        })
    }

    fn conditions(&self, parts: &[Node]) -> Result<Vec<Expr>, Problem> {
        parts.iter().map(|part| self.node(part, Some(Type::Bool))).collect()
    }

    /// The type of values compared with each other.
    fn common_type(&self, nodes: &[&Node]) -> Option<Type> {
        let mut found = None;
        for node in nodes {
            let of = match &node.kind {
                Kind::Column(Column::Property(key)) => self.types.of(key),
                _ => type_of(node),
            };
            // A text compared with a time is read as one.
            if of == Some(Type::Time) || found.is_none() {
                found = of.or(found);
            }
        }
        found
    }

    fn negate(&self, inner: &Node) -> Lowered {
        Ok(match self.node(inner, Some(Type::Number))? {
            Expr::Literal(Value::Number(number)) => Expr::Literal(Value::Number(-number)),
            other => {
                let zero = Expr::Literal(Value::Number(Decimal::ZERO));
                Expr::Arithmetic(Arithmetic::Sub, Box::new(zero), Box::new(other))
            }
        })
    }

    fn arithmetic(&self, operator: Arithmetic, left: &Node, right: &Node, node: &Node) -> Lowered {
        let (left, right) = (self.node(left, Some(Type::Number))?, self.node(right, Some(Type::Number))?);
        let (Expr::Literal(Value::Number(a)), Expr::Literal(Value::Number(b))) = (&left, &right) else {
            return Ok(Expr::Arithmetic(operator, Box::new(left), Box::new(right)));
        };
        let result = match operator {
            Arithmetic::Add => a.checked_add(*b),
            Arithmetic::Sub => a.checked_sub(*b),
            Arithmetic::Mul => a.checked_mul(*b),
        };
        let message = "the result of this has more digits than can be kept exactly";
        let result = result.ok_or_else(|| Problem::new(code::NUMBER, node.at.clone(), message))?;
        Ok(Expr::Literal(Value::Number(result)))
    }

    fn membership(&self, value: &Node, list: &[Node], negated: bool) -> Lowered {
        let all: Vec<&Node> = std::iter::once(value).chain(list).collect();
        let due = self.common_type(&all);
        let mut values = Vec::with_capacity(list.len());
        for item in list {
            match self.node(item, due)? {
                Expr::Literal(value) => values.push(value),
                _ => {
                    let problem = Problem::new(code::ARGUMENT, item.at.clone(), "a list holds values written out");
                    return Err(problem.help("compare with a property by `=` and `or`"));
                }
            }
        }
        values.sort();
        values.dedup();
        Ok(negate_if(Expr::In(Box::new(self.node(value, due)?), values), negated))
    }

    fn call(&self, call: &Call, node: &Node) -> Lowered {
        let value = call.arguments.first().ok_or_else(|| no_meaning(node))?;
        let value = Box::new(self.node(value, Some(Type::Text))?);
        if call.name == "lower" {
            return Ok(Expr::Lower(value));
        }
        let argument = call.arguments.get(1).ok_or_else(|| no_meaning(node))?;
        let text = constant_text(argument)?;
        let pattern = match call.name.as_str() {
            "starts_with" => Pattern::StartsWith(text),
            "ends_with" => Pattern::EndsWith(text),
            "contains" => Pattern::Contains(text),
            "regexp_matches" => {
                pattern::compile(&text).map_err(|why| {
                    Problem::new(
                        code::REGEX,
                        argument.at.clone(),
                        format!("this regular expression is not read: {why}"),
                    )
                    .help("the syntax is RE2's, as in DuckDB")
                })?;
                Pattern::Regex(text)
            }
            _ => return Err(no_meaning(node)),
        };
        Ok(Expr::Matches(value, pattern))
    }
}

fn no_meaning(node: &Node) -> Problem {
    Problem::new(code::EXPRESSION, node.at.clone(), "this has no value here")
}

fn constant_text(node: &Node) -> Result<String, Problem> {
    match &node.kind {
        Kind::Text(text) => Ok(text.clone()),
        _ => Err(no_meaning(node)),
    }
}

fn negate_if(expr: Expr, negated: bool) -> Expr {
    if negated { not(expr) } else { expr }
}

/// `not`; twice is not at all, also where the value is null.
fn not(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => *inner,
        Expr::Literal(Value::Bool(value)) => Expr::Literal(Value::Bool(!value)),
        other => Expr::Not(Box::new(other)),
    }
}

fn and(parts: Vec<Expr>) -> Expr {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Expr::And(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    Expr::And(flat)
}

fn or(parts: Vec<Expr>) -> Expr {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Expr::Or(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    Expr::Or(flat)
}

/// A comparison, constant on the right; two constants are compared at once.
fn compare(comparison: Comparison, left: Expr, right: Expr) -> Expr {
    match (&left, &right) {
        (Expr::Literal(a), Expr::Literal(b)) => Expr::Literal(Value::Bool(match comparison {
            Comparison::Eq => a == b,
            Comparison::Neq => a != b,
            Comparison::Lt => a < b,
            Comparison::Lte => a <= b,
            Comparison::Gt => a > b,
            Comparison::Gte => a >= b,
        })),
        (Expr::Literal(_), _) => Expr::Compare(mirrored(comparison), Box::new(right), Box::new(left)),
        _ => Expr::Compare(comparison, Box::new(left), Box::new(right)),
    }
}

fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Lt => Comparison::Gt,
        Comparison::Lte => Comparison::Gte,
        Comparison::Gt => Comparison::Lt,
        Comparison::Gte => Comparison::Lte,
        other => other,
    }
}
