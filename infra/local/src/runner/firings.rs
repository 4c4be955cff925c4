//! Firings: deliver what is due, note it as done afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemill_ports::{Entry, Error, Outcome};
use tidemill_schemas::time::Timestamp;
use tokio::sync::watch;

use super::{Shared, backoff_micros, guarded, held};

/// How a firing's name is introduced in a failure.
pub(super) const WHAT: &str = "firing ";
/// Pause after an error of the schedule itself, in seconds.
const SCHEDULE_ERROR_PAUSE_SECONDS: i64 = 5;

/// Deliveries in a row that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    count: u32,
    retry_at: Option<Timestamp>,
}

/// What one look came to.
#[derive(Default)]
pub(super) struct Fired {
    /// Firings that are done.
    pub done: usize,
    /// Names of firings that failed and are due still, with the reason.
    pub failures: Vec<(String, String)>,
    /// When to look again.
    pub next: Option<Timestamp>,
}

/// Fires in the background until told to stop.
pub(super) async fn serve(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let mut bell = shared.store.schedule.changed();
    while !*stopping.borrow_and_update() {
        bell.borrow_and_update();
        let until = match fire_due(&shared, false, &BTreeSet::new()).await {
            Ok(fired) if fired.done > 0 => continue,
            Ok(fired) => fired.next,
            Err(error) => {
                tracing::warn!(%error, "the schedule cannot be read");
                Some(shared.now().plus_seconds(SCHEDULE_ERROR_PAUSE_SECONDS))
            }
        };
        shared.rest(until, &mut bell, &mut stopping).await;
    }
}

/// Fires everything due, one after the other, except what is in `given_up`. In haste a pause after a failure is not
/// waited for.
pub(super) async fn fire_due(shared: &Shared, haste: bool, given_up: &BTreeSet<String>) -> Result<Fired, Error> {
    let mut attempts = shared.firings.lock().await;
    let now = shared.now();
    let due = shared.store.schedule.due(now)?;
    let mut fired = Fired::default();
    let names: BTreeSet<String> = due.iter().map(|(entry, _)| entry.name.clone()).collect();
    attempts.retain(|name, _| names.contains(name));
    for (entry, scheduled) in due {
        let tried = attempts.get(&entry.name).copied().unwrap_or_default();
        let paused = !haste && tried.retry_at.is_some_and(|time| now < time);
        if paused || given_up.contains(&entry.name) {
            continue;
        }
        match fire(shared, &entry, scheduled).await {
            Ok(()) => {
                fired.done += 1;
                attempts.remove(&entry.name);
                held(&shared.firings_failing).remove(&entry.name);
            }
            Err(reason) => {
                if tried.count == 0 {
                    tracing::warn!(firing = %entry.name, reason, "a firing failed; trying again with growing pauses");
                }
                let count = tried.count.saturating_add(1);
                let retry_at = Some(shared.now().plus_micros(backoff_micros(count)));
                attempts.insert(entry.name.clone(), Attempts { count, retry_at });
                held(&shared.firings_failing).insert(entry.name.clone(), reason.clone());
                fired.failures.push((entry.name, reason));
            }
        }
        shared.note_step();
    }
    fired.next = next(shared, &attempts)?;
    Ok(fired)
}

/// When to look again: at the end of a pause, or when the next entry that is not failing fires.
fn next(shared: &Shared, attempts: &BTreeMap<String, Attempts>) -> Result<Option<Timestamp>, Error> {
    let paused = attempts.values().filter_map(|attempts| attempts.retry_at).min();
    let names: BTreeSet<&str> = attempts.keys().map(String::as_str).collect();
    let scheduled = shared.store.schedule.next_except(&names)?;
    Ok([paused, scheduled].into_iter().flatten().min())
}

/// One delivery.
async fn fire(shared: &Shared, entry: &Entry, scheduled: Timestamp) -> Result<(), String> {
    let outcome = guarded(shared.handlers.on_firing(&entry.name, &entry.payload, scheduled)).await?;
    match outcome {
        Outcome::Done => {}
        Outcome::RetryFrom(_) => return Err("the handler asked for the delivery again".to_owned()),
        Outcome::Park(reason) => {
            tracing::error!(firing = %entry.name, reason, "a firing can never be done; it is dropped");
        }
    }
    shared.store.schedule.done(&entry.name, scheduled).await.map_err(|error| error.to_string())
}
