//! Group commit: one thread takes the writes that wait and makes them durable with one flush.
//!
//! In: jobs over a bounded channel. Out: an answer to each after the transaction that holds it is on the disk. A
//! transaction that fails before its commit did not happen; a commit that fails may have. With each transaction of a
//! table with a feed goes a slice of the sweep that brings recent items into the tree, if one is under way.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use redb::{Database, ReadableTable, WriteTransaction};
use tidemill_ports::{Effect, Error, Write};
use tokio::sync::{mpsc, oneshot, watch};

use super::apply::{Applied, Apply};
use super::recent::{self, Recent, Slice, Sweep};
use super::{META, applied_key, feed};
use crate::file::unavailable;

/// Jobs that may wait; whoever brings more is held back.
pub(super) const JOBS_WAITING_MAX: usize = 256;
/// Bytes of bodies after which a transaction takes no further job.
const TRANSACTION_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the writer is asked to do.
pub(super) enum Job {
    /// All or nothing.
    Group(Vec<Write>, oneshot::Sender<Result<(), Error>>),
    /// Each on its own.
    Each(Vec<Write>, oneshot::Sender<Vec<Result<(), Error>>>),
    /// Groups, each on its own.
    Groups(Vec<Vec<Write>>, oneshot::Sender<Vec<Result<(), Error>>>),
    /// Remove the feed's changes of a shard up to a position.
    Trim { shard: u16, through: u64, answer: oneshot::Sender<Result<(), Error>> },
}

/// What a job is answered after the commit.
enum Answer {
    One(Result<(), Error>),
    Each(Vec<Result<(), Error>>),
}

impl Job {
    /// Sends the answer; a waiter that left needs none.
    fn answer(self, answer: Answer) {
        match (self, answer) {
            (Job::Group(_, waiter) | Job::Trim { answer: waiter, .. }, Answer::One(answer)) => {
                drop(waiter.send(answer))
            }
            (Job::Each(_, waiter) | Job::Groups(_, waiter), Answer::Each(answers)) => drop(waiter.send(answers)),
            (_, Answer::One(_) | Answer::Each(_)) => unreachable!("a job is answered in its own shape"),
        }
    }

    fn fail(self, error: &Error) {
        let answer = match &self {
            Job::Each(writes, _) => Answer::Each(vec![Err(error.clone()); writes.len()]),
            Job::Groups(groups, _) => Answer::Each(vec![Err(error.clone()); groups.len()]),
            Job::Group(..) | Job::Trim { .. } => Answer::One(Err(error.clone())),
        };
        self.answer(answer);
    }
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) file: Arc<Database>,
    pub(super) shards: u16,
    pub(super) recent: Arc<RwLock<Recent>>,
    pub(super) changed: watch::Sender<u64>,
    sweep: Sweep,
}

impl Writer {
    pub(super) fn new(
        file: Arc<Database>,
        shards: u16,
        recent: Arc<RwLock<Recent>>,
        changed: watch::Sender<u64>,
    ) -> Writer {
        Writer { file, shards, recent, changed, sweep: Sweep::default() }
    }

    /// The thread's life: until every sender is gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut bytes = body_bytes(&first);
            let mut taken = vec![first];
            while bytes < TRANSACTION_BYTES_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                bytes += body_bytes(&job);
                taken.push(job);
            }
            self.commit(taken);
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "recent items stay in the feed; the next opening reads them from there");
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        match self.transact(&jobs) {
            Ok(Done { answers, fed }) => {
                if fed {
                    self.changed.send_modify(|count| *count += 1);
                }
                jobs.into_iter().zip(answers).for_each(|(job, answer)| job.answer(answer));
            }
            Err(error) => {
                tracing::error!(%error, "a transaction failed");
                jobs.into_iter().for_each(|job| job.fail(&error));
            }
        }
    }

    fn transact(&mut self, jobs: &[Job]) -> Result<Done, Error> {
        let transaction = self.file.begin_write().map_err(unavailable)?;
        // Dropping the transaction on an error takes everything back.
        let work = {
            let recent = recent::read(&self.recent);
            work(&transaction, self.shards, &recent, &self.sweep, jobs).map_err(unavailable)?
        };
        if work.wrote {
            transaction.commit().map_err(|error| Error::Unknown(format!("store: commit: {error}")))?;
        } else {
            // Nothing to flush: what the answers rest on was flushed by earlier transactions.
            transaction.abort().map_err(unavailable)?;
        }
        if !(work.slice.rows.is_empty() && work.fresh.is_empty()) {
            recent::write(&self.recent).settle(&work.slice.rows, work.fresh);
        }
        self.sweep = work.slice.next;
        Ok(Done { answers: work.answers, fed: work.fed })
    }

    /// Brings everything into the tree, so that the next opening has nothing to read back.
    fn close(&self) -> Result<(), Error> {
        let recent = recent::read(&self.recent);
        if recent.is_empty() {
            return Ok(());
        }
        let transaction = self.file.begin_write().map_err(unavailable)?;
        let all = |transaction: &WriteTransaction| -> Result<(), redb::Error> {
            let mut apply = Apply::begin(transaction, self.shards, &recent)?;
            let slice = Sweep::all(&recent, &apply.heads()?);
            apply.sweep(&slice.rows)?;
            apply.end()?;
            note_applied(transaction, &slice).map(drop)
        };
        all(&transaction).map_err(unavailable)?;
        transaction.commit().map_err(|error| Error::Unknown(format!("store: commit: {error}")))
    }
}

