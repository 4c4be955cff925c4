//! Keys: one typed, injective, order-preserving encoder for everything kept in a table.
//!
//! A key is a partition and a sort key, both byte strings built from components. Text is escaped (`00` → `00 FF`) and
//! ended with `00 01`, numbers are fixed-width big-endian, so that no two component lists share an encoding, no
//! component can forge another, and byte order is component order. Nothing else in tidemill builds keys.

use crate::calendar::{Date, Period, WeekStart};
use crate::window::Position;

/// Bytes a partition key may have (DynamoDB's limit).
pub const PARTITION_BYTES_MAX: usize = 2048;
/// Bytes a sort key may have (DynamoDB's limit).
pub const SORT_BYTES_MAX: usize = 1024;
/// Buckets an event source's ledger is spread over.
pub const EVENT_BUCKETS: u16 = 64;

/// Where an item stands in a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Items of one partition can be queried together.
    pub partition: Vec<u8>,
    /// The order within the partition.
    pub sort: Vec<u8>,
}

/// Builds one half of a key, component by component.
#[derive(Clone, Debug, Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Starts a half with the name of the kind of item it belongs to.
    pub fn of(kind: &str) -> Encoder {
        Encoder::default().text(kind)
    }

    /// Adds a text of any content.
    #[must_use]
    pub fn text(self, text: &str) -> Encoder {
        self.bytes(text.as_bytes())
    }

    /// Adds a byte string of any content.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Encoder {
        for &byte in bytes {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xFF);
            }
        }
        self.0.extend_from_slice(&[0, 1]);
        self
    }

    /// Adds an unsigned number.
    #[must_use]
    pub fn number(mut self, number: u128) -> Encoder {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds a calendar date.
    #[must_use]
    pub fn date(mut self, date: Date) -> Encoder {
        // The year is shifted so that earlier dates sort first.
        self.0.extend_from_slice(&(i32::from(date.year()) + 10_000).to_be_bytes());
        self.0.extend_from_slice(&[date.month().unsigned_abs(), date.day().unsigned_abs()]);
        self
    }

    /// The encoded half.
    pub fn end(self) -> Vec<u8> {
        self.0
    }
}

/// Reads back what [`Encoder`] wrote, component by component.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Starts reading one half of a key.
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder(bytes)
    }

    /// The next component as bytes; `None` when the key has another shape.
    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut at = 0;
        loop {
            match (self.0.get(at)?, self.0.get(at + 1)) {
                (0, Some(1)) => {
                    self.0 = &self.0[at + 2..];
                    return Some(out);
                }
                (0, Some(0xFF)) => {
                    out.push(0);
                    at += 2;
                }
                (0, _) => return None,
                (byte, _) => {
                    out.push(*byte);
                    at += 1;
                }
            }
        }
    }

    /// The next component as text.
    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    /// The next component as a number.
    pub fn number(&mut self) -> Option<u128> {
        let (head, rest) = self.0.split_first_chunk::<16>()?;
        self.0 = rest;
        Some(u128::from_be_bytes(*head))
    }

    /// The next component as a date.
    pub fn date(&mut self) -> Option<Date> {
        let (head, rest) = self.0.split_first_chunk::<6>()?;
        self.0 = rest;
        let year = i32::from_be_bytes([head[0], head[1], head[2], head[3]]).checked_sub(10_000)?;
        Date::new(i16::try_from(year).ok()?, i8::try_from(head[4]).ok()?, i8::try_from(head[5]).ok()?).ok()
    }
}

/// Whose data it is; comes from the credential alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(pub String);

impl Tenant {
    /// The tenant of a local project without keys.
    pub fn local() -> Tenant {
        Tenant("main".to_owned())
    }

    fn half(&self, kind: &str) -> Encoder {
        Encoder::of(kind).text(&self.0)
    }
}

/// The event ledger: one item per identity.
pub fn event(tenant: &Tenant, source: &str, id: &str) -> Key {
    let bucket = xxhash_rust::xxh3::xxh3_64(id.as_bytes()) % u64::from(EVENT_BUCKETS);
    Key { partition: event_partition(tenant, source, bucket as u16), sort: Encoder::default().text(id).end() }
}

/// One bucket of a source's ledger.
pub fn event_partition(tenant: &Tenant, source: &str, bucket: u16) -> Vec<u8> {
    tenant.half("event").text(source).number(u128::from(bucket)).end()
}

/// The gate of a source's imports; it lies in the table of the events it guards.
pub fn import_gate(tenant: &Tenant, source: &str) -> Key {
    Key { partition: tenant.half("import_gate").text(source).end(), sort: Vec::from(*b"gate") }
}

/// What imports have brought of a source.
pub fn imports(tenant: &Tenant, source: &str) -> Key {
    Key { partition: tenant.half("imports").text(source).end(), sort: Vec::from(*b"imports") }
}

/// The page chain of a feed shard: the entry after `position`.
pub fn chain_entry(shard: &str, after: Position) -> Key {
    Key { partition: chain_partition(shard), sort: Encoder::default().number(after.0).end() }
}

