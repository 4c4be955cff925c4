//! Snapshots: what a computation leaves behind. Header and digest are kept together and read in one look-up; the
//! detail (groups) and the states (for merging days) lie in blobs under their content hash.
//!
//! All of it is JSON with exact numbers as text, versioned by [`SNAPSHOT_FORMAT`]; samples of every version are kept
//! under `schemas/samples/` and must always load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calendar::{Date, Period};
use crate::time::Timestamp;
use crate::value::Value;
use crate::window::{Through, Window};

/// The version of header, digest and detail.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// Part of a blob: one object may hold the details of many snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRange {
    /// The object's name: derived from its content's hash.
    pub object: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a snapshot was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Running totals.
    Totals,
    /// Committed pages.
    Pages,
    /// The snapshots of the days of a longer period.
    Days,
}

/// Where a snapshot's numbers come from and how complete they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// The insight.
    pub insight: String,
    /// Its definition's fingerprint.
    pub fingerprint: String,
    /// The kind of period.
    pub period: Period,
    /// The period's first local date.
    pub start: Date,
    /// The period as a window of event time.
    pub window: Window,
    /// Time-zone rules the window was made with.
    pub tzdb: String,
    /// What it was computed from.
    pub input: Input,
    /// Feed positions included, per shard.
    pub through: Through,
    /// Everything acknowledged before this instant is included.
    pub watermark: Timestamp,
    /// Hash of the page set read; empty for totals. Of a longer period: hash of the days folded.
    pub pages: String,
    /// Our clock when it was computed.
    pub computed_at: Timestamp,
    /// `None`: not checked. `Some(true)`: the daily rollup scanned the pages and, where running totals cover the day,
    /// found them equal. `Some(false)`: they differed, and the pages' numbers stand here.
    pub verified: Option<bool>,
    /// Counts up with every published change.
    pub version: u64,
    /// Groups by row: where the detail is; `None` when the insight has no breakdown.
    pub detail: Option<BlobRange>,
    /// States for merging: where they are.
    pub states: Option<BlobRange>,
    /// Hash of the states' bytes: days of equal content have equal ones. Snapshots of earlier builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Of a longer period: days of it were missing or out of date when it was folded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    /// Which days those are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Date>,
    /// Of a longer period: milliseconds its folding took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_millis: Option<u64>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The headline: one row for the whole period, no groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// Events that passed the insight's filters.
    pub events: u64,
    /// Of them, how many were received after the local day's end and its grace.
    pub late: u64,
    /// Metric → rows left out because their argument was null or of another type. Only metrics that leave some out.
    pub skipped: BTreeMap<String, u64>,
    /// Metric values in the definition's order.
    pub values: Vec<Value>,
}

/// One group of a breakdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// What the group stands for.
    pub group: Group,
    /// Events in it.
    pub events: u64,
    /// Metric values in the definition's order.
    pub values: Vec<Value>,
}

/// A group's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// One value per breakdown column; null shows as `$null`.
    Key(Vec<Value>),
    /// Everything beyond the top groups; shows as `$other` in every column.
    Other,
}

/// The groups of a period: the top ones, then `$other`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// Groups there are altogether.
    pub groups: u64,
    /// The rows, largest first.
    pub rows: Vec<GroupRow>,
}

/// How complete an answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    /// The instant of event time the numbers stand at: the range's end, or the watermark while it runs.
    pub as_of: Option<Timestamp>,
    /// Everything before this instant is in.
    pub complete_through: Option<Timestamp>,
    /// Some of the range is missing.
    pub partial: bool,
    /// Why it is partial, or still changing.
    pub reasons: Vec<String>,
    /// Days that are missing.
    pub missing: Vec<Date>,
    /// Events that came after their day had closed; they are counted in.
    pub late: u64,
    /// Metric → rows left out because their argument was null or of another type.
    pub skipped: BTreeMap<String, u64>,
    /// Every day of the range was checked by the daily rollup.
    pub verified: bool,
}
