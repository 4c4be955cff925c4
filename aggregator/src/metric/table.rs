//! Tables of entries per cell that may outgrow memory: behind exact distinct counts, quantiles and what actors did.
//!
//! Entries are combined in a hash table, or listed; over budget all of it is sorted and appended to the spill as one run.
//! At the end all runs are merged. Which entries were spilled, and when, never shows in the result.

use std::cmp::Ordering;
use std::io;

use hashbrown::HashTable;

use super::sorted::{Cursor, Entry, Sorted, Stored, buffer_bytes, merge_cursors};
use crate::spill::SharedSpill;

/// Bytes appended to the spill at a time while merging.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Runs merged at a time: each needs a read buffer.
const RUNS_MAX: usize = 64;

/// Entries from which scattering pays.
const SCATTER_ENTRIES_MIN: usize = 4_096;
/// Bytes of entries that are scattered, which takes as many again.
const SCATTER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Entries of a stretch after scattering, about.
const SCATTER_STRETCH_ENTRIES: usize = 16;

/// An entry of one cell.
#[derive(Clone, Copy, Debug)]
struct Tagged<E> {
    cell: u32,
    entry: E,
}

impl<E: Entry> Entry for Tagged<E> {
    const BYTES: usize = 4 + E::BYTES;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cell.to_be_bytes());
        self.entry.write(out);
    }

    fn read(bytes: &[u8]) -> Option<Tagged<E>> {
        let (cell, entry) = bytes.split_first_chunk::<4>()?;
        Some(Tagged { cell: u32::from_be_bytes(*cell), entry: E::read(entry)? })
    }

    fn order(&self, other: &Tagged<E>) -> Ordering {
        self.cell.cmp(&other.cell).then_with(|| self.entry.order(&other.entry))
    }

    fn combine(&mut self, other: &Tagged<E>) {
        self.entry.combine(&other.entry);
    }

    fn hash(&self) -> u64 {
        (self.entry.hash() ^ u64::from(self.cell)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// Entries by cell, equal ones combined as they come.
#[derive(Debug)]
pub struct Table<E> {
    held: HashTable<Tagged<E>>,
    runs: Runs,
}

impl<E> Default for Table<E> {
    fn default() -> Table<E> {
        Table { held: HashTable::new(), runs: Runs::default() }
    }
}

impl<E: Entry> Table<E> {
    /// Takes an entry into a cell.
    #[inline]
    pub fn insert(&mut self, cell: u32, entry: E) {
        let tagged = Tagged { cell, entry };
        let equal = |held: &Tagged<E>| held.order(&tagged) == Ordering::Equal;
        match self.held.entry(tagged.hash(), equal, Tagged::hash) {
            hashbrown::hash_table::Entry::Occupied(mut held) => held.get_mut().combine(&tagged),
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(tagged);
            }
        }
    }

    /// Bytes held in memory, as allocated.
    pub fn bytes(&self) -> usize {
        self.held.allocation_size()
    }

    /// Moves everything held in memory to the spill, as one run.
    ///
    /// # Errors
    /// The spill's own.
    pub fn spill(&mut self, spill: &SharedSpill) -> io::Result<()> {
        let held = self.drain();
        self.runs.add(&held, spill)
    }

    fn drain(&mut self) -> Vec<Tagged<E>> {
        sorted(std::mem::take(&mut self.held).into_iter().collect())
    }

    /// The entries of cells 0 to `cells - 1`. What was spilled stays in the spill.
    ///
    /// # Errors
    /// The spill's own.
    pub fn finish(mut self, cells: usize, spill: &SharedSpill) -> io::Result<Vec<Sorted<E>>> {
        let held = self.drain();
        self.runs.finish(held, cells, spill)
    }
}

/// Entries by cell as they come, equal ones combined only when they are sorted: for entries that are rarely equal.
#[derive(Debug)]
pub struct List<E> {
    held: Vec<Tagged<E>>,
    runs: Runs,
}

impl<E> Default for List<E> {
    fn default() -> List<E> {
        List { held: Vec::new(), runs: Runs::default() }
    }
}

impl<E: Entry> List<E> {
    /// Takes an entry into a cell.
    #[inline]
    pub fn push(&mut self, cell: u32, entry: E) {
        self.held.push(Tagged { cell, entry });
    }

    /// Bytes held in memory, as allocated.
    pub fn bytes(&self) -> usize {
        self.held.capacity() * size_of::<Tagged<E>>()
    }

    /// See [`Table::spill`].
    ///
    /// # Errors
    /// The spill's own.
    pub fn spill(&mut self, spill: &SharedSpill) -> io::Result<()> {
        let held = self.drain();
        self.runs.add(&held, spill)
    }

    fn drain(&mut self) -> Vec<Tagged<E>> {
        let mut held = sorted(std::mem::take(&mut self.held));
        held.dedup_by(|next, kept| {
            let is_equal = kept.order(next) == Ordering::Equal;
            if is_equal {
                kept.combine(next);
            }
            is_equal
        });
        held
    }

    /// See [`Table::finish`].
    ///
    /// # Errors
    /// The spill's own.
    pub fn finish(mut self, cells: usize, spill: &SharedSpill) -> io::Result<Vec<Sorted<E>>> {
        let held = self.drain();
        self.runs.finish(held, cells, spill)
    }
}

/// Entries in order. Many of one cell are first put where their leading bits say, so that what is left to sort are short
/// stretches.
fn sorted<E: Entry>(mut held: Vec<Tagged<E>>) -> Vec<Tagged<E>> {
    let is_spread = held.first().is_some_and(|first| {
        first.entry.lead().is_some()
            && held.len() >= SCATTER_ENTRIES_MIN
            && size_of_val(held.as_slice()) <= SCATTER_BYTES_MAX
            && held.iter().all(|tagged| tagged.cell == first.cell)
    });
    if !is_spread {
        held.sort_unstable_by(Tagged::order);
        return held;
    }
    let bits = (held.len() / SCATTER_STRETCH_ENTRIES).ilog2().max(1);
    let stretch = |tagged: &Tagged<E>| (tagged.entry.lead().unwrap_or_default() >> (64 - bits)) as usize;
    let mut ends = vec![0usize; 1 << bits];
    held.iter().for_each(|tagged| ends[stretch(tagged)] += 1);
    let mut next = 0;
    for end in &mut ends {
        (*end, next) = (next, next + *end);
    }
    let mut placed = held.clone();
    for tagged in held {
        let at = &mut ends[stretch(&tagged)];
        placed[*at] = tagged;
        *at += 1;
    }
    let mut from = 0;
    for end in ends {
        placed[from..end].sort_unstable_by(Tagged::order);
        from = end;
    }
    placed
}

/// Sorted runs in a spill.
#[derive(Debug, Default)]
struct Runs(Vec<Stored>);

impl Runs {
    /// Adds sorted entries as one run.
    fn add<E: Entry>(&mut self, held: &[Tagged<E>], spill: &SharedSpill) -> io::Result<()> {
        if held.is_empty() {
            return Ok(());
        }
        let mut writer = Writer::new(spill);
        for entry in held {
            writer.push(0, entry)?;
        }
        self.0.extend(writer.end()?.pop());
        if self.0.len() >= RUNS_MAX {
            let mut cursors = self.cursors::<E>()?;
            let mut writer = Writer::new(spill);
            merge_cursors(&mut cursors, |entry| writer.push(0, entry).map(|()| true))?;
            drop(cursors);
            self.0 = writer.end()?;
        }
        Ok(())
    }

    fn cursors<E: Entry>(&self) -> io::Result<Vec<Cursor<'_, Tagged<E>>>> {
        let buffer = buffer_bytes(self.0.len());
        self.0.iter().map(|run| Cursor::stored(run, buffer)).collect()
    }

    /// All of it and these sorted entries, by cell.
    fn finish<E: Entry>(&self, held: Vec<Tagged<E>>, cells: usize, spill: &SharedSpill) -> io::Result<Vec<Sorted<E>>> {
        if self.0.is_empty() {
            let mut finished: Vec<Sorted<E>> = std::iter::repeat_with(Sorted::default).take(cells).collect();
            for run in held.chunk_by(|a, b| a.cell == b.cell) {
                finished[run[0].cell as usize] = Sorted::of_sorted(run.iter().map(|tagged| tagged.entry).collect());
            }
            return Ok(finished);
        }
        let mut cursors = self.cursors::<E>()?;
        cursors.push(Cursor::memory(&held)?);
        let mut writer = Writer::new(spill);
        merge_cursors(&mut cursors, |tagged: &Tagged<E>| {
            writer.push(tagged.cell as usize, &tagged.entry).map(|()| true)
        })?;
        let mut finished: Vec<Sorted<E>> = writer.end()?.into_iter().map(Sorted::of_stored).collect();
        finished.resize_with(cells, Sorted::default);
        Ok(finished)
    }
}