fn body_bytes(job: &Job) -> usize {
    let bytes = |writes: &Vec<Write>| -> usize {
        writes.iter().map(|write| if let Effect::Put(item) = &write.effect { item.body.len() } else { 0 }).sum()
    };
    match job {
        Job::Group(writes, _) | Job::Each(writes, _) => bytes(writes),
        Job::Groups(groups, _) => groups.iter().map(bytes).sum(),
        Job::Trim { .. } => 0,
    }
}

/// What a transaction came to.
struct Done {
    /// One per job.
    answers: Vec<Answer>,
    /// Whether the feed has new changes.
    fed: bool,
}

/// A transaction's work before its commit.
struct Work {
    answers: Vec<Answer>,
    /// Whether the file changed.
    wrote: bool,
    fed: bool,
    /// Rows for the recent items.
    fresh: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// What was swept into the tree.
    slice: Slice,
}

fn work(
    transaction: &WriteTransaction,
    shards: u16,
    recent: &Recent,
    sweep: &Sweep,
    jobs: &[Job],
) -> Result<Work, redb::Error> {
    let mut apply = Apply::begin(transaction, shards, recent)?;
    let heads = apply.heads()?;
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        answers.push(match job {
            Job::Group(group, _) => Answer::One(apply.group(group)?),
            Job::Each(writes, _) => Answer::Each(apply.each(writes)?),
            Job::Groups(groups, _) => Answer::Each(apply.groups(groups)?),
            Job::Trim { .. } => Answer::One(Ok(())),
        });
    }
    // Who trims up to the head waits for nothing more: then there is time, and nothing of the feed has to stay.
    let head = |shard: u16| heads.get(usize::from(shard)).copied().unwrap_or_default();
    let idle = jobs.iter().any(|job| matches!(job, Job::Trim { shard, through, .. } if *through >= head(*shard)));
    let slice = match shards {
        0 => Slice::default(),
        _ if idle => Sweep::all(recent, &heads),
        _ => sweep.slice(recent, apply.changes(), &heads),
    };
    apply.sweep(&slice.rows)?;
    let Applied { mut wrote, fed, fresh } = apply.end()?;
    wrote |= note_applied(transaction, &slice)?;
    // The feed's tables are free again only now; what is trimmed was committed long before.
    for job in jobs {
        if let Job::Trim { shard, through, .. } = job {
            let applied = transaction.open_table(META)?.get(applied_key(*shard).as_str())?.map_or(0, |at| at.value());
            wrote |= feed::trim(transaction, *shard, applied.min(*through))? > 0;
        }
    }
    Ok(Work { answers, wrote, fed, fresh, slice })
}

/// Notes up to where the tree has everything, when a sweep ends; whether that is news.
fn note_applied(transaction: &WriteTransaction, slice: &Slice) -> Result<bool, redb::Error> {
    let Some(through) = &slice.through else { return Ok(false) };
    let mut meta = transaction.open_table(META)?;
    let mut news = false;
    for (shard, position) in (0u16..).zip(through) {
        news |= meta.insert(applied_key(shard).as_str(), position)?.is_none_or(|before| before.value() != *position);
    }
    Ok(news)
}
