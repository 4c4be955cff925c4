//! The engine's long way: one pass over committed pages for many insights.
//!
//! In: work whose days overlap. Out: how each piece ended, its snapshots published. UTC days are streamed in order and
//! local days handed out as soon as they are over, so memory holds a page or a few, the days in flight and nothing
//! else. Per UTC day and source, the highest revision of an id stands; a day without corrections needs no look-up.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::StreamExt;
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::manifest::{IndexedPage, PageRef, PageSet};
use tidemill_ingest::page::{self, Wanted};
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::Context;
use tidemill_schemas::calendar::{self, Date, Period, Zone, tzdb_version};
use tidemill_schemas::expression::Column;
use tidemill_schemas::request::Reason;
use tidemill_schemas::snapshot::{Header, Input};
use tidemill_schemas::strategy::{Strategy, strategy};
use tidemill_schemas::time::Timestamp;

use crate::additive::additive;
use crate::fold::{Fold, Limits};
use crate::metric::DayCells;
use crate::on_request::{Ended, Failure, Work};
use crate::on_request_commit::{self, COMPUTED_BYTES_MAX, Computed};
use crate::on_request_totals::{self, Compared};
use crate::request_store::{RequestStore, Tally};
use crate::snapshot_store::{COMMIT_SNAPSHOTS_MAX, Series, Snapshot, SnapshotStore};
use crate::spill_store::FileSpill;

/// Bytes the folds of one pass may hold before they spill, shared evenly.
pub const SCAN_MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A piece of work in a pass.
#[derive(Clone)]
pub(crate) struct Job {
    /// What is asked for.
    pub work: Work,
    /// The local days that have to be computed: those with pages, whose snapshot is not current.
    pub days: BTreeSet<Date>,
}

/// What becomes of computed days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// They are compared with their totals and published.
    All,
    /// Nothing: only how long it takes matters.
    Nothing,
}

/// Computes the days of every job in one pass; one end per job.
pub(crate) async fn scan(context: &Context, jobs: &[Job], keep: Keep) -> Vec<Ended> {
    match Pass::prepare(context, jobs, keep).await {
        Ok(mut pass) => {
            if let Err(failure) = pass.run().await {
                // What is common to all failed: whoever had not failed alone fails with it.
                for ended in &mut pass.ended {
                    if ended.is_ok() {
                        *ended = Err(failure.clone());
                    }
                }
            }
            pass.ended
        }
        Err(failure) => vec![Err(failure); jobs.len()],
    }
}

/// One pass over the pages.
struct Pass<'a> {
    context: &'a Context,
    jobs: Vec<Job>,
    folds: Vec<Option<Fold>>,
    /// Days that are computed and not yet published, per job.
    computed: Vec<Vec<Computed>>,
    ended: Vec<Ended>,
    set: Arc<PageSet>,
    watermark: Timestamp,
    now: Timestamp,
    keep: Keep,
}

