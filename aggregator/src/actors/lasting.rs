//! How long things took, by cell: exact medians and means, whatever the number of durations.

use std::io;

use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::metric::RATIO_SCALE;
use tidemill_schemas::value::Value;

use crate::metric::sorted::Sorted;
use crate::metric::table::List;
use crate::metric::trail::Lasting;
use crate::spill::SharedSpill;

/// Bytes of durations in memory before they are spilled.
const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Durations as they come.
pub(super) struct Durations {
    list: List<Lasting>,
    spill: SharedSpill,
}

/// Durations by cell.
pub(super) struct Measured(Vec<Sorted<Lasting>>);

impl Durations {
    pub fn new(spill: &SharedSpill) -> Durations {
        Durations { list: List::default(), spill: spill.clone() }
    }

    pub fn push(&mut self, cell: usize, micros: i64) -> io::Result<()> {
        self.list.push(cell as u32, Lasting { micros, count: 1 });
        if self.list.bytes() > MEMORY_BYTES_MAX { self.list.spill(&self.spill) } else { Ok(()) }
    }

    pub fn finish(self, cells: usize) -> io::Result<Measured> {
        Ok(Measured(self.list.finish(cells, &self.spill)?))
    }
}

impl Measured {
    /// Median and mean of these cells together, in seconds; null over no durations. Of an even number the median is
    /// the mean of the two in the middle.
    pub fn of(&self, cells: impl Iterator<Item = usize>) -> io::Result<(Value, Value)> {
        let mut all: Sorted<Lasting> = Sorted::default();
        for cell in cells {
            if let Some(more) = self.0.get(cell) {
                all.merge(more.clone())?;
            }
        }
        let (mut n, mut sum) = (0u64, 0i128);
        all.scan(|entry| {
            n += entry.count;
            sum += i128::from(entry.micros) * i128::from(entry.count);
            true
        })?;
        if n == 0 {
            return Ok((Value::Null, Value::Null));
        }
        let (lower, upper) = ((n - 1) / 2, n / 2);
        let (mut seen, mut middle) = (0u64, [0i64; 2]);
        all.scan(|entry| {
            for (rank, found) in [lower, upper].into_iter().zip(&mut middle) {
                if seen <= rank && rank < seen + entry.count {
                    *found = entry.micros;
                }
            }
            seen += entry.count;
            seen <= upper
        })?;
        let median = i128::from(middle[0]) + i128::from(middle[1]);
        Ok((seconds(median, 2), seconds(sum, n)))
    }
}

/// `micros / n` in seconds.
fn seconds(micros: i128, n: u64) -> Value {
    let micros = Decimal::new(micros, RATIO_SCALE.into()).ok();
    let ratio = micros.and_then(|micros| Decimal::ratio(micros, Decimal::from(n), RATIO_SCALE));
    ratio.map_or(Value::Null, Value::Number)
}
