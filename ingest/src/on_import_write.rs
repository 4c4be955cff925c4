//! The second pass over an import's files: the rows to keep become pages.
//!
//! In: opened files, the rows to keep. Out: finished pages, over a channel, one for each source and UTC day where they
//! fit into one. What no longer fits into memory is closed as a piece and put together at the end. Runs on as many
//! threads as there are cores; blocks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use bytes::Bytes;
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::page::{SOURCE, TIME};
use tidemill_schemas::time::MICROS_PER_DAY;
use tidemill_schemas::value::Type;
use tokio::sync::mpsc::Sender;

use crate::import::survey::text;
use crate::on_import::{ImportFailure, Progress, threads};
use crate::on_import_read::{Opened, pieces};
use crate::page::writer::{PageWriter, Widest};
use crate::page::{EncodedPage, PageError, Wanted};
use crate::scratch_store::{self, Scratch};

/// Rows of one page. Readers hold several pages at once.
pub const IMPORT_PAGE_ROWS_MAX: usize = 491_520;
/// Bytes of growing pages, over all threads.
pub const IMPORT_PAGES_BYTES_MAX: usize = 192 * 1024 * 1024;
/// Rows of one day that are worth writing at once.
const ROWS_AT_ONCE_MIN: usize = 4_096;
/// Batches between two looks at the memory.
const LOOK_BATCHES: usize = 8;

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

/// A finished page.
#[derive(Debug)]
pub(crate) struct NewPage {
    pub(crate) source: String,
    pub(crate) day: Date,
    pub(crate) page: EncodedPage,
}

/// What the threads tell.
#[derive(Debug)]
pub(crate) enum Told {
    /// A page is finished.
    Page(NewPage),
    /// They are at work.
    Alive,
}

/// What pages are made from.
pub(crate) struct Writing {
    pub(crate) files: Vec<Opened>,
    pub(crate) keep: RowSet,
    /// By source: the type that bears each property's own name.
    pub(crate) primaries: BTreeMap<String, BTreeMap<String, Type>>,
    pub(crate) scratch: Scratch,
    pub(crate) pages: Sender<Told>,
}

impl Writing {
    fn open(&self, source: &str, day: Date, batch: &RecordBatch, widest: &Widest) -> Result<PageWriter, PageError> {
        let of_source = self.primaries.get(source);
        // No property holds a time: what is not known bears its type in its column's name.
        let primary = |property: &str| of_source.and_then(|of| of.get(property)).copied().unwrap_or(Type::Time);
        PageWriter::open(source, day, batch, widest, &primary)
    }

    fn send(&self, source: &str, day: Date, page: EncodedPage) -> Result<(), ImportFailure> {
        let page = NewPage { source: source.to_owned(), day, page };
        self.pages.blocking_send(Told::Page(page)).map_err(|_| ImportFailure::Broke)
    }
}

/// A page of a day that may have more than one.
struct Fragment {
    path: PathBuf,
    page: EncodedPage,
}

type Fragments = BTreeMap<(String, Date), Vec<Fragment>>;

/// Makes the pages.
pub(crate) fn write(writing: &Writing, progress: &Progress) -> Result<(), ImportFailure> {
    let pieces = pieces(&writing.files);
    let next = AtomicUsize::new(0);
    let threads = threads().min(pieces.len().max(1));
    let fragments: Mutex<Fragments> = Mutex::default();
    let grow = |nth: usize| -> Result<(), ImportFailure> {
        let mut growing = Growing::new(writing, nth, IMPORT_PAGES_BYTES_MAX / threads);
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = &writing.files[piece.file];
            let mut on = |batch: RecordBatch, first: u64| {
                progress.written(batch.num_rows());
                growing.batch(file, &batch, first)
            };
            // It was read before, from the same disk.
            file.read(piece, &mut on).map_err(|suspect| ImportFailure::Scratch(suspect.to_string()))??;
        }
        let mut all = fragments.lock().map_err(|_| ImportFailure::Broke)?;
        for (day, ended) in growing.end()? {
            all.entry(day).or_default().extend(ended);
        }
        Ok(())
    };
    on_threads(threads, &grow)?;
    let left: Vec<_> = fragments.into_inner().map_err(|_| ImportFailure::Broke)?.into_iter().collect();
    let next = AtomicUsize::new(0);
    on_threads(threads, &|_| {
        while let Some(((source, day), fragments)) = left.get(next.fetch_add(1, Ordering::Relaxed)) {
            put_together(writing, source, *day, fragments)?;
        }
        Ok(())
    })
}

