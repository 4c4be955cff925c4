//! Sorted collections of fixed-width entries: the exact states of distinct counts and quantiles.
//!
//! A [`Sorted`] holds runs, each ascending and without equal entries, in memory or in a [`SharedSpill`]. Reading walks
//! all runs at once and combines equal entries, so that neither the number of runs nor where they lie shows in what is
//! read. Memory while reading: one buffer per stored run.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;

use tidemill_schemas::decimal::Decimal;

use super::table::Writer;
use crate::spill::{RunId, SharedSpill};

/// Bytes read at a time from a stored run, when few are read.
const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Bytes read at a time from a stored run, however many are read.
const READ_BUFFER_BYTES_MIN: usize = 1024;
/// Bytes of all read buffers of one walk, as far as the minimum allows.
const READ_BUFFERS_BYTES: usize = 64 * 1024 * 1024;

/// Entries a run in memory may have before [`Sorted::bound`] moves it to the spill.
const MEMORY_RUN_ENTRIES_MAX: usize = 64 * 1024;
/// Stored runs before [`Sorted::bound`] makes one of them: a leap year of days is merged in one walk.
const STORED_RUNS_MAX: usize = 512;

/// An element of fixed width.
pub trait Entry: Copy + Send {
    /// Bytes of the encoded entry.
    const BYTES: usize;
    /// Appends the encoded entry.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads what [`Entry::write`] wrote; `None` when these bytes are no entry.
    fn read(bytes: &[u8]) -> Option<Self>;
    /// The order; equal entries are combined.
    fn order(&self, other: &Self) -> Ordering;
    /// Takes an equal entry in.
    fn combine(&mut self, other: &Self);
    /// A hash for tables in memory.
    fn hash(&self) -> u64;
    /// Evenly spread bits that the order begins with: of two entries with different ones the one with less is less.
    /// `None`: there are none.
    fn lead(&self) -> Option<u64> {
        None
    }
}

/// The 128-bit hash of a value, as high and low half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member(u64, u64);

impl From<u128> for Member {
    fn from(hash: u128) -> Member {
        Member((hash >> 64) as u64, hash as u64)
    }
}

impl Entry for Member {
    const BYTES: usize = 16;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
        out.extend_from_slice(&self.1.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Member> {
        Some(u128::from_be_bytes(bytes.try_into().ok()?).into())
    }

    fn order(&self, other: &Member) -> Ordering {
        self.cmp(other)
    }

    fn combine(&mut self, _: &Member) {}

    fn hash(&self) -> u64 {
        self.1
    }

    fn lead(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// A number and how often it occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The number.
    pub value: Decimal,
    /// Times.
    pub count: u64,
}

impl Entry for Counted {
    const BYTES: usize = 25;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value.unscaled().to_be_bytes());
        out.push(self.value.scale());
        out.extend_from_slice(&self.count.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Counted> {
        let (unscaled, rest) = bytes.split_first_chunk::<16>()?;
        let (scale, count) = rest.split_first()?;
        let count = u64::from_be_bytes(count.try_into().ok()?);
        let value = Decimal::new(i128::from_be_bytes(*unscaled), u32::from(*scale)).ok()?;
        // Only the canonical spelling was ever written.
        (value.scale() == *scale && count > 0).then_some(Counted { value, count })
    }

    fn order(&self, other: &Counted) -> Ordering {
        self.value.cmp(&other.value)
    }

    fn combine(&mut self, other: &Counted) {
        self.count = self.count.saturating_add(other.count);
    }

    fn hash(&self) -> u64 {
        use std::hash::BuildHasher;
        foldhash::fast::FixedState::default().hash_one(self.value)
    }
}

/// A run in a spill: `entries` of them, split over consecutive stretches of its runs.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where.
    pub spill: SharedSpill,
    /// (run, first byte, bytes), in order; an entry may begin in one stretch and end in the next.
    pub stretches: Vec<(RunId, u64, u64)>,
    /// Entries altogether.
    pub entries: u64,
}

#[derive(Clone, Debug)]
enum Run<E> {
    Memory(Arc<Vec<E>>),
    Stored(Stored),
}

/// A sorted collection without equal entries.
#[derive(Clone, Debug)]
pub struct Sorted<E> {
    runs: Vec<Run<E>>,
}

impl<E> Default for Sorted<E> {
    fn default() -> Sorted<E> {
        Sorted { runs: Vec::new() }
    }
}

impl<E: Entry> Sorted<E> {
    /// A collection of entries already ascending and without equals.
    pub fn of_sorted(entries: Vec<E>) -> Sorted<E> {
        debug_assert!(entries.windows(2).all(|pair| pair[0].order(&pair[1]) == Ordering::Less));
        Sorted { runs: if entries.is_empty() { Vec::new() } else { vec![Run::Memory(Arc::new(entries))] } }
    }

    /// A collection that lies in a spill.
    pub fn of_stored(stored: Stored) -> Sorted<E> {
        Sorted { runs: vec![Run::Stored(stored)] }
    }

