//! The states blob: all cells of a day (or of days merged) as bytes that merge later.
//!
//! In: [`DayCells`]. Out: bytes, written as they are read, so that a set larger than memory streams through. Equal
//! cells give equal bytes; reading accepts no other spelling, and bytes of every version must load for ever (see
//! `samples/`). Layout: `TMS`, the version, the number of metrics, the total, the number of groups, then key and cell
//! of each group in key order.

mod bytes;
pub mod merge;

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::content::{Content, ContentWriter, Place};
use crate::metric::sketch::Sketch;
use crate::metric::sorted::{Entry, Sorted, Stored};
use crate::metric::{Cell, DayCells, GroupKey, State};
use crate::spill::SharedSpill;
use bytes::{AnySource, Reader, Source, SpilledSource, write_bytes, write_number, write_value, write_wide};

/// The version written.
pub const STATES_FORMAT: u8 = 1;
const MAGIC: &[u8; 3] = b"TMS";
/// Bytes gathered before they are written on.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// Entries of a set that are read into memory even where the states lie in a spill.
const SET_MEMORY_ENTRIES_MAX: usize = 1024;

/// Why bytes are no states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatesError {
    /// The bytes end too early, or go on after the end.
    #[error("the states are cut off or too long; recompute the day")]
    Truncated,
    /// Not states at all.
    #[error("these bytes are no states; recompute the day")]
    Foreign,
    /// A later version's.
    #[error("the states have version {0}, this build reads up to {STATES_FORMAT}; use the newer build")]
    Version(u8),
    /// They lie in a spill that cannot be read.
    #[error("the scratch disk cannot be read: {0}")]
    Scratch(io::ErrorKind),
    /// Anything else.
    #[error("the states are damaged: {0}; recompute the day")]
    Malformed(&'static str),
}

/// Writes a day's cells.
///
/// # Errors
/// The writer's own, and the spill's where cells lie in one.
pub fn encode(day: &DayCells, out: &mut dyn Write) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(WRITE_BUFFER_BYTES, out);
    write_head(&mut out, &day.total)?;
    write_number(&mut out, day.groups.len() as u128)?;
    day.groups.iter().try_for_each(|(key, cell)| write_group(&mut out, key, cell))?;
    out.flush()
}

/// [`encode`] into a content, which lies in `spill` when it gets long.
///
/// # Errors
/// The spill's.
pub fn to_content(day: &DayCells, spill: SharedSpill) -> io::Result<Content> {
    let mut out = ContentWriter::new(spill);
    encode(day, &mut out)?;
    out.end()
}

fn write_head(out: &mut dyn Write, total: &Cell) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&[STATES_FORMAT])?;
    write_number(out, total.states.len() as u128)?;
    write_cell(out, total)
}

fn write_group(out: &mut dyn Write, key: &GroupKey, cell: &Cell) -> io::Result<()> {
    write_number(out, key.len() as u128)?;
    key.iter().try_for_each(|value| write_value(out, value))?;
    write_cell(out, cell)
}

/// [`encode`] into memory.
///
/// # Errors
/// The spill's, where cells lie in one.
pub fn to_bytes(day: &DayCells) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    encode(day, &mut out)?;
    Ok(out)
}

/// Reads a day's cells.
///
/// # Errors
/// [`StatesError`].
pub fn decode(bytes: &[u8]) -> Result<DayCells, StatesError> {
    collect(open_source(AnySource::Memory(bytes))?)
}

/// Reads cells wherever they lie; sets that are long stay there.
///
/// # Errors
/// [`StatesError`].
pub fn load(content: &Content) -> Result<DayCells, StatesError> {
    collect(open(content)?)
}

fn collect((total, mut left): (Cell, Groups<'_>)) -> Result<DayCells, StatesError> {
    let mut groups = BTreeMap::new();
    while let Some((key, cell)) = left.next_group()? {
        groups.insert(key, cell);
    }
    Ok(DayCells { total, groups })
}

/// The total at once, the groups one by one.
///
/// # Errors
/// [`StatesError`].
pub fn open(content: &Content) -> Result<(Cell, Groups<'_>), StatesError> {
    open_source(match content.place() {
        Place::Memory(bytes) => AnySource::Memory(bytes),
        Place::Spilled(spilled) => AnySource::Spilled(SpilledSource::new(spilled.clone())),
    })
}

fn open_source(source: AnySource<'_>) -> Result<(Cell, Groups<'_>), StatesError> {
    let mut reader = Reader(source);
    if reader.take(MAGIC.len()).map_err(|_| StatesError::Foreign)? != MAGIC {
        return Err(StatesError::Foreign);
    }
    match reader.byte()? {
        STATES_FORMAT => {}
        version => return Err(StatesError::Version(version)),
    }
    let metrics = reader.length(1)?;
    let total = read_cell(&mut reader, metrics)?;
    let left = reader.length(1)?;
    Ok((total, Groups { reader, metrics, left, last: None }))
}

/// The groups of states, in key order.
#[derive(Debug)]
pub struct Groups<'a> {
    reader: Reader<AnySource<'a>>,
    metrics: usize,
    left: usize,
    last: Option<GroupKey>,
}

