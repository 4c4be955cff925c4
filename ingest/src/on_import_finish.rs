//! Finished pages of an import: of what grew on scratch disk, the rows to keep.
//!
//! In: fragments, and the rows that are new. Out: pages, over a channel. A fragment whose rows are all new goes out as
//! it is; others, and small ones of one day, are read, cut down to the rows to keep, and put together. Blocks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::page::PAGE_ROW_GROUP_ROWS;
use tidemill_schemas::value::Type;
use tokio::sync::mpsc::Sender;

use crate::import::places::runs;
use crate::on_import::{ImportFailure, threads};
use crate::on_import_write::{Fragment, IMPORT_PAGE_ROWS_MAX, Primaries, RowSet, on_threads};
use crate::page::writer::{PageWriter, Widest};
use crate::page::{EncodedPage, PageError, Wanted};
use crate::scratch_store;

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

/// What pages are finished with.
pub(crate) struct Finishing<'a> {
    pub(crate) keep: &'a RowSet,
    pub(crate) primaries: &'a Primaries,
    pub(crate) pages: &'a Sender<Told>,
}

/// Makes pages of fragments.
pub(crate) fn finish(finishing: &Finishing<'_>, fragments: Vec<Fragment>) -> Result<(), ImportFailure> {
    let mut days: BTreeMap<(String, Date), Vec<Fragment>> = BTreeMap::new();
    for fragment in fragments {
        days.entry((fragment.source.clone(), fragment.day)).or_default().push(fragment);
    }
    let days: Vec<_> = days.into_values().collect();
    let next = AtomicUsize::new(0);
    on_threads(threads(), &|_| {
        while let Some(fragments) = days.get(next.fetch_add(1, Ordering::Relaxed)) {
            finishing.day(fragments)?;
        }
        Ok(())
    })
}

/// A fragment's rows: which of them are to be kept.
struct Rows {
    kept: usize,
    /// The places, as they were written down.
    places: Vec<u8>,
}

impl Finishing<'_> {
    fn day(&self, fragments: &[Fragment]) -> Result<(), ImportFailure> {
        // Which thread made which must not matter.
        let mut ordered: Vec<&Fragment> = fragments.iter().collect();
        ordered.sort_by_key(|fragment| fragment.first);
        let mut rest: Vec<(&Fragment, Rows)> = Vec::new();
        for fragment in ordered {
            let rows = self.rows(fragment)?;
            if rows.kept == 0 {
                scratch_store::remove(&fragment.path);
            } else if fragment.page.rows >= PAGE_ROW_GROUP_ROWS && self.stands(fragment, &rows) {
                // Large enough to be read well: writing it anew together with others would cost more than it gives.
                self.send_whole(fragment)?;
            } else {
                rest.push((fragment, rows));
            }
        }
        match rest.as_slice() {
            [] => Ok(()),
            [(only, rows)] if self.stands(only, rows) => self.send_whole(only),
            rest => self.put_together(rest),
        }
    }

    fn rows(&self, fragment: &Fragment) -> Result<Rows, ImportFailure> {
        let places = scratch_store::read_from(&fragment.path, fragment.bytes as u64)?;
        let of_run = |(first, count): (u64, u64)| (first..first + count).filter(|row| self.keep.has(*row)).count();
        Ok(Rows { kept: runs(&places).map(of_run).sum(), places })
    }

    /// Whether a fragment is a page as it is.
    fn stands(&self, fragment: &Fragment, rows: &Rows) -> bool {
        let primary = |property: &str| self.primary(&fragment.source, property);
        rows.kept == fragment.page.rows && fragment.guessed.iter().all(|(property, at)| primary(property) == *at)
    }

    fn primary(&self, source: &str, property: &str) -> Type {
        // No property holds a time: what is not known bears its type in its column's name.
        self.primaries.get(source).and_then(|of| of.get(property)).copied().unwrap_or(Type::Time)
    }

    fn send_whole(&self, fragment: &Fragment) -> Result<(), ImportFailure> {
        let page = EncodedPage { bytes: bytes_of(fragment)?, ..fragment.page.clone() };
        scratch_store::remove(&fragment.path);
        self.send(fragment, page)
    }

    fn send(&self, fragment: &Fragment, page: EncodedPage) -> Result<(), ImportFailure> {
        let page = NewPage { source: fragment.source.clone(), day: fragment.day, page };
        self.pages.blocking_send(Told::Page(page)).map_err(|_| ImportFailure::Broke)
    }

    /// Makes one page, or as few as hold them, of what a day has.
    fn put_together(&self, fragments: &[(&Fragment, Rows)]) -> Result<(), ImportFailure> {
        let mut widest = Widest::default();
        for (fragment, _) in fragments {
            if let Some(batch) = crate::page::open(bytes_of(fragment)?, Wanted::Everything)?.next() {
                widest.learn(&batch?);
            }
        }
        let mut growing: Option<PageWriter> = None;
        for (fragment, rows) in fragments {
            let mut places = runs(&rows.places).flat_map(|(first, count)| first..first + count);
            for batch in crate::page::open(bytes_of(fragment)?, Wanted::Everything)? {
                let Some(batch) = self.kept(batch?, &mut places)? else { continue };
                let fits = growing.as_ref().is_some_and(|writer| {
                    writer.fits(&batch) && writer.rows() + batch.num_rows() <= IMPORT_PAGE_ROWS_MAX
                });
                if !fits && let Some(full) = growing.take() {
                    self.send(fragment, full.close()?)?;
                }
                let writer = match &mut growing {
                    Some(writer) => writer,
                    None => {
                        let primary = |property: &str| self.primary(&fragment.source, property);
                        let page = PageWriter::open(&fragment.source, fragment.day, &batch, &widest, &primary);
                        growing.insert(page?)
                    }
                };
                writer.write(&batch)?;
                // Only a sign of life: where the channel is full there are others.
                drop(self.pages.try_send(Told::Alive));
            }
            scratch_store::remove(&fragment.path);
        }
        match (growing, fragments.first()) {
            (Some(writer), Some((fragment, _))) => self.send(fragment, writer.close()?),
            _ => Ok(()),
        }
    }

    /// The rows to keep of a fragment's next batch, if there are any.
    fn kept(
        &self,
        batch: RecordBatch,
        places: &mut impl Iterator<Item = u64>,
    ) -> Result<Option<RecordBatch>, ImportFailure> {
        let kept: BooleanArray = places.take(batch.num_rows()).map(|row| Some(self.keep.has(row))).collect();
        if kept.len() != batch.num_rows() {
            return Err(ImportFailure::Broke);
        }
        Ok(match kept.true_count() {
            0 => None,
            all if all == batch.num_rows() => Some(batch),
            _ => Some(filter_record_batch(&batch, &kept).map_err(PageError::from)?),
        })
    }
}

fn bytes_of(fragment: &Fragment) -> Result<Bytes, ImportFailure> {
    Ok(Bytes::from(scratch_store::read_until(&fragment.path, fragment.bytes)?))
}
