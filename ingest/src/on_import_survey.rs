//! The first pass over an import's files: what is valid, who it claims to be, what it bears.
//!
//! In: opened files. Out: a claim per valid row, the refused rows, the files that cannot be read to their end. Whoever
//! is refused here claims nothing. Runs on as many threads as there are cores; blocks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use tidemill_schemas::page::{ID, REV, SOURCE, TIME};
use tidemill_schemas::time::MICROS_PER_DAY;

use crate::codec::Refused;
use crate::identity::{Identity, hash_of};
use crate::import::inspect::Suspect;
use crate::import::survey::{Survey, text};
use crate::on_import::{ImportFailure, Progress};
use crate::on_import_read::{Opened, Piece, pieces};
use crate::page::PageError;
use crate::scratch_store::Slices;
use crate::sift::{Claim, Origin};

/// Sources of one import.
pub const IMPORT_SOURCES_MAX: usize = 16;
/// Refused rows that are kept; what is beyond is counted.
pub const IMPORT_REFUSED_MAX: usize = 10_000;
/// Bytes of refused rows that are kept.
const REFUSED_BYTES_MAX: usize = 32 * 1024 * 1024;

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

/// Goes over all files once.
pub(crate) fn survey(files: &[Opened], only: Option<&str>, progress: &Progress) -> Result<Surveyed, ImportFailure> {
    let pieces = pieces(files);
    let (next, sources) = (AtomicUsize::new(0), Sources::default());
    let found: Vec<Result<Surveyed, ImportFailure>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..crate::on_import::threads().min(pieces.len().max(1)))
            .map(|_| scope.spawn(|| one_thread(files, &pieces, &next, &sources, only, progress)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(ImportFailure::Broke))).collect()
    });
    let mut all = Surveyed::default();
    for one in found {
        let one = one?;
        all.slices.extend(one.slices);
        all.refused.extend(one.refused);
        one.refused_count.into_iter().for_each(|(file, count)| *all.refused_count.entry(file).or_default() += count);
        all.unreadable.extend(one.unreadable);
        all.survey.merge(one.survey);
    }
    all.refused.sort_by_key(|(file, row, _)| (*file, *row));
    all.refused.truncate(IMPORT_REFUSED_MAX);
    all.sources = sources.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(all)
}

fn one_thread(
    files: &[Opened],
    pieces: &[Piece],
    next: &AtomicUsize,
    sources: &Sources,
    only: Option<&str>,
    progress: &Progress,
) -> Result<Surveyed, ImportFailure> {
    let mut thread = Thread { found: Surveyed::default(), slices: Slices::new()?, sources, only, bytes: 0 };
    while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
        let file = &files[piece.file];
        if thread.found.unreadable.contains_key(&piece.file) {
            continue;
        }
        let mut on = |batch: RecordBatch, first: u64| {
            progress.read(batch.num_rows());
            thread.batch(piece.file, file, &batch, first)
        };
        match file.read(piece, &mut on) {
            Ok(done) => done?,
            Err(suspect) => drop(thread.found.unreadable.insert(piece.file, suspect)),
        }
    }
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
}

impl Thread<'_> {
    fn batch(&mut self, nth: usize, file: &Opened, batch: &RecordBatch, first: u64) -> Result<(), ImportFailure> {
        let converted = file.converter.convert(batch, first)?;
        for (row, refused) in converted.refused {
            *self.found.refused_count.entry(nth).or_default() += 1;
            let bytes = refused.body.len();
            if self.found.refused.len() < IMPORT_REFUSED_MAX && self.bytes + bytes <= REFUSED_BYTES_MAX {
                self.bytes += bytes;
                self.found.refused.push((nth, first + u64::from(row) + 1, refused));
            }
        }
        for part in &converted.parts {
            self.claim(&part.batch, |at| file.first_row + first + u64::from(part.rows[at]))?;
            self.found.survey.add(&part.batch)?;
        }
        Ok(())
    }

    fn claim(&mut self, batch: &RecordBatch, row: impl Fn(usize) -> u64) -> Result<(), ImportFailure> {
        let (ids, sources) = (text(batch, ID)?, text(batch, SOURCE)?);
        let column =
            |name: &str| batch.column_by_name(name).ok_or_else(|| PageError::Format(format!("no column `{name}`")));
        let times = column(TIME)?.as_primitive::<TimestampMicrosecondType>();
        let revs = column(REV)?.as_primitive::<Int64Type>();
        let mut places: HashMap<&str, u16> = HashMap::new();
        let mut last: Option<(&str, u16)> = None;
        for at in 0..ids.len() {
            let source = sources.value(at);
            let place = match last.filter(|(held, _)| *held == source) {
                Some((_, place)) => place,
                None => self.place(source, &mut places)?,
            };
            last = Some((source, place));
            let identity = Identity {
                hash: hash_of(ids.value(at)),
                day: times.value(at).div_euclid(MICROS_PER_DAY) as i32,
                rev: revs.value(at).unsigned_abs(),
            };
            self.slices.add(&Claim { source: place, identity, origin: Origin::Row, row: row(at) })?;
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
