//! States of many days as the states of their period, within bounded memory.
//!
//! In: contents, each the states of a day or of days merged. Out: the content their merged cells would be written as.
//! All inputs are walked at once, group by group, and every long set of a group entry by entry; memory holds one cell
//! per input and a buffer per stored run, whatever the number of groups and the size of sets. Neither the order nor the
//! cut of the inputs shows in the output.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::bytes::write_number;
use super::{Groups, StatesError, open, write_group, write_head};
use crate::content::{Content, ContentWriter};
use crate::metric::{Cell, GroupKey};
use crate::plan::Plan;
use crate::spill::SharedSpill;

/// Days merged.
#[derive(Debug)]
pub struct Merged {
    /// The states.
    pub content: Content,
    /// Everything, without groups.
    pub total: Cell,
    /// How many groups there are.
    pub groups: u64,
}

impl From<StatesError> for io::Error {
    fn from(why: StatesError) -> io::Error {
        match why {
            StatesError::Scratch(kind) => kind.into(),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Merges states. What does not fit memory lies in `spill`.
///
/// # Errors
/// The spill's own; `InvalidData` when a content is no states, or those of another definition.
pub fn merge(plan: &Plan, inputs: &[Content], spill: &SharedSpill) -> io::Result<Merged> {
    let mut total = Cell::empty(plan);
    let mut groups = Vec::with_capacity(inputs.len());
    for input in inputs {
        let (cell, rest) = open(input)?;
        total.merge(cell)?;
        total.bound(spill)?;
        groups.push(rest);
    }
    total.settle(spill)?;
    let mut out = ContentWriter::new(spill.clone());
    write_head(&mut out, &total)?;
    let (count, body) = merge_groups(groups, spill)?;
    write_number(&mut out, u128::from(count))?;
    out.append(&body)?;
    out.flush()?;
    Ok(Merged { content: out.end()?, total, groups: count })
}

fn merge_groups(mut inputs: Vec<Groups<'_>>, spill: &SharedSpill) -> io::Result<(u64, Content)> {
    let mut out = io::BufWriter::new(ContentWriter::new(spill.clone()));
    let mut count = 0;
    let mut heads: BTreeMap<(GroupKey, usize), Cell> = BTreeMap::new();
    for (at, input) in inputs.iter_mut().enumerate() {
        advance(&mut heads, input, at)?;
    }
    while let Some(((key, at), mut cell)) = heads.pop_first() {
        advance(&mut heads, &mut inputs[at], at)?;
        while let Some(next) = heads.first_entry().filter(|next| next.key().0 == key) {
            let ((_, at), more) = next.remove_entry();
            cell.merge(more)?;
            cell.bound(spill)?;
            advance(&mut heads, &mut inputs[at], at)?;
        }
        cell.settle(spill)?;
        write_group(&mut out, &key, &cell)?;
        count += 1;
    }
    let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((count, out.end()?))
}

fn advance(heads: &mut BTreeMap<(GroupKey, usize), Cell>, input: &mut Groups<'_>, at: usize) -> io::Result<()> {
    if let Some((key, cell)) = input.next_group()? {
        heads.insert((key, at), cell);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
