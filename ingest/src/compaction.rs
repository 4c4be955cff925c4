//! Compaction, decided: which days are worth it, into which slices a day is cut, what is kept of it.
//!
//! In: what the manifest knows of a source's UTC day, the time, how many rows each second has. Out: a verdict, slices
//! of bounded size in order of time, the item that switches readers over. Nothing here reads a page.

use std::io::BufReader;

use flate2::Compression as Level;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::{Position, Through};

use crate::manifest::{IndexedPage, PageDay, PageRef};

/// The version of a compaction's item.
pub const COMPACTION_FORMAT: u32 = 1;
/// The shard that compacted pages are said to come from; no feed and no import is called so.
pub const COMPACTED: &str = "compacted";
/// How long after its end a UTC day is left alone: most of what is late has come by then.
pub const COMPACT_AFTER_SECONDS: i64 = 60 * 60;
/// How long a day must not have changed.
pub const COMPACT_SETTLED_SECONDS: i64 = 10 * 60;
/// How long a replaced object stays: longer than any pass over pages.
pub const REPLACED_KEEP_SECONDS: i64 = 24 * 60 * 60;
/// Pages that are worth putting together, however small.
pub const COMPACT_PAGES_MIN: u64 = 8;
/// Rows that are worth sorting.
pub const COMPACT_ROWS_MIN: u64 = 16_384;
/// A day that was compacted before is so again when what came since is more than one part of so many.
const COMPACT_AGAIN_PART: u64 = 4;
/// ... or as many pages, however few rows.
const COMPACT_AGAIN_PAGES: u64 = 64;
/// Seconds of a UTC day.
const DAY_SECONDS: usize = (MICROS_PER_DAY / MICROS_PER_SECOND) as usize;

/// Whether the objects a compaction replaced are still there. Removing is noted before the first one goes, so that
/// nobody who began earlier commits pages that are taken for left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replaced {
    /// They are.
    Kept,
    /// Perhaps.
    Removing,
    /// They are gone.
    Removed,
}

/// What the pages of a source's UTC day were rewritten to. Written with a condition on the rank that was read, so one
/// of several writers comes through; readers see all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// [`COMPACTION_FORMAT`].
    pub format: u32,
    /// When it was committed.
    pub compacted_at: Timestamp,
    /// It replaces the day's pages whose chain entries end at or before these positions.
    pub through: Through,
    /// How many pages these are.
    pub replaced_pages: u64,
    /// Their rows.
    pub replaced_rows: u64,
    /// Their objects.
    pub replaced: Replaced,
    /// The live rows; none when every event was withdrawn from the day.
    pub pages: Vec<PageRef>,
}

impl Compaction {
    /// The stored body.
    ///
    /// # Errors
    /// In words; none is known to be reachable.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut body = GzEncoder::new(Vec::new(), Level::fast());
        serde_json::to_writer(&mut body, self).map_err(|why| why.to_string())?;
        body.finish().map_err(|why| why.to_string())
    }

    /// The compaction of a stored body.
    ///
    /// # Errors
    /// In words, when the bytes are not one, or one of a newer tidemill.
    pub fn decode(body: &[u8]) -> Result<Compaction, String> {
        let held: Compaction =
            serde_json::from_reader(BufReader::new(GzDecoder::new(body))).map_err(|why| why.to_string())?;
        match held.format {
            COMPACTION_FORMAT => Ok(held),
            newer => Err(format!("format {newer}")),
        }
    }

    /// Whether a page of its day was replaced.
    pub fn replaces(&self, page: &IndexedPage) -> bool {
        page.shard != COMPACTED && page.through <= self.through.of(&page.shard)
    }

    /// Its pages, in the form of sealed ones.
    pub fn indexed(&self) -> impl Iterator<Item = IndexedPage> + '_ {
        self.pages.iter().map(|page| IndexedPage {
            shard: COMPACTED.to_owned(),
            after: Position::default(),
            through: Position::default(),
            sealed_at: self.compacted_at,
            page: page.clone(),
        })
    }
}

/// Whether rewriting a day's pages gains more than it costs. Costs stay in proportion: a day is written anew only when
/// it has grown by a quarter, or when many pages have come.
pub fn is_worth_it(day: &PageDay, held: Option<&Compaction>) -> bool {
    let Some(held) = held else { return day.pages >= COMPACT_PAGES_MIN || day.rows >= COMPACT_ROWS_MIN };
    let pages = day.pages.saturating_sub(held.replaced_pages);
    let rows = day.rows.saturating_sub(held.replaced_rows);
    let fresh = PageDay { pages, rows, ..PageDay::default() };
    pages >= COMPACT_AGAIN_PAGES || is_worth_it(&fresh, None) && rows * COMPACT_AGAIN_PART > held.replaced_rows
}

/// Whether a day is over, long enough ago.
pub fn is_closed(day: Date, now: Timestamp) -> bool {
    ends(day).plus_seconds(COMPACT_AFTER_SECONDS) <= now
}

/// When a day is over.
pub fn ends(day: Date) -> Timestamp {
    tidemill_schemas::calendar::Zone::utc().day(day).end
}

/// How many rows each second of a day has.
#[derive(Debug)]
pub struct Seconds(Vec<u32>);

/// Some rows of a day: those of these seconds, without the first `skip` of them, and at most `take`, in the order of
/// reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first second.
    pub from: usize,
    /// The first one behind.
    pub to: usize,
    /// Rows left out.
    pub skip: u64,
    /// Rows.
    pub take: u64,
}

impl Default for Seconds {
    fn default() -> Seconds {
        Seconds(vec![0; DAY_SECONDS])
    }
}

/// The second of its UTC day an instant lies in.
pub fn second_of(micros: i64) -> usize {
    (micros.rem_euclid(MICROS_PER_DAY) / MICROS_PER_SECOND) as usize
}

impl Seconds {
    /// Counts a row.
    pub fn add(&mut self, micros: i64) {
        self.0[second_of(micros)] += 1;
    }

    /// Rows.
    pub fn rows(&self) -> u64 {
        self.0.iter().map(|rows| u64::from(*rows)).sum()
    }

    /// Slices of at most `rows_max` rows, in order of time; a second of more rows is cut by their order.
    pub fn slices(&self, rows_max: u64) -> Vec<Slice> {
        let mut slices: Vec<Slice> = Vec::new();
        let mut open: Option<Slice> = None;
        for (second, rows) in self.0.iter().enumerate().filter(|(_, rows)| **rows > 0) {
            let rows = u64::from(*rows);
            if let Some(held) = &mut open
                && held.take + rows <= rows_max
            {
                (held.to, held.take) = (second + 1, held.take + rows);
                continue;
            }
            slices.extend(open.take());
            if rows <= rows_max {
                open = Some(Slice { from: second, to: second + 1, skip: 0, take: rows });
                continue;
            }
            let mut skip = 0;
            while skip < rows {
                let take = rows_max.min(rows - skip);
                slices.push(Slice { from: second, to: second + 1, skip, take });
                skip += take;
            }
        }
        slices.extend(open);
        slices
    }
}

#[cfg(test)]
mod tests;
