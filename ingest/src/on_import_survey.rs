//! The first pass over an import's files: what is valid, who it claims to be, what it bears.
//!
//! In: opened files. Out: a claim per valid row, the refused rows, the files that cannot be read to their end; and, where
//! most rows are likely to be new, their pages already. Whoever is refused here claims nothing. Runs on as many threads
//! as there are cores; blocks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use tidemill_schemas::page::{DELETED, ID, REV, SOURCE, TIME};
use tidemill_schemas::time::MICROS_PER_DAY;

use crate::codec::Refused;
use crate::identity::{Identity, hash_of};
use crate::import::convert::{Converted, REFUSED_BYTES_MAX};
use crate::import::inspect::Suspect;
use crate::import::survey::{Survey, text};
use crate::on_import::{ImportFailure, Progress, threads};
use crate::on_import_read::{Opened, Piece, Turns, pieces};
use crate::on_import_write::{Fragment, Growing, Making};
use crate::page::PageError;
use crate::scratch_store::Slices;
use crate::sift::{Claim, Origin};

/// Sources of one import.
pub const IMPORT_SOURCES_MAX: usize = 16;
/// Refused rows that are kept; what is beyond is counted.
pub const IMPORT_REFUSED_MAX: usize = 10_000;

/// What the first pass found.
#[derive(Default)]
pub(crate) struct Surveyed {
    /// Claims, a set per thread.
    pub(crate) slices: Vec<Slices>,
    /// Refused rows: the file's place among those opened, the row in it, why.
    pub(crate) refused: Vec<(usize, u64, Refused)>,
    /// How many rows each file had refused.
    pub(crate) refused_count: BTreeMap<usize, u64>,
    /// Files that cannot be read, by their place among those opened.
    pub(crate) unreadable: BTreeMap<usize, Suspect>,
    /// The sources, by their place in claims.
    pub(crate) sources: Vec<String>,
    pub(crate) survey: Survey,
    /// The pages of all rows; `None`: they are still to be written.
    pub(crate) fragments: Option<Vec<Fragment>>,
}

/// The import's sources, as they come up.
#[derive(Default)]
struct Sources(Mutex<Vec<String>>);

impl Sources {
    fn place(&self, source: &str) -> Result<u16, ImportFailure> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = held.iter().position(|held| held == source) {
            return Ok(at as u16);
        }
        if held.len() == IMPORT_SOURCES_MAX {
            return Err(ImportFailure::Sources);
        }
        held.push(source.to_owned());
        Ok(held.len() as u16 - 1)
    }
}

/// Goes over all files once; with `making`, also writes their rows.
pub(crate) fn survey(
    files: &[Opened],
    only: Option<&str>,
    making: Option<&Making<'_>>,
    progress: &Progress,
) -> Result<Surveyed, ImportFailure> {
    let pieces = pieces(files);
    let threads = threads().min(pieces.len().max(1));
    let turns = Turns::of(pieces.len(), threads);
    let work = Work { files, pieces: &pieces, turns, sources: Sources::default(), only, progress };
    let found: Vec<Result<Surveyed, ImportFailure>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|nth| {
                let work = &work;
                scope.spawn(move || one_thread(work, nth, making.map(|making| Growing::new(making, nth, threads))))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(ImportFailure::Broke))).collect()
    });
    let mut all = Surveyed { fragments: making.map(|_| Vec::new()), ..Surveyed::default() };
    for one in found {
        let one = one?;
        all.slices.extend(one.slices);
        all.refused.extend(one.refused);
        one.refused_count.into_iter().for_each(|(file, count)| *all.refused_count.entry(file).or_default() += count);
        all.unreadable.extend(one.unreadable);
        all.survey.merge(one.survey);
        if let (Some(fragments), Some(more)) = (&mut all.fragments, one.fragments) {
            fragments.extend(more);
        }
    }
    all.refused.sort_by_key(|(file, row, _)| (*file, *row));
    all.refused.truncate(IMPORT_REFUSED_MAX);
    all.sources = work.sources.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(all)
}

/// What the threads share.
struct Work<'a> {
    files: &'a [Opened],
    pieces: &'a [Piece],
    turns: Turns,
    sources: Sources,
    only: Option<&'a str>,
    progress: &'a Progress,
}