    /// Takes in everything `other` holds. Runs of similar size are merged at once, so that merging d days of n
    /// entries costs n × d × log d.
    ///
    /// # Errors
    /// The spill's own.
    pub fn merge(&mut self, other: Sorted<E>) -> io::Result<()> {
        for run in other.runs {
            self.runs.push(run);
            while let [.., Run::Memory(older), Run::Memory(newer)] = self.runs.as_slice() {
                if older.len() > 2 * newer.len() {
                    break;
                }
                let merged = merge_two(older, newer);
                self.runs.truncate(self.runs.len() - 2);
                self.runs.push(Run::Memory(Arc::new(merged)));
            }
        }
        Ok(())
    }

    /// Moves to `spill` what is too much for memory, and makes one run of what are too many.
    ///
    /// # Errors
    /// The spill's own.
    pub fn bound(&mut self, spill: &SharedSpill) -> io::Result<()> {
        if let Some(Run::Memory(entries)) = self.runs.last()
            && entries.len() > MEMORY_RUN_ENTRIES_MAX
        {
            let mut writer = Writer::new(spill);
            entries.iter().try_for_each(|entry| writer.push(0, entry))?;
            self.runs.pop();
            self.runs.extend(writer.end()?.pop().map(Run::Stored));
        }
        if self.runs.len() > STORED_RUNS_MAX { self.settle(spill) } else { Ok(()) }
    }

    /// Makes one run of all, so that it can be counted and read without merging.
    ///
    /// # Errors
    /// The spill's own.
    pub fn settle(&mut self, spill: &SharedSpill) -> io::Result<()> {
        if self.runs.len() <= 1 {
            return Ok(());
        }
        let entries: u64 = self.runs.iter().map(Run::entries).sum();
        if entries <= MEMORY_RUN_ENTRIES_MAX as u64 {
            let mut merged = Vec::new();
            self.scan(|entry| {
                merged.push(*entry);
                true
            })?;
            *self = Sorted::of_sorted(merged);
            return Ok(());
        }
        let mut writer = Writer::new(spill);
        self.each(|entry| writer.push(0, entry))?;
        self.runs = writer.end()?.pop().map(Run::Stored).into_iter().collect();
        Ok(())
    }

    /// Calls `visit` with every entry, ascending, equal ones combined, until it returns false.
    ///
    /// # Errors
    /// The spill's own.
    pub fn scan(&self, mut visit: impl FnMut(&E) -> bool) -> io::Result<()> {
        if let [Run::Memory(entries)] = self.runs.as_slice() {
            entries.iter().all(visit);
            return Ok(());
        }
        self.walk(|entry| Ok(visit(entry)))
    }

    /// Calls `visit` with every entry, ascending, equal ones combined.
    ///
    /// # Errors
    /// The spill's own, and what `visit` returns.
    pub fn each(&self, mut visit: impl FnMut(&E) -> io::Result<()>) -> io::Result<()> {
        self.walk(|entry| visit(entry).map(|()| true))
    }

    fn walk(&self, visit: impl FnMut(&E) -> io::Result<bool>) -> io::Result<()> {
        let mut cursors = self.cursors(buffer_bytes(self.runs.len()))?;
        merge_cursors(&mut cursors, visit)
    }

    /// A cursor for each run, for walking several collections at once.
    ///
    /// # Errors
    /// The spill's own.
    pub fn cursors(&self, buffer_bytes: usize) -> io::Result<Vec<Cursor<'_, E>>> {
        let cursors = self.runs.iter().map(|run| match run {
            Run::Memory(entries) => Cursor::memory(entries),
            Run::Stored(stored) => Cursor::stored(stored, buffer_bytes),
        });
        cursors.collect()
    }

    /// How many entries there are. One pass unless there is a single run.
    ///
    /// # Errors
    /// The spill's own.
    pub fn count(&self) -> io::Result<u64> {
        match self.runs.as_slice() {
            [] => Ok(0),
            [Run::Memory(entries)] => Ok(entries.len() as u64),
            [Run::Stored(stored)] => Ok(stored.entries),
            _ => {
                let mut count = 0;
                self.scan(|_| {
                    count += 1;
                    true
                })?;
                Ok(count)
            }
        }
    }
}

impl<E> Run<E> {
    fn entries(&self) -> u64 {
        match self {
            Run::Memory(entries) => entries.len() as u64,
            Run::Stored(stored) => stored.entries,
        }
    }
}

/// Bytes of each buffer when that many stored runs are read at once.
pub fn buffer_bytes(runs: usize) -> usize {
    (READ_BUFFERS_BYTES / runs.max(1)).clamp(READ_BUFFER_BYTES_MIN, READ_BUFFER_BYTES_MAX)
}

