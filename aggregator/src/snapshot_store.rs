//! The snapshot store: header and digest in one partition per series, detail and states in blobs.
//!
//! In: computed snapshots and the definition they were computed for. Out: the same, or a range of them in one query.
//! A write names the version it replaces and the definition it assumes. This store never publishes a snapshot over one
//! that includes more.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, path::Path};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_ports::{Condition, Context, Effect, Error, GROUP_WRITES_MAX, Item, Query, Write};
use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::keys::{self, Decoder, SnapshotPart, Tenant};
use tidemill_schemas::snapshot::{BlobRange, Digest, Header};

use crate::blob_name::BlobName;
use crate::definition_store::{self, Held};

/// Snapshots one group of writes holds: a header and a digest each, and the check of the definition.
pub const COMMIT_SNAPSHOTS_MAX: usize = (GROUP_WRITES_MAX - 1) / 2;
/// Blob ranges read at once.
pub const RANGES_AT_ONCE_MAX: usize = 16;

/// A stored snapshot without its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where its numbers come from.
    pub header: Header,
    /// The headline row.
    pub digest: Digest,
}

/// A series of snapshots: one insight and fingerprint, one kind of period.
#[derive(Clone, Debug)]
pub struct Series<'s> {
    /// Whose.
    pub tenant: &'s Tenant,
    /// The insight.
    pub insight: &'s str,
    /// The definition's fingerprint.
    pub fingerprint: &'s str,
    /// The kind of period.
    pub period: Period,
}

/// The snapshot store of a context.
#[derive(Clone, Copy)]
pub struct SnapshotStore<'a> {
    context: &'a Context,
}

impl<'a> SnapshotStore<'a> {
    /// The store over `context`.
    pub fn new(context: &'a Context) -> SnapshotStore<'a> {
        SnapshotStore { context }
    }

    /// The snapshots of a series from `first` to `last`, by date.
    ///
    /// # Errors
    /// The port's.
    pub async fn range(&self, series: &Series<'_>, first: Date, last: Date) -> Result<BTreeMap<Date, Snapshot>, Error> {
        let bound = |date| series.key(date, SnapshotPart::Digest).sort;
        let mut query = Query {
            partition: keys::snapshots_partition(series.tenant, series.insight, series.fingerprint, series.period),
            from: Some(bound(first)),
            to: Some(bound(calendar::next(last))),
            ..Query::default()
        };
        let (mut headers, mut digests) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in &slice.items {
                let mut decoder = Decoder::new(sort);
                match (decoder.date(), decoder.text().as_deref()) {
                    (Some(date), Some("header")) => drop(headers.insert(date, read::<Header>(item)?)),
                    (Some(date), Some("digest")) => drop(digests.insert(date, read::<Digest>(item)?)),
                    _ => return Err(Error::Invalid("snapshot key unreadable".to_owned())),
                }
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        // Both are written in one group, but a slice may end between them.
        let pair = |(date, header)| Some((date, Snapshot { header, digest: digests.remove(&date)? }));
        Ok(headers.into_iter().filter_map(pair).collect())
    }

    /// One snapshot.
    ///
    /// # Errors
    /// The port's.
    pub async fn get(&self, series: &Series<'_>, date: Date) -> Result<Option<Snapshot>, Error> {
        Ok(self.range(series, date, date).await?.remove(&date))
    }

    /// Publishes snapshots, all or none, if the definition is still `held` and each one's predecessor is the version
    /// before its own.
    ///
    /// # Errors
    /// [`Error::Conflict`] when one of these does not hold; the port's.
    pub async fn commit(&self, series: &Series<'_>, held: &Held, snapshots: &[Snapshot]) -> Result<(), Error> {
        let mut group = Vec::with_capacity(2 * snapshots.len() + 1);
        group.push(definition_store::unchanged(series.tenant, held));
        for Snapshot { header, digest } in snapshots {
            let condition = match header.version {
                0 | 1 => Condition::Absent,
                version => Condition::RankIs(version - 1),
            };
            let mut put = |part, condition, body: Bytes| {
                let item = Item { rank: header.version, body };
                group.push(Write { key: series.key(header.start, part), condition, effect: Effect::Put(item) });
            };
            put(SnapshotPart::Header, condition, bytes_of(header)?);
            put(SnapshotPart::Digest, Condition::None, bytes_of(digest)?);
        }
        self.context.items.write(group).await
    }

    /// Writes a blob under its name.
    ///
    /// # Errors
    /// The port's; writing again is harmless.
    pub async fn put_blob(&self, tenant: &Tenant, name: &BlobName, content: Bytes) -> Result<String, Error> {
        let object = name.object(tenant);
        self.context.blobs.put(&Path::from(object.as_str()), content.into()).await?;
        Ok(object)
    }

    /// Parts of blobs, in the order given.
    ///
    /// # Errors
    /// The port's.
    pub async fn blobs(&self, ranges: &[BlobRange]) -> Result<Vec<Bytes>, Error> {
        stream::iter(ranges.to_vec())
            .map(|range| {
                let blobs = self.context.blobs.clone();
                async move {
                    let path = Path::from(range.object.as_str());
                    Ok(blobs.get_range(&path, range.offset..range.offset + range.bytes).await?)
                }
            })
            .buffered(RANGES_AT_ONCE_MAX)
            .try_collect()
            .await
    }
}

impl Series<'_> {
    fn key(&self, date: Date, part: SnapshotPart) -> keys::Key {
        keys::snapshot(self.tenant, self.insight, self.fingerprint, self.period, date, part)
    }
}

fn read<T: DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("stored snapshot unreadable: {why}")))
}

fn bytes_of(value: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|why| Error::Invalid(format!("snapshot: {why}")))
}