fn one_thread(work: &Work<'_>, nth: usize, growing: Option<Growing<'_>>) -> Result<Surveyed, ImportFailure> {
    let Work { sources, only, .. } = work;
    let mut thread =
        Thread { found: Surveyed::default(), slices: Slices::new()?, sources, only: *only, bytes: 0, growing };
    while let Some(piece) = work.turns.next(nth).and_then(|next| work.pieces.get(next)) {
        let file = &work.files[piece.file];
        if thread.found.unreadable.contains_key(&piece.file) {
            continue;
        }
        let mut on = |converted: Converted, first: u64, rows: u64| {
            work.progress.read(rows as usize);
            if thread.growing.is_some() {
                work.progress.written(rows as usize);
            }
            thread.rows(piece.file, file.first_row, converted, first)
        };
        match file.read(piece, &|_, _| true, &mut on) {
            Ok(done) => done?,
            Err(suspect) => drop(thread.found.unreadable.insert(piece.file, suspect)),
        }
    }
    thread.found.fragments = thread.growing.map(Growing::end).transpose()?;
    thread.found.slices.push(thread.slices);
    Ok(thread.found)
}

struct Thread<'a> {
    found: Surveyed,
    slices: Slices,
    sources: &'a Sources,
    only: Option<&'a str>,
    /// Bytes of the refused rows kept.
    bytes: usize,
    growing: Option<Growing<'a>>,
}

impl Thread<'_> {
    fn rows(&mut self, nth: usize, base: u64, converted: Converted, first: u64) -> Result<(), ImportFailure> {
        if converted.refused_count > 0 {
            *self.found.refused_count.entry(nth).or_default() += converted.refused_count;
        }
        for (row, refused) in converted.refused {
            let bytes = refused.body.len();
            if self.found.refused.len() < IMPORT_REFUSED_MAX && self.bytes + bytes <= REFUSED_BYTES_MAX {
                self.bytes += bytes;
                self.found.refused.push((nth, first + u64::from(row) + 1, refused));
            }
        }
        for part in &converted.parts {
            self.claim(&part.batch, |at| base + first + u64::from(part.rows[at]))?;
            self.found.survey.add(&part.batch)?;
        }
        if let Some(part) = &converted.withdrawn {
            self.claim(&part.batch, |at| base + first + u64::from(part.rows[at]))?;
        }
        match &mut self.growing {
            Some(growing) => growing.add_all(&converted.parts, base + first, None),
            None => Ok(()),
        }
    }

    fn claim(&mut self, batch: &RecordBatch, row: impl Fn(usize) -> u64) -> Result<(), ImportFailure> {
        let (ids, sources) = (text(batch, ID)?, text(batch, SOURCE)?);
        let column =
            |name: &str| batch.column_by_name(name).ok_or_else(|| PageError::Format(format!("no column `{name}`")));
        let times = column(TIME)?.as_primitive::<TimestampMicrosecondType>();
        let revs = column(REV)?.as_primitive::<Int64Type>();
        let deleted = column(DELETED)?.as_boolean();
        let withdraws = deleted.true_count() > 0;
        let mut places: HashMap<&str, u16> = HashMap::new();
        // Equal views of one array are equal texts.
        let mut last: Option<(u128, u16)> = None;
        for at in 0..ids.len() {
            let view = sources.views()[at];
            let place = match last.filter(|(held, _)| *held == view) {
                Some((_, place)) => place,
                None => self.place(sources.value(at), &mut places)?,
            };
            last = Some((view, place));
            let identity = Identity {
                hash: hash_of(ids.value(at)),
                day: times.value(at).div_euclid(MICROS_PER_DAY) as i32,
                rev: revs.value(at).unsigned_abs(),
            };
            self.slices.add(&Claim { source: place, identity, origin: Origin::Row, row: row(at), withdraws })?;
        }
        Ok(())
    }

    fn place<'s>(&self, source: &'s str, places: &mut HashMap<&'s str, u16>) -> Result<u16, ImportFailure> {
        if let Some(place) = places.get(source) {
            return Ok(*place);
        }
        if self.only.is_some_and(|only| only != source) {
            return Err(ImportFailure::Forbidden(source.to_owned()));
        }
        let place = self.sources.place(source)?;
        places.insert(source, place);
        Ok(place)
    }
}
