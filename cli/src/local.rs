//! A project in this process: its stores, the router over them, and the runner that calls the handlers.
//!
//! In: a project. Out: the same API a server gives, and the work a server would do in the background, on demand. This
//! is the one place of the command line that knows of stores and handlers.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::dirty_period_store::DirtyPeriodStore;
use tidemill_aggregator::on_changes::on_changes;
use tidemill_ingest::on_seal::on_seal;
use tidemill_ingest::page_store::PageStore;
use tidemill_local::{Handlers, Runner, Store};
use tidemill_ports::{Change, Context, Error, Message, Outcome, SystemClock};
use tidemill_rollups::on_delivery::on_delivery;
use tidemill_rollups::on_firing::on_firing;
use tidemill_rollups::on_upkeep::on_upkeep;
use tidemill_rollups::on_wave;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::Firing;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::ShardId;

use crate::failure::Failure;
use crate::project::Project;

/// Rounds in which a drain folds the periods whose days it computed; what is left then is the server's, or the next
/// command's.
const PERIOD_ROUNDS_MAX: u32 = 3;

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units there are, as far as known.
    pub total: u64,
    /// What is counted.
    pub what: &'static str,
}

/// A project opened in this process.
pub struct Local {
    context: Arc<Context>,
    router: axum::Router,
    runner: Runner,
    /// Whether the runner works events off while they come.
    serving: Arc<AtomicBool>,
    reopened: tokio::sync::OnceCell<()>,
    /// Whether some key has been made; a server others can reach needs one.
    pub has_keys: bool,
}

impl Local {
    /// Opens the project's stores; fails when another process has them open.
    pub async fn open(project: &Project) -> Result<Local, Failure> {
        Local::open_to(project, true).await
    }

    /// Opens the project's stores; `open`: callers without a key may do everything, as on loopback.
    pub async fn open_to(project: &Project, open: bool) -> Result<Local, Failure> {
        let store = Store::open(&project.store(), Arc::new(SystemClock)).map_err(|error| failure(&error))?;
        let store = Arc::new(store);
        let mut context = store.context();
        context.fold_bytes_max = (project.settings.fold_memory_mib as usize) << 20;
        let context = Arc::new(context);
        let has_keys = tidemill_api::has_keys(&context).await.map_err(|error| failure(&error))?;
        let repair_attempts = project.settings.repair_attempts;
        let serving = Arc::new(AtomicBool::new(false));
        let upkeep = Upkeep { serving: Arc::clone(&serving), turn: Arc::default() };
        let wired = Wired { context: Arc::clone(&context), repair_attempts, upkeep };
        let runner = Runner::new(store, Arc::new(wired)).map_err(|error| failure(&error))?;
        // A command that serves nobody works events off when it is done with them; they wait on disk until then.
        let backlog = runner.backlog();
        let is_serving = Arc::clone(&serving);
        let backlog = Arc::new(move || if is_serving.load(Ordering::Relaxed) { backlog() } else { 0 });
        let router = tidemill_api::router_before(Arc::clone(&context), open, backlog);
        Ok(Local { context, router, runner, serving, reopened: tokio::sync::OnceCell::new(), has_keys })
    }

    /// The same router a server serves.
    pub fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// Brings running totals and pages up to date with the events.
    pub async fn drain_feed(&self) -> Result<(), Failure> {
        self.runner.drain_feed().await.map_err(unfinished)
    }

