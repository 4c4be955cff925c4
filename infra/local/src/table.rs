//! `LocalTable`: [`Table`] on one redb file.
//!
//! Reads see the last durable transaction and run in place; writes go through one thread that commits whatever waits
//! with a single flush ([`writer`]). The feed keeps old and new images until it is trimmed. Positions of a shard
//! begin at 1 and have no gaps. What a table with a feed was given last is in the feed and in memory, and goes into the
//! tree later ([`recent`]); reads look at both.

mod apply;
mod feed;
mod merge;
mod recent;
mod rows;
mod writer;

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadableTable, TableDefinition};
use tidemill_ports::{Change, Error, Item, Query, Slice, Table, Write, limits};
use tidemill_schemas::keys::Key;
use tidemill_schemas::window::{Position, ShardId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::file::{self, Changed, damaged};
use recent::Recent;
use writer::{Job, Writer};

const ITEMS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("items");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The layout of a table without a feed, and of one with a feed before its tree could be behind it.
const FORMAT: u64 = 1;
/// The layout of a table with a feed: its tree has everything up to the positions noted by shard.
const FORMAT_BEHIND: u64 = 2;
/// Changes read at once when a table is opened.
const RESTORED_CHANGES: usize = 10_000;
/// Bytes of a table's page cache. Behind it stands the operating system's, which is no memory of ours.
const CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Keys read in place; more are read off the async threads.
const KEYS_IN_PLACE_MAX: usize = 256;

/// Whether a table keeps a change feed. Decided when the file is made; later openings keep what it was made with,
/// because a key's changes must stay in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// No feed.
    None,
    /// A feed of so many shards (≥ 1).
    Shards(u16),
}

/// A table in a file. Dropping it waits for the writes under way.
pub struct LocalTable {
    file: Arc<Database>,
    /// 0: no feed.
    shards: u16,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    changed: watch::Receiver<u64>,
    recent: Arc<RwLock<Recent>>,
    checks_cost: bool,
}

/// Where it is noted up to which position of a shard the tree has everything.
fn applied_key(shard: u16) -> String {
    format!("applied-{shard:04}")
}

impl LocalTable {
    /// Opens or makes the table in the file at `path`.
    pub fn open(path: &Path, feed: Feed) -> Result<LocalTable, Error> {
        LocalTable::on(file::open(path, CACHE_BYTES_MAX)?, feed)
    }

    /// The table in a database of one's own, such as one whose storage fails on purpose.
    pub fn on(file: Database, feed: Feed) -> Result<LocalTable, Error> {
        let shards = file::change(&file, |transaction| {
            let mut meta = transaction.open_table(META)?;
            transaction.open_table(ITEMS)?;
            let found = meta.get("format")?.map(|format| format.value());
            let shards = match (found, feed) {
                (Some(_), _) => meta.get("shards")?.map_or(0, |shards| shards.value()),
                (None, Feed::None) => 0,
                (None, Feed::Shards(shards)) => u64::from(shards.max(1)),
            };
            let format = if shards == 0 { FORMAT } else { FORMAT_BEHIND };
            if found == Some(format) || found.is_some_and(|found| found != FORMAT) {
                return Ok(Changed::No((found.unwrap_or_default(), shards)));
            }
            if shards > 0 {
                feed::make(transaction)?;
                // Until now the tree had everything.
                let feed = feed::Appender::begin(transaction, u16::try_from(shards).unwrap_or(u16::MAX))?;
                for (shard, head) in (0u16..).zip(feed.heads()?) {
                    meta.insert(applied_key(shard).as_str(), head)?;
                }
            }
            meta.insert("format", format)?;
            meta.insert("shards", shards)?;
            Ok(Changed::Yes((format, shards)))
        });
        let shards = match shards? {
            (FORMAT, 0) => 0,
            (FORMAT_BEHIND, shards @ 1..) => u16::try_from(shards).map_err(|_| damaged("the number of feed shards"))?,
            _ => return Err(damaged("the table's layout")),
        };
        let recent = restore(&file, shards)?;
        LocalTable::start(Arc::new(file), shards, recent)
    }

