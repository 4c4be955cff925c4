//! The body of a standard insight: `from`, `where`, `metrics` and `by`, typed together.
//!
//! All expressions of a definition are read first and typed as one, since a property has one type throughout.

use std::ops::Range;

use super::diagnostic::{Problem, Source, code};
use super::document::{Entry, Kind, Node};
use super::parse::proposed_name;
use super::{BREAKDOWN_COLUMNS_MAX, From, METRICS_MAX, NAME_BYTES_MAX, Standard, fields};
use crate::expression::lexer::Text;
use crate::expression::syntax::Node as Syntax;
use crate::expression::typing::{Hints, Types, Use};
use crate::expression::{Column, Expr, aggregate, grammar, lowering, parse};
use crate::metric::Metric;
use crate::value::Type;

/// What the body mentions, and where.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Event names, in the order written.
    pub events: Vec<fields::Spanned>,
    /// Properties, in the order written.
    pub properties: Vec<Use>,
    /// The breakdown.
    pub by: Vec<Column>,
}

/// A metric as written.
struct Written<'a> {
    name: &'a str,
    tree: Option<Syntax>,
}

/// Reads the body; `None` when something in it is wrong, which is then among the problems.
pub(super) fn read(
    source: &Source<'_>,
    entries: &[Entry],
    hints: &Hints,
    problems: &mut Vec<Problem>,
) -> Option<(Standard, Uses)> {
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let start = entries.first().map_or(0..0, |entry| entry.key_at.clone());
    let mut uses = Uses::default();
    let from = match find("from") {
        Some(entry) => read_from(&entry.value, &mut uses, problems),
        None => {
            let problem = Problem::new(code::MISSING_KEY, start.clone(), "the key `from` is missing");
            problems.push(problem.help("name the event, a list of them, or '*' for every event"));
            None
        }
    };
    let by = find("by").map_or(Some(Vec::new()), |entry| read_by(source, &entry.value, problems));
    let filter = find("where").map(|entry| tree(source, &entry.value, "`where`", problems));
    let metrics = match find("metrics") {
        Some(entry) => read_metrics(source, &entry.value, by.as_deref().unwrap_or_default(), problems)?,
        None => {
            let problem = Problem::new(code::MISSING_KEY, start, "the key `metrics` is missing");
            problems.push(problem.help("such as `metrics: { orders: count(*) }`"));
            return None;
        }
    };
    let mut types = Types::with_hints(hints);
    let (filter, metrics) = typed(filter, metrics, &mut types, problems)?;
    let body = Standard { from: from?, filter, metrics };
    uses.properties = types.uses;
    for (column, at) in by? {
        if let Column::Property(key) = &column {
            uses.properties.push(Use { key: key.clone(), at, read: None });
        }
        uses.by.push(column);
    }
    uses.properties.sort_by_key(|use_| use_.at.start);
    Some((body, uses))
}

/// Types every expression together, then builds them. `filter`: `Some(None)` when it could not be read.
fn typed(
    filter: Option<Option<Syntax>>,
    metrics: Vec<Written<'_>>,
    types: &mut Types,
    problems: &mut Vec<Problem>,
) -> Option<(Option<Expr>, Vec<Metric>)> {
    let before = problems.len();
    if let Some(Some(filter)) = &filter {
        types.expect(filter, Type::Bool, "`where` takes a condition", problems);
    }
    for tree in metrics.iter().filter_map(|metric| metric.tree.as_ref()) {
        aggregate::learn(tree, types, problems);
    }
    // What could not be read may have told the types that are open still.
    if filter.as_ref().is_some_and(Option::is_none) || metrics.iter().any(|metric| metric.tree.is_none()) {
        return None;
    }
    types.settle(problems);
    if problems.len() != before {
        return None;
    }
    let filter = filter.flatten().map(|filter| checked(lowering::lower(&filter, Some(Type::Bool), types), problems));
    let mut built = Vec::with_capacity(metrics.len());
    for metric in &metrics {
        let lowered = metric.tree.as_ref().map(|tree| aggregate::lower(tree, types));
        if let Some((function, filter)) = lowered.and_then(|lowered| checked(lowered, problems)) {
            built.push(Metric { name: metric.name.to_owned(), function, filter });
        }
    }
    let filter = match filter {
        Some(None) => return None,
        Some(filter) => filter,
        None => None,
    };
    (built.len() == metrics.len()).then_some((filter, built))
}

fn checked<T>(lowered: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    lowered.map_err(|problem| problems.push(problem)).ok()
}

pub(super) fn tree(source: &Source<'_>, node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<Syntax> {
    let text: Text<'_> = fields::expression(source, node, what, problems)?;
    checked(grammar::parse(&text), problems)
}

pub(super) fn read_from(node: &Node, uses: &mut Uses, problems: &mut Vec<Problem>) -> Option<From> {
    let list = fields::texts(node, "`from`", problems)?;
    let names: Vec<fields::Spanned> = list.iter().filter_map(|item| fields::text(item, "`from`", problems)).collect();
    if let Some((_, at)) = names.iter().find(|(name, _)| name == "*") {
        if names.len() > 1 {
            let problem = Problem::new(code::NAME_TAKEN, at.clone(), "'*' already means every event");
            problems.push(problem.help("leave the other names out, or the star"));
            return None;
        }
        return Some(From::All);
    }
    let mut sorted: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
    sorted.sort();
    sorted.dedup();
    uses.events = names;
    Some(From::Names(sorted))
}

