//! One pass over row groups for many insights, by one worker or several side by side.
//!
//! In: row groups, in ascending order of UTC day, and now and then the instant before which all is over. Out: the local
//! days that are over, of every insight. A worker folds the groups it is given on its own; what the workers have of a
//! day is merged when it is over, so that neither their number nor who got which group shows. Nothing here does I/O
//! but through the spill, and nothing asks for the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;

use futures::channel::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded};
use futures::{SinkExt, StreamExt};
use tidemill_ingest::page::PageError;
use tidemill_ingest::page::footer::{Bounds, Footer, Rows};
use tidemill_ingest::page::parts::Parts;
use tidemill_ingest::page::revisions::Corrected;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::expression::Column;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::hash_text;

use crate::columns::{Frame, Memory};
use crate::fold::{Counted, Fold, FoldError};
use crate::metric::DayCells;
use crate::plan::Plan;

/// Row groups waiting at each worker: one is decoded while the next is fetched.
const GROUPS_WAITING_MAX: usize = 2;

/// Instants whose days may be waited for while later groups are folded already: no worker idles at the end of a day.
const INSTANTS_WAITING_MAX: usize = 3;

/// A row group to be folded, its bytes at hand.
pub(crate) struct Group {
    /// The page's object, for messages.
    pub page: Arc<str>,
    pub footer: Arc<Footer>,
    pub group: usize,
    pub parts: Parts,
    pub what: What,
    /// Rows, as the footer says.
    pub count: usize,
    pub bounds: Bounds,
    /// What was corrected on its day; `None`: nothing.
    pub corrected: Option<Arc<Corrected>>,
    /// Which insights it is for.
    pub wanted_by: Vec<bool>,
}

/// What is read of a row group.
pub(crate) enum What {
    /// Columns, as leaves of the file, of these rows.
    Columns(Vec<usize>, Rows),
    /// The distinct values of columns: its rows lie within one day of every insight, and none looks at rows.
    Values(Vec<Column>),
}

/// Why a pass or one of its insights ended early.
#[derive(Clone, Debug)]
pub(crate) enum Broken {
    /// A page is unreadable: nobody can go on.
    Page(String),
    /// One insight cannot.
    Insight(usize, String),
}

/// The days an instant ended, by insight; insights that broke before are left out.
pub(crate) type Over = Vec<(usize, Vec<(Date, DayCells)>)>;

/// The folds of one worker.
pub(crate) struct Folds {
    folds: Vec<Option<Fold>>,
    columns: Arc<BTreeSet<Column>>,
    memory: Memory,
}

impl Folds {
    pub(crate) fn new(folds: Vec<Option<Fold>>, columns: Arc<BTreeSet<Column>>) -> Folds {
        Folds { folds, columns, memory: Memory::default() }
    }

    /// Folds a row group into all of them; what broke.
    fn take(&mut self, group: Group) -> Vec<Broken> {
        let page = Arc::clone(&group.page);
        let mut broken = Vec::new();
        if let Err(why) = self.read(group, &mut broken) {
            broken.push(Broken::Page(format!("page {page} is unreadable: {why}")));
        }
        broken
    }

    fn read(&mut self, group: Group, broken: &mut Vec<Broken>) -> Result<(), PageError> {
        let Group { footer, group, parts, what, count, bounds, corrected, wanted_by, .. } = group;
        let (columns, rows) = match what {
            What::Columns(columns, rows) => (columns, rows),
            What::Values(columns) => {
                let mut hashes = BTreeMap::new();
                for column in columns {
                    let values = footer.read_vocabulary(parts.clone(), group, &column)?;
                    hashes.insert(column, values.iter().flatten().map(hash_text).collect());
                }
                let counted = Counted { rows: count, bounds, hashes };
                self.each(&wanted_by, broken, |fold| fold.values(&counted));
                return Ok(());
            }
        };
        for batch in footer.read(parts, group, &columns, rows)? {
            let batch = batch?;
            let live = match &corrected {
                Some(corrected) => Some(corrected.live(&batch).map_err(|why| PageError::Format(why.to_string()))?),
                None => None,
            };
            let (memory, wanted) = (std::mem::take(&mut self.memory), Arc::clone(&self.columns));
            let frame = Frame::new(&batch, &wanted, bounds, &memory)
                .map_err(|why| PageError::Format(FoldError::of(why, "where").to_string()))?;
            self.each(&wanted_by, broken, |fold| fold.fold(&frame, live.as_ref()));
            drop(frame);
            self.memory = memory;
        }
        Ok(())
    }

