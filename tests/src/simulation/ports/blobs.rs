//! Blobs behind the hub.

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

use super::super::executor::Place;
use super::super::hub::{Fate, Hub};

/// Blobs whose every call lets go before and after.
#[derive(Debug)]
pub(super) struct SimBlobs {
    inner: Arc<dyn ObjectStore>,
    hub: Arc<Hub>,
}

impl SimBlobs {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, hub: Arc<Hub>) -> SimBlobs {
        SimBlobs { inner, hub }
    }
}

fn fault() -> object_store::Error {
    object_store::Error::Generic { store: "simulated", source: "a planned fault".into() }
}

async fn call<T>(
    hub: &Hub,
    place: Place,
    name: &'static str,
    path: &str,
    effect: impl Future<Output = Result<T>>,
) -> Result<T> {
    let result = match hub.before(place).await {
        Fate::Works => effect.await,
        Fate::FailsBefore => Err(fault()),
        Fate::FailsAfter => effect.await.and(Err(fault())),
    };
    hub.after(name, path.as_bytes(), if result.is_ok() { "ok" } else { "failed" }).await;
    result
}

impl fmt::Display for SimBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated {}", self.inner)
    }
}

#[derive(Debug)]
struct SimUpload {
    inner: Box<dyn MultipartUpload>,
    hub: Arc<Hub>,
    path: String,
}

#[async_trait]
impl MultipartUpload for SimUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (hub, path, part) = (Arc::clone(&self.hub), self.path.clone(), self.inner.put_part(part));
        async move { call(&hub, Place::Write, "put part", &path, part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        call(&self.hub, Place::Write, "put parts", &self.path, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for SimBlobs {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        call(&self.hub, Place::Write, "put", location.as_ref(), self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.inner.put_multipart_opts(location, options);
        let inner = call(&self.hub, Place::Write, "begin parts", location.as_ref(), begun).await?;
        Ok(Box::new(SimUpload { inner, hub: Arc::clone(&self.hub), path: location.to_string() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        call(&self.hub, Place::Call, "get", location.as_ref(), self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        call(&self.hub, Place::Call, "get ranges", location.as_ref(), self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (hub, inner) = (Arc::clone(&self.hub), Arc::clone(&self.inner));
        let delete = move |location: Result<Path>| {
            let (hub, inner) = (Arc::clone(&hub), Arc::clone(&inner));
            async move {
                let location = location?;
                let one = futures::stream::iter([Ok(location.clone())]).boxed();
                let effect = async { inner.delete_stream(one).next().await.unwrap_or(Ok(location.clone())) };
                call(&hub, Place::Write, "remove", location.as_ref(), effect).await
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (hub, inner) = (Arc::clone(&self.hub), self.inner.list(prefix));
        let prefix = prefix.map(ToString::to_string).unwrap_or_default();
        let first = async move {
            match call(&hub, Place::Call, "list", &prefix, async { Ok(()) }).await {
                Ok(()) => inner,
                Err(why) => futures::stream::iter([Err(why)]).boxed(),
            }
        };
        first.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let name = prefix.map(ToString::to_string).unwrap_or_default();
        call(&self.hub, Place::Call, "list", &name, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        call(&self.hub, Place::Write, "copy", from.as_ref(), self.inner.copy_opts(from, to, options)).await
    }
}