impl<'a> Pass<'a> {
    async fn prepare(context: &'a Context, jobs: &[Job], keep: Keep) -> Result<Pass<'a>, Failure> {
        let mut jobs = jobs.to_vec();
        let pages = PageStore::new(context);
        let now = context.clock.now();
        let tenant = jobs[0].work.tenant();
        let mut all_sources = BTreeSet::new();
        let mut by_job = Vec::new();
        let (mut first, mut last) = (Date::MAX, Date::MIN);
        for job in &jobs {
            let sources = pages.sources_of(&tenant, job.work.source()).await?;
            all_sources.extend(sources.iter().cloned());
            by_job.push(sources);
            let (from, to) = utc_span(job.zone(), job.work.request.first, job.work.request.last);
            (first, last) = (first.min(from), last.max(to));
        }
        let all_sources: Vec<String> = all_sources.into_iter().collect();
        let set = pages.pages(&tenant, &all_sources, first, last).await?;
        let watermark = EventStore::new(context).watermark(now, &set.through).await?;
        for (job, sources) in jobs.iter_mut().zip(&by_job) {
            job.days = wanted(context, &job.work, &set, watermark, sources).await?;
        }
        let limits = Limits { memory_bytes_max: SCAN_MEMORY_BYTES_MAX / jobs.len(), ..Limits::default() };
        let fold = |job: &Job| {
            let (first, last) = (*job.days.first()?, *job.days.last()?);
            Some(Fold::new(job.work.plan.clone(), first, last, limits, Box::new(FileSpill::default())))
        };
        let folds = jobs.iter().map(fold).collect();
        let (computed, ended) = (vec![Vec::new(); jobs.len()], vec![Ok(()); jobs.len()]);
        Ok(Pass { context, jobs, folds, computed, ended, set: Arc::new(set), watermark, now, keep })
    }

    async fn run(&mut self) -> Result<(), Failure> {
        let mut utc_days = BTreeSet::new();
        for job in &self.jobs {
            let windows = job.days.iter().map(|day| job.zone().day(*day));
            utc_days.extend(windows.flat_map(calendar::utc_dates));
        }
        let columns = self.columns();
        let set = self.set.clone();
        for day in utc_days {
            let pages = set.readable(day);
            for pages in pages.chunk_by(|a, b| a.page.source == b.page.source) {
                self.day(pages, &columns).await?;
            }
            self.hand_out(Zone::utc().day(day).end).await?;
        }
        self.hand_out(Timestamp::MAX).await
    }

    /// The columns any of the insights reads.
    fn columns(&self) -> BTreeSet<Column> {
        self.jobs.iter().flat_map(|job| job.work.plan.columns().iter().cloned()).collect()
    }

    /// Folds one source's pages of one UTC day.
    async fn day(&mut self, pages: &[IndexedPage], columns: &BTreeSet<Column>) -> Result<(), Failure> {
        let store = PageStore::new(self.context);
        let corrected = store.corrected(pages).await?;
        let revisions = !corrected.is_empty();
        let mut objects = std::pin::pin!(store.fetch(pages.iter().map(|page| &page.page).collect()));
        while let Some(object) = objects.next().await {
            let (page, bytes) = object?;
            for batch in open(page, bytes, Wanted::Columns { columns, identity: revisions })? {
                let batch = batch?;
                let live =
                    revisions.then(|| corrected.live(&batch)).transpose().map_err(|why| unreadable(page, &why))?;
                self.fold(&batch, live.as_ref());
            }
        }
        Ok(())
    }

    fn fold(&mut self, batch: &RecordBatch, live: Option<&BooleanArray>) {
        for (fold, ended) in self.folds.iter_mut().zip(&mut self.ended) {
            if let Some(running) = fold
                && let Err(why) = running.update(batch, live)
            {
                *ended = Err(Failure::Never(why.to_string()));
                *fold = None;
            }
        }
    }

    /// Takes the days that are over by `instant` out of the folds, and publishes what has come together.
    async fn hand_out(&mut self, instant: Timestamp) -> Result<(), Failure> {
        for at in 0..self.jobs.len() {
            let Some(fold) = &mut self.folds[at] else { continue };
            let days = fold.finish_before(instant).map_err(|why| Failure::Never(why.to_string()));
            let ended = match days {
                Ok(days) => self.keep(at, days, instant == Timestamp::MAX).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = ended {
                self.ended[at] = Err(failure);
                self.folds[at] = None;
            }
        }
        Ok(())
    }

    /// Keeps computed days until there are enough for a commit.
    async fn keep(&mut self, at: usize, days: Vec<(Date, DayCells)>, last: bool) -> Result<(), Failure> {
        for (date, cells) in days {
            if self.jobs[at].days.contains(&date) {
                let computed = self.compute(at, date, cells).await?;
                self.computed[at].push(computed);
            }
            let held: usize = self.computed[at].iter().map(Computed::bytes).sum();
            if self.computed[at].len() == COMMIT_SNAPSHOTS_MAX || held > COMPUTED_BYTES_MAX {
                self.publish(at).await?;
            }
        }
        if last { self.publish(at).await } else { Ok(()) }
    }

    async fn compute(&self, at: usize, date: Date, cells: DayCells) -> Result<Computed, Failure> {
        let Job { work, .. } = &self.jobs[at];
        let window = work.held.applied.definition.timezone.day(date);
        let (first, last) = (calendar::utc_date(window.start), calendar::utc_date(window.end.plus_micros(-1)));
        let mut computed = Computed::of(work, date, &cells)?;
        computed.input = Input::Pages;
        computed.pages = self.set.hash(first, last);
        computed.changed = self.set.through_of(first, last);
        if window.end > self.now || self.keep == Keep::Nothing {
            return Ok(computed);
        }
        computed.verified = Some(true);
        if strategy(&work.held.applied.definition) == Strategy::Incremental {
            let scanned = || additive(&cells).ok_or_else(|| Failure::Never("a count leaves 63 bits".to_owned()));
            let compared =
                on_request_totals::compare(self.context, work, &self.set, date, &computed.states.hash(), scanned)
                    .await?;
            match compared {
                Compared::NotCovered | Compared::Equal => {}
                Compared::MovedOn => computed.verified = None,
                Compared::Drifted => {
                    computed.verified = Some(false);
                    let count = |tally: &mut Tally| {
                        tally.drift += 1;
                        true
                    };
                    let requests = RequestStore::new(self.context);
                    requests.count(&work.tenant(), &work.request.insight, count).await?;
                }
            }
        }
        Ok(computed)
    }

    async fn publish(&mut self, at: usize) -> Result<(), Failure> {
        let computed = std::mem::take(&mut self.computed[at]);
        if self.keep == Keep::Nothing {
            return Ok(());
        }
        let work = &self.jobs[at].work;
        on_request_commit::publish(self.context, work, computed, &self.set.through, self.watermark).await
    }
}

impl Job {
    fn zone(&self) -> &Zone {
        &self.work.held.applied.definition.timezone
    }
}

fn utc_span(zone: &Zone, first: Date, last: Date) -> (Date, Date) {
    let window = zone.days(first, last);
    (calendar::utc_date(window.start), calendar::utc_date(window.end.plus_micros(-1)))
}

/// The days of a request that have pages or a snapshot, and no current one.
async fn wanted(
    context: &Context,
    work: &Work,
    set: &PageSet,
    watermark: Timestamp,
    sources: &[String],
) -> Result<BTreeSet<Date>, Failure> {
    let zone = &work.held.applied.definition.timezone;
    let (first, last) = (work.request.first, work.request.last);
    let mut days = BTreeSet::new();
    for (utc_day, pages) in &set.days {
        if pages.iter().any(|page| sources.contains(&page.page.source)) {
            let window = Zone::utc().day(*utc_day);
            let touched = calendar::dates(zone.date_of(window.start), zone.date_of(window.end.plus_micros(-1)));
            days.extend(touched.filter(|day| (first..=last).contains(day)));
        }
    }
    let tenant = work.tenant();
    let series = Series {
        tenant: &tenant,
        insight: &work.request.insight,
        fingerprint: &work.request.fingerprint,
        period: Period::Day,
    };
    let stored = SnapshotStore::new(context).range(&series, first, last).await?;
    // A day may have a snapshot of totals and no page: its last event was withdrawn, or it never had one.
    days.extend(stored.keys());
    if work.request.reason == Reason::Rollup {
        // The rollup looks again, whatever there is: it is what finds totals that went wrong.
        return Ok(days);
    }
    let is_current = |day: &Date| {
        stored.get(day).is_some_and(|Snapshot { header, .. }| {
            // One that was made before all of the day was in is made again once it is.
            let watermark = watermark.min(zone.day(*day).end);
            is_current(header, set, zone, *day) && header.watermark >= watermark
        })
    };
    days.retain(|day| !is_current(day));
    Ok(days)
}

/// Whether a stored snapshot is what computing the day again would give.
fn is_current(header: &Header, set: &PageSet, zone: &Zone, day: Date) -> bool {
    let (first, last) = utc_span(zone, day, day);
    header.input == Input::Pages
        && header.verified == Some(true)
        && header.tzdb == tzdb_version()
        && header.window == zone.day(day)
        && header.pages == set.hash(first, last)
}

fn open<'p>(
    page: &'p PageRef,
    bytes: Bytes,
    wanted: Wanted<'_>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Failure>> + use<'p>, Failure> {
    let batches = page::open(bytes, wanted).map_err(|why| unreadable(page, &why))?;
    Ok(batches.map(|batch| batch.map_err(|why| unreadable(page, &why))))
}

fn unreadable(page: &PageRef, why: &dyn std::fmt::Display) -> Failure {
    Failure::Never(format!("page {} is unreadable: {why}", page.object))
}
