//! Pages of an import: rows grow into pages on scratch disk, one for each source and UTC day where they fit into one.
//!
//! In: rows as page columns, with their places among all rows of the import. Out: fragments — pages with the rows they
//! hold. Whether all of those rows are new is known later: see [`crate::on_import_finish`]. What no longer fits into
//! memory is closed and put together at the end. Blocks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use bytes::Bytes;
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::page::{SOURCE, TIME};
use tidemill_schemas::time::MICROS_PER_DAY;
use tidemill_schemas::value::Type;

use crate::import::convert::Part;
use crate::import::places::{Places, Run, runs_of};
use crate::import::survey::text;
use crate::on_import::{ImportFailure, Progress, threads};
use crate::on_import_read::{Opened, Piece, Turns};
use crate::page::writer::{PageWriter, Widest};
use crate::page::{EncodedPage, PageError};
use crate::scratch_store::Scratch;

/// Rows of one page. Readers hold several pages at once.
pub const IMPORT_PAGE_ROWS_MAX: usize = 491_520;
/// Bytes of growing pages, over all threads.
pub const IMPORT_PAGES_BYTES_MAX: usize = 192 * 1024 * 1024;
/// Rows of one day that are worth writing at once.
const ROWS_AT_ONCE_MIN: usize = 4_096;
/// Batches between two looks at the memory.
const LOOK_BATCHES: usize = 8;

/// By source: the type that bears each property's own name.
pub(crate) type Primaries = BTreeMap<String, BTreeMap<String, Type>>;

/// Rows by their places among all rows of the import.
pub(crate) struct RowSet(Vec<AtomicU64>);

impl RowSet {
    /// None of so many.
    pub(crate) fn of(rows: u64) -> RowSet {
        RowSet((0..rows.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn add(&self, row: u64) {
        self.0[(row / 64) as usize].fetch_or(1 << (row % 64), Ordering::Relaxed);
    }

    pub(crate) fn has(&self, row: u64) -> bool {
        self.0.get((row / 64) as usize).is_some_and(|word| word.load(Ordering::Relaxed) >> (row % 64) & 1 == 1)
    }
}

/// A page of a day that may have more than one, on scratch disk; the places of its rows lie behind it.
#[derive(Debug)]
pub(crate) struct Fragment {
    pub(crate) source: String,
    pub(crate) day: Date,
    pub(crate) path: PathBuf,
    /// Bytes of the page itself.
    pub(crate) bytes: usize,
    /// What there is to say of it; without its bytes.
    pub(crate) page: EncodedPage,
    /// The place of its first row.
    pub(crate) first: u64,
    /// Properties whose columns were named before it was known which type bears the bare name.
    pub(crate) guessed: Vec<(String, Type)>,
}

pub(crate) fn on_threads(
    threads: usize,
    run: &(dyn Fn(usize) -> Result<(), ImportFailure> + Sync),
) -> Result<(), ImportFailure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|nth| scope.spawn(move || run(nth))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err(ImportFailure::Broke)))
    })
}

/// Reads pieces again and writes the rows to keep.
pub(crate) fn write_again(
    files: &[Opened],
    pieces: &[Piece],
    keep: &RowSet,
    making: &Making<'_>,
    alive: &(dyn Fn() + Sync),
    progress: &Progress,
) -> Result<Vec<Fragment>, ImportFailure> {
    let threads = threads().min(pieces.len().max(1));
    let turns = Turns::of(pieces.len(), threads);
    let fragments = std::sync::Mutex::new(Vec::new());
    on_threads(threads, &|nth| {
        let mut growing = Growing::new(making, nth, threads);
        while let Some(piece) = turns.next(nth).and_then(|next| pieces.get(next)) {
            let file = &files[piece.file];
            let wanted = |first: u64, rows: u64| {
                progress.written(rows as usize);
                alive();
                (first..first + rows).any(|row| keep.has(file.first_row + row))
            };
            let read = file.read(piece, &wanted, &mut |converted, first, _| {
                growing.add_all(&converted.parts, file.first_row + first, Some(keep))
            });
            // It was read before, from the same disk.
            read.map_err(|suspect| ImportFailure::Scratch(suspect.to_string()))??;
        }
        fragments.lock().map_err(|_| ImportFailure::Broke)?.extend(growing.end()?);
        Ok(())
    })?;
    fragments.into_inner().map_err(|_| ImportFailure::Broke)
}

/// What pages are made with.
pub(crate) struct Making<'a> {
    pub(crate) scratch: &'a Scratch,
    /// What is known of the sources; there may be more.
    pub(crate) primaries: &'a Primaries,
}

/// A source's UTC day.
type Day = (String, i64);

/// One thread's pages.
pub(crate) struct Growing<'a> {
    making: &'a Making<'a>,
    nth: usize,
    bytes_max: usize,
    widest: BTreeMap<String, Widest>,
    open: BTreeMap<Day, Growth>,
    ended: Vec<Fragment>,
    batches: usize,
}