/// The page chain of a feed shard.
pub fn chain_partition(shard: &str) -> Vec<u8> {
    Encoder::of("chain").text(shard).end()
}

/// The chain's last entry, kept so that it is found in one look-up.
pub fn chain_head(shard: &str) -> Key {
    Key { partition: Encoder::of("chain_head").text(shard).end(), sort: Vec::from(*b"head") }
}

/// The feed shards there have ever been.
pub fn shard(shard: &str) -> Key {
    Key { partition: shards_partition(), sort: Encoder::default().text(shard).end() }
}

/// The partition of [`shard`].
pub fn shards_partition() -> Vec<u8> {
    Encoder::of("shards").end()
}

/// The pages of one source and UTC day, from the chain entry after `after`.
pub fn day_pages(tenant: &Tenant, source: &str, day: Date, shard: &str, after: Position) -> Key {
    Key {
        partition: day_pages_partition(tenant, source, day),
        sort: Encoder::default().text(shard).number(after.0).end(),
    }
}

/// The page of number `nth` (from 1) after the first one that a chain entry brought to a day.
pub fn day_pages_further(tenant: &Tenant, source: &str, day: Date, shard: &str, after: Position, nth: u64) -> Key {
    Key {
        partition: day_pages_partition(tenant, source, day),
        sort: Encoder::default().text(shard).number(after.0).number(nth.into()).end(),
    }
}

/// The partition of [`day_pages`].
pub fn day_pages_partition(tenant: &Tenant, source: &str, day: Date) -> Vec<u8> {
    tenant.half("pages").text(source).date(day).end()
}

/// What the pages of a source's UTC day were rewritten to.
pub fn compaction(tenant: &Tenant, source: &str, day: Date) -> Key {
    Key { partition: compactions_partition(tenant, source), sort: Encoder::default().date(day).end() }
}

/// The partition of [`compaction`].
pub fn compactions_partition(tenant: &Tenant, source: &str) -> Vec<u8> {
    tenant.half("compactions").text(source).end()
}

/// The UTC days of a source that have pages.
pub fn page_day(tenant: &Tenant, source: &str, day: Date) -> Key {
    Key { partition: page_days_partition(tenant, source), sort: Encoder::default().date(day).end() }
}

/// The partition of [`page_day`].
pub fn page_days_partition(tenant: &Tenant, source: &str) -> Vec<u8> {
    tenant.half("page_days").text(source).end()
}

/// A day of a source whose pages changed since insights were last told.
pub fn dirty_day(tenant: &Tenant, source: &str, day: Date) -> Key {
    Key { partition: dirty_partition(tenant), sort: Encoder::default().text(source).date(day).end() }
}

/// The partition of [`dirty_day`].
pub fn dirty_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("dirty").end()
}

/// The properties seen in events of one name.
pub fn catalogue(tenant: &Tenant, source: &str, name: &str) -> Key {
    Key { partition: catalogue_partition(tenant), sort: Encoder::default().text(source).text(name).end() }
}

/// The partition of [`catalogue`]: every source and event name of the tenant.
pub fn catalogue_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("catalogue").end()
}

/// The current definition of an insight.
pub fn definition(tenant: &Tenant, insight: &str) -> Key {
    Key { partition: definitions_partition(tenant), sort: Encoder::default().text(insight).end() }
}

/// The partition of [`definition`].
pub fn definitions_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("insight").end()
}

/// A chunk of the running totals of one local day.
pub fn totals(tenant: &Tenant, insight: &str, fingerprint: &str, day: Date, chunk: &[u8]) -> Key {
    Key { partition: totals_partition(tenant, insight, fingerprint, day), sort: Encoder::default().bytes(chunk).end() }
}

/// The running totals of one local day. Items of kind `total`, one a group, are of before there were chunks; nothing
/// reads them.
pub fn totals_partition(tenant: &Tenant, insight: &str, fingerprint: &str, day: Date) -> Vec<u8> {
    tenant.half("totals").text(insight).text(fingerprint).date(day).end()
}

/// From which feed positions on an insight's running totals count. Those of kind `coverage` are of before there were chunks.
pub fn coverage(tenant: &Tenant, insight: &str, fingerprint: &str) -> Key {
    Key { partition: tenant.half("totals_since").text(insight).end(), sort: Encoder::default().text(fingerprint).end() }
}

/// How far the daily rollup of a zone has come.
pub fn rolled_up(tenant: &Tenant, zone: &str) -> Key {
    Key { partition: tenant.half("rolled_up").end(), sort: Encoder::default().text(zone).end() }
}

/// How far the rollup of a zone's longer periods has come.
pub fn rolled_up_periods(tenant: &Tenant, zone: &str, period: Period, week_start: WeekStart) -> Key {
    let sort = Encoder::default().text(zone).text(period.word()).text(week_start.word());
    Key { partition: tenant.half("rolled_up").end(), sort: sort.end() }
}

