//! The whole system in memory: ports, handlers and router, moved by hand.
//!
//! In: requests over HTTP, and time. Out: answers. [`World::settle`] delivers what has come up in ever another way: cut
//! at random, some of it twice, overlapping with what is done. It never waits, and has no time but its clock's.

mod compact;
mod deliver;
mod import;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bytes::Bytes;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_aggregator::snapshot_store::{Series, Snapshot, SnapshotStore};
use tidemill_ports::counted::Counter;
use tidemill_ports::{Clock, Condition, Context, Effect, Write};
use tidemill_rollups::merge::REPAIR_ATTEMPTS_DEFAULT;
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::request::{ComputeSnapshotRequest, Reason};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, ShardId};
use tower::ServiceExt;

use crate::fault::Faults;
use crate::memory::MemoryWorld;

/// Attempts of one thing under faults before the faults are turned off.
const ATTEMPTS_MAX: u32 = 40;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Who reads the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Consumer {
    Changes,
    Seal,
}

/// The system.
pub struct World {
    /// The ports themselves, without faults.
    pub ports: MemoryWorld,
    /// What fails, and how many calls there were.
    pub faults: Arc<Faults>,
    /// What was asked of the ports, with what AWS would bill for it.
    pub counter: Arc<Counter>,
    /// The ports as the system sees them.
    pub context: Arc<Context>,
    /// What has fired, by name and the time it was scheduled for.
    pub firings: Vec<(String, Timestamp)>,
    /// How often a period asks for its missing days.
    pub repair_attempts: u32,
    /// Whether settling compacts days at random.
    pub compacts: bool,
    /// Days that were compacted, and objects that were removed for it.
    pub compacted: (u64, u64),
    router: axum::Router,
    cursors: BTreeMap<(Consumer, ShardId), Position>,
}

impl World {
    /// An empty system at `now` without faults, whose feed has so many shards.
    pub fn new(now: Timestamp, shards: u16) -> World {
        World::with(now, shards, Faults::none(), true)
    }

    /// An empty system with faults; `open`: callers without a key may do everything.
    pub fn with(now: Timestamp, shards: u16, faults: Arc<Faults>, open: bool) -> World {
        World::over(MemoryWorld::new(now, shards), faults, open)
    }

    /// A system over these ports.
    pub fn over(ports: MemoryWorld, faults: Arc<Faults>, open: bool) -> World {
        let counter = Counter::new();
        let context = Arc::new(counter.around(&faults.around(&ports.context())));
        let router = tidemill_api::router(Arc::clone(&context), open);
        let repair_attempts = REPAIR_ATTEMPTS_DEFAULT;
        let (firings, cursors) = (Vec::new(), BTreeMap::new());
        let (compacts, compacted) = (true, (0, 0));
        World { ports, faults, counter, context, firings, repair_attempts, compacts, compacted, router, cursors }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// One request over HTTP; `key`: a bearer token.
    ///
    /// # Panics
    /// When the request cannot be built.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: impl Into<Body>,
    ) -> (StatusCode, String) {
        let (status, _, answer) = self.answer(method, path, key, body).await;
        (status, answer)
    }

    /// The same, with the seconds after which to come again.
    async fn answer(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: impl Into<Body>,
    ) -> (StatusCode, Option<i64>, String) {
        let method = Method::from_bytes(method.as_bytes()).expect("tests know methods");
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request.body(body.into()).expect("tests build requests");
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.expect("answers end");
        (status, seconds, String::from_utf8(body.to_vec()).expect("answers are text"))
    }

