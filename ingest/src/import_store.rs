//! The import store: what imports have brought of a source, and the gate between imports and sends.
//!
//! In: sources, hashes of ids, runs of the identity index. Out: who was imported, and conditions to write under. Two
//! items per source: `imports` holds the index and is what a commit of pages is conditional on; the `gate` lies beside
//! the events, so that a send can be conditional on it. A gate's rank only ever grows.
//!
//! | gate | sends | imports |
//! |---|---|---|
//! | absent | write under "still absent" | close it |
//! | open | look the ids up in its runs, write under "still this rank" | close it |
//! | announced | the same | close it |
//! | closing | are asked to come again | the one that closed it scans, commits, opens it |
//! | closing, lease over | take it over: raise `imports`, which stops the dead import's commit, then open it | the same |
//!
//! Where checks cost ([`tidemill_ports::Table::checks_cost`]), an absent or open gate is not checked: sends write plainly
//! for [`REQUEST_MICROS_MAX`](crate::gate::REQUEST_MICROS_MAX) from before they read it, and an import announces it first
//! and closes it [`ANNOUNCED_MICROS_MIN`](crate::gate::ANNOUNCED_MICROS_MIN) later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, path::Path};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, Write};
use tidemill_schemas::keys::{self, Key, Tenant};
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

use crate::gate::{self, Announced, Gate, Step};
use crate::identity::{Filter, Identity};
use crate::manifest::import_shard;
use crate::page_store::PageStore;

/// The version of both items.
pub const IMPORTS_FORMAT: u32 = 1;
/// How long a gate stays closed without its import saying that it lives, in microseconds.
pub const GATE_LEASE_MICROS: i64 = 30 * MICROS_PER_SECOND;
/// Runs of one source's index; the next import folds them into one.
pub const RUNS_MAX: usize = 8;
/// Bytes of filters kept in memory, over all sources.
const FILTERS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Ranges of runs read at once.
const RANGES_AT_ONCE_MAX: usize = 16;
/// How often an item is read and written anew when others come first.
const ATTEMPTS_MAX: u32 = 16;

/// A sorted run of the identity index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The records.
    pub object: String,
    /// Their [`Filter`].
    pub filter: String,
    /// How many.
    pub records: u64,
}

/// What imports have brought of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imports {
    /// [`IMPORTS_FORMAT`].
    pub format: u32,
    /// Commits so far: the last position of the source's import chain.
    pub commits: u64,
    /// The identity index.
    pub runs: Vec<RunRef>,
}

/// A gate as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenGate {
    /// Its rank; `None`: absent.
    pub rank: Option<u64>,
    /// Whether an import is about to close it.
    pub announced: bool,
    /// The identity index; empty where there is no gate.
    pub runs: Vec<RunRef>,
}

/// A gate that this import closed, and what it stands on.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) source: String,
    pub(crate) imports: Imports,
    imports_rank: u64,
    gate_rank: u64,
    renewed: Timestamp,
}

/// Why a gate cannot be passed or closed now.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// An import of the source is being committed.
    #[error("an import of the source `{}` is being committed", .0.escape_debug())]
    Importing(String),
    /// The import may begin in so many seconds.
    #[error(
        "the import of the source `{}` is announced; sends that began before are given {seconds} s to end",
        source_name.escape_debug()
    )]
    Announced {
        /// Whose gate it is.
        source_name: String,
        /// When to come again.
        seconds: u32,
    },
    /// The import took too long, and someone else opened its gate.
    #[error("the import of the source `{}` lost its lease; import again", .0.escape_debug())]
    Lost(String),
    /// A store did not take it.
    #[error(transparent)]
    Port(#[from] Error),
}

/// The import store of a context.
#[derive(Clone, Copy)]
pub struct ImportStore<'a> {
    context: &'a Context,
}

