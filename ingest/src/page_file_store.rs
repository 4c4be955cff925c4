//! The page store's other half: pages' objects, named, written and read.
//!
//! In: encoded pages, or what the manifest says of committed ones. Out: objects under names that no two contents share;
//! batches and events of pages. See [`crate::page_store`] for which pages there are.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, path::Path};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use tidemill_ports::Error;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::window::Position;

use crate::compaction::COMPACTED;
use crate::manifest::{IndexedPage, PageRef, import_shard};
use crate::page::find::rows_of;
use crate::page::revisions::Corrected;
use crate::page::{EncodedPage, Wanted};
use crate::page_store::PageStore;

/// Objects written or fetched at once.
pub const OBJECTS_AT_ONCE_MAX: usize = 32;

/// Where a page's object lies below the object store's root: what a folder or a bucket calls it.
pub fn place_of(page: &PageRef) -> String {
    Path::from(page.object.as_str()).to_string()
}

impl<'a> PageStore<'a> {
    /// The bytes of pages, in order, some ahead of the one asked for.
    pub fn fetch<'p>(
        &self,
        pages: Vec<&'p PageRef>,
    ) -> impl stream::Stream<Item = Result<(&'p PageRef, Bytes), Error>> + use<'a, 'p> {
        let blobs = self.context.blobs.clone();
        stream::iter(pages)
            .map(move |page| {
                let blobs = blobs.clone();
                async move {
                    let bytes = blobs.get(&Path::from(page.object.as_str())).await?.bytes().await?;
                    Ok((page, bytes))
                }
            })
            .buffered(OBJECTS_AT_ONCE_MAX / 4)
    }

    /// The columns of pages, as their files say.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when a page is unreadable.
    pub async fn schemas(&self, pages: &[IndexedPage]) -> Result<Vec<SchemaRef>, Error> {
        let mut schemas = Vec::with_capacity(pages.len());
        let mut objects = std::pin::pin!(self.fetch(pages.iter().map(|page| &page.page).collect()));
        while let Some(object) = objects.next().await {
            let (page, bytes) = object?;
            let metadata = ArrowReaderMetadata::load(&bytes, Default::default());
            schemas.push(metadata.map_err(|why| unreadable(page, &why))?.schema().clone());
        }
        Ok(schemas)
    }

    /// The rows of one page, all of its columns, batch by batch.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when the page is unreadable.
    pub async fn batches(
        &self,
        page: &IndexedPage,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<>, Error> {
        let bytes = self.context.blobs.get(&Path::from(page.page.object.as_str())).await?.bytes().await?;
        let batches = crate::page::open(bytes, Wanted::Everything).map_err(|why| unreadable(&page.page, &why))?;
        let page = page.page.clone();
        Ok(batches.map(move |batch| batch.map_err(|why| unreadable(&page, &why))))
    }

    /// What was corrected or withdrawn on a day: reads the rows that come first in its pages, and only those.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when a page is unreadable.
    pub async fn corrected(&self, pages: &[IndexedPage]) -> Result<Corrected, Error> {
        let mut corrected = Corrected::default();
        let mut objects = std::pin::pin!(
            self.fetch(pages.iter().map(|page| &page.page).filter(|page| page.corrections > 0).collect())
        );
        while let Some(object) = objects.next().await {
            let (page, bytes) = object?;
            corrected.read(bytes, page.corrections).map_err(|why| unreadable(page, &why))?;
        }
        Ok(corrected)
    }

    /// The live events of a source's UTC day, given all of its pages, by time and id.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when a page is unreadable.
    pub async fn events_of_day(&self, pages: &[IndexedPage]) -> Result<Vec<Event>, Error> {
        let corrected = self.corrected(pages).await?;
        let mut events = Vec::new();
        let mut objects = std::pin::pin!(self.fetch(pages.iter().map(|page| &page.page).collect()));
        while let Some(object) = objects.next().await {
            let (page, bytes) = object?;
            for batch in crate::page::open(bytes, Wanted::Everything).map_err(|why| unreadable(page, &why))? {
                let rows = batch.and_then(|batch| crate::page::batch_to_events(&batch));
                events.extend(rows.map_err(|why| unreadable(page, &why))?.into_iter().filter(|event| {
                    corrected.stands(&event.id, i64::try_from(event.rev).unwrap_or(i64::MAX), event.deleted)
                }));
            }
        }
        events.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok(events)
    }

    /// Events that imports brought to a UTC day, by their ids and revisions, as they came.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when a page is unreadable.
    pub async fn imported(
        &self,
        tenant: &Tenant,
        source: &str,
        day: Date,
        wanted: &BTreeMap<&str, u64>,
    ) -> Result<Vec<Event>, Error> {
        let shard = import_shard(tenant, source);
        let set = self.pages(tenant, &[source.to_owned()], day, day).await?;
        let readable = set.readable(day);
        // A compacted page has them among others; an event that was never sent has no other copy there.
        let pages = readable.iter().filter(|page| page.shard == shard || page.shard == COMPACTED);
        let mut events = Vec::new();
        let mut objects = std::pin::pin!(self.fetch(pages.map(|page| &page.page).collect()));
        while let Some(object) = objects.next().await {
            let (page, bytes) = object?;
            events.extend(rows_of(bytes, wanted).map_err(|why| unreadable(page, &why))?);
            if events.len() == wanted.len() {
                break;
            }
        }
        Ok(events)
    }

    /// Writes pages' objects, some at once. Writing the same ones again is harmless.
    pub(crate) async fn put_objects(&self, objects: Vec<(String, Bytes)>) -> Result<(), Error> {
        stream::iter(objects)
            .map(|(object, bytes)| {
                let blobs = self.context.blobs.clone();
                async move { Ok(blobs.put(&Path::from(object), bytes.into()).await.map(drop)?) }
            })
            .buffer_unordered(OBJECTS_AT_ONCE_MAX)
            .try_collect()
            .await
    }
}

/// What names a page's object.
pub(crate) struct PageName<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) source: &'a str,
    pub(crate) day: Date,
    pub(crate) shard: &'a str,
    pub(crate) after: Position,
}

impl PageName<'_> {
    /// The folder of the day's pages.
    pub(crate) fn folder(&self) -> Path {
        let (source, day) = (format!("src={}", self.source), format!("dt={}", self.day));
        Path::from_iter(["pages", self.tenant.0.as_str(), &source, &day])
    }

    /// The page's entry in the manifest, and its bytes.
    pub(crate) fn page(&self, page: EncodedPage) -> (PageRef, Bytes) {
        let PageName { tenant, source, day, shard, after } = self;
        // The content's hash makes the name: two writers of one range with different content never meet.
        let hash = &page.hash;
        let path = self.folder().join(format!("{shard}-{:020}-{}.parquet", after.0, &hash[..16]));
        let reference = PageRef {
            tenant: tenant.0.clone(),
            source: (*source).to_owned(),
            day: *day,
            object: path.to_string(),
            bytes: page.bytes.len() as u64,
            hash: page.hash.clone(),
            rows: page.rows as u64,
            corrections: page.corrections as u64,
            min_time: page.min_time,
            max_time: page.max_time,
        };
        (reference, page.bytes)
    }
}

fn unreadable(page: &PageRef, why: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("page {} is unreadable: {why}", page.object))
}
