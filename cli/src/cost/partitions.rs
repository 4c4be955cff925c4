//! Which keys get hot. Pure.
//!
//! In: events a second, over how many sources, and how deliveries are cut. Out: writes and reads a second of the busiest key
//! of each kind, beside what one partition of DynamoDB takes. A key is taken to be in one partition: DynamoDB splits a
//! hot partition further by and by, and nothing here relies on it.

use tidemill_schemas::keys::EVENT_BUCKETS;

use crate::cost::day::Shape;

/// Units of writing one partition takes a second.
pub const WRITES_MAX: f64 = 1_000.0;
/// Units of reading one partition takes a second.
pub const READS_MAX: f64 = 3_000.0;
/// How much more than its share the busiest bucket gets; a test holds the hash against it.
const UNEVEN: f64 = 1.05;
/// Events of one request where so many come.
const PER_REQUEST: f64 = 100.0;

/// The busiest key of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    /// What it is.
    pub key: String,
    /// Units written a second.
    pub writes: f64,
    /// Units read a second.
    pub reads: f64,
}

impl Heat {
    fn of(key: &str, writes: f64, reads: f64) -> Heat {
        Heat { key: key.to_owned(), writes, reads }
    }

    /// The share of a partition that is used; above 1 it is not enough.
    pub fn share(&self) -> f64 {
        (self.writes / WRITES_MAX).max(self.reads / READS_MAX)
    }
}

/// How hot keys get when so many events a second come from so many sources alike.
pub fn heats(events: f64, sources: f64, shape: &Shape) -> Vec<Heat> {
    let of_source = events / sources.max(1.0);
    let bucket = of_source / f64::from(EVENT_BUCKETS) * UNEVEN;
    // A shard of the feed for each partition, and a partition for so many writes.
    let lanes = (events / WRITES_MAX).ceil().max(f64::from(shape.shards));
    let deliveries = |window: i64| {
        let by_size = events / lanes / shape.delivery_max as f64;
        lanes * by_size.max(1.0 / window as f64)
    };
    let (changes, seals) = (deliveries(shape.changes_seconds), deliveries(shape.seal_seconds));
    let requests = of_source / PER_REQUEST;
    vec![
        Heat::of("events: one of a source's buckets", bucket, 0.0),
        Heat::of("gate of a source, as sends read it", 0.0, requests),
        Heat::of("gate of a source, while an import is announced", 2.0 * of_source, requests),
        Heat::of("one running total", changes, changes),
        Heat::of("progress of one shard", changes / lanes, 2.0 * changes / lanes),
        Heat::of("head of one shard's chain", 2.0 * seals / lanes, seals / lanes),
        Heat::of("pages of a source's day", 2.0 * seals / sources.max(1.0), seals / sources.max(1.0)),
        Heat::of("activity of a tenant", 1.0 / 60.0, changes),
    ]
}

/// Buckets a source needs for so many events a second: a power of two that leaves a fifth free.
pub fn buckets_for(events: f64) -> u64 {
    let least = events * UNEVEN / (0.8 * WRITES_MAX);
    (least.ceil().max(1.0) as u64).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_schemas::keys::{self, Tenant};

    #[test]
    fn sixty_four_buckets_are_enough_for_one_source_up_to_sixty_thousand_a_second() {
        let bucket = |events: f64, sources: f64| heats(events, sources, &Shape::default())[0].share();
        assert!(bucket(60_000.0, 1.0) < 1.0);
        assert!(bucket(100_000.0, 1.0) > 1.6);
        assert!(bucket(100_000.0, 2.0) < 0.83);
        assert_eq!(buckets_for(100_000.0), 256);
        assert_eq!(buckets_for(40_000.0), 64);
    }

    #[test]
    fn no_bucket_gets_more_than_is_reckoned_with() {
        let mut counts = std::collections::BTreeMap::<Vec<u8>, u64>::new();
        let events = 1_000_000;
        for number in 0..events {
            *counts.entry(keys::event(&Tenant::local(), "shop", &format!("e{number}")).partition).or_default() += 1;
        }
        assert_eq!(counts.len(), usize::from(EVENT_BUCKETS));
        let most = counts.values().max().copied().unwrap_or_default() as f64;
        let share = most / (events as f64 / f64::from(EVENT_BUCKETS));
        assert!(share < UNEVEN, "{share}");
    }
}
