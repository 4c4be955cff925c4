//! Alert rules: `{ when: revenue < 10000, window: day, notify: ops }`.
//!
//! In: the `alerts` list. Out: [`Alert`]s whose conditions are known to name a metric. [`condition`] reads a rule's
//! text again for whoever evaluates it.

use std::ops::Range;

use super::diagnostic::{Problem, Source, code, nearest};
use super::document::{Kind, Node};
use super::{Alert, fields};
use crate::decimal::Decimal;
use crate::expression::Comparison;
use crate::expression::lexer::{Text, Token, tokens};

/// Alert rules of one insight.
pub const ALERTS_MAX: usize = 20;
/// Keys of a rule.
pub(super) const KEYS: [&str; 3] = ["when", "window", "notify"];
/// Periods a rule may ask of.
pub(super) const WINDOWS: [&str; 5] = ["day", "week", "month", "quarter", "year"];

/// When an alert fires: a metric on one side of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The metric's name.
    pub metric: String,
    /// `<`, `<=`, `>` or `>=`.
    pub comparison: Comparison,
    /// The number.
    pub value: Decimal,
}

/// Reads `<metric> < | <= | > | >= <number>`.
///
/// # Errors
/// What is wrong with it; the place is in bytes of `text`.
pub fn condition(text: &str) -> Result<Condition, Problem> {
    condition_at(&Text::whole(text)).map(|(condition, _)| condition)
}

fn condition_at(text: &Text<'_>) -> Result<(Condition, Range<usize>), Problem> {
    let found = tokens(text)?;
    let malformed = || {
        Problem::new(code::ALERT, text.span(), "an alert compares one metric with a number")
            .help("such as `revenue < 10000`; possible are < <= > >=")
    };
    let kinds: Vec<&Token> = found.iter().map(|located| &located.token).collect();
    let (metric, sign, negative, number) = match kinds.as_slice() {
        [Token::Word(metric), Token::Sign(sign), Token::Number(number), Token::End] => (metric, sign, false, number),
        [Token::Word(metric), Token::Sign(sign), Token::Sign("-"), Token::Number(number), Token::End] => {
            (metric, sign, true, number)
        }
        _ => return Err(malformed()),
    };
    let comparison = match *sign {
        "<" => Comparison::Lt,
        "<=" => Comparison::Lte,
        ">" => Comparison::Gt,
        ">=" => Comparison::Gte,
        _ => return Err(malformed()),
    };
    let value = Decimal::parse(&number.replace('_', "")).map_err(|why| {
        Problem::new(code::NUMBER, found[found.len() - 2].at.clone(), format!("this number cannot be kept: {why}"))
    })?;
    let value = if negative { -value } else { value };
    Ok((Condition { metric: metric.clone(), comparison, value }, found[0].at.clone()))
}

/// Reads the list of rules.
pub(super) fn read(source: &Source<'_>, node: &Node, metrics: &[&str], problems: &mut Vec<Problem>) -> Vec<Alert> {
    let Kind::List(rules) = &node.kind else {
        let message = "`alerts` must be a list of rules";
        let problem = Problem::new(code::WRONG_SHAPE, node.at.start..node.at.start + 1, message);
        problems.push(problem.help("such as `- { when: revenue < 10000, window: day, notify: ops }`"));
        return Vec::new();
    };
    if let Some(beyond) = rules.get(ALERTS_MAX) {
        let message = format!("{} alerts; the limit is {ALERTS_MAX}", rules.len());
        problems.push(Problem::new(code::RANGE, beyond.at.clone(), message));
    }
    rules.iter().filter_map(|rule| read_rule(source, rule, metrics, problems)).collect()
}

fn read_rule(source: &Source<'_>, node: &Node, metrics: &[&str], problems: &mut Vec<Problem>) -> Option<Alert> {
    let example = "such as `{ when: revenue < 10000, window: day, notify: ops }`";
    let entries = fields::entries(node, "an alert", example, problems)?;
    fields::check_keys(entries, &KEYS, "an alert", problems);
    let mut find = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key);
        if entry.is_none() {
            let at = node.at.start..node.at.start + 1;
            let problem = Problem::new(code::MISSING_KEY, at, format!("this alert has no `{key}`"));
            problems.push(problem.help(example));
        }
        entry
    };
    let (when, window, notify) = (find("when"), find("window"), find("notify"));
    let when = when.and_then(|entry| {
        let text = fields::expression(source, &entry.value, "`when`", problems)?;
        check_condition(&text, metrics, problems);
        Some(text.text.to_owned())
    });
    let window =
        window.and_then(|entry| fields::word(&entry.value, "window", &WINDOWS.map(|word| (word, word)), problems));
    let notify = notify.and_then(|entry| fields::text(&entry.value, "`notify`", problems));
    Some(Alert { when: when?, window: window?.to_owned(), notify: notify?.0 })
}

fn check_condition(text: &Text<'_>, metrics: &[&str], problems: &mut Vec<Problem>) {
    match condition_at(text) {
        Ok((condition, at)) if !metrics.contains(&condition.metric.as_str()) && !metrics.is_empty() => {
            let message = format!("there is no metric `{}` in this insight", condition.metric);
            let problem = Problem::new(code::ALERT, at, message);
            problems.push(match nearest(&condition.metric, metrics.iter().copied()) {
                Some(near) => problem.near(Some(near)),
                None => problem.help(format!("its metrics are {}", metrics.join(", "))),
            });
        }
        Ok(_) => {}
        Err(problem) => problems.push(problem),
    }
}
