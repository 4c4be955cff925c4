//! The bodies of insights over actors and of those that relate series: YAML → typed meaning.
//!
//! All expressions of a definition are read first and typed as one, since a property has one type throughout: a
//! [`Reading`] collects their trees, [`Reading::settle`] types them, and what was drafted meanwhile takes its
//! expressions from there.

mod cohort;
mod comparative;
mod correlation;
mod funnel;
mod pattern;
mod sequence;

use std::ops::Range;

use super::actors::{Actors, Selection};
use super::diagnostic::{Problem, Source, code};
use super::document::{Entry, Kind, Node};
use super::standard::{self, Uses};
use super::{Body, From, fields};
use crate::expression::syntax::Node as Syntax;
use crate::expression::typing::{Hints, Types, Use};
use crate::expression::{Column, Expr, aggregate, lowering, parse};
use crate::metric::Function;
use crate::value::Type;

/// A type of insight: its word, its keys beside the common ones, and how its body is read.
pub(super) struct Kinded {
    pub word: &'static str,
    pub keys: &'static [&'static str],
    /// Whether it is computed once a day, so that `refresh` is refused.
    pub daily: bool,
    pub read: fn(Reading<'_>, &Hints) -> Option<(Body, Uses)>,
}

/// Every type but `standard`.
pub(super) const TYPES: [Kinded; 5] =
    [funnel::KIND, sequence::KIND, cohort::KIND, correlation::KIND, comparative::KIND];

/// A body being read.
pub(super) struct Reading<'r> {
    pub source: &'r Source<'r>,
    pub entries: &'r [Entry],
    pub problems: &'r mut Vec<Problem>,
    uses: Uses,
    trees: Vec<(Due, Option<Syntax>)>,
}

/// What an expression has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Condition,
    Metric,
}

/// The place of an expression among those of a definition.
#[derive(Clone, Copy)]
pub(super) struct Tree(usize);

/// A selection whose condition is not typed yet.
pub(super) struct Draft {
    from: From,
    filter: Option<Tree>,
    /// The name users would give it.
    pub name: String,
}

/// The typed expressions of a definition.
pub(super) struct Settled {
    found: Vec<Typed>,
    pub uses: Uses,
}

enum Typed {
    Condition(Expr),
    Metric(Function, Option<Expr>),
}

