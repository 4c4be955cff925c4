//! Requests: what the dispatcher, the daily rollup, repair and backfill ask of the engine. One kind for all of them.

use serde::{Deserialize, Serialize};

use crate::calendar::{Date, Period, WeekStart};
use crate::definition::Refresh;
use crate::time::Timestamp;

/// Local days one request may span.
pub const REQUEST_DAYS_MAX: usize = 366;

/// Compute the snapshots of these local days, or of these longer periods by folding their days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeSnapshotRequest {
    /// Whose.
    pub tenant: String,
    /// Which insight.
    pub insight: String,
    /// The definition it was asked for; another one makes the request stale.
    pub fingerprint: String,
    /// Which kind of period is computed. Requests stored before there were longer periods name none: days.
    #[serde(default, skip_serializing_if = "Period::is_day")]
    pub period: Period,
    /// First local day; of a longer period, the first day of the first one.
    pub first: Date,
    /// Last local day, included; of longer periods, the last day of the last one.
    pub last: Date,
    /// Why.
    pub reason: Reason,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

impl ComputeSnapshotRequest {
    /// The same days in two requests; `None` when it is about one day, or about longer periods.
    pub fn halves(&self) -> Option<[ComputeSnapshotRequest; 2]> {
        let days = self.last.since(self.first).ok()?.get_days();
        if !self.period.is_day() || days < 1 {
            return None;
        }
        let last_of_first = self.first.checked_add(jiff::ToSpan::days(days / 2)).ok()?;
        let first_of_second = last_of_first.tomorrow().ok()?;
        let first = ComputeSnapshotRequest { last: last_of_first, ..self.clone() };
        Some([first, ComputeSnapshotRequest { first: first_of_second, ..self.clone() }])
    }
}

/// Why a snapshot is computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The refresh schedule: the running day, by the derived strategy.
    Refresh,
    /// The daily rollup: the closed day, scanned and compared with the running totals.
    Rollup,
    /// A day changed after it had closed.
    Repair,
    /// History, asked for all at once, as it was before there were waves; the backfill's id.
    Backfill(String),
    /// History, as part of a leased unit of a backfill.
    Unit(Lease),
}

/// The right to work on one unit of a backfill. A lease that ran out is granted anew under the next epoch; what is
/// reported under an earlier one changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The backfill's id.
    pub backfill: String,
    /// The unit's place in its plan.
    pub unit: u32,
    /// Counts the leases of the unit, from 1.
    pub epoch: u32,
}

/// What a schedule hands to its handler when it fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fire")]
pub enum Firing {
    /// The dispatcher: refresh the running day of every insight of this rate.
    Refresh {
        /// Whose.
        tenant: String,
        /// Which rate; `None`: every one, at once.
        refresh: Option<Refresh>,
    },
    /// Look at the days that changed after they had closed.
    Repair {
        /// Whose.
        tenant: String,
    },
    /// The rollup of the insights in a zone.
    Rollup {
        /// Whose.
        tenant: String,
        /// The IANA name.
        zone: String,
        /// Which kind of period is rolled up. Firings stored before there were longer periods name none: days.
        #[serde(default, skip_serializing_if = "Period::is_day")]
        period: Period,
        /// Of weeks: the day they start on.
        #[serde(default, skip_serializing_if = "WeekStart::is_sunday")]
        week_start: WeekStart,
    },
    /// A request that waited for its days: it goes to the engine again.
    Again {
        /// The request.
        request: ComputeSnapshotRequest,
    },
    /// The next step of a backfill: what has ended is taken in, what has run out is leased anew.
    Wave {
        /// Whose.
        tenant: String,
        /// The backfill's id.
        backfill: String,
    },
    /// Rewrite the pages of days that are over, and remove what was replaced long ago.
    Upkeep {
        /// Whose.
        tenant: String,
    },
}

#[cfg(test)]
mod tests;
