//! Group commit: one thread takes the writes that wait and makes them durable with one flush.
//!
//! In: jobs over a bounded channel. Out: an answer to each after the transaction that holds it is on the disk. A
//! transaction that fails before its commit did not happen; a commit that fails may have.

use std::sync::Arc;

use redb::{Database, WriteTransaction};
use tidemill_ports::{Effect, Error, Write};
use tokio::sync::{mpsc, oneshot, watch};

use super::apply::Apply;
use super::feed;
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

/// The thread's life: until every sender is gone.
pub(super) fn run(file: &Arc<Database>, shards: u16, mut jobs: mpsc::Receiver<Job>, changed: &watch::Sender<u64>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut bytes = body_bytes(&first);
        let mut taken = vec![first];
        while bytes < TRANSACTION_BYTES_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            bytes += body_bytes(&job);
            taken.push(job);
        }
        commit(file, shards, taken, changed);
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

fn commit(file: &Database, shards: u16, jobs: Vec<Job>, changed: &watch::Sender<u64>) {
    match transact(file, shards, &jobs) {
        Ok(done) => {
            if done.fed {
                changed.send_modify(|count| *count += 1);
            }
            jobs.into_iter().zip(done.answers).for_each(|(job, answer)| job.answer(answer));
        }
        Err(error) => {
            tracing::error!(%error, "a transaction failed");
            jobs.into_iter().for_each(|job| job.fail(&error));
        }
    }
}

/// A transaction's work.
struct Done {
    /// One per job.
    answers: Vec<Answer>,
    /// Whether the file changed.
    wrote: bool,
    /// Whether the feed has new changes.
    fed: bool,
}

fn transact(file: &Database, shards: u16, jobs: &[Job]) -> Result<Done, Error> {
    let transaction = file.begin_write().map_err(unavailable)?;
    // Dropping the transaction on an error takes everything back.
    let done = apply(&transaction, shards, jobs).map_err(unavailable)?;
    if done.wrote {
        transaction.commit().map_err(|error| Error::Unknown(format!("store: commit: {error}")))?;
    } else {
        // Nothing to flush: what the answers rest on was flushed by earlier transactions.
        transaction.abort().map_err(unavailable)?;
    }
    Ok(done)
}

fn apply(transaction: &WriteTransaction, shards: u16, jobs: &[Job]) -> Result<Done, redb::Error> {
    let mut apply = Apply::begin(transaction, shards)?;
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        answers.push(match job {
            Job::Group(group, _) => Answer::One(apply.group(group)?),
            Job::Each(writes, _) => Answer::Each(apply.each(writes)?),
            Job::Groups(groups, _) => Answer::Each(apply.groups(groups)?),
            Job::Trim { .. } => Answer::One(Ok(())),
        });
    }
    let (mut wrote, fed) = apply.end()?;
    // The feed's tables are free again only now; what is trimmed was committed long before.
    for job in jobs {
        if let Job::Trim { shard, through, .. } = job {
            wrote |= feed::trim(transaction, *shard, *through)? > 0;
        }
    }
    Ok(Done { answers, wrote, fed })
}
