//! Snapshots for the tests of this crate.

use std::collections::BTreeMap;

use tidemill_aggregator::snapshot_store::Snapshot;
use tidemill_schemas::calendar::{Date, Period, Zone};
use tidemill_schemas::snapshot::{Digest, Header, Input, SNAPSHOT_FORMAT};
use tidemill_schemas::window::{Position, Through};

/// A date.
pub fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

/// A position of the one shard.
pub fn through(position: u128) -> Through {
    Through(BTreeMap::from([("shard".to_owned(), Position(position))]))
}

/// A finished day in UTC with one event, whose states hash to `content`, and that includes changes up to `position`.
pub fn day(start: &str, content: &str, position: u128) -> (Date, Snapshot) {
    let start = date(start);
    let window = Zone::utc().day(start);
    let header = Header {
        format: SNAPSHOT_FORMAT,
        insight: "orders".to_owned(),
        fingerprint: "f".to_owned(),
        period: Period::Day,
        start,
        window,
        tzdb: "2026a".to_owned(),
        input: Input::Pages,
        through: through(position),
        watermark: window.end,
        pages: String::new(),
        computed_at: window.end,
        verified: Some(true),
        version: 1,
        detail: None,
        states: None,
        content: Some(content.to_owned()),
        partial: false,
        missing: Vec::new(),
        merge_millis: None,
    };
    let digest = Digest { format: SNAPSHOT_FORMAT, events: 1, late: 0, skipped: BTreeMap::new(), values: Vec::new() };
    (start, Snapshot { header, digest })
}