fn on_threads(threads: usize, run: &(dyn Fn(usize) -> Result<(), ImportFailure> + Sync)) -> Result<(), ImportFailure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|nth| scope.spawn(move || run(nth))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err(ImportFailure::Broke)))
    })
}

/// A source's UTC day.
type Day = (String, i64);

/// One thread's pages.
struct Growing<'a> {
    writing: &'a Writing,
    nth: usize,
    bytes_max: usize,
    widest: Widest,
    open: BTreeMap<Day, Growth>,
    ended: Fragments,
    count: usize,
    batches: usize,
}

#[derive(Default)]
struct Growth {
    writer: Option<PageWriter>,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
}

impl Growth {
    fn bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(RecordBatch::get_array_memory_size).sum();
        self.writer.as_ref().map_or(0, PageWriter::bytes) + waiting
    }
}

impl<'a> Growing<'a> {
    fn new(writing: &'a Writing, nth: usize, bytes_max: usize) -> Growing<'a> {
        let (open, ended) = (BTreeMap::new(), BTreeMap::new());
        Growing { writing, nth, bytes_max, widest: Widest::default(), open, ended, count: 0, batches: 0 }
    }

    fn batch(&mut self, file: &Opened, batch: &RecordBatch, first: u64) -> Result<(), ImportFailure> {
        let base = file.first_row + first;
        if (0..batch.num_rows() as u64).all(|row| !self.writing.keep.has(base + row)) {
            return Ok(());
        }
        for part in file.converter.convert(batch, first)?.parts {
            let kept: BooleanArray =
                part.rows.iter().map(|row| Some(self.writing.keep.has(base + u64::from(*row)))).collect();
            let batch = match kept.true_count() {
                0 => continue,
                all if all == part.rows.len() => part.batch,
                _ => filter_record_batch(&part.batch, &kept).map_err(PageError::from)?,
            };
            self.widest.learn(&batch);
            for (day, batch) in by_day(&batch)? {
                self.add(day, batch)?;
            }
        }
        self.batches += 1;
        if !self.batches.is_multiple_of(LOOK_BATCHES) {
            return Ok(());
        }
        // Only a sign of life: where the channel is full there are others.
        drop(self.writing.pages.try_send(Told::Alive));
        self.shrink()
    }

    fn add(&mut self, day: Day, batch: RecordBatch) -> Result<(), ImportFailure> {
        let growth = self.open.entry(day.clone()).or_default();
        if growth.waiting.is_empty() && batch.num_rows() >= ROWS_AT_ONCE_MIN {
            return self.write(&day, batch);
        }
        growth.waiting_rows += batch.num_rows();
        growth.waiting.push(compact(&batch)?);
        if growth.waiting_rows >= ROWS_AT_ONCE_MIN { self.flush(&day) } else { Ok(()) }
    }

    /// Writes what waits, like with like.
    fn flush(&mut self, day: &Day) -> Result<(), ImportFailure> {
        let Some(growth) = self.open.get_mut(day) else { return Ok(()) };
        growth.waiting_rows = 0;
        let waiting = std::mem::take(&mut growth.waiting);
        for alike in waiting.chunk_by(|a, b| a.schema_ref() == b.schema_ref()) {
            let batch = concat_batches(alike[0].schema_ref(), alike).map_err(PageError::from)?;
            self.write(day, batch)?;
        }
        Ok(())
    }

    fn write(&mut self, day: &Day, batch: RecordBatch) -> Result<(), ImportFailure> {
        let growth = self.open.entry(day.clone()).or_default();
        let fits =
            |writer: &PageWriter| writer.fits(&batch) && writer.rows() + batch.num_rows() <= IMPORT_PAGE_ROWS_MAX;
        if growth.writer.as_ref().is_some_and(|writer| !fits(writer)) {
            self.close(day)?;
        }
        let growth = self.open.entry(day.clone()).or_default();
        let writer = match &mut growth.writer {
            Some(writer) => writer,
            None => {
                let date = calendar::utc_date_of_day(day.1);
                growth.writer.insert(self.writing.open(&day.0, date, &batch, &self.widest)?)
            }
        };
        Ok(writer.write(&batch)?)
    }

    /// Ends a day's page. What is nearly full goes out as it is; the rest may have to be put together with others.
    fn close(&mut self, day: &Day) -> Result<(), ImportFailure> {
        let Some(writer) = self.open.get_mut(day).and_then(|growth| growth.writer.take()) else { return Ok(()) };
        let date = calendar::utc_date_of_day(day.1);
        let mut page = writer.close()?;
        if page.rows * 2 > IMPORT_PAGE_ROWS_MAX {
            return self.writing.send(&day.0, date, page);
        }
        let path = self.writing.scratch.write(&format!("page-{}-{}", self.nth, self.count), &page.bytes)?;
        self.count += 1;
        page.bytes = Bytes::new();
        self.ended.entry((day.0.clone(), date)).or_default().push(Fragment { path, page });
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

    fn end(mut self) -> Result<Fragments, ImportFailure> {
        let days: Vec<Day> = self.open.keys().cloned().collect();
        for day in days {
            self.flush(&day)?;
            self.close(&day)?;
            self.open.remove(&day);
        }
        Ok(self.ended)
    }
}

/// A batch by its sources and UTC days; mostly there is one.
fn by_day(batch: &RecordBatch) -> Result<Vec<(Day, RecordBatch)>, PageError> {
    let sources = text(batch, SOURCE)?;
    let times = batch.column_by_name(TIME).ok_or_else(|| PageError::Format(format!("no column `{TIME}`")))?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let day = |row: usize| (sources.value(row), times.value(row).div_euclid(MICROS_PER_DAY));
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let first = day(0);
    if (1..batch.num_rows()).all(|row| day(row) == first) {
        return Ok(vec![((first.0.to_owned(), first.1), batch.clone())]);
    }
    let mut rows: BTreeMap<(&str, i64), Vec<u32>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        rows.entry(day(row)).or_default().push(row as u32);
    }
    rows.into_iter()
        .map(|((source, day), rows)| {
            let part = take_record_batch(batch, &UInt32Array::from(rows))?;
            Ok(((source.to_owned(), day), part))
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

/// Makes one page, or as few as hold them, of what a day has.
fn put_together(writing: &Writing, source: &str, day: Date, fragments: &[Fragment]) -> Result<(), ImportFailure> {
    if let [only] = fragments {
        let bytes = Bytes::from(scratch_store::read(&only.path)?);
        scratch_store::remove(&only.path);
        return writing.send(source, day, EncodedPage { bytes, ..only.page.clone() });
    }
    let mut widest = Widest::default();
    for fragment in fragments {
        let bytes = Bytes::from(scratch_store::read(&fragment.path)?);
        if let Some(batch) = crate::page::open(bytes, Wanted::Everything)?.next() {
            widest.learn(&batch?);
        }
    }
    let mut growing: Option<PageWriter> = None;
    for fragment in fragments {
        let bytes = Bytes::from(scratch_store::read(&fragment.path)?);
        for batch in crate::page::open(bytes, Wanted::Everything)? {
            let batch = batch?;
            let fits = growing
                .as_ref()
                .is_some_and(|writer| writer.fits(&batch) && writer.rows() + batch.num_rows() <= IMPORT_PAGE_ROWS_MAX);
            if !fits && let Some(full) = growing.take() {
                writing.send(source, day, full.close()?)?;
            }
            let writer = match &mut growing {
                Some(writer) => writer,
                None => growing.insert(writing.open(source, day, &batch, &widest)?),
            };
            writer.write(&batch)?;
        }
        scratch_store::remove(&fragment.path);
    }
    match growing {
        Some(writer) => writing.send(source, day, writer.close()?),
        None => Ok(()),
    }
}
