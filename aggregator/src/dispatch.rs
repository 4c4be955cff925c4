//! What to schedule and what to ask for: pure decisions of the dispatcher.
//!
//! In: definitions, what is armed, the time. Out: schedule entries and requests, as plain values. Nothing here knows a
//! schedule service or a queue.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidemill_schemas::calendar::{Date, Zone, next};
use tidemill_schemas::definition::{Definition, Refresh};
use tidemill_schemas::event::DAY_GRACE_MICROS;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::Firing;
use tidemill_schemas::time::Timestamp;

/// Seconds without an event after which schedules are disarmed.
pub const QUIET_SECONDS: i64 = 15 * 60;
/// Seconds between two notes of activity.
pub const ACTIVITY_SECONDS: i64 = 60;
/// Minutes between two looks at the days that changed after they had closed.
pub const REPAIR_MINUTES: u32 = 1;

/// When a planned schedule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fires {
    /// Once.
    At(Timestamp),
    /// Every so many minutes.
    EveryMinutes(u32),
}

/// A schedule to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// When it fires.
    pub fires: Fires,
    /// What it hands to its handler.
    pub firing: Firing,
}

/// A tenant's activity: when the last event came, and which schedules are armed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When events last came, to [`ACTIVITY_SECONDS`].
    pub last: Option<Timestamp>,
    /// Names of armed schedules.
    pub armed: BTreeSet<String>,
}

impl Activity {
    /// Whether no event has come for [`QUIET_SECONDS`].
    pub fn is_quiet(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|last| last.plus_seconds(QUIET_SECONDS) < now)
    }

    /// Whether the last note is recent enough to leave it.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| now < last.plus_seconds(ACTIVITY_SECONDS))
    }
}

/// The schedules these definitions need while events come.
pub fn schedules(tenant: &Tenant, definitions: &[&Definition], now: Timestamp) -> Vec<Planned> {
    let rates: BTreeSet<Refresh> = definitions.iter().map(|definition| definition.refresh).collect();
    let zones: BTreeMap<&str, &Zone> =
        definitions.iter().map(|definition| (definition.timezone.name(), &definition.timezone)).collect();
    let mut entries = Vec::new();
    for refresh in rates {
        let firing = Firing::Refresh { tenant: tenant.0.clone(), refresh: Some(refresh) };
        entries.push(planned(tenant, &refresh_name(refresh), Fires::EveryMinutes(refresh.minutes()), firing));
    }
    if !definitions.is_empty() {
        let firing = Firing::Repair { tenant: tenant.0.clone() };
        entries.push(planned(tenant, "repair", Fires::EveryMinutes(REPAIR_MINUTES), firing));
    }
    entries.extend(zones.into_values().map(|zone| rollup(tenant, zone, now)));
    entries
}

/// What fires once, at once, when schedules are armed: nobody should wait for the first tick.
pub fn first_firings(tenant: &Tenant, now: Timestamp) -> [Planned; 2] {
    let refresh = Firing::Refresh { tenant: tenant.0.clone(), refresh: None };
    let repair = Firing::Repair { tenant: tenant.0.clone() };
    [planned(tenant, "refresh-now", Fires::At(now), refresh), planned(tenant, "repair-now", Fires::At(now), repair)]
}

/// The next daily rollup of a zone.
pub fn rollup(tenant: &Tenant, zone: &Zone, now: Timestamp) -> Planned {
    let name = format!("rollup-{}", zone.name().replace('/', "."));
    let firing = Firing::Rollup { tenant: tenant.0.clone(), zone: zone.name().to_owned() };
    planned(tenant, &name, Fires::At(rollup_after(zone, now)), firing)
}

fn planned(tenant: &Tenant, name: &str, fires: Fires, firing: Firing) -> Planned {
    Planned { name: format!("{}.{name}", tenant.0), fires, firing }
}

fn refresh_name(refresh: Refresh) -> String {
    format!("refresh-{}", refresh.word())
}

/// The name of a rate's schedule.
pub fn refresh_entry_name(tenant: &Tenant, refresh: Refresh) -> String {
    format!("{}.{}", tenant.0, refresh_name(refresh))
}

/// The name of the repair schedule.
pub fn repair_entry_name(tenant: &Tenant) -> String {
    format!("{}.repair", tenant.0)
}

/// When a local day is rolled up: an hour after its end, as an instant. For UTC that is 01:00.
pub fn rollup_time(zone: &Zone, day: Date) -> Timestamp {
    zone.start_of(next(day)).plus_micros(DAY_GRACE_MICROS)
}

/// The first rollup of a zone after `now`.
pub fn rollup_after(zone: &Zone, now: Timestamp) -> Timestamp {
    let mut day = last_closed(zone, now);
    loop {
        day = next(day);
        let at = rollup_time(zone, day);
        if at > now {
            return at;
        }
    }
}

/// The last local day whose rollup time has come.
pub fn last_closed(zone: &Zone, now: Timestamp) -> Date {
    let running = zone.date_of(now.plus_micros(-DAY_GRACE_MICROS));
    running.yesterday().unwrap_or(running)
}

/// Spans of dates, each at most `days_max` long, that hold all of `days`; gaps of up to `gap_days_max` are bridged.
pub fn spans(days: &BTreeSet<Date>, gap_days_max: i32, days_max: usize) -> Vec<(Date, Date)> {
    let mut spans: Vec<(Date, Date)> = Vec::new();
    for &day in days {
        match spans.last_mut() {
            Some((first, last))
                if apart(*last, day) <= gap_days_max
                    && apart(*first, day) < i32::try_from(days_max).unwrap_or(i32::MAX) =>
            {
                *last = day;
            }
            _ => spans.push((day, day)),
        }
    }
    spans
}

/// Days from `first` to `last`.
pub fn apart(first: Date, last: Date) -> i32 {
    first.until(last).map_or(i32::MAX, |span| span.get_days())
}
