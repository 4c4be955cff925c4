//! Draining: everything that is due, at once, until nothing is left or what is left keeps failing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::lane::{Lane, Step};
use super::requests::{self, Retry};
use super::{Consumer, DRAIN_ATTEMPTS_MAX, Failure, Progress, REQUEST_DELIVERIES_MAX, Shared, firings};

/// Pause before a delivery that made no progress is tried again; what it waits for is most often a moment's work of
/// another lane.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);

/// What a part of a drain came to.
#[derive(Default)]
struct Work {
    /// Deliveries that moved something.
    moved: usize,
    failures: Vec<Failure>,
}

/// Both consumers of every shard, side by side.
pub(super) async fn drain_feed(shared: &Arc<Shared>, progress: &impl Fn(Progress)) -> Result<(), Vec<Failure>> {
    let failures = lanes(shared, &BTreeMap::new(), progress).await.failures;
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// Feed, firings, requests, and again, until a round moves nothing.
pub(super) async fn drain(shared: &Arc<Shared>, progress: &impl Fn(Progress)) -> Result<(), Vec<Failure>> {
    let mut given_up: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut moved = 0;
        let mut note = |work: Work, given_up: &mut BTreeMap<String, String>| {
            moved += work.moved;
            given_up.extend(work.failures.into_iter().map(|failure| (failure.what, failure.reason)));
        };
        note(lanes(shared, &given_up, progress).await, &mut given_up);
        note(due_firings(shared, &given_up).await, &mut given_up);
        let mut takers = JoinSet::new();
        for _ in 0..REQUEST_DELIVERIES_MAX {
            takers.spawn(visible_requests(Arc::clone(shared)));
        }
        note(watch_over(shared, takers, progress).await, &mut given_up);
        requests::settle(shared).await;
        if moved == 0 {
            break;
        }
    }
    if given_up.is_empty() {
        return Ok(());
    }
    Err(given_up.into_iter().map(|(what, reason)| Failure { what, reason }).collect())
}

/// Every lane that was not given up, until it is idle or stuck.
async fn lanes(shared: &Arc<Shared>, given_up: &BTreeMap<String, String>, progress: &impl Fn(Progress)) -> Work {
    let mut tasks = JoinSet::new();
    for lane in shared.lanes.iter().filter(|lane| !given_up.contains_key(&lane.label())) {
        tasks.spawn(drain_lane(Arc::clone(lane), Arc::clone(shared)));
    }
    watch_over(shared, tasks, progress).await
}

async fn drain_lane(lane: Arc<Lane>, shared: Arc<Shared>) -> Work {
    let mut work = Work::default();
    let mut attempts = 0;
    loop {
        match lane.step(&shared, true).await {
            Step::Idle => return work,
            Step::Moved => {
                attempts = 0;
                work.moved += 1;
            }
            // Not said in haste; if it were, it is no progress.
            Step::Later(_) => return work,
            Step::Stuck(reason) => {
                attempts += 1;
                if attempts == DRAIN_ATTEMPTS_MAX {
                    work.failures.push(Failure { what: lane.label(), reason });
                    return work;
                }
                tokio::time::sleep(DRAIN_PAUSE).await;
            }
        }
    }
}

/// What is due, each attempted a bounded number of times.
async fn due_firings(shared: &Shared, given_up: &BTreeMap<String, String>) -> Work {
    let mut work = Work::default();
    let mut skipped: BTreeSet<String> =
        given_up.keys().filter_map(|what| what.strip_prefix(firings::WHAT)).map(str::to_owned).collect();
    let mut attempts: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        let fired = match firings::fire_due(shared, true, &skipped).await {
            Ok(fired) => fired,
            Err(error) => {
                work.failures.push(Failure { what: "schedule".to_owned(), reason: error.to_string() });
                return work;
            }
        };
        work.moved += fired.done;
        if fired.failures.is_empty() {
            return work;
        }
        for (name, reason) in fired.failures {
            let count = attempts.entry(name.clone()).or_default();
            *count += 1;
            if *count == DRAIN_ATTEMPTS_MAX {
                work.failures.push(Failure { what: format!("{}{name}", firings::WHAT), reason });
                skipped.insert(name);
            }
        }
    }
}

/// What is visible, and what deliveries under way bring: a taker that finds nothing stays while another one works.
async fn visible_requests(shared: Arc<Shared>) -> Work {
    let mut work = Work::default();
    let mut bell = shared.store.requests.changed();
    let mut stepped = shared.stepped.subscribe();
    loop {
        bell.borrow_and_update();
        stepped.borrow_and_update();
        let taken = requests::take(&shared, &Retry::AtOnce(DRAIN_ATTEMPTS_MAX)).await;
        match taken {
            Ok(taken) if taken.messages == 0 => {
                if shared.requests.available_permits() == REQUEST_DELIVERIES_MAX {
                    shared.note_step();
                    return work;
                }
                tokio::select! {
                    _ = bell.changed() => {}
                    _ = stepped.changed() => {}
                }
            }
            Ok(taken) => {
                // Again, now that its turn is over: whoever waits for that looks once more.
                shared.note_step();
                work.moved += taken.messages;
                work.failures.extend(taken.failures);
            }
            Err(error) => {
                shared.note_step();
                work.failures.push(Failure { what: "request queue".to_owned(), reason: error.to_string() });
                return work;
            }
        }
    }
}

/// Waits for the tasks and tells how far everything is after each delivery.
async fn watch_over(shared: &Shared, mut tasks: JoinSet<Work>, progress: &impl Fn(Progress)) -> Work {
    let mut stepped = shared.stepped.subscribe();
    let mut all = Work::default();
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(Ok(work)) => {
                    all.moved += work.moved;
                    all.failures.extend(work.failures);
                }
                Some(Err(error)) => {
                    all.failures.push(Failure { what: "drain".to_owned(), reason: error.to_string() });
                }
                None => break,
            },
            _ = stepped.changed() => progress(measure(shared)),
        }
    }
    progress(measure(shared));
    all.failures.sort_by(|left, right| left.what.cmp(&right.what));
    all
}

/// How far everything is; what cannot be read counts as nothing, since its reader says so itself.
fn measure(shared: &Shared) -> Progress {
    let behind = |consumer: Consumer| {
        let lanes = shared.lanes.iter().filter(|lane| lane.consumer == consumer);
        lanes.map(|lane| lane.behind(shared).unwrap_or(0)).sum()
    };
    Progress {
        changes_waiting: behind(Consumer::Changes),
        changes_unsealed: behind(Consumer::Seal),
        requests_waiting: shared.store.requests.depth().unwrap_or_default().messages,
    }
}