impl Groups<'_> {
    /// The next one; `None` behind the last.
    ///
    /// # Errors
    /// [`StatesError`].
    pub fn next_group(&mut self) -> Result<Option<(GroupKey, Cell)>, StatesError> {
        if self.left == 0 {
            return if self.reader.0.left() == 0 { Ok(None) } else { Err(StatesError::Truncated) };
        }
        self.left -= 1;
        let columns = self.reader.length(1)?;
        let key = (0..columns).map(|_| self.reader.value()).collect::<Result<Vec<_>, _>>()?;
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(StatesError::Malformed("groups are out of order"));
        }
        self.last = Some(key.clone());
        let cell = read_cell(&mut self.reader, self.metrics)?;
        Ok(Some((key, cell)))
    }
}

fn write_cell(out: &mut dyn Write, cell: &Cell) -> io::Result<()> {
    write_number(out, u128::from(cell.events))?;
    write_number(out, u128::from(cell.late))?;
    for (skipped, state) in cell.skipped.iter().zip(&cell.states) {
        write_number(out, u128::from(*skipped))?;
        write_state(out, state)?;
    }
    Ok(())
}

fn write_state(out: &mut dyn Write, state: &State) -> io::Result<()> {
    match state {
        State::Count(count) => {
            out.write_all(&[0])?;
            write_number(out, u128::from(*count))
        }
        State::Sum { sum, n } => {
            out.write_all(&[1])?;
            write_number(out, u128::from(*n))?;
            write_wide(out, *sum)
        }
        State::Min(value) | State::Max(value) => {
            out.write_all(&[if matches!(state, State::Min(_)) { 2 } else { 3 }])?;
            write_value(out, value.as_ref().unwrap_or(&tidemill_schemas::value::Value::Null))
        }
        State::Percent { part, whole } => {
            out.write_all(&[4])?;
            write_number(out, u128::from(*part))?;
            write_number(out, u128::from(*whole))
        }
        State::Distinct(members) => {
            out.write_all(&[5])?;
            write_sorted(out, members)
        }
        State::Approx(sketch) => {
            out.write_all(&[6])?;
            write_bytes(out, &sketch.encode())
        }
        State::Quantile(values) => {
            out.write_all(&[7])?;
            write_sorted(out, values)
        }
        State::Trail(moments) => {
            out.write_all(&[8])?;
            write_sorted(out, moments)
        }
        State::Presence(buckets) => {
            out.write_all(&[9])?;
            write_sorted(out, buckets)
        }
    }
}

fn write_sorted<E: Entry>(out: &mut dyn Write, sorted: &Sorted<E>) -> io::Result<()> {
    write_number(out, u128::from(sorted.count()?))?;
    let mut buffer = Vec::with_capacity(E::BYTES);
    let mut failed = None;
    sorted.scan(|entry| {
        buffer.clear();
        entry.write(&mut buffer);
        failed = out.write_all(&buffer).err();
        failed.is_none()
    })?;
    failed.map_or(Ok(()), Err)
}

fn read_cell(reader: &mut Reader<impl Source>, metrics: usize) -> Result<Cell, StatesError> {
    let (events, late) = (reader.count()?, reader.count()?);
    let (mut skipped, mut states) = (Vec::with_capacity(metrics), Vec::with_capacity(metrics));
    for _ in 0..metrics {
        skipped.push(reader.count()?);
        states.push(read_state(reader)?);
    }
    Ok(Cell { events, late, skipped, states })
}

fn read_state(reader: &mut Reader<impl Source>) -> Result<State, StatesError> {
    use tidemill_schemas::value::Value;
    let some = |value: Value| (value != Value::Null).then_some(value);
    Ok(match reader.byte()? {
        0 => State::Count(reader.count()?),
        1 => {
            let n = reader.count()?;
            State::Sum { sum: reader.wide()?, n }
        }
        2 => State::Min(some(reader.value()?)),
        3 => State::Max(some(reader.value()?)),
        4 => State::Percent { part: reader.count()?, whole: reader.count()? },
        5 => State::Distinct(read_sorted(reader)?),
        6 => {
            let sketch = Sketch::decode(reader.bytes()?);
            State::Approx(Box::new(sketch.ok_or(StatesError::Malformed("a sketch is not sound"))?))
        }
        7 => State::Quantile(read_sorted(reader)?),
        8 => State::Trail(read_sorted(reader)?),
        9 => State::Presence(read_sorted(reader)?),
        _ => return Err(StatesError::Malformed("a state has an unknown kind")),
    })
}

fn read_sorted<E: Entry>(reader: &mut Reader<impl Source>) -> Result<Sorted<E>, StatesError> {
    let length = reader.length(E::BYTES)?;
    if length > SET_MEMORY_ENTRIES_MAX
        && let Some((spill, stretches)) = reader.0.stored((length * E::BYTES) as u64)
    {
        return Ok(Sorted::of_stored(Stored { spill, stretches, entries: length as u64 }));
    }
    let mut entries: Vec<E> = Vec::with_capacity(length);
    for bytes in reader.take(length * E::BYTES)?.chunks_exact(E::BYTES) {
        let entry = E::read(bytes).ok_or(StatesError::Malformed("an entry is not canonical"))?;
        if entries.last().is_some_and(|last| last.order(&entry) != std::cmp::Ordering::Less) {
            return Err(StatesError::Malformed("entries are out of order"));
        }
        entries.push(entry);
    }
    Ok(Sorted::of_sorted(entries))
}

#[cfg(test)]
mod tests;
