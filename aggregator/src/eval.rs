//! Evaluation of expressions over a batch, a column at a time.
//!
//! In: an [`Expr`] compiled once to a [`Node`], and a [`Frame`]. Out: a [`Vector`]. Semantics are SQL's three-valued
//! logic as DuckDB has it. A result that leaves 38 digits is an error only in rows that are asked for. What tests a
//! value against constants is worked out once per dictionary entry.

pub(crate) mod number;
mod predicate;
pub mod vector;

use arrow::array::{Array, BooleanArray, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{and_kleene, not, or_kleene};
use tidemill_schemas::expression::{Arithmetic, Comparison, Expr, Read};
use tidemill_schemas::value::{Type, Value};

use crate::columns::Frame;
pub use predicate::lower;
use predicate::{Matcher, Predicate};
use vector::{Texts, Vector};

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// A number left 38 digits or 18 decimals.
    Overflow,
    /// A pattern is no regular expression.
    Pattern(String),
    /// A page's column is not what pages hold: (column, why).
    Page(String, String),
}

impl EvalError {
    pub(crate) fn page(column: &str, why: &str) -> EvalError {
        EvalError::Page(column.to_owned(), why.to_owned())
    }
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub enum Node {
    /// A constant.
    Constant(Value),
    /// A column.
    Read(Read),
    /// All hold.
    And(Vec<Node>),
    /// One holds.
    Or(Vec<Node>),
    /// The opposite.
    Not(Box<Node>),
    /// Two computed values compared.
    Compare(Comparison, Box<Node>, Box<Node>),
    /// A computed value tested against constants.
    Test(Box<Node>, Test),
    /// Whether it is null.
    IsNull(Box<Node>),
    /// Two numbers.
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    /// Small letters.
    Lower(Box<Node>),
}

/// A test of one value against constants.
#[derive(Clone, Debug)]
pub struct Test(Predicate);

impl Node {
    /// Compiles an expression. A pattern that is no regular expression becomes an error when it is evaluated, so that
    /// one bad definition stops only itself.
    pub fn compile(expr: &Expr) -> Node {
        let boxed = |expr: &Expr| Box::new(Node::compile(expr));
        match expr {
            Expr::Literal(value) => Node::Constant(value.clone()),
            Expr::Read(read) => Node::Read(read.clone()),
            Expr::And(parts) => Node::And(parts.iter().map(Node::compile).collect()),
            Expr::Or(parts) => Node::Or(parts.iter().map(Node::compile).collect()),
            Expr::Not(inner) => Node::Not(boxed(inner)),
            Expr::Compare(how, left, right) => match (left.as_ref(), right.as_ref()) {
                (_, Expr::Literal(value)) => Node::test(left, Predicate::Compare(*how, value.clone())),
                (Expr::Literal(value), _) => Node::test(right, Predicate::Compare(turned(*how), value.clone())),
                _ => Node::Compare(*how, boxed(left), boxed(right)),
            },
            Expr::In(inner, values) => Node::test(inner, Predicate::in_list(values)),
            Expr::IsNull(inner) => Node::IsNull(boxed(inner)),
            Expr::Matches(inner, pattern) => Node::test(inner, Predicate::Matches(Matcher::compile(pattern))),
            Expr::Arithmetic(how, left, right) => Node::Arithmetic(*how, boxed(left), boxed(right)),
            Expr::Lower(inner) => Node::Lower(boxed(inner)),
        }
    }

    fn test(inner: &Expr, predicate: Predicate) -> Node {
        Node::Test(Box::new(Node::compile(inner)), Test(predicate))
    }

