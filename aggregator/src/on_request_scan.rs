//! The engine's long way: one pass over committed pages for many insights.
//!
//! In: work whose days overlap. Out: how each piece ended, its snapshots published. UTC days are streamed in order and
//! local days handed out as soon as they are over, so memory holds a page or a few, the days in flight and nothing
//! else. Per UTC day and source, the highest revision of an id stands; a day without corrections needs no look-up.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::manifest::{IndexedPage, PageSet};
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::Context;
use tidemill_schemas::calendar::{self, Date, Period, Zone, tzdb_version};
use tidemill_schemas::expression::Column;
use tidemill_schemas::request::Reason;
use tidemill_schemas::snapshot::{Header, Input};
use tidemill_schemas::strategy::{Strategy, strategy};
use tidemill_schemas::time::Timestamp;

use crate::additive::additive;
use crate::base::{Bases, bases};
use crate::fold::reach::Reach;
use crate::fold::{Fold, Limits};
use crate::metric::DayCells;
use crate::on_request::{Ended, Failure, Work};
use crate::on_request_commit::{self, COMPUTED_BYTES_MAX, Computed};
use crate::on_request_crew::Crew;
use crate::on_request_read::{self, Insight, Reading, Step};
use crate::on_request_totals::{self, Compared};
use crate::pass::{Broken, Folds, Over, checked};
use crate::request_store::{RequestStore, Tally};
use crate::snapshot_store::{COMMIT_SNAPSHOTS_MAX, Series, Snapshot, SnapshotStore};
use crate::spill_store::{FileSpill, scratch};
use crate::states;

/// Workers of one pass, as far as there are cores.
pub const SCAN_WORKERS_MAX: usize = 8;
/// Rows that are worth a worker of their own.
const WORKER_ROWS: u64 = 100_000;

/// A piece of work in a pass.
#[derive(Clone)]
pub(crate) struct Job {
    /// What is asked for.
    pub work: Work,
    /// The local days that have to be computed: those with pages, whose snapshot is not current.
    pub days: BTreeSet<Date>,
    /// What they can start from.
    pub bases: Bases,
    /// The pages of the sources it reads.
    pub set: Arc<PageSet>,
}

impl Job {
    /// A piece of work nothing is known of yet.
    pub fn new(work: Work) -> Job {
        Job { work, days: BTreeSet::new(), bases: Bases::default(), set: Arc::default() }
    }
}

/// What becomes of computed days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// They are compared with their totals and published.
    All,
    /// Nothing: only how long it takes matters.
    Nothing,
    /// They are handed back; nothing is published.
    Given,
}

/// Computes the days of every job in one pass; one end per job.
pub(crate) async fn scan(context: &Context, jobs: &[Job], keep: Keep) -> Vec<Ended> {
    pass(context, jobs, keep).await.into_iter().map(|ended| ended.map(|_| ())).collect()
}

/// Computes the days of every job in one pass and hands them back; nothing is published.
pub(crate) async fn compute(context: &Context, jobs: &[Job]) -> Vec<Result<Vec<Computed>, Failure>> {
    pass(context, jobs, Keep::Given).await
}

async fn pass(context: &Context, jobs: &[Job], keep: Keep) -> Vec<Result<Vec<Computed>, Failure>> {
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
            pass.ended.into_iter().zip(pass.given).map(|(ended, given)| ended.map(|()| given)).collect()
        }
        Err(failure) => vec![Err(failure); jobs.len()],
    }
}

