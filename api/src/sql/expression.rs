//! Expressions as DuckDB's SQL: every read at the type the definition means.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_schemas::definition::{Body, Definition, From};
use tidemill_schemas::expression::{Arithmetic, Column, Comparison, Expr, Pattern, Read};
use tidemill_schemas::metric::{Function, Metric};
use tidemill_schemas::value::{Type, Value};

/// The types properties have over all the sources an insight reads.
pub(crate) type Types = BTreeMap<String, BTreeSet<Type>>;

/// A name, quoted.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, quoted.
pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The column of a live-events view that holds a property at a type.
pub(crate) fn column_of(property: &str, at: Type) -> String {
    format!("{property}${}", at.word())
}

/// A type as DuckDB calls it.
pub(crate) fn sql_type(at: Type) -> &'static str {
    match at {
        Type::Bool => "boolean",
        Type::Number => "decimal(38, 0)",
        Type::Text => "varchar",
        Type::Time => "timestamptz",
    }
}

fn read(read: &Read, types: &Types) -> String {
    let Column::Property(property) = &read.column else { return ident(read.column.name()) };
    let held = types.get(property);
    match read.at {
        Some(at) if held.is_some_and(|held| held.contains(&at)) => ident(&column_of(property, at)),
        Some(at) => format!("cast(null as {})", sql_type(at)),
        None => any(property, held),
    }
}

/// A property whatever it holds, as text that tells its type.
fn any(property: &str, held: Option<&BTreeSet<Type>>) -> String {
    let tagged = |at: &Type| {
        format!("{} || cast({} as varchar)", text(&format!("{}:", at.word())), ident(&column_of(property, *at)))
    };
    match held.map(|held| held.iter().map(tagged).collect::<Vec<_>>()) {
        Some(tagged) if tagged.len() > 1 => format!("coalesce({})", tagged.join(", ")),
        Some(tagged) if tagged.len() == 1 => {
            let at = held.and_then(BTreeSet::first).copied().unwrap_or(Type::Text);
            ident(&column_of(property, at))
        }
        _ => "cast(null as varchar)".to_owned(),
    }
}

/// A column of a breakdown.
pub(crate) fn group(column: &Column, types: &Types) -> String {
    read(&Read { column: column.clone(), at: None }, types)
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Text(value) => text(value),
        Value::Time(value) => format!("timestamptz {}", text(&value.to_string())),
    }
}

fn joined(parts: &[Expr], word: &str, types: &Types) -> String {
    let parts: Vec<String> = parts.iter().map(|part| expression(part, types)).collect();
    format!("({})", parts.join(&format!(" {word} ")))
}

pub(crate) fn expression(expr: &Expr, types: &Types) -> String {
    let sql = |expr: &Expr| expression(expr, types);
    match expr {
        Expr::Literal(value) => literal(value),
        Expr::Read(of) => read(of, types),
        Expr::And(parts) => joined(parts, "and", types),
        Expr::Or(parts) => joined(parts, "or", types),
        Expr::Not(inner) => format!("(not {})", sql(inner)),
        Expr::Compare(comparison, left, right) => {
            let sign = match comparison {
                Comparison::Eq => "=",
                Comparison::Neq => "<>",
                Comparison::Lt => "<",
                Comparison::Lte => "<=",
                Comparison::Gt => ">",
                Comparison::Gte => ">=",
            };
            format!("({} {sign} {})", sql(left), sql(right))
        }
        Expr::In(inner, values) => {
            let values: Vec<String> = values.iter().map(literal).collect();
            // Nothing is in an empty list, and SQL has no word for one.
            if values.is_empty() { "false".to_owned() } else { format!("({} in ({}))", sql(inner), values.join(", ")) }
        }
        Expr::IsNull(inner) => format!("({} is null)", sql(inner)),
        Expr::Matches(inner, pattern) => {
            let inner = sql(inner);
            match pattern {
                Pattern::Like(like) => format!("({inner} like {})", text(like)),
                Pattern::Ilike(like) => format!("({inner} ilike {})", text(like)),
                Pattern::StartsWith(part) => format!("starts_with({inner}, {})", text(part)),
                Pattern::EndsWith(part) => format!("ends_with({inner}, {})", text(part)),
                Pattern::Contains(part) => format!("contains({inner}, {})", text(part)),
                Pattern::Regex(regex) => format!("regexp_matches({inner}, {})", text(regex)),
            }
        }
        Expr::Arithmetic(arithmetic, left, right) => {
            let sign = match arithmetic {
                Arithmetic::Add => "+",
                Arithmetic::Sub => "-",
                Arithmetic::Mul => "*",
            };
            format!("({} {sign} {})", sql(left), sql(right))
        }
        Expr::Lower(inner) => format!("lower({})", sql(inner)),
    }
}

/// A metric as an aggregate. Averages and shares are DuckDB's doubles, rounded as far as ours are exact.
pub(crate) fn metric(metric: &Metric, types: &Types) -> String {
    let sql = |expr: &Expr| expression(expr, types);
    let only = metric.filter.as_ref().map_or_else(String::new, |filter| format!(" filter (where {})", sql(filter)));
    match &metric.function {
        Function::Count => format!("count(*){only}"),
        Function::CountOf(of) => format!("count({}){only}", sql(of)),
        Function::Sum(of) => format!("sum({}){only}", sql(of)),
        Function::Avg(of) => format!("round(avg({}){only}, 6)", sql(of)),
        Function::Min(of) => format!("min({}){only}", sql(of)),
        Function::Max(of) => format!("max({}){only}", sql(of)),
        Function::CountDistinct(of) => format!("count(distinct {}){only}", sql(of)),
        Function::ApproxCountDistinct(of) => format!("approx_count_distinct({}){only}", sql(of)),
        Function::Percent(of) => {
            let hit = match &metric.filter {
                Some(filter) => format!("{} and {}", sql(of), sql(filter)),
                None => sql(of),
            };
            format!("round(100.0 * count(*) filter (where {hit}) / nullif(count(*){only}, 0), 6)")
        }
        Function::Quantile(of, q) => format!("quantile_disc({}, {q}){only}", sql(of)),
    }
}

/// The conditions of an insight's events.
pub(crate) fn conditions(definition: &Definition, types: &Types) -> String {
    let Body::Standard(standard) = &definition.body else { return "true".to_owned() };
    let mut conditions = Vec::new();
    if let From::Names(names) = &standard.from {
        let names: Vec<String> = names.iter().map(|name| text(name)).collect();
        conditions.push(format!("name in ({})", names.join(", ")));
    }
    conditions.extend(standard.filter.as_ref().map(|filter| expression(filter, types)));
    if conditions.is_empty() { "true".to_owned() } else { conditions.join("\n    and ") }
}
