//! The snapshot store: header and digest in one partition per series, detail and states in blobs.
//!
//! In: computed snapshots and the definition they were computed for. Out: the same, or a range of them in one query.
//! A write names the version it replaces and the definition it assumes. This store never publishes a snapshot over one
//! that includes more.

use std::collections::BTreeMap;
use std::io::Write as _;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartUpload, ObjectStoreExt, path::Path};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::keys::{self, Decoder, SnapshotPart, Tenant};
use tidemill_schemas::snapshot::{BlobRange, Digest, Header};
use tidemill_schemas::time::Timestamp;

use crate::blob_name::BlobName;
use crate::content::{Content, ContentWriter, Place};
use crate::definition_store::{self, Held};
use crate::spill::SharedSpill;

/// Snapshots one group of writes holds: a header and a digest each, the check of the definition, and a mark for every
/// longer period they lie in, of which there are up to 14 when the days follow one another. Fewer where there are more.
pub const COMMIT_SNAPSHOTS_MAX: usize = 40;
/// Bytes of a part of an upload in parts.
const UPLOAD_PART_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of blobs read into memory at once; when there are more, all of them go to scratch disk.
const FETCH_MEMORY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Bytes read at a time of a blob that goes to scratch disk.
const FETCH_PIECE_BYTES: u64 = 4 * 1024 * 1024;
/// Pieces read ahead.
const FETCH_PIECES_MAX: usize = 4;
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

    /// Publishes snapshots with what else belongs to them, all or none, if the definition is still `held` and each one's
    /// predecessor is the version before its own.
    ///
    /// # Errors
    /// [`Error::Conflict`] when one of these does not hold; the port's.
    pub async fn commit(
        &self,
        series: &Series<'_>,
        held: &Held,
        snapshots: &[Snapshot],
        more: Vec<Write>,
    ) -> Result<(), Error> {
        let mut group = more;
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

    /// Writes a blob under its name. What lies in a spill is sent in parts.
    ///
    /// # Errors
    /// The port's; writing again is harmless.
    pub async fn put_blob(&self, tenant: &Tenant, name: &BlobName, content: &Content) -> Result<String, Error> {
        let object = name.object(tenant);
        let path = Path::from(object.as_str());
        if let Place::Memory(bytes) = content.place() {
            self.context.blobs.put(&path, bytes.clone().into()).await?;
            return Ok(object);
        }
        let mut upload = self.context.blobs.put_multipart(&path).await?;
        let sent = send_parts(&mut *upload, content).await;
        if sent.is_err() {
            // Parts left behind cost money and nothing else; the first error is the one to tell.
            let _aborted = upload.abort().await;
        }
        sent.map(|()| object)
    }

    /// Parts of blobs to be merged, in the order given: in memory while they are few, in `spill` when they are not.
    ///
    /// # Errors
    /// The port's.
    pub async fn contents(&self, ranges: &[BlobRange], spill: &SharedSpill) -> Result<Vec<Content>, Error> {
        if ranges.iter().map(|range| range.bytes).sum::<u64>() <= FETCH_MEMORY_BYTES_MAX {
            return Ok(self.blobs(ranges).await?.into_iter().map(Content::of).collect());
        }
        let pieces = ranges.iter().enumerate().flat_map(|(at, range)| pieces(range).map(move |piece| (at, piece)));
        let mut pieces = std::pin::pin!(
            stream::iter(pieces.collect::<Vec<_>>())
                .map(|(at, piece)| {
                    let blobs = self.context.blobs.clone();
                    async move {
                        let path = Path::from(piece.object.as_str());
                        let bytes = blobs.get_range(&path, piece.offset..piece.offset + piece.bytes).await?;
                        Ok::<_, Error>((at, bytes))
                    }
                })
                .buffered(FETCH_PIECES_MAX)
        );
        let mut writers: Vec<ContentWriter> = Vec::with_capacity(ranges.len());
        let mut contents = Vec::with_capacity(ranges.len());
        while let Some(piece) = pieces.next().await {
            let (at, bytes) = piece?;
            if at == contents.len() + writers.len() {
                contents.extend(writers.pop().map(ContentWriter::end).transpose().map_err(|why| scratch(&why))?);
                writers.push(ContentWriter::spilling(spill.clone()));
            }
            if let Some(writer) = writers.last_mut() {
                writer.write_all(&bytes).map_err(|why| scratch(&why))?;
            }
        }
        contents.extend(writers.pop().map(ContentWriter::end).transpose().map_err(|why| scratch(&why))?);
        Ok(contents)
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

async fn send_parts(upload: &mut dyn MultipartUpload, content: &Content) -> Result<(), Error> {
    let mut offset = 0;
    while offset < content.bytes() {
        let part = content.piece(offset, UPLOAD_PART_BYTES).map_err(|why| scratch(&why))?;
        offset += part.len() as u64;
        upload.put_part(part.into()).await?;
    }
    upload.complete().await?;
    Ok(())
}

fn pieces(range: &BlobRange) -> impl Iterator<Item = BlobRange> + '_ {
    (0..range.bytes).step_by(FETCH_PIECE_BYTES as usize).map(|from| BlobRange {
        object: range.object.clone(),
        offset: range.offset + from,
        bytes: FETCH_PIECE_BYTES.min(range.bytes - from),
    })
}

fn scratch(why: &std::io::Error) -> Error {
    Error::Unavailable(format!("the scratch disk: {why}; free some space"))
}

impl Series<'_> {
    /// The name of a blob of these days, made at `at`.
    pub fn blob(&self, kind: &str, (first, last): (Date, Date), at: Timestamp, content: &Content) -> BlobName {
        BlobName {
            kind: kind.to_owned(),
            insight: self.insight.to_owned(),
            fingerprint: self.fingerprint.to_owned(),
            period: self.period,
            first,
            last,
            at,
            hash: content.hash(),
        }
    }

    /// The key of one part of a snapshot.
    pub(crate) fn key(&self, date: Date, part: SnapshotPart) -> keys::Key {
        keys::snapshot(self.tenant, self.insight, self.fingerprint, self.period, date, part)
    }
}

fn read<T: DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("stored snapshot unreadable: {why}")))
}

fn bytes_of(value: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|why| Error::Invalid(format!("snapshot: {why}")))
}
