//! A simulated day: every event, delivery, firing and request of it, through the real handlers, on a clock of its own.
//!
//! In: a workload, how many events, how deliveries are cut. Out: what was called and how much CPU time it took, function
//! by function. Measured are 24 hours behind two that only warm up, so that a day's rollup and a whole day's pages are
//! among them. Nothing fails here and nothing waits: a day takes as long as its work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures::TryStreamExt;
use tidemill_aggregator::on_changes::on_changes;
use tidemill_ingest::on_seal::on_seal;
use tidemill_local::{Consumer, Store};
use tidemill_ports::counted::{Counter, Counts};
use tidemill_ports::{Clock, Context, Outcome, QUEUE_BATCH_MAX, Queue, Table};
use tidemill_rollups::merge::REPAIR_ATTEMPTS_DEFAULT;
use tidemill_rollups::on_delivery::on_delivery;
use tidemill_rollups::on_firing::on_firing;
use tidemill_schemas::request::Firing;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::{Position, ShardId};
use tower::ServiceExt;

use crate::cost::cpu;
use crate::cost::workload::Workload;
use crate::failure::Failure;

/// When the day begins: a Monday, 00:00 UTC.
const DAY: &str = "2026-10-05T00:00:00Z";
/// Hours before what is measured.
const WARM_HOURS: i64 = 2;
/// Hours measured.
const MEASURED_HOURS: i64 = 24;
/// Seconds a message is hidden while it is worked on.
const HIDE_SECONDS: u32 = 120;
/// Deliveries of one thing that make no progress before the day is given up.
const ATTEMPTS_MAX: u32 = 5;

/// How deliveries are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Events of one request.
    pub per_request: u64,
    /// Shards of the change feed: a new table on demand has four.
    pub shards: u16,
    /// The batching window of running totals, in seconds.
    pub changes_seconds: i64,
    /// The batching window of pages, in seconds.
    pub seal_seconds: i64,
    /// Changes of one delivery: 6 MB of them, both images in base64.
    pub delivery_max: usize,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { per_request: 20, shards: 4, changes_seconds: 30, seal_seconds: 60, delivery_max: 4_000 }
    }
}

/// A function on AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Takes events over HTTP.
    Api,
    /// Running totals.
    Changes,
    /// Pages.
    Seal,
    /// Firings.
    Dispatcher,
    /// Requests.
    Engine,
    /// The upkeep of pages.
    Upkeep,
}

impl Function {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Function::Api => "api",
            Function::Changes => "changes",
            Function::Seal => "seal",
            Function::Dispatcher => "dispatcher",
            Function::Engine => "engine",
            Function::Upkeep => "upkeep",
        }
    }

    /// Its memory, in GiB.
    pub fn gib(self) -> f64 {
        match self {
            Function::Api | Function::Changes | Function::Dispatcher => 1.0,
            Function::Seal | Function::Engine | Function::Upkeep => 2.0,
        }
    }
}

/// What a function did.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// How often it was invoked.
    pub invocations: u64,
    /// Nanoseconds of CPU time.
    pub cpu_nanos: u64,
    /// What it called.
    pub counts: Counts,
}

/// What was measured in a day.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Events sent.
    pub events: u64,
    /// By function.
    pub functions: BTreeMap<Function, Work>,
    /// Firings of schedules.
    pub firings: u64,
    /// Deliveries of the queue.
    pub queue_deliveries: u64,
    /// Bytes of objects that are there at the end and were not at the beginning, by kind.
    pub blob_bytes: BTreeMap<String, f64>,
    /// Whether this system tells CPU time.
    pub has_cpu: bool,
}

struct DayClock(AtomicI64);

impl Clock for DayClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A consumer of a shard.
struct Lane {
    consumer: Consumer,
    shard: ShardId,
    cursor: Position,
    /// When the oldest change that was not delivered came.
    noticed: Option<Timestamp>,
}

struct Day<'w> {
    workload: &'w Workload,
    shape: Shape,
    clock: Arc<DayClock>,
    store: Store,
    counter: Arc<Counter>,
    /// The ports, counted.
    context: Arc<Context>,
    router: axum::Router,
    lanes: Vec<Lane>,
    sent: u64,
    measured: Measured,
    is_measuring: bool,
}