/// Writes ascending entries of ascending lists to the spill, many lists to a chunk.
pub(super) struct Writer<'a> {
    spill: &'a SharedSpill,
    chunk: Vec<u8>,
    /// (list, first byte, bytes) of the chunk.
    stretches: Vec<(usize, u64, u64)>,
    lists: Vec<Stored>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(spill: &'a SharedSpill) -> Writer<'a> {
        Writer { spill, chunk: Vec::new(), stretches: Vec::new(), lists: Vec::new() }
    }

    pub(super) fn push<E: Entry>(&mut self, list: usize, entry: &E) -> io::Result<()> {
        if self.chunk.len() + E::BYTES > CHUNK_BYTES {
            self.flush()?;
        }
        while self.lists.len() <= list {
            self.lists.push(Stored { spill: self.spill.clone(), stretches: Vec::new(), entries: 0 });
        }
        match self.stretches.last_mut() {
            Some((at, _, bytes)) if *at == list => *bytes += E::BYTES as u64,
            _ => self.stretches.push((list, self.chunk.len() as u64, E::BYTES as u64)),
        }
        self.lists[list].entries += 1;
        entry.write(&mut self.chunk);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let run = self.spill.append(&self.chunk)?;
        self.chunk.clear();
        for (list, first, bytes) in self.stretches.drain(..) {
            self.lists[list].stretches.push((run, first, bytes));
        }
        Ok(())
    }

    pub(super) fn end(mut self) -> io::Result<Vec<Stored>> {
        self.flush()?;
        Ok(self.lists)
    }
}
