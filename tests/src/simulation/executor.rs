//! Tasks on one thread, polled in an order drawn from a seed.
//!
//! A task that waits for a port has let go of its own accord and can be polled again at once; which one is, is drawn. A
//! task that waits for anything else waits for work on a thread beside it, such as a compaction's: the executor waits with
//! it, so that such work ends at the same place every time.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tidemill_schemas::time::Timestamp;

use crate::generator::Random;

/// How long a thread may work aside before something must be stuck, in real time.
const ASIDE_MAX: Duration = Duration::from_secs(60);

thread_local! {
    /// Who is being polled.
    static ACTOR: Cell<u64> = const { Cell::new(0) };
    /// Where the task that is being polled let go.
    static LET_GO: Cell<Option<Place>> = const { Cell::new(None) };
}

/// The number of the task that is being polled; 0 outside of any.
pub(super) fn actor() -> u64 {
    ACTOR.get()
}

/// Where a task lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before a write.
    Write,
    /// Before or after anything else.
    Call,
}

/// Lets go once: whoever else is there may come between.
pub(super) async fn let_go(place: Place) {
    let mut gone = false;
    std::future::poll_fn(|context| {
        if gone {
            return Poll::Ready(());
        }
        gone = true;
        LET_GO.set(Some(place));
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Rings when a task can go on.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn hush(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Waits for a thread that works aside: no task of a world waits for another one.
    fn wait(&self) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(rung, ASIDE_MAX, |rung| !*rung);
        let (rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(*rung, "a task waits for something that never comes");
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }
}

struct Task<T> {
    id: u64,
    future: Pin<Box<dyn Future<Output = T>>>,
    bell: Arc<Bell>,
    /// Not polled before this time: an invocation whose machine was put to sleep.
    asleep_until: Option<Timestamp>,
}

/// What a step came to.
pub(super) enum Stepped<T> {
    /// Nothing can move now.
    Nothing,
    /// This task moved, and let go here.
    Moved(u64, Place),
    /// This task ended.
    Ended(u64, T),
}

/// The tasks of a world.
pub(super) struct Executor<T> {
    tasks: Vec<Task<T>>,
    started: u64,
}

impl<T> Executor<T> {
    pub(super) fn new() -> Executor<T> {
        Executor { tasks: Vec::new(), started: 0 }
    }

    /// Adds a task; its number, never given twice.
    pub(super) fn start(&mut self, future: impl Future<Output = T> + 'static) -> u64 {
        self.started += 1;
        let (future, bell) = (Box::pin(future), Arc::default());
        self.tasks.push(Task { id: self.started, future, bell, asleep_until: None });
        self.started
    }

    /// Drops a task where it stands: a crash.
    pub(super) fn kill(&mut self, id: u64) {
        self.tasks.retain(|task| task.id != id);
    }

    /// Puts a task to sleep: a machine that was frozen and goes on later.
    pub(super) fn sleep(&mut self, id: u64, until: Timestamp) {
        if let Some(task) = self.tasks.iter_mut().find(|task| task.id == id) {
            task.asleep_until = Some(until);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn awake(&self, now: Timestamp) -> usize {
        self.tasks.iter().filter(|task| is_awake(task, now)).count()
    }

    /// When the next sleeper wakes up.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.tasks.iter().filter_map(|task| task.asleep_until).min()
    }

    /// Polls one task that is awake.
    ///
    /// # Panics
    /// When it waits for something that never comes.
    pub(super) fn step(&mut self, now: Timestamp, random: &mut Random) -> Stepped<T> {
        let ready: Vec<usize> = (0..self.tasks.len()).filter(|at| is_awake(&self.tasks[*at], now)).collect();
        if ready.is_empty() {
            return Stepped::Nothing;
        }
        let at = ready[random.below(ready.len() as u64) as usize];
        let task = &mut self.tasks[at];
        task.asleep_until = None;
        let (id, waker) = (task.id, Waker::from(Arc::clone(&task.bell)));
        ACTOR.set(id);
        let ended = loop {
            task.bell.hush();
            LET_GO.set(None);
            if let Poll::Ready(end) = task.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                break Ok(end);
            }
            if let Some(place) = LET_GO.get() {
                break Err(place);
            }
            task.bell.wait();
        };
        ACTOR.set(0);
        match ended {
            Ok(end) => {
                self.tasks.remove(at);
                Stepped::Ended(id, end)
            }
            Err(place) => Stepped::Moved(id, place),
        }
    }
}

fn is_awake<T>(task: &Task<T>, now: Timestamp) -> bool {
    task.asleep_until.is_none_or(|until| until <= now)
}