#[derive(Default)]
struct Growth {
    writer: Option<Writer>,
    waiting: Vec<(RecordBatch, Vec<Run>)>,
    waiting_rows: usize,
}

struct Writer {
    page: PageWriter,
    places: Places,
    first: u64,
    guessed: Vec<(String, Type)>,
}

impl Growth {
    fn bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|(batch, _)| batch.get_array_memory_size()).sum();
        self.writer.as_ref().map_or(0, |writer| writer.page.bytes() + writer.places.bytes()) + waiting
    }
}

impl<'a> Growing<'a> {
    /// For the nth of so many threads.
    pub(crate) fn new(making: &'a Making<'a>, nth: usize, threads: usize) -> Growing<'a> {
        let (widest, open) = (BTreeMap::new(), BTreeMap::new());
        let bytes_max = IMPORT_PAGES_BYTES_MAX / threads.max(1);
        Growing { making, nth, bytes_max, widest, open, ended: Vec::new(), batches: 0 }
    }

    /// Adds rows of a batch whose first row has the place `base`; only those of `keep`, if it is given.
    pub(crate) fn add_all(&mut self, parts: &[Part], base: u64, keep: Option<&RowSet>) -> Result<(), ImportFailure> {
        for part in parts {
            let place = |row: &u32| base + u64::from(*row);
            let kept: Option<BooleanArray> = keep
                .map(|keep| part.rows.iter().map(|row| Some(keep.has(place(row)))).collect())
                .filter(|kept: &BooleanArray| kept.true_count() < part.rows.len());
            let (batch, places) = match kept {
                None => (part.batch.clone(), part.rows.iter().map(place).collect()),
                Some(kept) if kept.true_count() == 0 => continue,
                Some(kept) => {
                    let places: Vec<u64> = kept.values().set_indices().map(|at| place(&part.rows[at])).collect();
                    (filter_record_batch(&part.batch, &kept).map_err(PageError::from)?, places)
                }
            };
            for (day, batch, places) in by_day(&batch, places)? {
                let widest = match self.widest.get_mut(&day.0) {
                    Some(widest) => widest,
                    None => self.widest.entry(day.0.clone()).or_default(),
                };
                widest.learn(&batch);
                self.add(day, batch, places)?;
            }
        }
        self.batches += 1;
        if self.batches.is_multiple_of(LOOK_BATCHES) { self.shrink() } else { Ok(()) }
    }

    fn add(&mut self, day: Day, batch: RecordBatch, places: Vec<Run>) -> Result<(), ImportFailure> {
        let growth = self.open.entry(day.clone()).or_default();
        if growth.waiting.is_empty() && batch.num_rows() >= ROWS_AT_ONCE_MIN {
            return self.write(&day, &batch, &places);
        }
        growth.waiting_rows += batch.num_rows();
        growth.waiting.push((compact(&batch)?, places));
        if growth.waiting_rows >= ROWS_AT_ONCE_MIN { self.flush(&day) } else { Ok(()) }
    }

    /// Writes what waits, like with like.
    fn flush(&mut self, day: &Day) -> Result<(), ImportFailure> {
        let Some(growth) = self.open.get_mut(day) else { return Ok(()) };
        growth.waiting_rows = 0;
        let waiting = std::mem::take(&mut growth.waiting);
        for alike in waiting.chunk_by(|a, b| a.0.schema_ref() == b.0.schema_ref()) {
            let batch = concat_batches(alike[0].0.schema_ref(), alike.iter().map(|(batch, _)| batch));
            let places: Vec<Run> = alike.iter().flat_map(|(_, places)| places.iter().copied()).collect();
            self.write(day, &batch.map_err(PageError::from)?, &places)?;
        }
        Ok(())
    }

    fn write(&mut self, day: &Day, batch: &RecordBatch, places: &[Run]) -> Result<(), ImportFailure> {
        let growth = self.open.entry(day.clone()).or_default();
        let fits = |page: &PageWriter| page.fits(batch) && page.rows() + batch.num_rows() <= IMPORT_PAGE_ROWS_MAX;
        if growth.writer.as_ref().is_some_and(|writer| !fits(&writer.page)) {
            self.close(day)?;
        }
        let growth = self.open.entry(day.clone()).or_default();
        let writer = match &mut growth.writer {
            Some(writer) => writer,
            None => {
                let widest = self.widest.get(&day.0).cloned().unwrap_or_default();
                let first = places.first().map_or(0, |run| run.0);
                growth.writer.insert(open(self.making.primaries, day, batch, &widest, first)?)
            }
        };
        places.iter().for_each(|run| writer.places.add(*run));
        Ok(writer.page.write(batch)?)
    }

    /// Ends a day's page.
    fn close(&mut self, day: &Day) -> Result<(), ImportFailure> {
        let Some(writer) = self.open.get_mut(day).and_then(|growth| growth.writer.take()) else { return Ok(()) };
        let mut page = writer.page.close()?;
        let name = format!("page-{}-{}", self.nth, self.ended.len());
        let path = self.making.scratch.write_both(&name, &page.bytes, &writer.places.encode())?;
        let bytes = page.bytes.len();
        page.bytes = Bytes::new();
        let (source, day) = (day.0.clone(), calendar::utc_date_of_day(day.1));
        let (first, guessed) = (writer.first, writer.guessed);
        self.ended.push(Fragment { source, day, path, bytes, page, first, guessed });
        Ok(())
    }

    /// Ends the largest pages while all of them hold too much.
    fn shrink(&mut self) -> Result<(), ImportFailure> {
        let mut sizes: Vec<(usize, Day)> =
            self.open.iter().map(|(day, growth)| (growth.bytes(), day.clone())).collect();
        let mut all: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
        if all <= self.bytes_max {
            return Ok(());
        }
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        for (bytes, day) in sizes {
            if all <= self.bytes_max / 2 {
                break;
            }
            self.flush(&day)?;
            self.close(&day)?;
            self.open.remove(&day);
            all -= bytes;
        }
        Ok(())
    }

    /// Ends all of them.
    pub(crate) fn end(mut self) -> Result<Vec<Fragment>, ImportFailure> {
        let days: Vec<Day> = self.open.keys().cloned().collect();
        for day in days {
            self.flush(&day)?;
            self.close(&day)?;
            self.open.remove(&day);
        }
        Ok(self.ended)
    }
}

