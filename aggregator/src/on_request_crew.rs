//! The workers of a pass, side by side.
//!
//! In: row groups with their bytes, and the instants before which all is over. Out: the local days that are over, merged
//! from all workers. One worker is the caller itself; more are threads of their own, each with its folds and a short
//! queue. Who gets a group depends on what was given before alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures::channel::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded};
use futures::{SinkExt, StreamExt};
use tidemill_schemas::time::Timestamp;

use crate::pass::{Broken, Folds, Group, Over, checked, is_of, merge_days};
use crate::plan::Plan;

/// Row groups waiting at each worker: one is decoded while the next is fetched.
const GROUPS_WAITING_MAX: usize = 2;
/// Instants whose days may be waited for while later groups are folded already: no worker idles at the end of a day.
const INSTANTS_WAITING_MAX: usize = 3;

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
                if let Some(slot) = slot {
                    *slot = Some(over);
                }
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
