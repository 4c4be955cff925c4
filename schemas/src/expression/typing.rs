//! Types from use: what a property is compared with, added to or matched against says what it is read as.
//!
//! In: the syntax trees of one definition, in the order of the file. [`Types::learn`] collects every use,
//! [`Types::settle`] decides one type per property (and reports the second of two uses that disagree), and
//! [`super::lowering`] then builds typed expressions. A property never used at a type (counted, tested for null) is
//! read whatever it holds.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Column;
use super::syntax::{Call, Kind, Node};
use crate::definition::diagnostic::{Problem, code, nearest};
use crate::value::Type;

/// Types known from elsewhere, by property.
pub type Hints = BTreeMap<String, Type>;

/// Scalar functions and their number of arguments.
const FUNCTIONS: [(&str, usize); 5] =
    [("starts_with", 2), ("ends_with", 2), ("contains", 2), ("regexp_matches", 2), ("lower", 1)];
/// Aggregates, for messages and hints.
pub(super) const AGGREGATES: [&str; 8] =
    ["count", "sum", "avg", "min", "max", "approx_count_distinct", "percent", "quantile"];

/// A property at a type, and where.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    /// The property's key.
    pub key: String,
    /// Bytes of the file.
    pub at: Range<usize>,
    /// The type it is read at; `None`: any.
    pub read: Option<Type>,
}

/// The types of one definition's properties.
#[derive(Debug, Default)]
pub(crate) struct Types {
    hints: Hints,
    /// Every mention of a property, in the order of the file.
    pub uses: Vec<Use>,
    /// Pairs of properties compared with each other.
    pairs: Vec<(Use, Use)>,
    /// Properties in `min` and `max`, which take any ordered type.
    ordered: Vec<Use>,
    types: BTreeMap<String, (Type, Range<usize>)>,
}

impl Types {
    /// Types with these known beforehand for properties whose use does not tell.
    pub fn with_hints(hints: &Hints) -> Types {
        Types { hints: hints.clone(), ..Types::default() }
    }

    /// The settled type of a property.
    pub fn of(&self, key: &str) -> Option<Type> {
        self.types.get(key).map(|(of, _)| *of)
    }

    /// Collects uses from an expression that must have type `due`.
    pub fn expect(&mut self, node: &Node, due: Type, why: &str, problems: &mut Vec<Problem>) {
        match &node.kind {
            Kind::Column(Column::Property(key)) => self.use_at(key, &node.at, due, problems),
            // A text stands for an instant wherever one is due; lowering reads it.
            Kind::Text(_) if due == Type::Time => {}
            Kind::Null => problems.push(null_problem(node)),
            _ => {
                self.inside(node, problems);
                match type_of(node) {
                    Some(found) if found != due => problems.push(wrong_type(node, found, due, why)),
                    _ => {}
                }
            }
        }
    }

    /// Collects uses from an expression of any type; a property by itself is read whatever it holds.
    pub fn any(&mut self, node: &Node, problems: &mut Vec<Problem>) {
        match &node.kind {
            Kind::Column(Column::Property(key)) => {
                self.uses.push(Use { key: key.clone(), at: node.at.clone(), read: None });
            }
            Kind::Null => problems.push(null_problem(node)),
            _ => self.inside(node, problems),
        }
    }

    /// Collects uses from the argument of `min` or `max`.
    pub fn ordered(&mut self, node: &Node, word: &str, problems: &mut Vec<Problem>) {
        if let Kind::Column(Column::Property(key)) = &node.kind {
            self.ordered.push(Use { key: key.clone(), at: node.at.clone(), read: None });
            return;
        }
        self.any(node, problems);
        if type_of(node) == Some(Type::Bool) {
            let message = format!("`{word}` takes numbers, texts and times, not a condition");
            problems.push(Problem::new(code::TYPE, node.at.clone(), message).help("use percent(…)"));
        }
    }

    /// Collects uses from the parts of an expression.
    fn inside(&mut self, node: &Node, problems: &mut Vec<Problem>) {
        match &node.kind {
            Kind::And(parts) | Kind::Or(parts) => {
                parts.iter().for_each(|part| self.expect(part, Type::Bool, "a condition is due here", problems));
            }
            Kind::Not(inner) => self.expect(inner, Type::Bool, "`not` takes a condition", problems),
            Kind::Negate(inner) => self.expect(inner, Type::Number, "arithmetic takes numbers", problems),
            Kind::Arithmetic(_, left, right) => {
                self.expect(left, Type::Number, "arithmetic takes numbers", problems);
                self.expect(right, Type::Number, "arithmetic takes numbers", problems);
            }
            Kind::Compare(_, left, right) => self.compare(left, &[right], problems),
            Kind::Between { value, low, high, .. } => self.compare(value, &[low, high], problems),
            Kind::In { value, list, .. } => self.compare(value, &list.iter().collect::<Vec<_>>(), problems),
            Kind::Like { value, pattern, .. } => {
                self.expect(value, Type::Text, "a pattern is matched against text", problems);
                constant_text(pattern, "a pattern", problems);
            }
            Kind::IsNull { value, .. } => self.any(value, problems),
            Kind::Call(call) => self.call(call, node, problems),
            Kind::Star => problems.push(
                Problem::new(code::ARGUMENT, node.at.clone(), "`*` stands only in count(*)")
                    .help("name a property instead"),
            ),
            Kind::Column(_) | Kind::Text(_) | Kind::Number(_) | Kind::Bool(_) | Kind::Time(_) | Kind::Null => {}
        }
    }