pub(super) fn read_by(
    source: &Source<'_>,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> Option<Vec<(Column, Range<usize>)>> {
    let list = fields::texts(node, "`by`", problems)?;
    if list.len() > BREAKDOWN_COLUMNS_MAX {
        let message = format!("a breakdown by {} columns; the limit is {BREAKDOWN_COLUMNS_MAX}", list.len());
        let at = list[BREAKDOWN_COLUMNS_MAX].at.clone();
        problems.push(Problem::new(code::RANGE, at, message).help("make a second insight for the rest"));
    }
    let mut columns: Vec<(Column, Range<usize>)> = Vec::new();
    for item in list {
        let text = fields::expression(source, item, "`by`", problems)?;
        let Some(column) = checked(parse::column(&text), problems) else { continue };
        let problem = if column == Column::Time {
            Problem::new(code::BREAKDOWN, item.at.clone(), "a breakdown by `time` is not needed")
                .help("rows are grouped by time when the insight is read: `--every day`")
        } else if column.name().starts_with('$') {
            Problem::new(code::BREAKDOWN, item.at.clone(), "names that start with `$` are tidemill's own")
        } else if columns.iter().any(|(other, _)| other.name() == column.name()) {
            let message = format!("`{}` is in the breakdown twice", column.name());
            Problem::new(code::NAME_TAKEN, item.at.clone(), message).help("keep one of them")
        } else {
            columns.push((column, item.at.clone()));
            continue;
        };
        problems.push(problem);
    }
    Some(columns)
}

fn read_metrics<'a>(
    source: &Source<'_>,
    node: &'a Node,
    by: &[(Column, Range<usize>)],
    problems: &mut Vec<Problem>,
) -> Option<Vec<Written<'a>>> {
    let example = "such as `orders: count(*)`, one line each below `metrics:`";
    let entries = fields::entries(node, "`metrics`", example, problems)?;
    if entries.len() > METRICS_MAX {
        let message = format!("{} metrics; the limit is {METRICS_MAX}", entries.len());
        let at = entries[METRICS_MAX].key_at.clone();
        problems.push(Problem::new(code::RANGE, at, message).help("make a second insight for the rest"));
    }
    let mut metrics: Vec<Written<'a>> = Vec::new();
    for entry in entries {
        // An unquoted comma has cut an expression in two; the first half was answered already.
        if is_rest(&entry.value) && metrics.last().is_some_and(|metric| metric.tree.is_none()) {
            continue;
        }
        if metrics.iter().any(|metric| metric.name == entry.key) {
            problems.push(fields::duplicate(entry));
        }
        problems.extend(name_problem(entry, by));
        let what = format!("the metric `{}`", fields::shown(&entry.key));
        let tree = match &entry.value.kind {
            Kind::Map(_) => {
                let message = format!("{what} must be an expression, not a mapping");
                let problem = Problem::new(code::WRONG_SHAPE, entry.key_at.clone(), message);
                problems.push(problem.help("such as `revenue: sum(amount) filter (where paid)`"));
                None
            }
            _ => tree(source, &entry.value, &what, problems),
        };
        metrics.push(Written { name: &entry.key, tree });
    }
    Some(metrics)
}

/// Whether this is the empty value of what follows a comma in `{ }`.
fn is_rest(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.flow && scalar.is_null())
}

/// Metrics are columns of flat rows, beside `time` and the breakdown.
fn name_problem(entry: &Entry, by: &[(Column, Range<usize>)]) -> Option<Problem> {
    let (name, at) = (entry.key.as_str(), entry.key_at.clone());
    if name.starts_with('$') || name == "time" {
        let message = format!("`{}` cannot name a metric: rows have a column of that name", fields::shown(name));
        return Some(Problem::new(code::NAME_TAKEN, at, message).help("choose another name"));
    }
    if let Some((column, _)) = by.iter().find(|(column, _)| column.name() == name) {
        let message = format!("`{}` is a metric and a breakdown; a row can hold only one", column.name());
        return Some(Problem::new(code::NAME_TAKEN, at, message).help("choose another name for the metric"));
    }
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain {
        return None;
    }
    let message = format!("`{}` is not a name for a metric", fields::shown(name));
    let rule = format!("letters, digits and _, a letter first, at most {NAME_BYTES_MAX} of them");
    Some(Problem::new(code::NAME, at, message).help(match proposed_name(name) {
        Some(proposal) => format!("{rule}; such as `{proposal}`"),
        None => rule,
    }))
}

/// The condition and the metrics' expressions, for limits that count them.
impl Standard {
    /// Every expression of the body.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let metrics =
            self.metrics.iter().flat_map(|metric| metric.function.argument().into_iter().chain(&metric.filter));
        self.filter.iter().chain(metrics)
    }
}