fn merge_two<E: Entry>(older: &[E], newer: &[E]) -> Vec<E> {
    let mut merged = Vec::with_capacity(older.len() + newer.len());
    let (mut left, mut right) = (older.iter().peekable(), newer.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        match a.order(b) {
            Ordering::Less => merged.extend(left.next().copied()),
            Ordering::Greater => merged.extend(right.next().copied()),
            Ordering::Equal => {
                let mut both = **a;
                both.combine(b);
                merged.push(both);
                left.next();
                right.next();
            }
        }
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// A place in a run.
pub struct Cursor<'a, E> {
    source: Source<'a, E>,
    head: Option<E>,
}

enum Source<'a, E> {
    Memory(std::slice::Iter<'a, E>),
    Stored(Reader<'a>),
}

struct Reader<'a> {
    stored: &'a Stored,
    stretch: usize,
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
    buffer_bytes: usize,
}

impl<'a, E: Entry> Cursor<'a, E> {
    /// The start of a stored run, read through a buffer of [`buffer_bytes`].
    ///
    /// # Errors
    /// The spill's own.
    pub fn stored(stored: &'a Stored, buffer_bytes: usize) -> io::Result<Cursor<'a, E>> {
        let reader = Reader { stored, stretch: 0, offset: 0, buffer: Vec::new(), at: 0, buffer_bytes };
        Cursor::start(Source::Stored(reader))
    }

    /// The start of a run in memory.
    ///
    /// # Errors
    /// None.
    pub fn memory(entries: &'a [E]) -> io::Result<Cursor<'a, E>> {
        Cursor::start(Source::Memory(entries.iter()))
    }

    fn start(source: Source<'a, E>) -> io::Result<Cursor<'a, E>> {
        let mut cursor = Cursor { source, head: None };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The entry it stands at; `None` behind the last.
    pub fn head(&self) -> Option<E> {
        self.head
    }

    /// Moves to the next entry.
    ///
    /// # Errors
    /// The spill's own; `InvalidData` when the bytes are no entry, or one out of order.
    pub fn advance(&mut self) -> io::Result<()> {
        let next = match &mut self.source {
            Source::Memory(entries) => entries.next().copied(),
            Source::Stored(reader) => match reader.next(E::BYTES)? {
                None => None,
                Some(bytes) => {
                    let entry = E::read(bytes).ok_or_else(damaged)?;
                    if self.head.is_some_and(|head| head.order(&entry) != Ordering::Less) {
                        return Err(damaged());
                    }
                    Some(entry)
                }
            },
        };
        self.head = next;
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a stored set is damaged; recompute the day")
}

impl Reader<'_> {
    /// The next `width` bytes.
    fn next(&mut self, width: usize) -> io::Result<Option<&[u8]>> {
        if self.at == self.buffer.len() {
            self.refill(width)?;
        }
        let from = self.at;
        self.at = (self.at + width).min(self.buffer.len());
        Ok(self.buffer.get(from..from + width))
    }

    fn refill(&mut self, width: usize) -> io::Result<()> {
        self.buffer.clear();
        self.at = 0;
        let whole = (self.buffer_bytes / width).max(1) * width;
        while let Some((run, first, bytes)) = self.stored.stretches.get(self.stretch)
            && self.buffer.len() < whole
        {
            let from = self.buffer.len();
            let taken = (bytes - self.offset).min((whole - from) as u64);
            self.buffer.resize(from + taken as usize, 0);
            self.stored.spill.read_exact(*run, first + self.offset, &mut self.buffer[from..])?;
            self.offset += taken;
            if self.offset == *bytes {
                self.stretch += 1;
                self.offset = 0;
            }
        }
        Ok(())
    }
}

/// Walks several runs at once: `visit` sees every entry, ascending, equal ones combined, until it returns false.
///
/// # Errors
/// The spill's own, and what `visit` returns.
pub fn merge_cursors<E: Entry>(
    cursors: &mut [Cursor<'_, E>],
    mut visit: impl FnMut(&E) -> io::Result<bool>,
) -> io::Result<()> {
    // A heap of cursor numbers, smallest head on top; kept by hand because entries need not be `Ord`.
    let mut heap: Vec<usize> = (0..cursors.len()).filter(|at| cursors[*at].head.is_some()).collect();
    for from in (0..heap.len() / 2).rev() {
        sift(&mut heap, cursors, from);
    }
    let mut held: Option<E> = None;
    while let Some(&top) = heap.first() {
        let Some(head) = cursors[top].head else { break };
        match &mut held {
            Some(entry) if entry.order(&head) == Ordering::Equal => entry.combine(&head),
            _ => {
                if let Some(entry) = held.replace(head)
                    && !visit(&entry)?
                {
                    return Ok(());
                }
            }
        }
        cursors[top].advance()?;
        if cursors[top].head.is_none() {
            heap.swap_remove(0);
        }
        sift(&mut heap, cursors, 0);
    }
    if let Some(entry) = held {
        visit(&entry)?;
    }
    Ok(())
}

fn sift<E: Entry>(heap: &mut [usize], cursors: &[Cursor<'_, E>], mut at: usize) {
    let less = |a: usize, b: usize| match (&cursors[a].head, &cursors[b].head) {
        (Some(a), Some(b)) => a.order(b) == Ordering::Less,
        _ => false,
    };
    loop {
        let mut least = at;
        for child in [2 * at + 1, 2 * at + 2] {
            if child < heap.len() && less(heap[child], heap[least]) {
                least = child;
            }
        }
        if least == at {
            return;
        }
        heap.swap(at, least);
        at = least;
    }
}

#[cfg(test)]
mod tests;