    fn start(file: Arc<Database>, shards: u16, recent: Recent) -> Result<LocalTable, Error> {
        let (jobs, waiting) = mpsc::channel(writer::JOBS_WAITING_MAX);
        let (bell, changed) = watch::channel(0);
        let recent = Arc::new(RwLock::new(recent));
        let writer = Writer::new(Arc::clone(&file), shards, Arc::clone(&recent), bell);
        let writer = std::thread::Builder::new()
            .name("tidemill-table".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(|error| Error::Unavailable(format!("store: no thread for the writer: {error}")))?;
        Ok(LocalTable { file, shards, jobs: Some(jobs), writer: Some(writer), changed, recent, checks_cost: false })
    }

    /// The same table, saying that checks cost, as they do on DynamoDB: to see what a store does then.
    pub fn where_checks_cost(mut self) -> LocalTable {
        self.checks_cost = true;
        self
    }

    /// Counts up whenever the feed has new changes.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// The feed's shards.
    pub fn shard_names(&self) -> Vec<ShardId> {
        (0..self.shards).map(feed::shard_name).collect()
    }

    /// The last position of a shard; positions before it have no gaps, so differences count changes.
    pub fn head(&self, shard: &str) -> Result<Position, Error> {
        let shard = self.shard(shard)?;
        let head = file::read(&self.file, |transaction| feed::head(transaction, shard))?;
        Ok(Position(u128::from(head)))
    }

    /// Forgets changes of a shard up to `through`, once every consumer has them. Some may stay a little longer.
    pub async fn trim(&self, shard: &str, through: Position) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        let through = u64::try_from(through.0).unwrap_or(u64::MAX);
        self.ask(|answer| Job::Trim { shard, through, answer }).await?
    }

    fn shard(&self, name: &str) -> Result<u16, Error> {
        feed::shard_of(name, self.shards)
            .ok_or_else(|| Error::Invalid(format!("shard {name:?} is none of this table: ask for its shards")))
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Error> {
        let (answer, waiter) = oneshot::channel();
        let stopped = || Error::Unavailable("store: the writer has stopped".to_owned());
        self.jobs.as_ref().ok_or_else(stopped)?.send(job(answer)).await.map_err(|_| stopped())?;
        waiter.await.map_err(|_| Error::Unknown("store: the writer stopped before it answered".to_owned()))
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Database, &RwLock<Recent>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (file, recent) = (Arc::clone(&self.file), Arc::clone(&self.recent));
        tokio::task::spawn_blocking(move || look(&file, &recent))
            .await
            .map_err(|error| Error::Unavailable(format!("store: {error}")))?
    }
}

impl Drop for LocalTable {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has already said so.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Table for LocalTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        Ok(read_each(&self.file, &self.recent, std::slice::from_ref(key))?.pop().flatten())
    }

    async fn query(&self, query: &Query) -> Result<Slice, Error> {
        limits::query(query)?;
        merge::read_slice(&self.file, &self.recent, query)
    }

    async fn write(&self, group: Vec<Write>) -> Result<(), Error> {
        limits::group(&group)?;
        if group.is_empty() {
            return Ok(());
        }
        self.ask(|answer| Job::Group(group, answer)).await?
    }

    async fn write_each(&self, mut writes: Vec<Write>) -> Vec<Result<(), Error>> {
        let mut answers: Vec<Result<(), Error>> = writes.iter().map(limits::write_each).collect();
        let mut valid = answers.iter().map(Result::is_ok);
        writes.retain(|_| valid.next().unwrap_or(false));
        if writes.is_empty() {
            return answers;
        }
        let done = self.ask(|answer| Job::Each(writes, answer)).await;
        let asked = answers.iter_mut().filter(|answer| answer.is_ok());
        match done {
            Ok(done) => asked.zip(done).for_each(|(answer, done)| *answer = done),
            Err(error) => asked.for_each(|answer| *answer = Err(error.clone())),
        }
        answers
    }