/// A closed period one of whose days changed.
pub fn dirty_period(tenant: &Tenant, insight: &str, fingerprint: &str, period: Period, start: Date) -> Key {
    let sort = Encoder::default().text(insight).text(fingerprint).text(period.word()).date(start);
    Key { partition: dirty_periods_partition(tenant), sort: sort.end() }
}

/// The partition of [`dirty_period`].
pub fn dirty_periods_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("dirty_period").end()
}

/// A period that waits for days of it, or was published without them.
pub fn shortfall(tenant: &Tenant, insight: &str, fingerprint: &str, period: Period, start: Date) -> Key {
    let sort = Encoder::default().text(insight).text(fingerprint).text(period.word()).date(start);
    Key { partition: shortfalls_partition(tenant), sort: sort.end() }
}

/// The partition of [`shortfall`].
pub fn shortfalls_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("shortfall").end()
}

/// What was counted about an insight: drift, stale requests.
pub fn tally(tenant: &Tenant, insight: &str) -> Key {
    Key { partition: tallies_partition(tenant), sort: Encoder::default().text(insight).end() }
}

/// The partition of [`tally`].
pub fn tallies_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("tally").end()
}

/// How far a consumer has come in a feed shard.
pub fn progress(consumer: &str, shard: &str) -> Key {
    Key { partition: progress_partition(consumer), sort: Encoder::default().text(shard).end() }
}

/// The partition of [`progress`].
pub fn progress_partition(consumer: &str) -> Vec<u8> {
    Encoder::of("progress").text(consumer).end()
}

/// Which half of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// Where the numbers come from and how complete they are.
    Header,
    /// The headline numbers.
    Digest,
}

/// A snapshot's header or digest.
pub fn snapshot(
    tenant: &Tenant,
    insight: &str,
    fingerprint: &str,
    period: Period,
    start: Date,
    part: SnapshotPart,
) -> Key {
    let part = match part {
        SnapshotPart::Header => "header",
        SnapshotPart::Digest => "digest",
    };
    Key {
        partition: snapshots_partition(tenant, insight, fingerprint, period),
        sort: Encoder::default().date(start).text(part).end(),
    }
}

/// The partition of [`snapshot`]: a lineage's snapshots of one period, in order of time.
pub fn snapshots_partition(tenant: &Tenant, insight: &str, fingerprint: &str, period: Period) -> Vec<u8> {
    tenant.half("snapshot").text(insight).text(fingerprint).text(period.word()).end()
}

/// The last scheduled time of an insight that was dispatched, per kind of dispatch.
pub fn dispatch(tenant: &Tenant, insight: &str, what: &str) -> Key {
    Key { partition: tenant.half("dispatch").text(insight).end(), sort: Encoder::default().text(what).end() }
}

/// A quarantined record.
pub fn quarantine(tenant: &Tenant, received_micros: i64, digest: u128) -> Key {
    Key {
        partition: quarantine_partition(tenant),
        sort: Encoder::default().number(received_micros.unsigned_abs().into()).number(digest).end(),
    }
}

/// The partition of [`quarantine`].
pub fn quarantine_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("quarantine").end()
}

/// A credential, by the hash of its secret.
pub fn credential(secret_hash: &[u8]) -> Key {
    Key { partition: credentials_partition(), sort: Encoder::default().bytes(secret_hash).end() }
}

/// The partition of [`credential`].
pub fn credentials_partition() -> Vec<u8> {
    Encoder::of("credential").end()
}

/// Whether a tenant's schedules are armed, and when it was last active.
pub fn activity(tenant: &Tenant) -> Key {
    Key { partition: tenant.half("activity").end(), sort: Vec::from(*b"activity") }
}

/// A backfill, by its id.
pub fn backfill(tenant: &Tenant, id: &str) -> Key {
    Key { partition: backfills_partition(tenant), sort: Encoder::default().text(id).end() }
}

/// How far a backfill has come.
pub fn wave(tenant: &Tenant, id: &str) -> Key {
    Key { partition: tenant.half("wave").end(), sort: Encoder::default().text(id).end() }
}

/// What became of one insight's part of a backfill's unit.
pub fn unit_report(tenant: &Tenant, id: &str, unit: u32, insight: &str) -> Key {
    Key {
        partition: unit_reports_partition(tenant, id),
        sort: Encoder::default().number(unit.into()).text(insight).end(),
    }
}

/// The partition of [`unit_report`].
pub fn unit_reports_partition(tenant: &Tenant, id: &str) -> Vec<u8> {
    tenant.half("unit_report").text(id).end()
}

/// A definition that an insight has, or once had, by its fingerprint.
pub fn lineage(tenant: &Tenant, insight: &str, fingerprint: &str) -> Key {
    Key { partition: lineages_partition(tenant, insight), sort: Encoder::default().text(fingerprint).end() }
}

/// The partition of [`lineage`].
pub fn lineages_partition(tenant: &Tenant, insight: &str) -> Vec<u8> {
    tenant.half("lineage").text(insight).end()
}

/// The partition of [`backfill`].
pub fn backfills_partition(tenant: &Tenant) -> Vec<u8> {
    tenant.half("backfill").end()
}

#[cfg(test)]
mod tests;
