//! Expressions from text, on their own: the conditions that come with a question (`--where`), not with a definition.
//!
//! In: text, and the types of the properties as the definition reads them. Out: the typed expression, or diagnostics.

use super::lexer::Text;
use super::typing::{Hints, Types};
use super::{Column, Expr, grammar, lexer, lowering, names};
use crate::definition::diagnostic::{Diagnostic, Problem, Source, code};
use crate::value::Type;

/// Parses a condition. `file` names where the text comes from in diagnostics (`--where`); `hints` are types of
/// properties, for those whose use does not tell.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_condition(file: &str, text: &str, hints: &Hints) -> Result<Expr, Vec<Diagnostic>> {
    condition(text, hints).map_err(|problems| Source { file, text }.diagnostics(problems))
}

fn condition(text: &str, hints: &Hints) -> Result<Expr, Vec<Problem>> {
    let node = grammar::parse(&Text::whole(text)).map_err(|problem| vec![problem])?;
    let (mut types, mut problems) = (Types::with_hints(hints), Vec::new());
    types.expect(&node, Type::Bool, "a condition is due here", &mut problems);
    types.settle(&mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    lowering::lower(&node, Some(Type::Bool), &types).map_err(|problem| vec![problem])
}

/// Parses a column as it stands in `by`: `country`, `geo.city`, `"a b"`; a word that SQL reserves needs no quotes here.
///
/// # Errors
/// It is an expression, not a column.
pub fn parse_column(file: &str, text: &str) -> Result<Column, Box<Diagnostic>> {
    column(&Text::whole(text)).map_err(|problem| Box::new(Source { file, text }.diagnostic(problem)))
}

/// [`parse_column`], wherever the text stands.
pub(crate) fn column(text: &Text<'_>) -> Result<Column, Problem> {
    let trimmed = text.text.trim();
    let quoted = trimmed.starts_with('"');
    if !quoted && !trimmed.is_empty() && !trimmed.contains(|c: char| "()'\"=<>+*,;".contains(c) || c.is_control()) {
        return names::column(trimmed, text.span());
    }
    let tokens = lexer::tokens(text)?;
    let [lexer::Located { token: lexer::Token::Quoted(key), .. }, _] = tokens.as_slice() else {
        let problem = Problem::new(code::BREAKDOWN, text.span(), "a breakdown is by columns, not by expressions");
        return Err(problem.help("name a property: country, geo.city, \"with space\""));
    };
    names::column(key, text.span())
}

#[cfg(test)]
mod tests;
