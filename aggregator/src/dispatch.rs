//! What to schedule and what to ask for: pure decisions of the dispatcher.
//!
//! In: definitions, what is armed, the time. Out: schedule entries and requests, as plain values. Nothing here knows a
//! schedule service or a queue.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidemill_schemas::calendar::{Date, Period, WeekStart, Zone};
use tidemill_schemas::definition::{Definition, Refresh};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, Firing};
use tidemill_schemas::time::Timestamp;

use crate::periods;

/// Seconds without an event after which schedules are disarmed.
pub const QUIET_SECONDS: i64 = 15 * 60;
/// Seconds between two notes of activity.
pub const ACTIVITY_SECONDS: i64 = 60;
/// Minutes between two looks at the days that changed after they had closed.
pub const REPAIR_MINUTES: u32 = 1;
/// Minutes between two looks at the pages of days that are over.
pub const UPKEEP_MINUTES: u32 = 60;

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
    /// Names of schedules that are being disarmed: whoever arms one meanwhile puts it, whether it was armed or not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub disarming: BTreeSet<String>,
    /// Rollups to come, by name: arming again never puts one off that did not come through yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub due: BTreeMap<String, Timestamp>,
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
    // What is computed once a day needs no tick: the daily rollup asks for its days.
    let rates = definitions.iter().map(|definition| definition.refresh).filter(|rate| *rate != Refresh::Daily);
    let rates: BTreeSet<Refresh> = rates.collect();
    let rolled_up: BTreeMap<(&str, Period, &str), (&Zone, WeekStart)> =
        definitions.iter().flat_map(|definition| rolled_up(definition)).collect();
    let mut entries = Vec::new();
    for refresh in rates {
        let firing = Firing::Refresh { tenant: tenant.0.clone(), refresh: Some(refresh) };
        entries.push(planned(tenant, &refresh_name(refresh), Fires::EveryMinutes(refresh.minutes()), firing));
    }
    if !definitions.is_empty() {
        let firing = Firing::Repair { tenant: tenant.0.clone() };
        entries.push(planned(tenant, "repair", Fires::EveryMinutes(REPAIR_MINUTES), firing));
    }
    let firing = Firing::Upkeep { tenant: tenant.0.clone() };
    entries.push(planned(tenant, "upkeep", Fires::EveryMinutes(UPKEEP_MINUTES), firing));
    let rollups = rolled_up.into_iter().map(|((_, period, _), (zone, start))| rollup(tenant, zone, period, start, now));
    entries.extend(rollups);
    entries
}

/// The rollups a definition takes part in. Only weeks depend on the day they start on.
fn rolled_up(definition: &Definition) -> impl Iterator<Item = ((&str, Period, &str), (&Zone, WeekStart))> {
    let zone = &definition.timezone;
    [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year].into_iter().map(move |period| {
        let start = if period == Period::Week { definition.week_start } else { WeekStart::default() };
        ((zone.name(), period, start.word()), (zone, start))
    })
}

/// What fires once, at once, when schedules are armed: nobody should wait for the first tick.
pub fn first_firings(tenant: &Tenant, now: Timestamp) -> [Planned; 2] {
    let refresh = Firing::Refresh { tenant: tenant.0.clone(), refresh: None };
    let repair = Firing::Repair { tenant: tenant.0.clone() };
    [planned(tenant, "refresh-now", Fires::At(now), refresh), planned(tenant, "repair-now", Fires::At(now), repair)]
}

/// A look at what changed, once, at `at`.
pub fn repair_at(tenant: &Tenant, at: Timestamp) -> Planned {
    let firing = Firing::Repair { tenant: tenant.0.clone() };
    planned(tenant, "repair-later", Fires::At(at), firing)
}

/// A request that goes to the engine again, at `at`: for delays that no queue keeps.
pub fn again_at(tenant: &Tenant, request: &ComputeSnapshotRequest, at: Timestamp) -> Planned {
    let (insight, period, first) = (&request.insight, request.period.word(), request.first);
    // The name is unique per period and short enough for any scheduler.
    let hash = xxhash_rust::xxh3::xxh3_64(format!("{insight} {}", request.fingerprint).as_bytes());
    let name = format!("again-{hash:016x}-{period}-{first}");
    planned(tenant, &name, Fires::At(at), Firing::Again { request: request.clone() })
}

/// The next rollup of a zone and kind of period.
pub fn rollup(tenant: &Tenant, zone: &Zone, period: Period, week_start: WeekStart, now: Timestamp) -> Planned {
    let kind = match (period, week_start) {
        (Period::Day, _) => String::new(),
        (Period::Week, WeekStart::Monday) => "week-monday-".to_owned(),
        (period, _) => format!("{}-", period.word()),
    };
    let name = format!("rollup-{kind}{}", zone.name().replace('/', "."));
    let fires = Fires::At(periods::next_firing(zone, period, week_start, now));
    let firing = Firing::Rollup { tenant: tenant.0.clone(), zone: zone.name().to_owned(), period, week_start };
    planned(tenant, &name, fires, firing)
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

/// The name of the upkeep's schedule.
pub fn upkeep_entry_name(tenant: &Tenant) -> String {
    format!("{}.upkeep", tenant.0)
}

/// The last local day whose rollup time has come.
pub fn last_closed(zone: &Zone, now: Timestamp) -> Date {
    periods::last_closed(zone, Period::Day, WeekStart::default(), now)
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

#[cfg(test)]
mod tests;