/// One pass over the pages.
struct Pass<'a> {
    context: &'a Context,
    jobs: Vec<Job>,
    /// Jobs that have not ended early.
    running: Vec<bool>,
    /// Days that are computed and not yet published, per job.
    computed: Vec<Vec<Computed>>,
    /// Days handed back, per job; see [`Keep::Given`].
    given: Vec<Vec<Computed>>,
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
        let set = Arc::new(set);
        for (job, sources) in jobs.iter_mut().zip(&by_job) {
            // What a snapshot says of its pages must not depend on who shared the pass.
            job.set = if *sources == all_sources { Arc::clone(&set) } else { Arc::new(set.of_sources(sources)) };
            (job.days, job.bases) = wanted(context, &job.work, &job.set, watermark, now).await?;
        }
        let (computed, given) = (vec![Vec::new(); jobs.len()], vec![Vec::new(); jobs.len()]);
        let ended = vec![Ok(()); jobs.len()];
        let running = jobs.iter().map(|job| !job.days.is_empty()).collect();
        Ok(Pass { context, jobs, running, computed, given, ended, set, watermark, now, keep })
    }

    async fn run(&mut self) -> Result<(), Failure> {
        let mut utc_days = BTreeSet::new();
        for job in &self.jobs {
            let windows = job.days.iter().map(|day| job.zone().day(*day));
            utc_days.extend(windows.flat_map(calendar::utc_dates));
        }
        let reading = self.reading();
        let wanted = |page: &IndexedPage| reading.insights.iter().any(|insight| insight.wants(&page.page));
        let pages_of = |day: &Date| (*day, self.set.readable(*day).into_iter().filter(wanted).collect());
        let days: Vec<(Date, Vec<IndexedPage>)> = utc_days.iter().map(pages_of).collect();
        let mut crew = self.crew(&days);
        let mut steps = std::pin::pin!(on_request_read::steps(self.context, days, reading));
        while let Some(step) = steps.next().await {
            if self.context.is_over() {
                return self.stop().await;
            }
            let (over, broken) = match step? {
                Step::Group(group) => (Vec::new(), crew.fold(*group).await),
                Step::DayOver(day) => crew.finish_before(Zone::utc().day(day).end).await,
            };
            self.break_off(broken)?;
            self.hand_out(over).await?;
        }
        let (over, broken) = crew.end().await;
        self.break_off(broken)?;
        self.hand_out(over).await?;
        for at in 0..self.jobs.len() {
            if self.running[at]
                && let Err(failure) = self.publish(at).await
            {
                self.ended[at] = Err(failure);
            }
        }
        Ok(())
    }

    /// Publishes what is computed; the rest comes again, and finds that current.
    async fn stop(&mut self) -> Result<(), Failure> {
        for at in 0..self.jobs.len() {
            if self.running[at] {
                let why = "its time was over before its days were; those that are published stay";
                self.ended[at] = Err(self.publish(at).await.err().unwrap_or(Failure::Again(why.to_owned())));
            }
        }
        Ok(())
    }

    /// Workers for these pages, each with a fold for every job.
    fn crew(&self, days: &[(Date, Vec<IndexedPage>)]) -> Crew {
        let rows: u64 = days.iter().flat_map(|(_, pages)| pages.iter()).map(|page| page.page.rows).sum();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let worth = usize::try_from(rows / WORKER_ROWS).unwrap_or(usize::MAX);
        let workers = worth.clamp(1, cores.min(SCAN_WORKERS_MAX));
        let memory_bytes_max = self.context.fold_bytes_max / self.jobs.len() / workers;
        let limits = Limits { memory_bytes_max, ..Limits::default() };
        let fold = |job: &Job| {
            let (first, last) = (*job.days.first()?, *job.days.last()?);
            Some(Fold::new(job.work.plan.clone(), first, last, limits, Box::new(FileSpill::default())))
        };
        let columns = Arc::new(self.columns());
        let folds = || Folds::new(self.jobs.iter().map(fold).collect(), columns.clone());
        let plans = self.jobs.iter().map(|job| job.work.plan.clone()).collect();
        Crew::start(plans, limits.groups_max, (0..workers).map(|_| folds()).collect())
    }

    /// What has to be read for the jobs.
    fn reading(&self) -> Reading {
        let insight = |job: &Job| {
            let plan = &job.work.plan;
            let ends = job.days.first().zip(job.days.last());
            Insight {
                names: plan.names.clone(),
                source: plan.source.clone(),
                reach: ends.map(|(first, last)| Reach::new(plan, *first, *last)),
                values: plan.counts_values(),
                included: job.bases.included.clone(),
            }
        };
        Reading { columns: self.columns(), insights: self.jobs.iter().map(insight).collect() }
    }

    /// The columns any of the insights reads.
    fn columns(&self) -> BTreeSet<Column> {
        self.jobs.iter().flat_map(|job| job.work.plan.columns().iter().cloned()).collect()
    }

    /// Ends the jobs that broke; fails when none can go on.
    fn break_off(&mut self, broken: Vec<Broken>) -> Result<(), Failure> {
        for broken in broken {
            match broken {
                Broken::Page(why) => return Err(Failure::Never(why)),
                Broken::Insight(at, why) if self.running[at] => {
                    self.ended[at] = Err(Failure::Never(why));
                    self.running[at] = false;
                }
                Broken::Insight(..) => {}
            }
        }
        Ok(())
    }

    /// Takes days that are over in, and publishes what has come together.
    async fn hand_out(&mut self, over: Vec<Over>) -> Result<(), Failure> {
        for (at, days) in over.into_iter().flatten() {
            if self.running[at]
                && let Err(failure) = self.keep(at, days).await
            {
                self.ended[at] = Err(failure);
                self.running[at] = false;
            }
        }
        Ok(())
    }

    /// Keeps computed days until there are enough for a commit.
    async fn keep(&mut self, at: usize, days: Vec<(Date, DayCells)>) -> Result<(), Failure> {
        for (date, cells) in days {
            if self.jobs[at].days.contains(&date) {
                let cells = self.on_base(at, date, cells).await?;
                let computed = self.compute(at, date, cells).await?;
                self.computed[at].push(computed);
            }
            let held: usize = self.computed[at].iter().map(Computed::bytes).sum();
            if self.computed[at].len() == COMMIT_SNAPSHOTS_MAX || held > COMPUTED_BYTES_MAX {
                self.publish(at).await?;
            }
        }
        Ok(())
    }

    /// A day's cells together with those it started from.
    async fn on_base(&self, at: usize, date: Date, new: DayCells) -> Result<DayCells, Failure> {
        let job = &self.jobs[at];
        let Some(states) = job.bases.days.get(&date).and_then(|base| base.states.clone()) else { return Ok(new) };
        let again = |why: &dyn std::fmt::Display| Failure::Again(why.to_string());
        let contents = SnapshotStore::new(self.context).contents(&[states], &scratch()).await?;
        let mut cells = match contents.first() {
            Some(content) => states::load(content).map_err(|why| again(&why))?,
            None => return Err(again(&"the states of a snapshot are gone")),
        };
        cells.merge(new).map_err(|why| again(&why))?;
        checked(&job.work.plan, &cells, Limits::default().groups_max).map_err(|why| Failure::Never(why.to_string()))?;
        Ok(cells)
    }

    async fn compute(&self, at: usize, date: Date, cells: DayCells) -> Result<Computed, Failure> {
        let Job { work, .. } = &self.jobs[at];
        let window = work.held.applied.definition.timezone.day(date);
        let (first, last) = (calendar::utc_date(window.start), calendar::utc_date(window.end.plus_micros(-1)));
        let mut computed = Computed::of(work, date, &cells)?;
        computed.input = Input::Pages;
        computed.pages = self.jobs[at].set.hash(first, last);
        computed.changed = self.jobs[at].set.through_of(first, last);
        if window.end > self.now || self.keep != Keep::All {
            return Ok(computed);
        }
        computed.verified = Some(true);
        if strategy(&work.held.applied.definition) == Strategy::Incremental {
            let scanned = || additive(&cells).ok_or_else(|| Failure::Never("a count leaves 63 bits".to_owned()));
            let compared = on_request_totals::compare(
                self.context,
                work,
                &self.jobs[at].set,
                date,
                &computed.states.hash(),
                scanned,
            )
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
        match self.keep {
            Keep::All => {}
            Keep::Nothing => return Ok(()),
            Keep::Given => {
                self.given[at].extend(computed);
                return Ok(());
            }
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

/// The first and last UTC day that hold instants of local days.
pub(crate) fn utc_span(zone: &Zone, first: Date, last: Date) -> (Date, Date) {
    let window = zone.days(first, last);
    (calendar::utc_date(window.start), calendar::utc_date(window.end.plus_micros(-1)))
}

/// The days of a request that have pages or a snapshot, and no current one.
async fn wanted(
    context: &Context,
    work: &Work,
    set: &PageSet,
    watermark: Timestamp,
    now: Timestamp,
) -> Result<(BTreeSet<Date>, Bases), Failure> {
    let zone = &work.held.applied.definition.timezone;
    let (first, last) = (work.request.first, work.request.last);
    let mut days = BTreeSet::new();
    for utc_day in set.days.keys() {
        let window = Zone::utc().day(*utc_day);
        let touched = calendar::dates(zone.date_of(window.start), zone.date_of(window.end.plus_micros(-1)));
        days.extend(touched.filter(|day| (first..=last).contains(day)));
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
        return Ok((days, Bases::default()));
    }
    let is_current = |day: &Date| {
        stored.get(day).is_some_and(|Snapshot { header, .. }| {
            // One that was made before all of the day was in is made again once it is.
            let watermark = watermark.min(zone.day(*day).end);
            is_current(header, set, zone, *day) && header.watermark >= watermark
        })
    };
    days.retain(|day| !is_current(day));
    let bases = match work.request.reason {
        Reason::Refresh => bases(zone, set, &days, stored.into_values().map(|stored| stored.header), now),
        _ => Bases::default(),
    };
    Ok((days, bases))
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