/// Lives through a day of so many events; `on` is told how many of them have been sent.
pub async fn live(
    workload: &Workload,
    events: u64,
    shape: Shape,
    on: &mut (dyn FnMut(u64) + Send),
) -> Result<Measured, Failure> {
    let mut day = Day::new(workload, shape)?;
    day.apply().await?;
    let start = day.clock.now();
    let measured_from = start.plus_seconds(WARM_HOURS * 3_600);
    let end = measured_from.plus_seconds(MEASURED_HOURS * 3_600);
    let requests = events.div_ceil(shape.per_request).max(1);
    // Requests come at even distances, and not on the minute, as nothing in life does.
    let gap = MEASURED_HOURS * 3_600 * MICROS_PER_SECOND / i64::try_from(requests).unwrap_or(i64::MAX).max(1);
    let mut arrival = start.plus_micros(gap / 2 + 137_000);
    let mut before = BTreeMap::new();
    loop {
        let next = day.next(arrival)?;
        if !day.is_measuring && next >= measured_from {
            day.is_measuring = true;
            before = day.blob_bytes().await?;
        }
        if next >= end {
            break;
        }
        day.clock.0.store(next.micros().max(day.clock.now().micros()), Ordering::SeqCst);
        while arrival <= day.clock.now() {
            day.send(shape.per_request.min(events.max(1))).await?;
            on(day.sent);
            arrival = arrival.plus_micros(gap.max(1));
        }
        day.deliver().await?;
        day.fire().await?;
        day.work().await?;
    }
    let after = day.blob_bytes().await?;
    let grown =
        after.into_iter().map(|(kind, bytes)| (kind.clone(), bytes - before.get(&kind).copied().unwrap_or(0.0)));
    day.measured.blob_bytes = grown.collect();
    day.measured.has_cpu = cpu::nanos().is_some();
    Ok(day.measured)
}

fn broken(why: &dyn std::fmt::Display) -> Failure {
    Failure::failed("TM0951", format!("the simulated day did not come through: {why}"))
}

impl<'w> Day<'w> {
    fn new(workload: &'w Workload, shape: Shape) -> Result<Day<'w>, Failure> {
        let start = Timestamp::parse(DAY).ok_or_else(|| broken(&"its first instant"))?;
        let clock = Arc::new(DayClock(AtomicI64::new(start.micros())));
        let store = Store::in_memory(Arc::clone(&clock) as _, shape.shards).map_err(|why| broken(&why))?;
        let counter = Counter::new();
        let context = Arc::new(counter.around(&store.context()));
        let router = tidemill_api::router(Arc::clone(&context), true);
        let mut lanes = Vec::new();
        for shard in store.events.shard_names() {
            for consumer in [Consumer::Changes, Consumer::Seal] {
                lanes.push(Lane { consumer, shard: shard.clone(), cursor: Position::default(), noticed: None });
            }
        }
        let measured = Measured::default();
        Ok(Day {
            workload,
            shape,
            clock,
            store,
            counter,
            context,
            router,
            lanes,
            sent: 0,
            measured,
            is_measuring: false,
        })
    }

    /// Applies the definitions; one that reads another's numbers after that one.
    async fn apply(&mut self) -> Result<(), Failure> {
        let mut left: Vec<&(String, String)> = self.workload.insights.iter().collect();
        while !left.is_empty() {
            let (mut refused, mut why) = (Vec::new(), String::new());
            for insight in &left {
                let (name, text) = insight;
                let (status, answer) = self.call("PUT", &format!("/v1/insights/{name}"), text.clone()).await?;
                if status >= 400 {
                    why = format!("`{name}`: {answer}");
                    refused.push(*insight);
                }
            }
            if refused.len() == left.len() {
                return Err(broken(&why));
            }
            left = refused;
        }
        Ok(())
    }

    async fn call(&self, method: &str, path: &str, body: String) -> Result<(u16, String), Failure> {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).map_err(|why| broken(&why))?;
        let response = self.router.clone().oneshot(request).await.map_err(|never| match never {})?;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|why| broken(&why))?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// The next time something happens.
    fn next(&self, arrival: Timestamp) -> Result<Timestamp, Failure> {
        let ripe = self.lanes.iter().filter_map(|lane| Some(lane.noticed?.plus_seconds(self.window(lane.consumer))));
        let fires = self.store.schedule.next_except(&Default::default()).map_err(|why| broken(&why))?;
        let visible = self.store.requests.next_visible().map_err(|why| broken(&why))?;
        Ok(ripe.chain(fires).chain(visible).fold(arrival, Timestamp::min))
    }

    fn window(&self, consumer: Consumer) -> i64 {
        match consumer {
            Consumer::Changes => self.shape.changes_seconds,
            Consumer::Seal => self.shape.seal_seconds,
        }
    }

    /// One invocation.
    async fn invoke<T>(
        measured: (&mut Measured, bool),
        counter: &Counter,
        function: Function,
        call: impl Future<Output = T>,
    ) -> T {
        let (measured, is_measuring) = measured;
        drop(counter.take());
        let before = cpu::nanos();
        let answer = call.await;
        let used = cpu::nanos().zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
        let counts = counter.take();
        if is_measuring {
            let work = measured.functions.entry(function).or_default();
            work.invocations += 1;
            work.cpu_nanos += used;
            work.counts.add(&counts);
        }
        answer
    }

    /// One request with events.
    async fn send(&mut self, events: u64) -> Result<(), Failure> {
        let now = self.clock.now();
        let lines: String = (0..events).map(|nth| self.workload.line(self.sent + nth, now)).collect();
        self.sent += events;
        let request = Request::builder().method("POST").uri("/v1/events").body(Body::from(lines));
        let request = request.map_err(|why| broken(&why))?;
        let call = self.router.clone().oneshot(request);
        let answer = Self::invoke((&mut self.measured, self.is_measuring), &self.counter, Function::Api, call).await;
        let response = answer.map_err(|never| match never {})?;
        if !response.status().is_success() {
            return Err(broken(&format!("events were answered {}", response.status())));
        }
        if self.is_measuring {
            self.measured.events += events;
        }
        for lane in &mut self.lanes {
            let head = self.store.events.head(&lane.shard).map_err(|why| broken(&why))?;
            if head > lane.cursor {
                lane.noticed.get_or_insert(now);
            }
        }
        Ok(())
    }

