//! Requests: take what is visible, deliver, and do with each message what its outcome says.

use std::sync::Arc;

use tidemill_ports::{Error, Message, Outcome, QUEUE_BATCH_MAX, Queue};
use tidemill_schemas::time::MICROS_PER_SECOND;
use tidemill_schemas::window::Position;
use tokio::sync::watch;

use super::{Failure, REQUEST_DELIVERIES_MAX, REQUEST_HIDE_SECONDS, Shared, backoff_micros, guarded};

/// Pause after an error of the queue itself, in seconds.
const QUEUE_ERROR_PAUSE_SECONDS: i64 = 5;

/// How a drain treats a message that is to be retried.
pub(super) enum Retry {
    /// Visible again after a pause.
    Later,
    /// Visible again at once, up to so many deliveries in this drain.
    AtOnce(u32),
}

/// What one delivery came to.
#[derive(Default)]
pub(super) struct Taken {
    /// Messages delivered.
    pub messages: usize,
    /// Those that will not be tried again for now.
    pub failures: Vec<Failure>,
}

/// Delivers in the background until told to stop.
pub(super) async fn serve(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let mut bell = shared.store.requests.changed();
    while !*stopping.borrow_and_update() {
        bell.borrow_and_update();
        let until = match take(&shared, &Retry::Later).await {
            Ok(taken) if taken.messages > 0 => continue,
            Ok(_) => shared.store.requests.next_visible(),
            Err(error) => Err(error),
        };
        let until = until.unwrap_or_else(|error| {
            tracing::warn!(%error, "the request queue cannot be read");
            Some(shared.now().plus_seconds(QUEUE_ERROR_PAUSE_SECONDS))
        });
        shared.rest(until, &mut bell, &mut stopping).await;
    }
}

/// One delivery of what is visible.
pub(super) async fn take(shared: &Shared, retry: &Retry) -> Result<Taken, Error> {
    let _turn = shared.requests.acquire().await.map_err(|_| Error::Unavailable("the runner has stopped".to_owned()))?;
    let queue = &shared.store.requests;
    let messages = queue.receive(QUEUE_BATCH_MAX, REQUEST_HIDE_SECONDS).await?;
    if messages.is_empty() {
        return Ok(Taken::default());
    }
    let outcomes = deliver(shared, &messages).await;
    let mut taken = Taken { messages: messages.len(), failures: Vec::new() };
    let mut done = Vec::new();
    for (message, outcome) in messages.iter().zip(outcomes) {
        match outcome {
            Outcome::Done => done.push(message.receipt.clone()),
            Outcome::RetryFrom(_) => taken.failures.extend(put_back(shared, message, retry).await?),
            Outcome::Park(reason) => {
                tracing::error!(reason, "a request can never be done; it is in the dead letters");
                queue.park(&message.receipt).await?;
                taken.failures.push(failure(message, reason));
            }
        }
    }
    if !done.is_empty() {
        queue.delete(done).await?;
    }
    shared.note_step();
    Ok(taken)
}

/// An outcome for each message. When the handler panics it gets them one by one, so that the one it panics over does
/// not take the others along.
async fn deliver(shared: &Shared, messages: &[Message]) -> Vec<Outcome> {
    let again = Outcome::RetryFrom(Position::default());
    if let Ok(mut outcomes) = guarded(shared.handlers.on_request(messages)).await {
        outcomes.resize(messages.len(), again);
        return outcomes;
    }
    tracing::error!(messages = messages.len(), "the handler of requests panicked; see above");
    if messages.len() == 1 {
        return vec![again];
    }
    let mut outcomes = Vec::with_capacity(messages.len());
    for message in messages {
        let alone = guarded(shared.handlers.on_request(std::slice::from_ref(message))).await;
        outcomes.push(alone.ok().and_then(|mut outcomes| outcomes.pop()).unwrap_or_else(|| again.clone()));
    }
    outcomes
}

async fn put_back(shared: &Shared, message: &Message, retry: &Retry) -> Result<Option<Failure>, Error> {
    let pause_seconds = u32::try_from(backoff_micros(message.deliveries) / MICROS_PER_SECOND + 1).unwrap_or(u32::MAX);
    let (pause_seconds, failure) = match retry {
        Retry::AtOnce(most) if message.deliveries < *most => (0, None),
        Retry::AtOnce(_) => {
            let reason = format!("tried {} times without success", message.deliveries);
            (pause_seconds, Some(failure(message, reason)))
        }
        Retry::Later => (pause_seconds, None),
    };
    shared.store.requests.release(&message.receipt, pause_seconds).await?;
    Ok(failure)
}

fn failure(message: &Message, reason: String) -> Failure {
    Failure { what: format!("request {}", message.receipt), reason }
}

/// Waits until no delivery is under way in this process.
pub(super) async fn settle(shared: &Shared) {
    // Closing never happens, so this only waits.
    drop(shared.requests.acquire_many(REQUEST_DELIVERIES_MAX as u32).await);
}