    /// A read with headers of one's own: status, headers and bytes.
    ///
    /// # Panics
    /// When the request cannot be built.
    pub async fn read(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("tests build requests");
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, ANSWER_BYTES_MAX).await.expect("answers end"))
    }

    /// A request that must succeed; sent again while a store does not answer.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn must(&self, method: &str, path: &str, body: &str) -> String {
        for attempt in 0.. {
            self.lose_patience(attempt);
            let (status, seconds, answer) = self.answer(method, path, None, body.to_owned()).await;
            if status.is_success() {
                return answer;
            }
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{method} {path}: {answer}\n{body}");
            if answer.contains("TM0142") {
                // An import is announced, being committed, or died while it was: whoever comes again does so later.
                self.ports.clock.set(self.now().plus_seconds(seconds.expect("whoever is to come again hears when")));
            }
        }
        unreachable!("there is always another attempt")
    }

    /// Sends events as NDJSON; the receipt.
    pub async fn send(&self, ndjson: &str) -> serde_json::Value {
        json(&self.must("POST", "/v1/events", ndjson).await)
    }

    /// Applies a definition under its name.
    pub async fn apply(&self, name: &str, yaml: &str) -> serde_json::Value {
        json(&self.must("PUT", &format!("/v1/insights/{name}"), yaml).await)
    }

    /// Applies a definition if what was seen so far allows it; `None` when it names a property that was only seen at
    /// another type, or is a slip away from one that was seen (TM0308).
    ///
    /// # Panics
    /// When it is refused for any other reason.
    pub async fn try_apply(&self, name: &str, yaml: &str) -> Option<serde_json::Value> {
        let path = format!("/v1/insights/{name}");
        for attempt in 0.. {
            self.lose_patience(attempt);
            let (status, answer) = self.call("PUT", &path, None, yaml.to_owned()).await;
            match status {
                StatusCode::SERVICE_UNAVAILABLE => {}
                StatusCode::UNPROCESSABLE_ENTITY => {
                    let found = &json(&answer)["detail"];
                    let of_catalogue = |found: &serde_json::Value| {
                        found["severity"] != "error" || ["TM0241", "TM0242"].iter().any(|code| found["code"] == **code)
                    };
                    let found = found.as_array().expect("a refused definition says why");
                    assert!(found.iter().all(of_catalogue), "{answer}\n{yaml}");
                    return None;
                }
                status => {
                    assert!(status.is_success(), "{answer}\n{yaml}");
                    return Some(json(&answer));
                }
            }
        }
        unreachable!("there is always another attempt")
    }

    /// The body of a read.
    pub async fn query(&self, insight: &str, route: &str, parameters: &str) -> String {
        self.must("GET", &format!("/v1/insights/{insight}/{route}?{parameters}"), "").await
    }

    /// Asks for all of history of every insight.
    pub async fn backfill(&self) {
        self.must("POST", "/v1/backfills", "{}").await;
    }

    /// Asks for days of an insight as its refresh schedule does: incremental ones are answered from their totals.
    ///
    /// # Panics
    /// When a store fails although there are no faults any more.
    pub async fn refresh(&self, insight: &str, first: Date, last: Date) {
        self.request(insight, Period::Day, (first, last), Reason::Refresh).await;
    }

    /// Asks for days, or whole longer periods, of an insight.
    ///
    /// # Panics
    /// When a store fails although there are no faults any more.
    pub async fn request(&self, insight: &str, period: Period, (first, last): (Date, Date), reason: Reason) {
        let explained = json(&self.must("GET", &format!("/v1/insights/{insight}"), "").await);
        let request = ComputeSnapshotRequest {
            tenant: Tenant::local().0,
            insight: insight.to_owned(),
            fingerprint: explained["fingerprint"].as_str().expect("every insight has one").to_owned(),
            period,
            first,
            last,
            reason,
            requested_at: self.now(),
        };
        for attempt in 0.. {
            self.lose_patience(attempt);
            if RequestStore::new(&self.context).send(std::slice::from_ref(&request)).await.is_ok() {
                return;
            }
        }
    }

    /// Removes stored periods of an insight, as no code of ours ever does.
    ///
    /// # Panics
    /// When they cannot be removed.
    pub async fn lose(&self, insight: &str, period: Period, firsts: &[Date]) {
        let explained = json(&self.must("GET", &format!("/v1/insights/{insight}"), "").await);
        let fingerprint = explained["fingerprint"].as_str().expect("every insight has one").to_owned();
        for first in firsts {
            let parts = [keys::SnapshotPart::Header, keys::SnapshotPart::Digest];
            let lost = parts.map(|part| Write {
                key: keys::snapshot(&Tenant::local(), insight, &fingerprint, period, *first, part),
                condition: Condition::None,
                effect: Effect::Delete,
            });
            self.ports.context().items.write(lost.to_vec()).await.expect("memory writes");
        }
    }

    /// Stored snapshots of an insight with the bytes of their states.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn stored(&self, insight: &str, first: Date, last: Date) -> BTreeMap<Date, (Snapshot, Vec<u8>)> {
        self.stored_periods(insight, Period::Day, first, last).await
    }

    /// The same of any kind of period, by the first day.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn stored_periods(
        &self,
        insight: &str,
        period: Period,
        first: Date,
        last: Date,
    ) -> BTreeMap<Date, (Snapshot, Vec<u8>)> {
        let context = self.ports.context();
        let definitions = tidemill_aggregator::definition_store::DefinitionStore::new(&context);
        let tenant = Tenant::local();
        let held = definitions.get(&tenant, insight).await.expect("readable").expect("applied");
        let series = Series { tenant: &tenant, insight, fingerprint: &held.applied.fingerprint, period };
        let store = SnapshotStore::new(&context);
        let mut out = BTreeMap::new();
        for (date, snapshot) in store.range(&series, first, last).await.expect("readable") {
            let ranges: Vec<_> = snapshot.header.states.iter().cloned().collect();
            let bytes = store.blobs(&ranges).await.expect("readable").iter().flat_map(|bytes| bytes.to_vec()).collect();
            out.insert(date, (snapshot, bytes));
        }
        out
    }

    /// After many attempts nothing fails any more; after many more something is wrong.
    fn lose_patience(&self, attempt: u32) {
        if attempt >= ATTEMPTS_MAX {
            self.faults.stop();
        }
        assert!(attempt < 2 * ATTEMPTS_MAX, "it still fails although nothing makes it fail");
    }
}

/// JSON of our own.
///
/// # Panics
/// When it is none.
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}