    /// Calls every fold that wants it; one that fails is of no use any more.
    fn each(
        &mut self,
        wanted_by: &[bool],
        broken: &mut Vec<Broken>,
        mut call: impl FnMut(&mut Fold) -> Result<(), FoldError>,
    ) {
        for (at, fold) in self.folds.iter_mut().enumerate().filter(|(at, _)| wanted_by[*at]) {
            if let Some(running) = fold
                && let Err(why) = call(running)
            {
                broken.push(Broken::Insight(at, why.to_string()));
                *fold = None;
            }
        }
    }

    fn finish_before(&mut self, instant: Timestamp, broken: &mut Vec<Broken>) -> Over {
        let mut over = Over::new();
        for (at, fold) in self.folds.iter_mut().enumerate() {
            let Some(running) = fold else { continue };
            match running.finish_before(instant) {
                Ok(days) => over.push((at, days)),
                Err(why) => {
                    broken.push(Broken::Insight(at, why.to_string()));
                    *fold = None;
                }
            }
        }
        over
    }
}

enum Command {
    Fold(Box<Group>),
    FinishBefore(Timestamp),
}

enum Report {
    Broken(Broken),
    Over(usize, Over),
}

/// Workers with their folds.
pub(crate) struct Crew {
    plans: Vec<Arc<Plan>>,
    groups_max: usize,
    workers: Workers,
}

enum Workers {
    /// The caller itself.
    Inline(Box<Folds>),
    Threads(Threads),
}

struct Threads {
    senders: Vec<Sender<Command>>,
    /// Rows given to each worker so far.
    given: Vec<usize>,
    reports: UnboundedReceiver<Report>,
    /// Instants asked for, with what each worker has answered.
    asked: VecDeque<Vec<Option<Over>>>,
    handles: Vec<JoinHandle<()>>,
}

impl Crew {
    /// A crew of as many workers as there are sets of folds.
    pub(crate) fn start(plans: Vec<Arc<Plan>>, groups_max: usize, mut folds: Vec<Folds>) -> Crew {
        if folds.len() == 1
            && let Some(folds) = folds.pop()
        {
            return Crew { plans, groups_max, workers: Workers::Inline(Box::new(folds)) };
        }
        let (report, reports) = unbounded();
        let (mut senders, mut handles) = (Vec::new(), Vec::new());
        for (worker, folds) in folds.into_iter().enumerate() {
            let (sender, commands) = channel(GROUPS_WAITING_MAX);
            let report = report.clone();
            senders.push(sender);
            handles.push(std::thread::spawn(move || work(worker, folds, commands, &report)));
        }
        let given = vec![0; senders.len()];
        Crew {
            plans,
            groups_max,
            workers: Workers::Threads(Threads { senders, given, reports, asked: VecDeque::new(), handles }),
        }
    }

    /// Has a row group folded; what broke meanwhile.
    pub(crate) async fn fold(&mut self, group: Group) -> Vec<Broken> {
        match &mut self.workers {
            Workers::Inline(folds) => folds.take(group),
            Workers::Threads(threads) => {
                // Who has been given the least: the same groups always go the same way.
                let worker = (0..threads.given.len()).min_by_key(|worker| threads.given[*worker]).unwrap_or(0);
                threads.given[worker] += group.count;
                threads.send(worker, Command::Fold(Box::new(group))).await
            }
        }
    }

    /// Has the days handed out that end at or before `instant`, once everything given before is folded. What is ready
    /// of this and of earlier instants, in their order.
    pub(crate) async fn finish_before(&mut self, instant: Timestamp) -> (Vec<Over>, Vec<Broken>) {
        let mut broken = Vec::new();
        let ready = match &mut self.workers {
            Workers::Inline(folds) => return (vec![folds.finish_before(instant, &mut broken)], broken),
            Workers::Threads(threads) => threads.finish_before(instant, &mut broken).await,
        };
        (self.merge_all(ready, &mut broken), broken)
    }

    /// Everything that is not handed out yet.
    pub(crate) async fn end(&mut self) -> (Vec<Over>, Vec<Broken>) {
        let (mut over, mut broken) = self.finish_before(Timestamp::MAX).await;
        if let Workers::Threads(threads) = &mut self.workers {
            let ready = threads.ready(0, &mut broken).await;
            over.extend(self.merge_all(ready, &mut broken));
        }
        (over, broken)
    }

    fn merge_all(&self, ready: Vec<Vec<Over>>, broken: &mut Vec<Broken>) -> Vec<Over> {
        ready.into_iter().map(|shares| self.merge(shares, broken)).collect()
    }

