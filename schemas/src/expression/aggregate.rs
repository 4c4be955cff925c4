//! Metrics in definitions: one aggregate function over an expression, with an optional filter.
//!
//! In: a metric's syntax tree. [`learn`] collects the uses of its properties, [`lower`] builds the typed function.

use super::lowering;
use super::syntax::{Call, Kind, Node};
use super::typing::{AGGREGATES, Types, unknown_function};
use crate::decimal::Decimal;
use crate::definition::diagnostic::{Problem, code};
use crate::expression::Expr;
use crate::metric::Function;
use crate::value::Type;

/// Collects the uses of properties in a metric.
pub(crate) fn learn(node: &Node, types: &mut Types, problems: &mut Vec<Problem>) {
    let Kind::Call(call) = &node.kind else {
        problems.push(no_aggregate(node));
        return;
    };
    if !AGGREGATES.contains(&call.name.as_str()) {
        problems.push(match &call.name {
            name if matches!(name.as_str(), "lower" | "contains" | "starts_with" | "ends_with" | "regexp_matches") => {
                no_aggregate(node)
            }
            _ => unknown_function(call),
        });
        return;
    }
    if let Some(problem) = arguments_problem(call, node) {
        problems.push(problem);
        return;
    }
    learn_arguments(call, types, problems);
    if let Some(filter) = &call.filter {
        types.expect(filter, Type::Bool, "`filter (where …)` takes a condition", problems);
    }
}

fn learn_arguments(call: &Call, types: &mut Types, problems: &mut Vec<Problem>) {
    let argument = &call.arguments[0];
    match call.name.as_str() {
        "sum" | "avg" | "quantile" => {
            types.expect(argument, Type::Number, &format!("`{}` takes numbers", call.name), problems);
        }
        "percent" => types.expect(argument, Type::Bool, "`percent` takes a condition", problems),
        "min" | "max" => types.ordered(argument, &call.name, problems),
        _ if matches!(argument.kind, Kind::Star) => {}
        _ => types.any(argument, problems),
    }
}

fn no_aggregate(node: &Node) -> Problem {
    let message = "a metric is one aggregate function";
    let help = match &node.kind {
        Kind::Arithmetic(..) | Kind::Negate(_) => {
            "arithmetic goes inside (`sum(price * quantity)`); combine metrics where you read them"
        }
        Kind::Column(_) => "write count(x), sum(x), avg(x), min(x), max(x) or count(distinct x)",
        _ if node.kind.is_comparison() => "write percent(…) for a share, or count(*) filter (where …)",
        _ => "such as `count(*)`, `sum(amount)` or `count(distinct user_id)`",
    };
    Problem::new(code::AGGREGATE, node.at.clone(), message).help(help)
}

/// Checks number and kind of arguments.
fn arguments_problem(call: &Call, node: &Node) -> Option<Problem> {
    let problem = |message: String, help: &str| {
        Some(Problem::new(code::ARGUMENT, node.at.clone(), message).help(help.to_owned()))
    };
    let name = call.name.as_str();
    let due = if name == "quantile" { 2 } else { 1 };
    if call.arguments.len() != due {
        let message = format!("`{name}` takes {due} argument{}", if due == 1 { "" } else { "s" });
        return problem(
            message,
            match name {
                "quantile" => "write quantile(x, 0.95)",
                "count" => "write count(*), count(x) or count(distinct x)",
                _ => "give it one expression",
            },
        );
    }
    if call.distinct && name != "count" {
        let message = format!("`distinct` goes with count only, not with `{name}`");
        return problem(message, "write count(distinct x)");
    }
    let star = matches!(call.arguments[0].kind, Kind::Star);
    if star && (name != "count" || call.distinct) {
        let message = format!("`{name}` cannot take `*`");
        return problem(message, "name what is measured; only count(*) counts events");
    }
    if let Some(share) = call.arguments.get(1)
        && quantile_of(share).is_none()
    {
        let message = "the second argument of `quantile` must be a number from 0 to 1";
        return Some(
            Problem::new(code::ARGUMENT, share.at.clone(), message).help("the 95th percentile is quantile(x, 0.95)"),
        );
    }
    None
}

fn quantile_of(node: &Node) -> Option<Decimal> {
    match node.kind {
        Kind::Number(share) if (Decimal::ZERO..=Decimal::from(1i64)).contains(&share) => Some(share),
        _ => None,
    }
}

/// Builds the typed function and its filter, from a tree [`learn`] found no fault with.
///
/// # Errors
/// What only shows now: a text that is no time, a number out of range.
pub(crate) fn lower(node: &Node, types: &Types) -> Result<(Function, Option<Expr>), Problem> {
    let Kind::Call(call) = &node.kind else { return Err(no_aggregate(node)) };
    let argument = call.arguments.first().ok_or_else(|| no_aggregate(node))?;
    let at = |due: Option<Type>| lowering::lower(argument, due, types);
    let ordered = || match &argument.kind {
        Kind::Column(column) => column.fixed_type().or_else(|| types.of(column.name())),
        _ => None,
    };
    let function = match call.name.as_str() {
        "count" if matches!(argument.kind, Kind::Star) => Function::Count,
        "count" if call.distinct => Function::CountDistinct(at(None)?),
        "count" => Function::CountOf(at(None)?),
        "sum" => Function::Sum(at(Some(Type::Number))?),
        "avg" => Function::Avg(at(Some(Type::Number))?),
        "min" => Function::Min(at(ordered())?),
        "max" => Function::Max(at(ordered())?),
        "approx_count_distinct" => Function::ApproxCountDistinct(at(None)?),
        "percent" => Function::Percent(at(Some(Type::Bool))?),
        "quantile" => {
            let share = call.arguments.get(1).and_then(quantile_of).ok_or_else(|| no_aggregate(node))?;
            Function::Quantile(at(Some(Type::Number))?, share)
        }
        _ => return Err(no_aggregate(node)),
    };
    let filter = match &call.filter {
        Some(filter) => Some(lowering::lower(filter, Some(Type::Bool), types)?),
        None => None,
    };
    Ok((function, filter))
}
