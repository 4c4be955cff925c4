//! Event times: an array of any type as instants.
//!
//! In: timestamps of any unit with or without a zone, dates, epoch milliseconds, or text. Out: microseconds; rows whose
//! time is missing, out of range or ahead of the clock are doubted.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use tidemill_schemas::calendar::Zone;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

use super::cell;
use super::typed::Doubts;

/// Instants of a column, in microseconds; `latest` is the last one that is not ahead of the clock.
pub(super) fn instants(array: &ArrayRef, zone: &Zone, latest: i64, doubts: &mut Doubts) -> Vec<i64> {
    let latest = latest.min(Timestamp::MAX.micros());
    let mut check = |row: usize, micros: Option<i64>| {
        let micros = micros.filter(|micros| (Timestamp::MIN.micros()..=latest).contains(micros));
        if micros.is_none() {
            doubts.add(row);
        }
        micros.unwrap_or_default()
    };
    if let Some(micros) = exact(array, zone) {
        return micros.into_iter().enumerate().map(|(row, micros)| check(row, micros)).collect();
    }
    (0..array.len())
        .map(|row| {
            let time = cell::read(array, row).ok().and_then(|cell| super::time_of_cell(cell, zone));
            check(row, time.map(Timestamp::micros))
        })
        .collect()
}

/// Instants that are numbers already; `None` when they have to be read one by one.
fn exact(array: &ArrayRef, zone: &Zone) -> Option<Vec<Option<i64>>> {
    match array.data_type() {
        DataType::Timestamp(unit, offset) if offset.is_some() || zone.name() == "UTC" => Some(micros(array, *unit)),
        data_type if data_type.is_integer() => {
            let millis = cast(array, &DataType::Int64).ok()?;
            let millis = millis.as_primitive::<Int64Type>();
            Some(millis.iter().map(|millis| millis?.checked_mul(1_000)).collect())
        }
        _ => None,
    }
}

fn micros(array: &ArrayRef, unit: TimeUnit) -> Vec<Option<i64>> {
    match unit {
        TimeUnit::Second => {
            let seconds = array.as_primitive::<TimestampSecondType>();
            seconds.iter().map(|seconds| seconds?.checked_mul(MICROS_PER_SECOND)).collect()
        }
        TimeUnit::Millisecond => {
            let millis = array.as_primitive::<TimestampMillisecondType>();
            millis.iter().map(|millis| millis?.checked_mul(1_000)).collect()
        }
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().iter().collect(),
        TimeUnit::Nanosecond => {
            let nanos = array.as_primitive::<TimestampNanosecondType>();
            nanos.iter().map(|nanos| nanos.map(|nanos| nanos.div_euclid(1_000))).collect()
        }
    }
}