impl<'a> ImportStore<'a> {
    /// The store over `context`.
    pub fn new(context: &'a Context) -> ImportStore<'a> {
        ImportStore { context }
    }

    // The gate, as sends see it

    /// The gates of sources, none of them closed: one whose import died is opened.
    ///
    /// # Errors
    /// [`GateError::Importing`], or the port's.
    pub async fn gates(
        &self,
        tenant: &Tenant,
        sources: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, SeenGate>, GateError> {
        let keys: Vec<Key> = sources.iter().map(|source| keys::import_gate(tenant, source)).collect();
        let items = self.context.events.get_each(&keys).await?;
        let mut gates = BTreeMap::new();
        for (source, item) in sources.iter().zip(items) {
            let held = self.settled(tenant, source, item).await?;
            let seen = held.map_or_else(SeenGate::default, |(rank, gate)| SeenGate {
                rank: Some(rank),
                announced: gate.announced.is_some(),
                runs: gate.runs,
            });
            gates.insert((*source).to_owned(), seen);
        }
        Ok(gates)
    }

    /// The condition that a gate is still the one seen.
    pub fn check(tenant: &Tenant, source: &str, seen: &SeenGate) -> Write {
        let condition = seen.rank.map_or(Condition::Absent, Condition::RankIs);
        Write { key: keys::import_gate(tenant, source), condition, effect: Effect::Check }
    }

    /// A gate that is not closed, with its rank: a dead import's is opened, and so is one that was announced in vain.
    async fn settled(
        &self,
        tenant: &Tenant,
        source: &str,
        item: Option<Item>,
    ) -> Result<Option<(u64, Gate)>, GateError> {
        let mut item = item;
        for _ in 0..ATTEMPTS_MAX {
            let Some(held) = item else { return Ok(None) };
            let gate: Gate = read(&held)?;
            let now = self.context.clock.now();
            match gate.closing_until {
                None if gate.is_abandoned(now) => match self.open_at(tenant, source, held.rank, gate.runs).await {
                    Ok(()) | Err(Error::Conflict(_)) => {}
                    Err(other) => return Err(other.into()),
                },
                None => return Ok(Some((held.rank, gate))),
                Some(until) if until > now => return Err(GateError::Importing(source.to_owned())),
                Some(_) => self.take_over(tenant, source, held.rank).await?,
            }
            item = self.context.events.get(&keys::import_gate(tenant, source)).await?;
        }
        Err(GateError::Importing(source.to_owned()))
    }

    /// Opens the gate of a dead import, once its commit can no longer happen. Losing to another one is fine.
    async fn take_over(&self, tenant: &Tenant, source: &str, gate_rank: u64) -> Result<(), Error> {
        let (imports, rank) = self.imports(tenant, source).await?;
        let raised = put(keys::imports(tenant, source), condition_of(rank), rank.unwrap_or(0) + 1, &imports)?;
        match self.context.items.write(vec![raised]).await {
            Err(Error::Conflict(_)) => return Ok(()),
            other => other?,
        }
        // What it had committed may not be in the day index yet.
        PageStore::new(self.context).head_indexed(&import_shard(tenant, source)).await?;
        match self.open_at(tenant, source, gate_rank, imports.runs).await {
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// Gives an import up, whatever became of its commit: opens the gate with what there is.
    pub(crate) async fn give_up(&self, tenant: &Tenant, closed: &Closed) -> Result<(), Error> {
        self.take_over(tenant, &closed.source, closed.gate_rank).await
    }

    async fn open_at(&self, tenant: &Tenant, source: &str, rank: u64, runs: Vec<RunRef>) -> Result<(), Error> {
        let at = self.context.clock.now();
        let gate = Gate { format: IMPORTS_FORMAT, at, closing_until: None, announced: None, runs };
        let write = put(keys::import_gate(tenant, source), Condition::RankIs(rank), rank + 1, &gate)?;
        self.context.events.write(vec![write]).await
    }

    // The gate, as imports see it

    /// What imports have brought of a source, and the item's rank.
    ///
    /// # Errors
    /// The port's.
    pub async fn imports(&self, tenant: &Tenant, source: &str) -> Result<(Imports, Option<u64>), Error> {
        let item = self.context.items.get(&keys::imports(tenant, source)).await?;
        match item {
            Some(item) => Ok((read(&item)?, Some(item.rank))),
            None => Ok((Imports { format: IMPORTS_FORMAT, ..Imports::default() }, None)),
        }
    }

    /// Says that an import is coming, where that takes time; returns when the gate may be closed.
    pub(crate) async fn announce(&self, tenant: &Tenant, source: &str) -> Result<(), GateError> {
        if self.context.events.checks_cost() {
            self.closable(tenant, source).await?;
        }
        Ok(())
    }

    /// A gate that may be closed now if it is still of this rank, and its index.
    async fn closable(&self, tenant: &Tenant, source: &str) -> Result<(Option<u64>, Vec<RunRef>), GateError> {
        let key = keys::import_gate(tenant, source);
        for _ in 0..ATTEMPTS_MAX {
            let held = self.settled(tenant, source, self.context.events.get(&key).await?).await?;
            // The clock is read after the gate was: what was announced by then has been there since then at the latest.
            let now = self.context.clock.now();
            let step = gate::next_step(held.as_ref().map(|(_, gate)| gate), self.context.events.checks_cost(), now);
            let (rank, runs) = held.map_or((None, Vec::new()), |(rank, gate)| (Some(rank), gate.runs));
            match step {
                Step::Close => return Ok((rank, runs)),
                Step::Wait(seconds) => {
                    return Err(GateError::Announced { source_name: source.to_owned(), seconds });
                }
                Step::Raise(announced) => self.raise(tenant, source, rank, announced, runs).await?,
            }
        }
        Err(GateError::Importing(source.to_owned()))
    }

    /// Raises a gate to an announced one, unless somebody else writes it first.
    async fn raise(
        &self,
        tenant: &Tenant,
        source: &str,
        rank: Option<u64>,
        announced: Announced,
        runs: Vec<RunRef>,
    ) -> Result<(), Error> {
        let at = self.context.clock.now();
        let gate = Gate { format: IMPORTS_FORMAT, at, closing_until: None, announced: Some(announced), runs };
        let write = put(keys::import_gate(tenant, source), condition_of(rank), rank.unwrap_or(0) + 1, &gate)?;
        match self.context.events.write(vec![write]).await {
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// Closes a source's gate for an import.
    pub(crate) async fn close(&self, tenant: &Tenant, source: &str) -> Result<Closed, GateError> {
        let key = keys::import_gate(tenant, source);
        for _ in 0..ATTEMPTS_MAX {
            let (seen, runs) = self.closable(tenant, source).await?;
            let now = self.context.clock.now();
            let gate = closing(now, runs);
            let gate_rank = seen.unwrap_or(0) + 1;
            match self.context.events.write(vec![put(key.clone(), condition_of(seen), gate_rank, &gate)?]).await {
                Err(Error::Conflict(_)) => continue,
                other => other?,
            }
            // From here on no send of this source succeeds, and no other import closes it.
            let (imports, rank) = self.imports(tenant, source).await?;
            let imports_rank = match rank {
                Some(rank) => rank,
                None => {
                    let first = put(keys::imports(tenant, source), Condition::Absent, 1, &imports)?;
                    self.context.items.write(vec![first]).await?;
                    1
                }
            };
            return Ok(Closed { source: source.to_owned(), imports, imports_rank, gate_rank, renewed: now });
        }
        Err(GateError::Importing(source.to_owned()))
    }

    /// Says that the import lives, when half of its lease is over.
    pub(crate) async fn renew(&self, tenant: &Tenant, closed: &mut Closed) -> Result<(), GateError> {
        let now = self.context.clock.now();
        if now < closed.renewed.plus_micros(GATE_LEASE_MICROS / 2) {
            return Ok(());
        }
        let gate = closing(now, closed.imports.runs.clone());
        let key = keys::import_gate(tenant, &closed.source);
        let write = put(key, Condition::RankIs(closed.gate_rank), closed.gate_rank + 1, &gate)?;
        match self.context.events.write(vec![write]).await {
            Err(Error::Conflict(_)) => return Err(GateError::Lost(closed.source.clone())),
            other => other?,
        }
        closed.gate_rank += 1;
        closed.renewed = now;
        Ok(())
    }

    /// The write that enters an import into what its source has; part of the group that commits its pages.
    pub(crate) fn committing(tenant: &Tenant, closed: &Closed, imports: &Imports) -> Result<Write, Error> {
        let condition = Condition::RankIs(closed.imports_rank);
        put(keys::imports(tenant, &closed.source), condition, closed.imports_rank + 1, imports)
    }

    /// Whether a commit happened whose outcome nobody was told: `None` when it can still be sent again.
    pub(crate) async fn happened(
        &self,
        tenant: &Tenant,
        closed: &Closed,
        imports: &Imports,
    ) -> Result<Option<bool>, Error> {
        let (found, rank) = self.imports(tenant, &closed.source).await?;
        Ok(match rank {
            Some(rank) if rank == closed.imports_rank => None,
            _ => Some(found.commits >= imports.commits && imports.runs.iter().all(|run| found.runs.contains(run))),
        })
    }

    /// Opens the gate again. Whoever did so before loaded what the import had committed.
    pub(crate) async fn open(&self, tenant: &Tenant, closed: &Closed, runs: Vec<RunRef>) -> Result<(), Error> {
        match self.open_at(tenant, &closed.source, closed.gate_rank, runs).await {
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    // The identity index

    /// The imported identities behind hashes, in the order given.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when a filter is unreadable.
    pub async fn find(&self, runs: &[RunRef], hashes: &[u128]) -> Result<Vec<Option<Identity>>, Error> {
        let mut found = vec![None; hashes.len()];
        for run in runs {
            let filter = self.filter(run).await?;
            let mut ranges: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
            for (at, hash) in hashes.iter().enumerate().filter(|(at, _)| found[*at].is_none()) {
                if let Some(range) = filter.look(*hash) {
                    ranges.entry(range).or_default().push(at);
                }
            }
            let path = Path::from(run.object.as_str());
            let mut read = stream::iter(ranges)
                .map(|((first, last), wanted)| {
                    let path = path.clone();
                    async move { Ok::<_, Error>((self.context.blobs.get_range(&path, first..last).await?, wanted)) }
                })
                .buffer_unordered(RANGES_AT_ONCE_MAX);
            while let Some((bytes, wanted)) = read.try_next().await? {
                for at in wanted {
                    found[at] = Identity::find(&bytes, hashes[at]);
                }
            }
        }
        Ok(found)
    }

    async fn filter(&self, run: &RunRef) -> Result<Arc<Filter>, Error> {
        if let Some(filter) = FILTERS.get(&run.filter) {
            return Ok(filter);
        }
        let bytes = self.context.blobs.get(&Path::from(run.filter.as_str())).await?.bytes().await?;
        let filter = Filter::decode(&bytes).map_err(|why| Error::Invalid(format!("filter {}: {why}", run.filter)))?;
        Ok(FILTERS.keep(&run.filter, filter))
    }

    /// The records of a run, in order, in pieces of any length.
    ///
    /// # Errors
    /// The port's.
    pub(crate) async fn records(
        &self,
        run: &RunRef,
    ) -> Result<impl stream::Stream<Item = Result<Bytes, Error>> + use<>, Error> {
        let object = self.context.blobs.get(&Path::from(run.object.as_str())).await?;
        Ok(object.into_stream().map_err(Error::from))
    }
}

/// Filters by their objects' names, which name their content: they never change.
struct Filters(Mutex<Vec<(String, Arc<Filter>)>>);

static FILTERS: Filters = Filters(Mutex::new(Vec::new()));

impl Filters {
    fn get(&self, object: &str) -> Option<Arc<Filter>> {
        let mut held = self.0.lock().ok()?;
        let at = held.iter().position(|(name, _)| name == object)?;
        let found = held.remove(at);
        held.push(found.clone());
        Some(found.1)
    }

    fn keep(&self, object: &str, filter: Filter) -> Arc<Filter> {
        let filter = Arc::new(filter);
        if let Ok(mut held) = self.0.lock() {
            held.push((object.to_owned(), filter.clone()));
            while held.len() > 1 && held.iter().map(|(_, filter)| filter.bytes()).sum::<usize>() > FILTERS_BYTES_MAX {
                held.remove(0);
            }
        }
        filter
    }
}

/// A gate that is closed at `now`.
fn closing(now: Timestamp, runs: Vec<RunRef>) -> Gate {
    let closing_until = Some(now.plus_micros(GATE_LEASE_MICROS));
    Gate { format: IMPORTS_FORMAT, at: now, closing_until, announced: None, runs }
}

fn condition_of(rank: Option<u64>) -> Condition {
    rank.map_or(Condition::Absent, Condition::RankIs)
}

fn read<T: DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("imports item unreadable: {why}")))
}

fn put(key: Key, condition: Condition, rank: u64, value: &impl Serialize) -> Result<Write, Error> {
    let body = serde_json::to_vec(value).map_err(|why| Error::Invalid(format!("imports item: {why}")))?;
    Ok(Write { key, condition, effect: Effect::Put(Item { rank, body: body.into() }) })
}