    /// The value in every row of the batch. `asked` are the rows whose value will be used (`None`: all); in others it
    /// is unspecified.
    ///
    /// # Errors
    /// [`EvalError`].
    pub fn evaluate(&self, frame: &Frame<'_>, asked: Option<&BooleanBuffer>) -> Result<Vector, EvalError> {
        Ok(match self {
            Node::Constant(value) => Vector::constant(value, frame.rows()),
            Node::Read(read) => frame.read(read)?,
            Node::And(parts) => Vector::Bool(fold_bools(parts, frame, asked, and_kleene)?),
            Node::Or(parts) => Vector::Bool(fold_bools(parts, frame, asked, or_kleene)?),
            Node::Not(inner) => {
                let inner = inner.evaluate(frame, asked)?.into_bools();
                Vector::Bool(not(&inner).map_err(kernel)?)
            }
            Node::Compare(how, left, right) => {
                let left = left.evaluate(frame, asked)?;
                let right = right.evaluate(frame, asked)?;
                compare(*how, left, right)
            }
            Node::Test(inner, test) => test.0.apply(inner.evaluate(frame, asked)?, asked)?,
            Node::IsNull(inner) => {
                let valid = inner.evaluate(frame, asked)?.nulls();
                let nulls = valid.map_or_else(|| BooleanBuffer::new_unset(frame.rows()), |valid| !valid.inner());
                Vector::Bool(BooleanArray::new(nulls, None))
            }
            Node::Arithmetic(how, left, right) => {
                let left = left.evaluate(frame, asked)?.at(Type::Number);
                let right = right.evaluate(frame, asked)?.at(Type::Number);
                match (left, right) {
                    (Vector::Number(left), Vector::Number(right)) => {
                        Vector::Number(number::arithmetic(*how, &left, &right, asked)?)
                    }
                    _ => Vector::Null(frame.rows()),
                }
            }
            Node::Lower(inner) => match inner.evaluate(frame, asked)?.at(Type::Text) {
                Vector::Text(texts) => Vector::Text(lowered(texts)),
                other => other,
            },
        })
    }

    /// The rows where this holds.
    ///
    /// # Errors
    /// [`EvalError`].
    pub fn holds(&self, frame: &Frame<'_>, asked: Option<&BooleanBuffer>) -> Result<BooleanBuffer, EvalError> {
        Ok(truth(&self.evaluate(frame, asked)?.into_bools()))
    }
}

/// The rows that are true: null is not.
pub fn truth(bools: &BooleanArray) -> BooleanBuffer {
    match bools.nulls() {
        Some(nulls) => bools.values() & nulls.inner(),
        None => bools.values().clone(),
    }
}

type Kernel = fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow::error::ArrowError>;

fn fold_bools(
    parts: &[Node],
    frame: &Frame<'_>,
    asked: Option<&BooleanBuffer>,
    kernel_of: Kernel,
) -> Result<BooleanArray, EvalError> {
    let mut folded: Option<BooleanArray> = None;
    for part in parts {
        let next = part.evaluate(frame, asked)?.into_bools();
        folded = Some(match folded {
            None => next,
            Some(folded) => kernel_of(&folded, &next).map_err(kernel)?,
        });
    }
    Ok(folded.unwrap_or_else(|| BooleanArray::new_null(frame.rows())))
}

fn kernel(error: arrow::error::ArrowError) -> EvalError {
    EvalError::page("", &error.to_string())
}

/// The comparison with its sides exchanged.
fn turned(how: Comparison) -> Comparison {
    match how {
        Comparison::Eq => Comparison::Eq,
        Comparison::Neq => Comparison::Neq,
        Comparison::Lt => Comparison::Gt,
        Comparison::Lte => Comparison::Gte,
        Comparison::Gt => Comparison::Lt,
        Comparison::Gte => Comparison::Lte,
    }
}

/// Two vectors of one type, row by row.
fn compare(how: Comparison, left: Vector, right: Vector) -> Vector {
    let rows = left.rows();
    let Some(wanted) = left.type_of().or(right.type_of()) else { return Vector::Null(rows) };
    let (left, right) = (left.at(wanted), right.at(wanted));
    let nulls = NullBuffer::union(left.nulls().as_ref(), right.nulls().as_ref());
    let each = |order: &dyn Fn(usize) -> std::cmp::Ordering| {
        BooleanBuffer::collect_bool(rows, |row| {
            // What stands under a null need not even be comparable.
            nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) && predicate::holds(how, order(row))
        })
    };
    let values = match (&left, &right) {
        (Vector::Bool(left), Vector::Bool(right)) => each(&|row| left.value(row).cmp(&right.value(row))),
        (Vector::Number(left), Vector::Number(right)) => each(&|row| number::order(left, right, row)),
        (Vector::Text(left), Vector::Text(right)) => each(&|row| left.at(row).cmp(right.at(row))),
        (Vector::Time(left), Vector::Time(right)) => each(&|row| left.values[row].cmp(&right.values[row])),
        _ => return Vector::Null(rows),
    };
    Vector::Bool(BooleanArray::new(values, nulls))
}

fn lowered(texts: Texts) -> Texts {
    let values = (0..texts.values.len()).map(|at| if texts.values.is_null(at) { "" } else { texts.values.value(at) });
    let values = StringArray::from_iter_values(values.map(lower));
    Texts { keys: texts.keys, values, nulls: texts.nulls }
}

#[cfg(test)]
mod tests;
