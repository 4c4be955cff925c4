//! Changes to records, records to pages.
//!
//! In: old and new images in feed order. Out: per source and UTC day the records that bring it up to date, corrections
//! first; and the Parquet bytes of them. Equal records give equal bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tidemill_schemas::calendar::{Date, utc_date};
use tidemill_schemas::event::Event;
use tidemill_schemas::page::{PAGE_FORMAT, PAGE_ROW_GROUP_ROWS};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;
use xxhash_rust::xxh3::xxh3_128;

use super::columns;

/// zstd's level: above it pages hardly shrink and cost much more to write.
const ZSTD_LEVEL: i32 = 3;

/// A change of the event store, as events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChange {
    /// Before; `None`: the event is new.
    pub old: Option<Event>,
    /// After; `None`: removed by age, which takes nothing back.
    pub new: Option<Event>,
}

/// A row of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The event; `deleted`: as of this revision it is not in this day.
    pub event: Event,
    /// Whether something sealed earlier may have to give way to it.
    pub correction: bool,
}

/// An encoded page.
#[derive(Clone, Debug)]
pub struct EncodedPage {
    /// The Parquet file.
    pub bytes: Bytes,
    /// Rows.
    pub rows: u64,
    /// Correction rows, the first ones.
    pub corrections: u64,
    /// The earliest event time.
    pub min_time: Timestamp,
    /// The latest event time.
    pub max_time: Timestamp,
    /// xxh3-128 of the bytes, in hex.
    pub hash: String,
}

/// One identity's records of one day, while a delivery is looked at.
struct Pending {
    /// Place of the first change, for arrival order.
    place: usize,
    /// Whether something of it was there before this delivery.
    correction: bool,
    event: Event,
}

/// What a delivery brings to each (source, UTC day): per id the highest revision, corrections first, then in order of
/// arrival. A withdrawal of what no page ever held is left out; days left without records are not listed.
pub fn records(changes: &[StoredChange]) -> BTreeMap<(String, Date), Vec<Record>> {
    let mut days: BTreeMap<(String, Date), BTreeMap<String, Pending>> = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        let Some(new) = &change.new else { continue };
        let old = change.old.as_ref().filter(|old| !old.deleted);
        if let Some(old) = old
            && (new.deleted || utc_date(old.time) != utc_date(new.time))
        {
            keep(&mut days, place, true, withdrawal(old, new));
        }
        if !new.deleted {
            keep(&mut days, place, change.old.is_some(), new.clone());
        }
    }
    days.into_iter().map(|(day, pending)| (day, sorted(pending))).filter(|(_, records)| !records.is_empty()).collect()
}

fn keep(days: &mut BTreeMap<(String, Date), BTreeMap<String, Pending>>, place: usize, correction: bool, event: Event) {
    let day = days.entry((event.source.clone(), utc_date(event.time))).or_default();
    match day.get_mut(&event.id) {
        // The feed holds an id's changes in order: the later is the higher revision.
        Some(pending) => pending.event = event,
        None => {
            day.insert(event.id.clone(), Pending { place, correction, event });
        }
    }
}

fn sorted(pending: BTreeMap<String, Pending>) -> Vec<Record> {
    let mut pending: Vec<Pending> =
        pending.into_values().filter(|pending| pending.correction || !pending.event.deleted).collect();
    pending.sort_by_key(|pending| (!pending.correction, pending.place));
    pending.into_iter().map(|Pending { correction, event, .. }| Record { event, correction }).collect()
}

/// "As of `new`'s revision, `old` is not in this day."
fn withdrawal(old: &Event, new: &Event) -> Event {
    Event {
        id: old.id.clone(),
        source: old.source.clone(),
        name: old.name.clone(),
        actor: old.actor.clone(),
        time: old.time,
        properties: BTreeMap::new(),
        rev: new.rev,
        deleted: true,
        received: new.received,
    }
}

/// Encodes the records of one source and UTC day. `primary` tells the type whose column bears a property's bare name.
///
/// # Errors
/// Arrow's and Parquet's; none is known to be reachable with checked events.
pub fn encode(
    source: &str,
    day: Date,
    records: &[Record],
    primary: &dyn Fn(&str) -> Option<Type>,
) -> Result<EncodedPage, ParquetError> {
    let events: Vec<&Event> = records.iter().map(|record| &record.event).collect();
    let batch = columns::batch(&events, primary)?;
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let metadata = vec![
        pair("tidemill.format", PAGE_FORMAT.to_string()),
        pair("tidemill.source", source.to_owned()),
        pair("tidemill.day", day.to_string()),
    ];
    let properties = WriterProperties::builder()
        .set_created_by("tidemill".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(PAGE_ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(metadata))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    let bytes = Bytes::from(writer.into_inner()?);
    let times = || events.iter().map(|event| event.time);
    Ok(EncodedPage {
        hash: format!("{:032x}", xxh3_128(&bytes)),
        bytes,
        rows: records.len() as u64,
        corrections: records.iter().filter(|record| record.correction).count() as u64,
        min_time: times().min().unwrap_or(Timestamp::MIN),
        max_time: times().max().unwrap_or(Timestamp::MIN),
    })
}

#[cfg(test)]
mod tests;