impl<'r> Reading<'r> {
    pub fn new(source: &'r Source<'r>, entries: &'r [Entry], problems: &'r mut Vec<Problem>) -> Reading<'r> {
        Reading { source, entries, problems, uses: Uses::default(), trees: Vec::new() }
    }

    /// The value of a key.
    pub fn find(&self, key: &str) -> Option<&'r Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key that must be there.
    pub fn due(&mut self, key: &str, help: &str) -> Option<&'r Entry> {
        let found = self.find(key);
        if found.is_none() {
            let start = self.entries.first().map_or(0..0, |entry| entry.key_at.clone());
            let problem = Problem::new(code::MISSING_KEY, start, format!("the key `{key}` is missing"));
            self.problems.push(problem.help(help.to_owned()));
        }
        found
    }

    /// One word of a few; the default where the key is not there.
    pub fn word<T: Copy + Default>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        match self.find(key) {
            Some(entry) => fields::word(&entry.value, key, words, self.problems),
            None => Some(T::default()),
        }
    }

    /// A condition over one event.
    pub fn condition(&mut self, node: &Node, what: &str) -> Tree {
        self.tree(Due::Condition, node, what)
    }

    /// A metric.
    pub fn metric(&mut self, node: &Node, what: &str) -> Tree {
        self.tree(Due::Metric, node, what)
    }

    fn tree(&mut self, due: Due, node: &Node, what: &str) -> Tree {
        let tree = standard::tree(self.source, node, what, self.problems);
        self.trees.push((due, tree));
        Tree(self.trees.len() - 1)
    }

    /// `from` of a node: a name, a list of names, or '*'.
    pub fn names(&mut self, node: &Node) -> Option<From> {
        let mut uses = Uses::default();
        let from = standard::read_from(node, &mut uses, self.problems);
        self.uses.events.extend(uses.events);
        from
    }

    /// `from` and `where` of the definition itself.
    pub fn base(&mut self) -> Option<Draft> {
        let from = match self.find("from") {
            Some(entry) => self.names(&entry.value)?,
            None => From::All,
        };
        let filter = self.find("where").map(|entry| self.condition(&entry.value, "`where`"));
        Some(Draft { from, filter, name: String::new() })
    }

    /// An event as a definition names it: a name, a list of names, or `{ event: …, where: …, name: … }`. `further` are
    /// keys the mapping may have besides.
    pub fn selection(&mut self, node: &Node, what: &str, further: &[&str]) -> Option<Draft> {
        let Kind::Map(entries) = &node.kind else {
            let from = self.names(node)?;
            return Some(Draft { name: shown_names(&from), from, filter: None });
        };
        let keys: Vec<&str> = ["event", "where", "name"].iter().chain(further).copied().collect();
        fields::check_keys(entries, &keys, what, self.problems);
        let find = |key: &str| entries.iter().find(|entry| entry.key == key || key == "event" && entry.key == "from");
        let from = match find("event") {
            Some(entry) => self.names(&entry.value)?,
            None if find("where").is_some() => From::All,
            None => {
                let problem =
                    Problem::new(code::MISSING_KEY, node.at.start..node.at.start + 1, format!("{what} names no event"));
                self.problems.push(problem.help("such as `{ event: order_completed, where: amount > 0 }`"));
                return None;
            }
        };
        let filter = find("where").map(|entry| self.condition(&entry.value, "`where`"));
        let name = match find("name") {
            Some(entry) => fields::text(&entry.value, "`name`", self.problems)?.0,
            None => shown_names(&from),
        };
        Some(Draft { from, filter, name })
    }

    /// The column actors are told apart by.
    pub fn actor(&mut self) -> Option<Column> {
        let Some(entry) = self.find("actor") else { return Some(Column::Actor) };
        let column = self.column(&entry.value, "`actor`")?;
        if column == Column::Time {
            let problem = Problem::new(code::BREAKDOWN, entry.value.at.clone(), "`time` tells no actors apart");
            self.problems.push(problem.help("name the column that holds who did it: actor, user_id"));
            return None;
        }
        Some(column)
    }

    /// A column.
    pub fn column(&mut self, node: &Node, what: &str) -> Option<Column> {
        let text = fields::expression(self.source, node, what, self.problems)?;
        let column = parse::column(&text).map_err(|problem| self.problems.push(problem)).ok()?;
        self.mention(&column, node.at.clone());
        Some(column)
    }

    fn mention(&mut self, column: &Column, at: Range<usize>) {
        if let Column::Property(key) = column {
            self.uses.properties.push(Use { key: key.clone(), at, read: None });
        }
    }

    /// The breakdown.
    pub fn by(&mut self) -> Option<()> {
        let Some(entry) = self.find("by") else { return Some(()) };
        for (column, at) in standard::read_by(self.source, &entry.value, self.problems)? {
            self.mention(&column, at);
            self.uses.by.push(column);
        }
        Some(())
    }

    /// Says that something cannot be.
    pub fn refuse(&mut self, code: &'static str, at: Range<usize>, message: impl Into<String>, help: &str) {
        self.problems.push(Problem::new(code, at, message).help(help.to_owned()));
    }

    /// Types every expression together.
    pub fn settle(self, hints: &Hints) -> Option<Settled> {
        let Reading { problems, mut uses, trees, .. } = self;
        let before = problems.len();
        let mut types = Types::with_hints(hints);
        for (due, tree) in &trees {
            match (due, tree) {
                (Due::Condition, Some(tree)) => {
                    types.expect(tree, Type::Bool, "`where` takes a condition", problems);
                }
                (Due::Metric, Some(tree)) => aggregate::learn(tree, &mut types, problems),
                (_, None) => {}
            }
        }
        // What could not be read may have told the types that are open still.
        if trees.iter().any(|(_, tree)| tree.is_none()) {
            return None;
        }
        types.settle(problems);
        if problems.len() != before {
            return None;
        }
        let mut found = Vec::with_capacity(trees.len());
        for (due, tree) in &trees {
            let Some(tree) = tree else { continue };
            let typed = match due {
                Due::Condition => lowering::lower(tree, Some(Type::Bool), &types).map(Typed::Condition),
                Due::Metric => aggregate::lower(tree, &types).map(|(function, filter)| Typed::Metric(function, filter)),
            };
            found.push(typed.map_err(|problem| problems.push(problem)).ok()?);
        }
        uses.properties.extend(types.uses);
        uses.properties.sort_by_key(|use_| use_.at.start);
        Some(Settled { found, uses })
    }
}

impl Settled {
    /// The condition at a place.
    pub fn condition(&self, tree: Tree) -> Option<Expr> {
        match self.found.get(tree.0) {
            Some(Typed::Condition(expr)) => Some(expr.clone()),
            _ => None,
        }
    }

    /// The metric at a place.
    pub fn metric(&self, tree: Tree) -> Option<(Function, Option<Expr>)> {
        match self.found.get(tree.0) {
            Some(Typed::Metric(function, filter)) => Some((function.clone(), filter.clone())),
            _ => None,
        }
    }

    /// A draft with its condition.
    pub fn selection(&self, draft: &Draft) -> Selection {
        Selection { from: draft.from.clone(), filter: draft.filter.and_then(|tree| self.condition(tree)) }
    }

    /// Whose events, and which of them.
    pub fn actors(&self, actor: Column, base: &Draft) -> Actors {
        Actors { actor, base: self.selection(base) }
    }
}

fn shown_names(from: &From) -> String {
    match from {
        From::All => "any event".to_owned(),
        From::Names(names) => names.join(" or "),
    }
}
