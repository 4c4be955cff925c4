//! The runner: delivers the change feed, requests and firings to the handlers, at least once, in this process.
//!
//! What Lambda's event sources do on AWS. A *lane* is one consumer of one feed shard: it has a durable cursor and one
//! delivery at a time; different lanes run side by side. [`Runner::run`] serves in the background and sleeps until a
//! bell rings or the next time comes; [`Runner::drain`] works off what there is and returns. The runner never looks
//! into what it delivers.

mod drain;
mod firings;
mod lane;
mod requests;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use tidemill_ports::{Change, Error, Message, Outcome};
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::ShardId;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::Store;
use lane::Lane;

/// Changes in one delivery to [`Handlers::on_changes`].
pub const DELIVERY_CHANGES_MAX: usize = 10_000;
/// Changes in one delivery to [`Handlers::on_seal`].
pub const SEAL_CHANGES_MAX: usize = 200_000;
/// Waiting changes that are sealed without further delay.
const SEAL_AT_CHANGES: u64 = 50_000;
/// Age of the oldest unsealed change at which it is sealed in the background.
pub const SEAL_DELAY_SECONDS: u32 = 30;
/// Changes every consumer has passed before the feed is trimmed while more wait.
const TRIM_CHANGES_MIN: u64 = 50_000;
/// Deliveries of requests under way at once.
const REQUEST_DELIVERIES_MAX: usize = 2;
/// How long a delivered request is hidden. Whoever opens the project next shows it again at once, so this only
/// bounds how long a handler may take.
const REQUEST_HIDE_SECONDS: u32 = 15 * 60;
/// Attempts of one thing that makes no progress before a drain gives it up.
const DRAIN_ATTEMPTS_MAX: u32 = 3;
/// Longest wait between attempts, in seconds.
const BACKOFF_SECONDS_MAX: i64 = 60;
/// Longest sleep until a time that is known: a machine that slept itself notices it after this.
const SLEEP_SECONDS_MAX: i64 = 60;

/// What is delivered to. Every method may be called again with the same delivery.
#[async_trait]
pub trait Handlers: Send + Sync + 'static {
    /// Changes of a shard, in order, for the running totals.
    async fn on_changes(&self, shard: &ShardId, changes: Vec<Change>) -> Outcome;
    /// Changes of a shard, in order, for the pages.
    async fn on_seal(&self, shard: &ShardId, changes: Vec<Change>) -> Outcome;
    /// Requests; an outcome for each, in their order. Done: deleted; retry: visible again later; parked: dead letter.
    async fn on_request(&self, messages: &[Message]) -> Vec<Outcome>;
    /// A firing with the time it was scheduled for.
    async fn on_firing(&self, name: &str, payload: &Bytes, scheduled: Timestamp) -> Outcome;
}

/// Who reads the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consumer {
    /// Running totals.
    Changes,
    /// Pages.
    Seal,
}

impl Consumer {
    /// Its stored name.
    pub fn name(self) -> &'static str {
        match self {
            Consumer::Changes => "on_changes",
            Consumer::Seal => "on_seal",
        }
    }
}

/// How far everything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Changes that are not in the running totals yet.
    pub changes_waiting: u64,
    /// Changes that are not in pages yet.
    pub changes_unsealed: u64,
    /// Requests that are not done yet.
    pub requests_waiting: u64,
}

/// Something a drain could not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What: a consumer and shard, a request, a firing.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// The state of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// Who reads.
    pub consumer: Consumer,
    /// What is read.
    pub shard: ShardId,
    /// Changes it has not done yet.
    pub behind: u64,
    /// Deliveries in a row without progress.
    pub attempts: u32,
    /// Why the last one made none; a lane with a reason tries again with growing pauses and loses nothing.
    pub blocked: Option<String>,
}

/// The state of the runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Consumers and shards.
    pub lanes: Vec<LaneStatus>,
    /// Requests that are not done yet.
    pub requests_waiting: u64,
    /// Requests that were delivered too often or parked.
    pub dead_letters: u64,
    /// Firings that keep failing, by name, with the reason.
    pub firings_failing: BTreeMap<String, String>,
}

/// The runner of a project.
pub struct Runner {
    shared: Arc<Shared>,
}