    /// Collects uses from values that must all have one type.
    fn compare(&mut self, value: &Node, others: &[&Node], problems: &mut Vec<Problem>) {
        let all = || std::iter::once(value).chain(others.iter().copied());
        if let Some(null) = all().find(|node| matches!(node.kind, Kind::Null)) {
            problems.push(null_problem(null));
            return;
        }
        let known: Vec<Type> = all().filter_map(type_of).collect();
        let due = if known.contains(&Type::Time) { Some(Type::Time) } else { known.first().copied() };
        let Some(due) = due else {
            for other in others {
                if let (Kind::Column(left), Kind::Column(right)) = (&value.kind, &other.kind) {
                    let of = |column: &Column, node: &Node| Use {
                        key: column.name().to_owned(),
                        at: node.at.clone(),
                        read: None,
                    };
                    self.pairs.push((of(left, value), of(right, other)));
                } else {
                    self.any(value, problems);
                    self.any(other, problems);
                }
            }
            return;
        };
        let why = format!("it is compared with a {}", due.word());
        all().for_each(|node| self.expect(node, due, &why, problems));
    }

    fn call(&mut self, call: &Call, node: &Node, problems: &mut Vec<Problem>) {
        let Some((name, count)) = FUNCTIONS.iter().find(|(name, _)| *name == call.name) else {
            problems.push(unknown_function(call));
            return;
        };
        if call.distinct || call.filter.is_some() {
            let message = format!("`{name}` looks at one event; `distinct` and `filter` belong to metrics");
            problems.push(Problem::new(code::ARGUMENT, node.at.clone(), message));
        }
        if call.arguments.len() != *count {
            let form = if *count == 1 { format!("{name}(text)") } else { format!("{name}(text, 'part')") };
            let message = format!("`{name}` takes {count} argument{}", if *count == 1 { "" } else { "s" });
            problems.push(Problem::new(code::ARGUMENT, node.at.clone(), message).help(format!("write {form}")));
            return;
        }
        self.expect(&call.arguments[0], Type::Text, &format!("`{name}` takes text"), problems);
        if let Some(part) = call.arguments.get(1) {
            constant_text(part, &format!("the second argument of `{name}`"), problems);
        }
    }

    fn use_at(&mut self, key: &str, at: &Range<usize>, due: Type, problems: &mut Vec<Problem>) {
        if due == Type::Time {
            let problem = Problem::new(code::TYPE, at.clone(), format!("the property `{key}` is compared with a time"));
            problems.push(problem.help("only the event's own `time` is one; times in properties are texts or numbers"));
            return;
        }
        self.uses.push(Use { key: key.to_owned(), at: at.clone(), read: Some(due) });
        match self.types.get(key) {
            None => {
                self.types.insert(key.to_owned(), (due, at.clone()));
            }
            Some((first, _)) if *first != due => problems.push(conflict(key, at, *first, due)),
            Some(_) => {}
        }
    }

    /// Decides what use alone did not: pairs take each other's type, `min` and `max` read numbers unless told.
    pub fn settle(&mut self, problems: &mut Vec<Problem>) {
        let mut pairs = std::mem::take(&mut self.pairs);
        loop {
            let before = pairs.len();
            pairs.retain(|pair| !self.settle_pair(pair, false, problems));
            if pairs.len() == before {
                break;
            }
        }
        pairs.retain(|pair| !self.settle_pair(pair, true, problems));
        for (left, right) in pairs {
            let message = format!("nothing tells the type of `{}` and `{}`", left.key, right.key);
            let help = format!("say it with a condition that types one side, such as `{} >= 0` or `>= ''`", left.key);
            problems.push(Problem::new(code::TYPE_UNKNOWN, left.at.start..right.at.end, message).help(help));
        }
        for use_ in std::mem::take(&mut self.ordered) {
            let hint = self.hints.get(&use_.key).copied().filter(|hint| *hint != Type::Bool);
            match self.of(&use_.key) {
                Some(Type::Bool) => problems.push(conflict(&use_.key, &use_.at, Type::Bool, Type::Number)),
                found => self.use_at(&use_.key, &use_.at, found.or(hint).unwrap_or(Type::Number), problems),
            }
        }
        self.uses.sort_by_key(|use_| use_.at.start);
    }