    /// What is ripe of the feed.
    async fn deliver(&mut self) -> Result<(), Failure> {
        let now = self.clock.now();
        for at in 0..self.lanes.len() {
            let window = self.window(self.lanes[at].consumer);
            if self.lanes[at].noticed.is_none_or(|noticed| noticed.plus_seconds(window) > now) {
                continue;
            }
            let mut attempts = 0;
            loop {
                let Lane { consumer, shard, cursor, .. } = &self.lanes[at];
                let (consumer, shard, cursor) = (*consumer, shard.clone(), *cursor);
                let read = self.store.events.changes(&shard, cursor, self.shape.delivery_max).await;
                let changes = read.map_err(|why| broken(&why))?;
                let Some(last) = changes.last().map(|change| change.position) else { break };
                let (context, measured) = (Arc::clone(&self.context), (&mut self.measured, self.is_measuring));
                let outcome = match consumer {
                    Consumer::Changes => {
                        let call = on_changes(&context, &shard, &changes);
                        Self::invoke(measured, &self.counter, Function::Changes, call).await
                    }
                    Consumer::Seal => {
                        let call = on_seal(&context, &shard, &changes);
                        Self::invoke(measured, &self.counter, Function::Seal, call).await
                    }
                };
                match outcome {
                    Outcome::Done => self.lanes[at].cursor = last,
                    Outcome::RetryFrom(_) if attempts < ATTEMPTS_MAX => attempts += 1,
                    other => return Err(broken(&format!("{consumer:?} of {shard}: {other:?}"))),
                }
            }
            self.lanes[at].noticed = None;
            let shard = self.lanes[at].shard.clone();
            let passed = self.lanes.iter().filter(|lane| lane.shard == shard).map(|lane| lane.cursor).min();
            let trimmed = self.store.events.trim(&shard, passed.unwrap_or_default()).await;
            trimmed.map_err(|why| broken(&why))?;
        }
        Ok(())
    }

    /// What is due of the schedules.
    async fn fire(&mut self) -> Result<(), Failure> {
        for (entry, scheduled) in self.store.schedule.due(self.clock.now()).map_err(|why| broken(&why))? {
            let firing: Firing = serde_json::from_slice(&entry.payload).map_err(|why| broken(&why))?;
            let function = match &firing {
                Firing::Upkeep { .. } => Function::Upkeep,
                _ => Function::Dispatcher,
            };
            let context = Arc::clone(&self.context);
            let call = on_firing(&context, &entry.name, &entry.payload, scheduled);
            let outcome = Self::invoke((&mut self.measured, self.is_measuring), &self.counter, function, call).await;
            if outcome != Outcome::Done {
                return Err(broken(&format!("{}: {outcome:?}", entry.name)));
            }
            self.store.schedule.done(&entry.name, scheduled).await.map_err(|why| broken(&why))?;
            self.measured.firings += u64::from(self.is_measuring);
        }
        Ok(())
    }

    /// What is visible of the queue.
    async fn work(&mut self) -> Result<(), Failure> {
        loop {
            let messages = self.store.requests.receive(QUEUE_BATCH_MAX, HIDE_SECONDS).await;
            let messages = messages.map_err(|why| broken(&why))?;
            if messages.is_empty() {
                return Ok(());
            }
            let context = Arc::clone(&self.context);
            let call = on_delivery(&context, REPAIR_ATTEMPTS_DEFAULT, &messages);
            let measured = (&mut self.measured, self.is_measuring);
            let outcomes = Self::invoke(measured, &self.counter, Function::Engine, call).await;
            self.measured.queue_deliveries += u64::from(self.is_measuring);
            for (message, outcome) in messages.iter().zip(outcomes) {
                match outcome {
                    Outcome::Done => self.store.requests.delete(vec![message.receipt.clone()]).await,
                    Outcome::RetryFrom(_) => self.store.requests.release(&message.receipt, 1).await,
                    Outcome::Park(why) => return Err(broken(&format!("a request: {why}"))),
                }
                .map_err(|why| broken(&why))?;
            }
        }
    }

    /// Bytes of the objects there are, by kind.
    async fn blob_bytes(&self) -> Result<BTreeMap<String, f64>, Failure> {
        let objects: Vec<_> = self.store.blobs.list(None).try_collect().await.map_err(|why| broken(&why))?;
        let mut bytes: BTreeMap<String, f64> = BTreeMap::new();
        for object in objects {
            let kind = object.location.parts().next().map_or_else(String::new, |part| part.as_ref().to_owned());
            *bytes.entry(kind).or_default() += object.size as f64;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
