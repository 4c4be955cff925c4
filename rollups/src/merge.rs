//! What to do about a period: leave it, fold its days, ask for days, or publish it without some. Pure.
//!
//! In: what stands, what preflight found, how often days were asked for. Out: the next step, and the header of what is
//! published. A complete period is never replaced by a partial one; one whose days are what they were is left alone.

use std::collections::BTreeMap;

use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::snapshot_store::Snapshot;
use tidemill_schemas::calendar::{Date, Period, tzdb_version};
use tidemill_schemas::request::Reason;
use tidemill_schemas::snapshot::{Digest, Header, Input, SNAPSHOT_FORMAT};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Through, Window};
use xxhash_rust::xxh3::Xxh3;

use crate::preflight::Preflight;

/// How often the missing days of a period are asked for before it is published without them.
pub const REPAIR_ATTEMPTS_DEFAULT: u32 = 3;
/// The most that may be set.
pub const REPAIR_ATTEMPTS_MAX: u32 = 10;
/// Seconds until a period looks for its days again, by how often it has before; the last one from then on.
const RETRY_SECONDS: [u32; 4] = [0, 60, 15 * 60, 60 * 60];

/// Seconds until the next look, after days were asked for `attempts` times before.
pub fn retry_seconds(attempts: u32) -> u32 {
    let at = usize::try_from(attempts).unwrap_or(usize::MAX).min(RETRY_SECONDS.len() - 1);
    RETRY_SECONDS[at]
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// What stands is right, or all that can be said.
    Leave,
    /// Ask for the days that are wanting, and look again.
    Ask,
    /// Fold the days there are, and publish.
    Fold,
}

/// Decides. `attempts`: how often days were asked for; `budget`: how often they may be.
pub fn next(
    stored: Option<&Snapshot>,
    window: Window,
    found: &Preflight<'_>,
    reason: &Reason,
    attempts: u32,
    budget: u32,
) -> Next {
    let is_same = |header: &Header| {
        header.pages == folded(found.days) && header.window == window && header.missing == found.wanting
    };
    match stored.map(|snapshot| &snapshot.header) {
        // Nobody rolled it up, and it was not asked for: its days are history for a backfill.
        None if *reason == Reason::Repair && !found.wanting.is_empty() => Next::Leave,
        _ if !found.wanting.is_empty() && attempts < budget => Next::Ask,
        Some(header) if is_same(header) => Next::Leave,
        Some(header) if !header.partial && !found.wanting.is_empty() => Next::Leave,
        None if found.wanting.is_empty() && with_events(found.days).next().is_none() => Next::Leave,
        _ => Next::Fold,
    }
}

/// The days a period is folded from: those with events.
pub fn with_events(days: &BTreeMap<Date, Snapshot>) -> impl Iterator<Item = (&Date, &Snapshot)> {
    days.iter().filter(|(_, snapshot)| snapshot.digest.events > 0)
}

/// The digest of days whose states are not merged: what can be counted.
pub fn sum_of(days: &BTreeMap<Date, Snapshot>) -> Digest {
    let mut sum = Digest { format: SNAPSHOT_FORMAT, events: 0, late: 0, skipped: BTreeMap::new(), values: Vec::new() };
    for Snapshot { digest, .. } in days.values() {
        sum.events += digest.events;
        sum.late += digest.late;
        for (metric, rows) in &digest.skipped {
            *sum.skipped.entry(metric.clone()).or_default() += rows;
        }
    }
    sum
}

/// Hash of what a period is folded from: equal days have equal ones. A day of no events counts like one that is not
/// there.
pub fn folded(days: &BTreeMap<Date, Snapshot>) -> String {
    folded_of(with_events(days))
}

/// [`folded`] of days that are known to have events.
pub fn folded_of<'a>(days: impl Iterator<Item = (&'a Date, &'a Snapshot)>) -> String {
    let mut hasher = Xxh3::new();
    for (date, Snapshot { header, digest }) in days.filter(|(_, snapshot)| snapshot.digest.events > 0) {
        let content = match (&header.content, &header.states) {
            (Some(content), _) => content.clone(),
            // Written before contents were hashed: another version may be the same, and is taken for another.
            (None, Some(states)) => format!("{} {} {} {}", header.version, states.object, states.offset, states.bytes),
            (None, None) => format!("{} {}", header.version, digest.events),
        };
        hasher.update(format!("{date} {content}\n").as_bytes());
    }
    format!("{:032x}", hasher.digest128())
}

/// The header of a period, without its blobs.
pub fn header(
    held: &Held,
    period: Period,
    (first, window): (Date, Window),
    found: &Preflight<'_>,
    sealed: Timestamp,
    now: Timestamp,
) -> Header {
    let headers = || found.days.values().map(|snapshot| &snapshot.header);
    let partial = !found.wanting.is_empty();
    Header {
        format: SNAPSHOT_FORMAT,
        insight: held.applied.definition.name.clone(),
        fingerprint: held.applied.fingerprint.clone(),
        period,
        start: first,
        window,
        tzdb: tzdb_version().to_owned(),
        input: Input::Days,
        through: included_by_all(headers().map(|header| &header.through)),
        // Nothing is promised of a day that is wanting.
        watermark: headers()
            .map(|header| header.watermark)
            .chain(found.wanting.first().map(|day| held.applied.definition.timezone.start_of(*day)))
            .min()
            .unwrap_or(sealed),
        pages: folded(found.days),
        computed_at: now,
        verified: (!partial).then(|| headers().all(|header| header.verified == Some(true))),
        version: 1,
        detail: None,
        states: None,
        content: None,
        partial,
        missing: found.wanting.clone(),
        merge_millis: None,
    }
}

/// The positions that every one of these includes.
fn included_by_all<'a>(mut all: impl Iterator<Item = &'a Through>) -> Through {
    let Some(mut least) = all.next().cloned() else { return Through::default() };
    for through in all {
        least.0.iter_mut().for_each(|(shard, position)| *position = through.of(shard).min(*position));
    }
    least
}

#[cfg(test)]
mod tests;