/// What the loops share.
struct Shared {
    store: Arc<Store>,
    handlers: Arc<dyn Handlers>,
    lanes: Vec<Arc<Lane>>,
    /// Held while requests are delivered.
    requests: Semaphore,
    /// Held while firings are delivered; attempts of those that failed.
    firings: tokio::sync::Mutex<BTreeMap<String, firings::Attempts>>,
    /// Why firings fail, for the status.
    firings_failing: Mutex<BTreeMap<String, String>>,
    /// Feed positions up to which a shard was trimmed.
    trimmed: Mutex<BTreeMap<ShardId, u64>>,
    /// Counts up after every delivery.
    stepped: watch::Sender<u64>,
}

impl Runner {
    /// A runner that has not begun.
    pub fn new(store: Arc<Store>, handlers: Arc<dyn Handlers>) -> Result<Runner, Error> {
        let mut lanes = Vec::new();
        for shard in store.events.shard_names() {
            for consumer in [Consumer::Changes, Consumer::Seal] {
                let cursor = store.cursors.get(consumer.name(), &shard)?;
                lanes.push(Arc::new(Lane::new(consumer, shard.clone(), cursor)));
            }
        }
        let shared = Shared {
            store,
            handlers,
            lanes,
            requests: Semaphore::new(REQUEST_DELIVERIES_MAX),
            firings: tokio::sync::Mutex::default(),
            firings_failing: Mutex::default(),
            trimmed: Mutex::default(),
            stepped: watch::channel(0).0,
        };
        Ok(Runner { shared: Arc::new(shared) })
    }

    /// Serves until `shutdown` ends, then finishes the deliveries under way.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let mut loops = JoinSet::new();
        for lane in &self.shared.lanes {
            loops.spawn(Arc::clone(lane).serve(Arc::clone(&self.shared), stopping.clone()));
        }
        for _ in 0..REQUEST_DELIVERIES_MAX {
            loops.spawn(requests::serve(Arc::clone(&self.shared), stopping.clone()));
        }
        loops.spawn(firings::serve(Arc::clone(&self.shared), stopping));
        shutdown.await;
        stop.send_replace(true);
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a loop of the runner ended badly");
            }
        }
    }

    /// Works off the feed: both consumers of every shard, sealing at once.
    pub async fn drain_feed(&self) -> Result<(), Vec<Failure>> {
        drain::drain_feed(&self.shared, &|_| {}).await
    }

    /// Works off everything that is due: the feed, firings, requests, and what those bring, until nothing is left.
    /// Never waits for a time to come: what is delayed or hidden stays. Errs with what kept failing.
    pub async fn drain(&self, progress: impl Fn(Progress)) -> Result<(), Vec<Failure>> {
        drain::drain(&self.shared, &progress).await
    }

    /// Tells how many changes the slowest consumer of the feed is behind; a store that does not answer tells nothing.
    pub fn backlog(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.lanes.iter().filter_map(|lane| lane.behind(&shared).ok()).max().unwrap_or(0)
    }

    /// How far everything is.
    pub fn status(&self) -> Result<Status, Error> {
        let depth = self.shared.store.requests.depth()?;
        let lanes = self.shared.lanes.iter().map(|lane| lane.status(&self.shared)).collect::<Result<_, _>>()?;
        Ok(Status {
            lanes,
            requests_waiting: depth.messages,
            dead_letters: depth.dead_letters,
            firings_failing: held(&self.shared.firings_failing).clone(),
        })
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.store.clock.now()
    }

    fn note_step(&self) {
        self.stepped.send_modify(|count| *count += 1);
    }

    /// Sleeps until one of `bell` and `stopping` rings or `until` comes; without a time, until a bell rings.
    async fn rest(
        &self,
        until: Option<Timestamp>,
        bell: &mut watch::Receiver<u64>,
        stopping: &mut watch::Receiver<bool>,
    ) {
        let micros = until.map(|until| until.micros().saturating_sub(self.now().micros()));
        let micros = micros.map(|micros| micros.clamp(1_000, SLEEP_SECONDS_MAX * MICROS_PER_SECOND));
        let time = async {
            match micros {
                Some(micros) => tokio::time::sleep(Duration::from_micros(micros.unsigned_abs())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            _ = bell.changed() => {}
            _ = stopping.changed() => {}
        }
    }
}

/// The pause after so many attempts in a row without progress.
fn backoff_micros(attempts: u32) -> i64 {
    let micros = 100_000_i64.saturating_mul(1_i64 << attempts.min(30));
    micros.min(BACKOFF_SECONDS_MAX * MICROS_PER_SECOND)
}

/// A handler's answer, also when it panics: that is a reason to park, not to lose the runner.
async fn guarded<T>(call: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|_| "the handler panicked; see the log".to_owned())
}

/// A lock that is only ever held for a moment and never while something can fail.
fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