/// Opens a page. The type that bears a property's name may not be known yet; then the first one the page has does.
fn open(
    primaries: &Primaries,
    day: &Day,
    batch: &RecordBatch,
    widest: &Widest,
    first: u64,
) -> Result<Writer, PageError> {
    let known = primaries.get(&day.0);
    let known = |property: &str| known.and_then(|of| of.get(property)).copied();
    let first_type = PageWriter::first_types(batch, widest);
    // No property holds a time: what is not known bears its type in its column's name.
    let primary = |property: &str| known(property).or(first_type.get(property).copied()).unwrap_or(Type::Time);
    let page = PageWriter::open(&day.0, calendar::utc_date_of_day(day.1), batch, widest, &primary)?;
    let mut guessed: Vec<(String, Type)> = page
        .properties()
        .filter(|(property, _)| known(property).is_none())
        .map(|(property, _)| (property.to_owned(), primary(property)))
        .collect();
    guessed.dedup();
    Ok(Writer { page, places: Places::default(), first, guessed })
}

/// A batch by its sources and UTC days, each with the places of its rows; mostly there is one.
fn by_day(batch: &RecordBatch, places: Vec<u64>) -> Result<Vec<(Day, RecordBatch, Vec<Run>)>, PageError> {
    let sources = text(batch, SOURCE)?;
    let times = batch.column_by_name(TIME).ok_or_else(|| PageError::Format(format!("no column `{TIME}`")))?;
    let times = times.as_primitive::<TimestampMicrosecondType>().values();
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let (source, views) = (sources.value(0), sources.views());
    let day = times[0].div_euclid(MICROS_PER_DAY);
    let within = day.saturating_mul(MICROS_PER_DAY)..day.saturating_add(1).saturating_mul(MICROS_PER_DAY);
    // Equal views of one array are equal texts.
    let is_alike = |row: usize| views[row] == views[0] || sources.value(row) == source;
    if times.iter().all(|time| within.contains(time)) && (1..batch.num_rows()).all(is_alike) {
        return Ok(vec![((source.to_owned(), day), batch.clone(), runs_of(places.into_iter()))]);
    }
    let mut rows: BTreeMap<(&str, i64), Vec<u32>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        rows.entry((sources.value(row), times[row].div_euclid(MICROS_PER_DAY))).or_default().push(row as u32);
    }
    rows.into_iter()
        .map(|((source, day), rows)| {
            let of_day = runs_of(rows.iter().map(|row| places[*row as usize]));
            let part = take_record_batch(batch, &UInt32Array::from(rows))?;
            Ok(((source.to_owned(), day), part, of_day))
        })
        .collect()
}

/// A batch that holds on to nothing but its own texts.
fn compact(batch: &RecordBatch) -> Result<RecordBatch, PageError> {
    let own = |array: &ArrayRef| -> ArrayRef {
        match array.data_type() {
            DataType::Utf8View => {
                let texts: StringViewArray = array.as_string_view().gc();
                std::sync::Arc::new(texts)
            }
            _ => array.clone(),
        }
    };
    Ok(RecordBatch::try_new(batch.schema(), batch.columns().iter().map(own).collect())?)
}