    /// Does everything that is due, requests included; days that changed are due at once, not at the next look.
    pub async fn drain(&self, on: &mut (dyn FnMut(Progress) + Send)) -> Result<(), Failure> {
        let on = std::sync::Mutex::new((on, [0u64; 2]));
        let report = |progress: tidemill_local::Progress| {
            let Ok(mut on) = on.lock() else { return };
            let feed = progress.changes_waiting + progress.changes_unsealed;
            let (at, left, what) =
                if feed > 0 { (0, feed, "changes") } else { (1, progress.requests_waiting, "requests") };
            on.1[at] = on.1[at].max(left);
            let total = on.1[at];
            (on.0)(Progress { done: total - left, total, what });
        };
        self.reopen().await?;
        self.drain_feed().await?;
        let tenant = Tenant::local();
        let dirty = PageStore::new(&self.context).dirty(&tenant, 1).await.map_err(|error| failure(&error))?;
        if !dirty.is_empty() {
            ActivityStore::new(&self.context).fire_now(&tenant).await.map_err(|error| failure(&error))?;
        }
        self.runner.drain(&report).await.map_err(unfinished)?;
        for _ in 0..PERIOD_ROUNDS_MAX {
            // What was computed may have changed periods that closed long ago.
            let marks = DirtyPeriodStore::new(&self.context).list(&tenant, 1).await.map_err(|error| failure(&error))?;
            if marks.is_empty() {
                break;
            }
            ActivityStore::new(&self.context).repair_now(&tenant).await.map_err(|error| failure(&error))?;
            self.runner.drain(&report).await.map_err(unfinished)?;
        }
        Ok(())
    }

    /// Goes on with backfills that a process which is gone was working on. This one has the project alone.
    async fn reopen(&self) -> Result<(), Failure> {
        self.reopened
            .get_or_try_init(|| on_wave::reopen(&self.context))
            .await
            .map(|_| ())
            .map_err(|error| failure(&error))
    }

    /// Serves until `shutdown`, doing what is due meanwhile.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Failure> {
        self.reopen().await?;
        self.serving.store(true, Ordering::Relaxed);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut served_until = stopped.clone();
        let mut run_until = stopped;
        tokio::spawn(async move {
            shutdown.await;
            stop.send_replace(true);
        });
        let serving = axum::serve(listener, self.router).with_graceful_shutdown(async move {
            let _ended = served_until.wait_for(|stopped| *stopped).await;
        });
        let running = self.runner.run(async move {
            let _ended = run_until.wait_for(|stopped| *stopped).await;
        });
        let (served, ()) = tokio::join!(serving, running);
        served.map_err(|error| Failure::failed("TM0911", format!("the server stopped: {error}")))
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Conflict(why) => Failure::failed("TM0912", why.clone())
            .help("let it finish, or talk to it: a running `tidemill up` is found by itself"),
        other => Failure::failed("TM0913", other.to_string()).help("run `tidemill doctor`"),
    }
}

fn unfinished(failures: Vec<tidemill_local::Failure>) -> Failure {
    let mut failure =
        Failure::failed("TM0915", "some work did not succeed; nothing is lost, and it will be tried again");
    failure.detail = failures.iter().map(|failure| format!("{}: {}", failure.what, failure.reason)).collect();
    failure
}

/// The handlers, wired to one context.
struct Wired {
    context: Arc<Context>,
    repair_attempts: u32,
    upkeep: Upkeep,
}

/// The upkeep of pages: beside everything else, one at a time, and only where a server runs.
struct Upkeep {
    serving: Arc<AtomicBool>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Upkeep {
    /// Starts it, unless it is at work. It may be killed anywhere, and its schedule comes round again.
    fn start(&self, context: &Arc<Context>, tenant: Tenant) {
        if !self.serving.load(Ordering::Relaxed) {
            return;
        }
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else { return };
        let context = Arc::clone(context);
        tokio::spawn(async move {
            // It has said what went wrong; what it left comes with the next firing.
            let _outcome = on_upkeep(&context, &tenant).await;
            drop(turn);
        });
    }
}

#[async_trait]
impl Handlers for Wired {
    async fn on_changes(&self, shard: &ShardId, changes: Vec<Change>) -> Outcome {
        on_changes(&self.context, shard, &changes).await
    }

    async fn on_seal(&self, shard: &ShardId, changes: Vec<Change>) -> Outcome {
        on_seal(&self.context, shard, &changes).await
    }

    async fn on_request(&self, messages: &[Message]) -> Vec<Outcome> {
        on_delivery(&self.context, self.repair_attempts, messages).await
    }

    async fn on_firing(&self, name: &str, payload: &Bytes, scheduled: Timestamp) -> Outcome {
        match serde_json::from_slice(payload) {
            Ok(Firing::Upkeep { tenant }) => {
                self.upkeep.start(&self.context, Tenant(tenant));
                Outcome::Done
            }
            _ => on_firing(&self.context, name, payload, scheduled).await,
        }
    }
}
