//! What a month uses: units of everything that is paid for. Pure.
//!
//! In: a measured day. Out: a month of it, by what is paid for and by what it was for; and months of other numbers of
//! events, along the line through two of them. CPU time is that of this machine; what waiting for stores takes on AWS is
//! an assumption, written down here.

use std::collections::BTreeMap;

use tidemill_ports::counted::{Call, Counts};

use crate::cost::day::{Function, Measured, Work};

/// Hours of a month, as AWS counts them.
pub const MONTH_HOURS: f64 = 730.0;
/// Hours that were measured.
const DAY_HOURS: f64 = 24.0;
/// Memory at which a function has one whole processor, in MB.
const CPU_MB: f64 = 1769.0;
/// Milliseconds of an invocation beside its work: the runtime's own.
const OVERHEAD_MS: f64 = 2.0;
/// Milliseconds an answer of DynamoDB takes.
const TABLE_MS: f64 = 5.0;
/// Milliseconds an answer of SQS takes.
const QUEUE_MS: f64 = 10.0;
/// Milliseconds an answer of the scheduler takes.
const SCHEDULE_MS: f64 = 40.0;
/// Milliseconds of a GET and a PUT of S3 Standard.
const BLOB_MS: (f64, f64) = (25.0, 40.0);
/// Milliseconds of a GET and a PUT of S3 Express.
const FAST_MS: (f64, f64) = (6.0, 8.0);
/// CPU milliseconds a call takes beside what the embedded stores take: signing, TLS, encoding.
const CALL_CPU_MS: f64 = 0.2;
/// Bytes an invocation logs.
const LOG_BYTES: f64 = 700.0;
/// Empty polls of a queue's mapping in a month, each of them billed.
const QUEUE_POLLS: f64 = 657_000.0;
/// Alarms of the stack.
const ALARMS: f64 = 8.0;
/// Seconds of the batching window of the mapping on Kinesis.
const KINESIS_SECONDS: f64 = 5.0;
/// Bytes of one unit of Kinesis.
const KINESIS_UNIT_BYTES: f64 = 25.0 * 1024.0;
const GB: f64 = 1024.0 * 1024.0 * 1024.0;

/// What is paid for; the names are those of the prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    TableWrite,
    TableRead,
    TableStorage,
    TableBackup,
    FeedRead,
    LambdaGibSecond,
    LambdaInvocation,
    BlobPut,
    BlobGet,
    BlobStorage,
    FastPut,
    FastGet,
    FastUpload,
    FastDownload,
    FastStorage,
    QueueRequest,
    ScheduleFiring,
    KinesisShard,
    KinesisPutUnit,
    LogBytes,
    Alarm,
}

/// What is on beside the least there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Events come through Kinesis, one provisioned shard per 1,000 records a second.
    pub kinesis: bool,
    /// Pages have a fast copy in S3 Express.
    pub fast: bool,
}

/// Units by what is paid for, and what it was for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Events of the month.
    pub events: f64,
    /// The units.
    pub units: BTreeMap<(What, String), f64>,
}

impl Usage {
    /// A month of a measured day.
    pub fn of(measured: &Measured, options: Options) -> Usage {
        let mut usage = Usage { events: measured.events as f64, ..Usage::default() };
        for (function, work) in &measured.functions {
            usage.add_calls(&work.counts, options);
            usage.add_lambda(*function, work, options);
        }
        // A delivery of the queue is received and deleted; that of a schedule and of the feed costs nothing beside.
        usage.add(What::QueueRequest, "deliveries", 2.0 * measured.queue_deliveries as f64);
        usage.add(What::ScheduleFiring, "firings", measured.firings as f64);
        if options.kinesis {
            usage.come_through_kinesis(measured);
        }
        usage.scale(MONTH_HOURS / DAY_HOURS);
        usage.add_stored(measured, options);
        usage.add_idle();
        if options.kinesis {
            let shards = (usage.events / (MONTH_HOURS * 3_600.0) / 1_000.0).ceil().max(1.0);
            usage.add(What::KinesisShard, "events", shards);
        }
        usage
    }

    /// A month of another number of events, along the line through this one and a `larger` one.
    pub fn at(&self, larger: &Usage, events: f64) -> Usage {
        let share = (events - self.events) / (larger.events - self.events);
        let keys = self.units.keys().chain(larger.units.keys());
        let of = |usage: &Usage, key: &(What, String)| usage.units.get(key).copied().unwrap_or(0.0);
        let units = keys.map(|key| {
            let (low, high) = (of(self, key), of(larger, key));
            let value = (low + (high - low) * share).max(0.0);
            // A shard is a whole one.
            (key.clone(), if key.0 == What::KinesisShard { value.ceil() } else { value })
        });
        Usage { events, units: units.collect() }
    }

    /// What is used by a month in which nothing happens, after a month of this.
    pub fn idle(&self) -> Usage {
        let stays = |what: What| {
            matches!(
                what,
                What::TableStorage
                    | What::TableBackup
                    | What::BlobStorage
                    | What::FastStorage
                    | What::KinesisShard
                    | What::Alarm
            )
        };
        let mut units: BTreeMap<_, _> =
            self.units.iter().filter(|((what, _), _)| stays(*what)).map(|(key, units)| (key.clone(), *units)).collect();
        units.insert((What::QueueRequest, "empty polls".to_owned()), QUEUE_POLLS);
        Usage { events: 0.0, units }
    }

    /// All units of a kind.
    pub fn sum(&self, what: What) -> f64 {
        self.units.iter().filter(|((kind, _), _)| *kind == what).map(|(_, units)| units).sum()
    }

    fn add(&mut self, what: What, about: &str, units: f64) {
        if units != 0.0 {
            *self.units.entry((what, about.to_owned())).or_default() += units;
        }
    }