    /// Types both sides of a pair when one is known; false when neither is.
    fn settle_pair(&mut self, (left, right): &(Use, Use), hints: bool, problems: &mut Vec<Problem>) -> bool {
        let hint = |key: &str| if hints { self.hints.get(key).copied() } else { None };
        let known = self.of(&left.key).or_else(|| self.of(&right.key)).or_else(|| hint(&left.key).or(hint(&right.key)));
        let Some(due) = known else { return false };
        self.use_at(&left.key, &left.at, due, problems);
        self.use_at(&right.key, &right.at, due, problems);
        true
    }
}

/// The type an expression has whatever its properties hold; `None` for a property, null and aggregates.
pub(super) fn type_of(node: &Node) -> Option<Type> {
    match &node.kind {
        Kind::Column(column) => column.fixed_type(),
        Kind::Text(_) => Some(Type::Text),
        Kind::Number(_) | Kind::Negate(_) | Kind::Arithmetic(..) => Some(Type::Number),
        Kind::Time(_) => Some(Type::Time),
        Kind::Null | Kind::Star => None,
        Kind::Call(call) if call.name == "lower" => Some(Type::Text),
        Kind::Call(call) if !FUNCTIONS.iter().any(|(name, _)| *name == call.name) => None,
        _ => Some(Type::Bool),
    }
}

fn conflict(key: &str, at: &Range<usize>, first: Type, now: Type) -> Problem {
    let message =
        format!("`{key}` is read as a {} here, but as a {} elsewhere in this definition", now.word(), first.word());
    Problem::new(code::TYPE_CONFLICT, at.clone(), message)
        .help("a property is read at one type: '34' is a text, 34 a number; values of another type count as null")
}

fn wrong_type(node: &Node, found: Type, due: Type, why: &str) -> Problem {
    let message = format!("this is a {}, but {why}", found.word());
    let problem = Problem::new(code::TYPE, node.at.clone(), message);
    match (due, &node.kind) {
        (Type::Bool, Kind::Column(_) | Kind::Text(_) | Kind::Number(_)) => {
            problem.help("a condition compares something: write `… = …`")
        }
        (Type::Number, Kind::Text(text)) if crate::decimal::Decimal::parse(text).is_ok() => {
            problem.help(format!("write the number without quotes: {text}"))
        }
        (Type::Text, Kind::Number(number)) => problem.help(format!("write a text in quotes: '{number}'")),
        (Type::Time, _) => problem.help("write a time: '2026-08-01' or '2026-08-01T12:00:00Z'"),
        _ => problem,
    }
}

fn null_problem(node: &Node) -> Problem {
    Problem::new(code::NULL, node.at.clone(), "nothing is equal to null, and nothing can be done with it")
        .help("write `… is null` or `… is not null`")
}

/// Patterns and parts of text are known when the definition is read.
fn constant_text(node: &Node, what: &str, problems: &mut Vec<Problem>) {
    if !matches!(node.kind, Kind::Text(_)) {
        let message = format!("{what} must be a text written out");
        problems.push(Problem::new(code::ARGUMENT, node.at.clone(), message).help("write it in single quotes: '…'"));
    }
}

/// What is said of a function that may not stand in an expression over one event.
pub(super) fn unknown_function(call: &Call) -> Problem {
    if AGGREGATES.contains(&call.name.as_str()) {
        let message = format!("`{}` is computed over many events and cannot stand here", call.name);
        return Problem::new(code::AGGREGATE, call.name_at.clone(), message)
            .help("a metric is one aggregate: `name: sum(amount) filter (where …)`");
    }
    let names = FUNCTIONS.iter().map(|(name, _)| *name).chain(AGGREGATES);
    let problem = Problem::new(code::FUNCTION, call.name_at.clone(), format!("unknown function `{}`", call.name));
    match (nearest(&call.name, names), call.name.as_str()) {
        (Some(near), _) => problem.near(Some(near)),
        (None, "upper") => problem.help("compare in lower case: lower(x) = '…'"),
        (None, "coalesce" | "ifnull") => problem.help("test for null instead: `x is null or x = …`"),
        (None, "prefix") => problem.help("did you mean `starts_with`?"),
        (None, "suffix") => problem.help("did you mean `ends_with`?"),
        (None, "median") => problem.help("write quantile(x, 0.5)"),
        (None, _) => problem.help("known are starts_with, ends_with, contains, regexp_matches and lower"),
    }
}
