//! Blobs that count. Ranges are put together as stores over a network do it, and each request counts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::{Call, Counter};

/// Blobs whose requests are counted.
#[derive(Debug)]
pub struct CountedBlobs {
    inner: Arc<dyn ObjectStore>,
    counter: Arc<Counter>,
}

impl CountedBlobs {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn ObjectStore>, counter: Arc<Counter>) -> CountedBlobs {
        CountedBlobs { inner, counter }
    }
}

impl fmt::Display for CountedBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted {}", self.inner)
    }
}

/// What an object is: the first part of its name.
fn kind(location: &Path) -> String {
    location.parts().next().map_or_else(|| "?".to_owned(), |part| part.as_ref().to_owned())
}

#[derive(Debug)]
struct CountedUpload {
    inner: Box<dyn MultipartUpload>,
    counter: Arc<Counter>,
    kind: String,
}

#[async_trait]
impl MultipartUpload for CountedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.counter.note(Call::BlobPut, &self.kind, 1, data.content_length());
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.counter.note(Call::BlobPut, &self.kind, 1, 0);
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for CountedBlobs {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.counter.note(Call::BlobPut, &kind(location), 1, payload.content_length());
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let kind = kind(location);
        self.counter.note(Call::BlobPut, &kind, 1, 0);
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(CountedUpload { inner, counter: Arc::clone(&self.counter), kind }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let answer = self.inner.get_opts(location, options).await;
        let bytes = answer.as_ref().map_or(0, |found| found.range.end.saturating_sub(found.range.start));
        self.counter.note(Call::BlobGet, &kind(location), 1, usize::try_from(bytes).unwrap_or(usize::MAX));
        answer
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let counter = Arc::clone(&self.counter);
        let counted = locations.inspect(move |location| {
            if let Ok(location) = location {
                counter.note(Call::BlobDelete, &kind(location), 1, 0);
            }
        });
        self.inner.delete_stream(counted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counter.note(Call::BlobList, &prefix.map(kind).unwrap_or_default(), 1, 0);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.counter.note(Call::BlobList, &prefix.map(kind).unwrap_or_default(), 1, 0);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.counter.note(Call::BlobPut, &kind(to), 1, 0);
        self.inner.copy_opts(from, to, options).await
    }
}
