//! Fingerprints: the hash of a definition's meaning. Snapshots are kept under it, so a changed meaning starts a new
//! lineage, and a changed comment, title or refresh rate does not.
//!
//! In: a [`Definition`]. Out: 32 hex digits of xxh3-128 over an encoding of its own (tags, lengths, fixed-width
//! numbers), versioned by [`FINGERPRINT_FORMAT`]: no library's text format can move it. The name is left out (it is
//! part of every key anyway), as are title, owner, refresh and alerts; `top` counts only with a breakdown.

mod bodies;

use xxhash_rust::xxh3::xxh3_128;

use crate::calendar::WeekStart;
use crate::decimal::Decimal;
use crate::definition::{Body, Definition, From};
use crate::expression::{Arithmetic, Column, Comparison, Expr, Pattern, Read};
use crate::metric::{Function, Metric};
use crate::value::{Type, Value};

/// The version of the encoding; part of what is hashed. Raise it only when equal encodings would mean different
/// results.
pub const FINGERPRINT_FORMAT: u8 = 1;

/// The fingerprint: 32 lower-case hex digits.
pub fn fingerprint(definition: &Definition) -> String {
    format!("{:032x}", xxh3_128(&encoding(definition)))
}

fn encoding(definition: &Definition) -> Vec<u8> {
    let mut out = Encoding(vec![FINGERPRINT_FORMAT]);
    out.option(definition.source.as_deref(), Encoding::text);
    out.text(definition.timezone.name());
    out.tag(match definition.week_start {
        WeekStart::Sunday => 0,
        WeekStart::Monday => 1,
    });
    out.list(&definition.by, Encoding::column);
    let top = if definition.by.is_empty() { 0 } else { definition.top };
    out.0.extend_from_slice(&top.to_le_bytes());
    match &definition.body {
        Body::Standard(standard) => {
            out.tag(0);
            out.from(&standard.from);
            out.option(standard.filter.as_ref(), Encoding::expr);
            out.list(&standard.metrics, Encoding::metric);
        }
        body => bodies::encode(body, &mut out),
    }
    out.0
}

/// An injective encoding: every value is a tag, a fixed-width number, or a length and what it counts.
struct Encoding(Vec<u8>);

impl Encoding {
    fn tag(&mut self, tag: u8) {
        self.0.push(tag);
    }

    fn length(&mut self, length: usize) {
        self.0.extend_from_slice(&(length as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Encoding, &T)) {
        self.length(items.len());
        items.iter().for_each(|item| each(self, item));
    }

    fn option<T>(&mut self, value: Option<T>, each: impl Fn(&mut Encoding, T)) {
        match value {
            None => self.tag(0),
            Some(value) => {
                self.tag(1);
                each(self, value);
            }
        }
    }

    fn number(&mut self, number: Decimal) {
        self.0.extend_from_slice(&number.unscaled().to_le_bytes());
        self.tag(number.scale());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.tag(0),
            Value::Bool(value) => {
                self.tag(1);
                self.tag(u8::from(*value));
            }
            Value::Number(number) => {
                self.tag(2);
                self.number(*number);
            }
            Value::Text(text) => {
                self.tag(3);
                self.text(text);
            }
            Value::Time(time) => {
                self.tag(4);
                self.0.extend_from_slice(&time.micros().to_le_bytes());
            }
        }
    }

    fn column(&mut self, column: &Column) {
        match column {
            Column::Id => self.tag(0),
            Column::Source => self.tag(1),
            Column::Name => self.tag(2),
            Column::Actor => self.tag(3),
            Column::Time => self.tag(4),
            Column::Property(key) => {
                self.tag(5);
                self.text(key);
            }
        }
    }

    fn read(&mut self, read: &Read) {
        self.column(&read.column);
        self.tag(match read.at {
            None => 0,
            Some(Type::Bool) => 1,
            Some(Type::Number) => 2,
            Some(Type::Text) => 3,
            Some(Type::Time) => 4,
        });
    }

    fn exprs(&mut self, parts: &[Expr]) {
        self.list(parts, Encoding::expr);
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(value) => {
                self.tag(0);
                self.value(value);
            }
            Expr::Read(read) => {
                self.tag(1);
                self.read(read);
            }
            Expr::And(parts) => {
                self.tag(2);
                self.exprs(parts);
            }
            Expr::Or(parts) => {
                self.tag(3);
                self.exprs(parts);
            }
            Expr::Not(inner) => {
                self.tag(4);
                self.expr(inner);
            }
            Expr::Compare(comparison, left, right) => {
                self.tag(5);
                self.tag(comparison_tag(*comparison));
                self.expr(left);
                self.expr(right);
            }
            Expr::In(value, list) => {
                self.tag(6);
                self.expr(value);
                self.list(list, Encoding::value);
            }
            Expr::IsNull(inner) => {
                self.tag(7);
                self.expr(inner);
            }
            Expr::Matches(value, pattern) => {
                self.tag(8);
                self.expr(value);
                self.pattern(pattern);
            }
            Expr::Arithmetic(operator, left, right) => {
                self.tag(9);
                self.tag(match operator {
                    Arithmetic::Add => 0,
                    Arithmetic::Sub => 1,
                    Arithmetic::Mul => 2,
                });
                self.expr(left);
                self.expr(right);
            }
            Expr::Lower(inner) => {
                self.tag(10);
                self.expr(inner);
            }
        }
    }

    fn pattern(&mut self, pattern: &Pattern) {
        let (tag, text) = match pattern {
            Pattern::Like(text) => (0, text),
            Pattern::Ilike(text) => (1, text),
            Pattern::StartsWith(text) => (2, text),
            Pattern::EndsWith(text) => (3, text),
            Pattern::Contains(text) => (4, text),
            Pattern::Regex(text) => (5, text),
        };
        self.tag(tag);
        self.text(text);
    }

    fn from(&mut self, from: &From) {
        match from {
            From::All => self.tag(0),
            From::Names(names) => {
                self.tag(1);
                self.list(names, |out, name| out.text(name));
            }
        }
    }

    fn metric(&mut self, metric: &Metric) {
        self.text(&metric.name);
        self.tag(match &metric.function {
            Function::Count => 0,
            Function::CountOf(_) => 1,
            Function::Sum(_) => 2,
            Function::Avg(_) => 3,
            Function::Min(_) => 4,
            Function::Max(_) => 5,
            Function::CountDistinct(_) => 6,
            Function::ApproxCountDistinct(_) => 7,
            Function::Percent(_) => 8,
            Function::Quantile(..) => 9,
        });
        self.option(metric.function.argument(), Encoding::expr);
        if let Function::Quantile(_, share) = &metric.function {
            self.number(*share);
        }
        self.option(metric.filter.as_ref(), Encoding::expr);
    }
}

fn comparison_tag(comparison: Comparison) -> u8 {
    match comparison {
        Comparison::Eq => 0,
        Comparison::Neq => 1,
        Comparison::Lt => 2,
        Comparison::Lte => 3,
        Comparison::Gt => 4,
        Comparison::Gte => 5,
    }
}

#[cfg(test)]
mod tests;