    async fn write_groups(&self, mut groups: Vec<Vec<Write>>) -> Vec<Result<(), Error>> {
        let mut answers: Vec<Result<(), Error>> = groups.iter().map(|group| limits::group(group)).collect();
        let mut valid = answers.iter().map(Result::is_ok);
        groups.retain(|_| valid.next().unwrap_or(false));
        if groups.is_empty() {
            return answers;
        }
        let done = self.ask(|answer| Job::Groups(groups, answer)).await;
        let asked = answers.iter_mut().filter(|answer| answer.is_ok());
        match done {
            Ok(done) => asked.zip(done).for_each(|(answer, done)| *answer = done),
            Err(error) => asked.for_each(|answer| *answer = Err(error.clone())),
        }
        answers
    }

    fn checks_cost(&self) -> bool {
        self.checks_cost
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
        if keys.len() <= KEYS_IN_PLACE_MAX {
            return read_each(&self.file, &self.recent, keys);
        }
        let keys = keys.to_vec();
        self.off_thread(move |file, recent| read_each(file, recent, &keys)).await
    }

    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        Ok(self.shard_names())
    }

    async fn changes(&self, shard: &str, after: Position, limit: usize) -> Result<Vec<Change>, Error> {
        let shard = self.shard(shard)?;
        let Ok(after) = u64::try_from(after.0) else { return Ok(Vec::new()) };
        self.off_thread(move |file, _| {
            file::read(file, |transaction| feed::read(transaction, shard, after, limit))?
                .ok_or_else(|| damaged("the change feed"))
        })
        .await
    }
}

/// What the feed holds that the tree may lack.
fn restore(file: &Database, shards: u16) -> Result<Recent, Error> {
    let recent = file::read(file, |transaction| {
        let (meta, mut recent) = (transaction.open_table(META)?, Recent::default());
        for shard in 0..shards {
            let mut after = meta.get(applied_key(shard).as_str())?.map_or(0, |position| position.value());
            loop {
                let Some(changes) = feed::read(transaction, shard, after, RESTORED_CHANGES)? else { return Ok(None) };
                let Some(last) = changes.last().map(|change| change.position) else { break };
                for Change { key, new, .. } in changes {
                    recent.put(rows::key(&key.partition, &key.sort), new.as_ref().map(rows::value));
                }
                // Positions of a shard are the file's own 64-bit numbers.
                after = last.0 as u64;
            }
        }
        Ok(Some(recent))
    });
    recent?.ok_or_else(|| damaged("the change feed"))
}

/// A value as an item, its body shared.
fn shared(value: Bytes) -> Result<Item, Error> {
    rows::shared_item(value).ok_or_else(|| damaged("an item"))
}

fn read_each(file: &Database, recent: &RwLock<Recent>, keys: &[Key]) -> Result<Vec<Option<Item>>, Error> {
    keys.iter().try_for_each(limits::key)?;
    let at: Vec<Vec<u8>> = keys.iter().map(|key| rows::key(&key.partition, &key.sort)).collect();
    let values = merge::read_both(file, recent, |recent| at.iter().map(|key| recent.get(key).cloned()).collect(), {
        |transaction, found: Vec<Option<Option<Bytes>>>| {
            let items = transaction.open_table(ITEMS)?;
            let mut values = Vec::with_capacity(at.len());
            for (key, found) in at.iter().zip(found) {
                values.push(match found {
                    Some(recent) => recent,
                    None => items.get(key.as_slice())?.map(|value| Bytes::copy_from_slice(value.value())),
                });
            }
            Ok(values)
        }
    })?;
    values.into_iter().map(|value| value.map(shared).transpose()).collect()
}
