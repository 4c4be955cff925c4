//! Which days to ask for again: pure decisions.
//!
//! In: days that changed, definitions, the time. Out: spans of local days and requests for them. Nothing here does I/O.

use std::collections::BTreeSet;

use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::dirty_period_store::DirtyPeriod;
use tidemill_aggregator::dispatch::spans;
use tidemill_ingest::manifest::DirtyDay;
use tidemill_schemas::calendar::{self, Date, Period, Zone};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, REQUEST_DAYS_MAX, Reason};
use tidemill_schemas::time::Timestamp;

/// Unchanged days between two changed ones that are asked for with them: the engine skips what is current.
pub const REPAIR_GAP_DAYS_MAX: i32 = 7;

/// The local days of an insight that a UTC day's events may lie in.
pub fn local_days(zone: &Zone, utc_day: Date) -> impl Iterator<Item = Date> + use<> {
    let window = Zone::utc().day(utc_day);
    calendar::dates(zone.date_of(window.start), zone.date_of(window.end.plus_micros(-1)))
}

/// The closed local days of an insight that changed. Days it was not there to see are left to a backfill, unless
/// `has_snapshot` says somebody computed them.
pub fn changed_days(
    held: &Held,
    dirty: &[&DirtyDay],
    now: Timestamp,
    has_snapshot: &dyn Fn(Date) -> bool,
) -> BTreeSet<Date> {
    let definition = &held.applied.definition;
    let mut days = BTreeSet::new();
    for dirty in dirty.iter().filter(|dirty| definition.source.as_ref().is_none_or(|source| *source == dirty.source)) {
        let seen = dirty.sealed_at >= held.applied.applied_at;
        let closed = |day: &Date| definition.timezone.day(*day).end <= now;
        days.extend(
            local_days(&definition.timezone, dirty.day).filter(closed).filter(|day| seen || has_snapshot(*day)),
        );
    }
    days
}

/// The spans of days worth asking for together.
pub fn repair_spans(days: &BTreeSet<Date>) -> Vec<(Date, Date)> {
    spans(days, REPAIR_GAP_DAYS_MAX, REQUEST_DAYS_MAX)
}

/// Requests for spans of local days, each cut to what one request may hold.
pub fn requests(
    tenant: &Tenant,
    held: &Held,
    spans: &[(Date, Date)],
    reason: &Reason,
    now: Timestamp,
) -> Vec<ComputeSnapshotRequest> {
    let mut requests = Vec::new();
    for &(first, last) in spans {
        for (first, last) in cut(first, last) {
            requests.push(request(tenant, held, Period::Day, (first, last), reason, now));
        }
    }
    requests
}

/// One request.
pub fn request(
    tenant: &Tenant,
    held: &Held,
    period: Period,
    (first, last): (Date, Date),
    reason: &Reason,
    now: Timestamp,
) -> ComputeSnapshotRequest {
    ComputeSnapshotRequest {
        tenant: tenant.0.clone(),
        insight: held.applied.definition.name.clone(),
        fingerprint: held.applied.fingerprint.clone(),
        period,
        first,
        last,
        reason: reason.clone(),
        requested_at: now,
    }
}

/// The request for a period whose days changed; `None` when nobody wants it any more.
pub fn period_request(
    tenant: &Tenant,
    definitions: &[Held],
    dirty: &DirtyPeriod,
    now: Timestamp,
) -> Option<ComputeSnapshotRequest> {
    let of =
        |held: &&Held| held.applied.definition.name == dirty.insight && held.applied.fingerprint == dirty.fingerprint;
    let held = definitions.iter().find(of)?;
    let last = dirty.period.last(dirty.first, held.applied.definition.week_start);
    Some(request(tenant, held, dirty.period, (dirty.first, last), &Reason::Repair, now))
}

/// Cuts a span at the turn of years: pieces that every insight shares, none longer than a request may be.
pub fn cut(first: Date, last: Date) -> Vec<(Date, Date)> {
    let mut pieces = Vec::new();
    let mut at = first;
    while at <= last {
        let end = at.last_of_year().min(last);
        pieces.push((at, end));
        at = calendar::next(end);
        if end == Date::MAX {
            break;
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
