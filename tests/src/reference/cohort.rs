//! Cohorts: buckets by the calendar, one event at a time.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_schemas::calendar::{Date, WeekStart, Zone};
use tidemill_schemas::definition::actors::{Cohort, CohortMeasure, CohortMode};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Value;

use super::Did;

/// Size and columns of each cohort, by its first day.
pub fn cohorts(
    cohort: &Cohort,
    zone: &Zone,
    week_start: WeekStart,
    actors: &BTreeMap<Value, Vec<Did>>,
) -> BTreeMap<Date, (u64, Vec<u64>)> {
    let bucket = |did: &Did| cohort.every.first(zone.date_of(Timestamp::from_micros(did.time)), week_start);
    let mut found: BTreeMap<Date, (u64, Vec<u64>)> = BTreeMap::new();
    for did in actors.values() {
        let mut born: BTreeSet<Date> = did.iter().filter(|did| did.mask & 1 != 0).map(bucket).collect();
        if cohort.mode == CohortMode::FirstTime {
            born = born.into_iter().take(1).collect();
        }
        let back: BTreeSet<Date> = did.iter().filter(|did| did.mask & 2 != 0).map(bucket).collect();
        for first in born {
            let mut columns = vec![first];
            while columns.len() < cohort.periods as usize {
                let last = cohort.every.last(columns[columns.len() - 1], week_start);
                columns.push(last.tomorrow().expect("no test is at the end of time"));
            }
            let held = found.entry(first).or_insert_with(|| (0, vec![0; columns.len()]));
            held.0 += 1;
            for (at, start) in columns.iter().enumerate() {
                let counts = match cohort.measure {
                    CohortMeasure::On => back.contains(start),
                    CohortMeasure::OnOrAfter => back.range(start..=&columns[columns.len() - 1]).next().is_some(),
                };
                held.1[at] += u64::from(counts);
            }
        }
    }
    found
}
