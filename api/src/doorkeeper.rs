//! Who may bring events in now: so many requests and bytes at once, and none while what is stored is not worked off.
//!
//! Whoever has to wait is told so (429 and Retry-After) before a byte of the body is read. Nothing is queued here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tidemill_schemas::event::REQUEST_BYTES_MAX;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::Problem;

/// Requests with events that may be under way at once.
pub const EVENT_REQUESTS_MAX: usize = 64;
/// Bytes of their bodies, after inflating; decoded, events take about eight times as much.
pub const EVENT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Changes of events that are stored and not yet in running totals and pages.
pub const BACKLOG_CHANGES_MAX: u64 = 1_000_000;
/// Seconds a body may take to arrive.
const BODY_SECONDS_MAX: u64 = 60;
/// Seconds after which to come again while the backlog is worked off.
const BACKLOG_SECONDS: u32 = 2;
/// What gzip begins with. How much such a body inflates to is known only afterwards, so it counts as the most.
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// How many changes the slowest consumer of the feed is behind.
pub type Backlog = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What is under way.
pub struct Doorkeeper {
    requests: Semaphore,
    bytes: Semaphore,
    backlog: Backlog,
}

/// The right to bring one body in, given back when it is dropped.
pub struct Turn<'d> {
    keeper: &'d Doorkeeper,
    _request: SemaphorePermit<'d>,
    bytes: SemaphorePermit<'d>,
}

impl Doorkeeper {
    pub fn new(backlog: Backlog) -> Doorkeeper {
        Doorkeeper { requests: Semaphore::new(EVENT_REQUESTS_MAX), bytes: Semaphore::new(EVENT_BYTES_MAX), backlog }
    }

    /// Lets a request in whose headers are these, before its body is read.
    pub fn let_in(&self, headers: &HeaderMap) -> Result<Turn<'_>, Problem> {
        let behind = (self.backlog)();
        if behind > BACKLOG_CHANGES_MAX {
            return Err(Problem::behind(behind, BACKLOG_CHANGES_MAX, BACKLOG_SECONDS));
        }
        let request = self.requests.try_acquire().map_err(|_| Problem::busy())?;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        // A body of unknown length counts as the longest; a longer one is refused while it is read.
        let length = length.unwrap_or(REQUEST_BYTES_MAX).min(REQUEST_BYTES_MAX);
        Ok(Turn { keeper: self, _request: request, bytes: self.permits(length)? })
    }

    fn permits(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Problem> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes.try_acquire_many(bytes).map_err(|_| Problem::busy())
    }
}

impl Turn<'_> {
    /// Reads the body it was given for; whoever sends it too slowly makes room for others.
    pub async fn body(&mut self, body: Body) -> Result<Bytes, Problem> {
        let most = Duration::from_secs(BODY_SECONDS_MAX);
        tokio::time::timeout(most, self.read(body)).await.unwrap_or_else(|_| Err(Problem::slow(BODY_SECONDS_MAX)))
    }

    async fn read(&mut self, body: Body) -> Result<Bytes, Problem> {
        let (mut pieces, mut held) = (body.into_data_stream(), BytesMut::new());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|why| Problem::unreadable(format!("the body could not be read: {why}")))?;
            if held.len() + piece.len() > REQUEST_BYTES_MAX {
                return Err(Problem::too_large("the body is longer than 16 MiB; send it in parts"));
            }
            held.extend_from_slice(&piece);
        }
        let counted = self.bytes.num_permits();
        if held.starts_with(&GZIP_MAGIC) && counted < REQUEST_BYTES_MAX {
            self.bytes.merge(self.keeper.permits(REQUEST_BYTES_MAX - counted)?);
        }
        Ok(held.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(length: usize) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, length.into())])
    }

    #[test]
    fn bytes_under_way_are_bounded_whatever_their_requests_are() {
        let keeper = Doorkeeper::new(Arc::new(|| 0));
        let most = EVENT_BYTES_MAX / REQUEST_BYTES_MAX;
        let mut turns: Vec<_> = (0..most).map(|_| keeper.let_in(&HeaderMap::new()).ok()).collect();
        assert!(turns.iter().all(Option::is_some));
        assert!(keeper.let_in(&headers(1)).is_err(), "one byte more");
        turns.pop();
        assert!(keeper.let_in(&headers(REQUEST_BYTES_MAX)).is_ok(), "whoever is done gives its bytes back");
    }

    #[tokio::test]
    async fn a_body_that_can_grow_counts_as_the_longest() {
        let keeper = Doorkeeper::new(Arc::new(|| 0));
        let Ok(mut turn) = keeper.let_in(&headers(4)) else { panic!("there is room") };
        assert!(turn.body(Body::from(vec![0x1F, 0x8B, 8, 0])).await.is_ok());
        assert_eq!(keeper.bytes.available_permits(), EVENT_BYTES_MAX - REQUEST_BYTES_MAX);
    }
}