    /// Merges the workers' shares of the same days.
    fn merge(&self, shares: Vec<Over>, broken: &mut Vec<Broken>) -> Over {
        let mut merged: Over = Vec::new();
        let workers = shares.len();
        let mut counts = vec![0; self.plans.len()];
        for (at, days) in shares.into_iter().flatten() {
            counts[at] += 1;
            match merged.iter_mut().find(|(held, _)| *held == at) {
                None => merged.push((at, days)),
                Some((_, held)) => {
                    if let Err(why) = merge_days(held, days) {
                        broken.push(Broken::Insight(at, why.to_string()));
                    }
                }
            }
        }
        // An insight that broke at one worker is of no use from the others.
        merged.retain(|(at, _)| counts[*at] == workers && !broken.iter().any(|broken| is_of(broken, *at)));
        for (at, days) in &merged {
            let plan = &self.plans[*at];
            for (_, cells) in days {
                let outcome = checked(plan, cells, self.groups_max);
                broken.extend(outcome.err().map(|why| Broken::Insight(*at, why.to_string())));
            }
        }
        merged.retain(|(at, _)| !broken.iter().any(|broken| is_of(broken, *at)));
        merged
    }
}

/// Checks merged cells as a fold checks its own.
pub(crate) fn checked(plan: &Plan, cells: &DayCells, groups_max: usize) -> Result<(), FoldError> {
    if cells.groups.len() > groups_max {
        return Err(FoldError::TooManyGroups { insight: plan.insight.clone(), limit: groups_max });
    }
    cells.check(plan)
}

fn is_of(broken: &Broken, insight: usize) -> bool {
    matches!(broken, Broken::Insight(at, _) if *at == insight)
}

fn merge_days(held: &mut [(Date, DayCells)], more: Vec<(Date, DayCells)>) -> std::io::Result<()> {
    held.iter_mut().zip(more).try_for_each(|((date, cells), (same, more))| {
        debug_assert_eq!(*date, same);
        cells.merge(more)
    })
}

impl Threads {
    async fn send(&mut self, worker: usize, command: Command) -> Vec<Broken> {
        let gone = self.senders[worker].send(command).await.is_err();
        let mut broken: Vec<Broken> = Vec::new();
        if gone {
            broken.push(Broken::Page("a worker of the pass ended".to_owned()));
        }
        while let Ok(report) = self.reports.try_recv() {
            broken.extend(self.note(report));
        }
        broken
    }

    fn note(&mut self, report: Report) -> Option<Broken> {
        match report {
            Report::Broken(why) => Some(why),
            Report::Over(worker, over) => {
                // A worker answers in the order it was asked.
                let slot = self.asked.iter_mut().map(|shares| &mut shares[worker]).find(|slot| slot.is_none());
                debug_assert!(slot.is_some(), "days nobody asked for");
                slot.map(|slot| *slot = Some(over));
                None
            }
        }
    }

    async fn finish_before(&mut self, instant: Timestamp, broken: &mut Vec<Broken>) -> Vec<Vec<Over>> {
        self.asked.push_back(vec![None; self.senders.len()]);
        for worker in 0..self.senders.len() {
            broken.extend(self.send(worker, Command::FinishBefore(instant)).await);
        }
        self.ready(INSTANTS_WAITING_MAX, broken).await
    }

    /// What all workers have answered, in the order it was asked; waits until at most `waiting` are left.
    async fn ready(&mut self, waiting: usize, broken: &mut Vec<Broken>) -> Vec<Vec<Over>> {
        let mut ready = Vec::new();
        loop {
            while let Some(shares) = self.asked.pop_front() {
                if shares.iter().any(Option::is_none) {
                    self.asked.push_front(shares);
                    break;
                }
                ready.push(shares.into_iter().flatten().collect());
            }
            if self.asked.len() <= waiting {
                return ready;
            }
            match self.reports.next().await {
                Some(report) => broken.extend(self.note(report)),
                None => {
                    broken.push(Broken::Page("the workers of the pass ended".to_owned()));
                    return ready;
                }
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.senders.clear();
        for handle in self.handles.drain(..) {
            // A worker that panicked has told so already.
            drop(handle.join());
        }
    }
}

fn work(worker: usize, mut folds: Folds, mut commands: Receiver<Command>, report: &UnboundedSender<Report>) {
    while let Some(command) = futures::executor::block_on(commands.next()) {
        let mut broken = Vec::new();
        let over = match command {
            Command::Fold(group) => {
                broken = folds.take(*group);
                None
            }
            Command::FinishBefore(instant) => Some(folds.finish_before(instant, &mut broken)),
        };
        let mut reports: Vec<Report> = broken.into_iter().map(Report::Broken).collect();
        reports.extend(over.map(|over| Report::Over(worker, over)));
        if reports.into_iter().any(|made| report.unbounded_send(made).is_err()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
