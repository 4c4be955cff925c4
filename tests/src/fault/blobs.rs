//! Blobs with faults. An object store's errors do not tell before from after, and neither do these: a put that failed
//! may be there.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::{Fate, Faults};

/// Blobs that may fail.
#[derive(Debug)]
pub struct FaultyBlobs {
    inner: Arc<dyn ObjectStore>,
    faults: Arc<Faults>,
}

impl FaultyBlobs {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn ObjectStore>, faults: Arc<Faults>) -> FaultyBlobs {
        FaultyBlobs { inner, faults }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.faults.count_call();
        match self.faults.fate() {
            Fate::Works => call.await,
            Fate::FailsBefore => Err(fault()),
            Fate::FailsAfter => {
                call.await?;
                Err(fault())
            }
        }
    }
}

fn fault() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "a planned fault".into() }
}

impl fmt::Display for FaultyBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

/// An upload in parts, each of which may fail, as may its end.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    faults: Arc<Faults>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.faults.count_call();
        let (fate, part) = (self.faults.fate(), self.inner.put_part(data));
        async move {
            match fate {
                Fate::Works => part.await,
                Fate::FailsBefore => Err(fault()),
                Fate::FailsAfter => {
                    part.await?;
                    Err(fault())
                }
            }
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.faults.count_call();
        match self.faults.fate() {
            Fate::Works => self.inner.complete().await,
            Fate::FailsBefore => Err(fault()),
            Fate::FailsAfter => {
                self.inner.complete().await?;
                Err(fault())
            }
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for FaultyBlobs {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.call(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.call(self.inner.put_multipart_opts(location, options)).await?;
        Ok(Box::new(FaultyUpload { inner, faults: Arc::clone(&self.faults) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.call(self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.call(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let faults = Arc::clone(&self.faults);
        let (allowed, inner) = (Arc::clone(&self.faults), Arc::clone(&self.inner));
        let locations = locations.map(move |location| match allowed.fate() {
            Fate::FailsBefore => Err(fault()),
            Fate::Works | Fate::FailsAfter => location,
        });
        faults.count_call();
        inner.delete_stream(locations.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.faults.count_call();
        match self.faults.fate() {
            Fate::Works => self.inner.list(prefix),
            Fate::FailsBefore | Fate::FailsAfter => futures::stream::iter([Err(fault())]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(self.inner.copy_opts(from, to, options)).await
    }
}