    fn scale(&mut self, by: f64) {
        self.events *= by;
        self.units.values_mut().for_each(|units| *units *= by);
    }

    fn add_calls(&mut self, counts: &Counts, options: Options) {
        for ((call, about), tally) in &counts.0 {
            let (units, bytes) = (tally.units as f64, tally.bytes as f64);
            let is_page = options.fast && about == "pages";
            match call {
                Call::TableGet | Call::TableQuery => self.add(What::TableRead, about, units),
                Call::TablePut | Call::TableGroup | Call::TableCheck => self.add(What::TableWrite, about, units),
                Call::Feed => self.add(What::FeedRead, about, units),
                Call::QueueSend | Call::QueueReceive | Call::QueueDelete | Call::QueueDead => {
                    self.add(What::QueueRequest, "sends", units);
                }
                Call::SchedulePut | Call::ScheduleRemove | Call::ScheduleList | Call::BlobDelete => {}
                Call::BlobPut => {
                    self.add(What::BlobPut, about, units);
                    if is_page {
                        self.add(What::FastPut, about, units);
                        self.add(What::FastUpload, about, bytes / GB);
                    }
                }
                Call::BlobList => self.add(What::BlobPut, "lists", units),
                Call::BlobGet if is_page => {
                    self.add(What::FastGet, about, units);
                    self.add(What::FastDownload, about, bytes / GB);
                }
                Call::BlobGet => self.add(What::BlobGet, about, units),
            }
        }
    }

    fn add_lambda(&mut self, function: Function, work: &Work, options: Options) {
        let seconds = seconds(function, work, options);
        self.add(What::LambdaGibSecond, function.name(), seconds * function.gib());
        self.add(What::LambdaInvocation, function.name(), work.invocations as f64);
        self.add(What::LogBytes, function.name(), work.invocations as f64 * LOG_BYTES / GB);
    }

    /// Requests with events become deliveries of a mapping: the same work, fewer invocations.
    fn come_through_kinesis(&mut self, measured: &Measured) {
        let Some(api) = measured.functions.get(&Function::Api) else { return };
        let invocations = (DAY_HOURS * 3_600.0 / KINESIS_SECONDS).min(api.invocations as f64);
        let fewer = invocations / api.invocations.max(1) as f64;
        let cpu = api.cpu_nanos as f64 / 1e9 / (1024.0 / CPU_MB);
        let waits = (seconds(Function::Api, api, Options::default()) - cpu) * fewer;
        for what in [What::LambdaGibSecond, What::LambdaInvocation, What::LogBytes] {
            self.units.remove(&(what, Function::Api.name().to_owned()));
        }
        self.add(What::LambdaGibSecond, "events", (cpu + waits) * Function::Api.gib());
        self.add(What::LambdaInvocation, "events", invocations);
        self.add(What::LogBytes, "events", invocations * LOG_BYTES / GB);
        // Producers put several events into a record, as the producer library does, one at least per invocation.
        let bytes = self.events * 300.0;
        self.add(What::KinesisPutUnit, "events", (bytes / KINESIS_UNIT_BYTES).max(invocations));
    }

    /// What there is at the end of the first month; each further month adds as much.
    fn add_stored(&mut self, measured: &Measured, options: Options) {
        let written = measured.functions.values().flat_map(|work| &work.counts.0);
        let events =
            written.filter(|((call, about), _)| matches!(call, Call::TablePut | Call::TableGroup) && about == "event");
        let bytes: f64 = events.map(|(_, tally)| tally.bytes as f64).sum();
        // DynamoDB adds a hundred bytes to every item it stores.
        let stored = (bytes + 100.0 * measured.events as f64) * MONTH_HOURS / DAY_HOURS / GB;
        self.add(What::TableStorage, "event", stored);
        self.add(What::TableBackup, "event", stored);
        for (kind, bytes) in &measured.blob_bytes {
            let stored = bytes.max(0.0) * MONTH_HOURS / DAY_HOURS / GB;
            self.add(What::BlobStorage, kind, stored);
            if options.fast && kind == "pages" {
                self.add(What::FastStorage, kind, stored);
            }
        }
    }

    fn add_idle(&mut self) {
        self.add(What::QueueRequest, "empty polls", QUEUE_POLLS);
        self.add(What::Alarm, "alarms", ALARMS);
    }
}

/// Seconds a function is billed for: CPU time at its share of a processor, and waiting for answers.
fn seconds(function: Function, work: &Work, options: Options) -> f64 {
    let share = (function.gib() * 1024.0 / CPU_MB).min(1.0);
    let (mut wait, mut calls) = (0.0, 0.0);
    for ((call, about), tally) in &work.counts.0 {
        let blobs = if options.fast && about == "pages" { FAST_MS } else { BLOB_MS };
        let each = match call {
            Call::TableGet | Call::TableQuery | Call::TablePut | Call::TableGroup | Call::TableCheck | Call::Feed => {
                TABLE_MS
            }
            Call::QueueSend | Call::QueueReceive | Call::QueueDelete | Call::QueueDead => QUEUE_MS,
            Call::SchedulePut | Call::ScheduleRemove | Call::ScheduleList => SCHEDULE_MS,
            Call::BlobGet | Call::BlobList => blobs.0,
            Call::BlobPut | Call::BlobDelete => BLOB_MS.1.max(blobs.1),
        };
        wait += each * tally.trips as f64;
        calls += tally.calls as f64;
    }
    let cpu = work.cpu_nanos as f64 / 1e9 + calls * CALL_CPU_MS / 1e3;
    cpu / share + (wait + OVERHEAD_MS * work.invocations as f64) / 1e3
}

#[cfg(test)]
mod tests;
