//! Blobs on S3: one bucket as truth, and a directory bucket (S3 Express One Zone) that holds copies near the functions.
//!
//! A put is done when the truth has it. The copy is a favour: a read takes it where there is one, and goes to the truth
//! when there is none or its zone does not answer, so losing every copy costs time and nothing else. That no copy is
//! ever out of date follows from the names: a blob is named by its content, and another content has another name.
//! Only the truth is listed, and large uploads in parts go to it alone.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Truth and copies.
#[derive(Debug)]
pub struct TwoTier {
    truth: Arc<dyn ObjectStore>,
    copies: Arc<dyn ObjectStore>,
}

impl TwoTier {
    /// Blobs whose truth is in one store and whose copies are in another.
    pub fn new(truth: Arc<dyn ObjectStore>, copies: Arc<dyn ObjectStore>) -> TwoTier {
        TwoTier { truth, copies }
    }
}

impl fmt::Display for TwoTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with copies in {}", self.truth, self.copies)
    }
}

/// Notes that a copy could not be had. One that is missing is no news.
fn note(what: &str, location: &Path, error: &object_store::Error) {
    if !matches!(error, object_store::Error::NotFound { .. }) {
        tracing::warn!(%location, %error, "{what}: the truth answers instead");
    }
}

#[async_trait]
impl ObjectStore for TwoTier {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.truth.put_opts(location, payload.clone(), options.clone()).await?;
        let copy = PutOptions { mode: PutMode::Overwrite, ..options };
        if let Err(error) = self.copies.put_opts(location, payload, copy).await {
            note("a copy was not put", location, &error);
        }
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.truth.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        // ETags and times are each store's own, so what depends on them is the truth's.
        let plain = options.if_match.is_none()
            && options.if_none_match.is_none()
            && options.if_modified_since.is_none()
            && options.if_unmodified_since.is_none();
        if plain {
            match self.copies.get_opts(location, options.clone()).await {
                Ok(found) => return Ok(found),
                Err(error) => note("a copy was not read", location, &error),
            }
        }
        self.truth.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.copies.get_ranges(location, ranges).await {
            Ok(found) => Ok(found),
            Err(error) => {
                note("a copy was not read", location, &error);
                self.truth.get_ranges(location, ranges).await
            }
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (truth, copies) = (Arc::clone(&self.truth), Arc::clone(&self.copies));
        // The copy goes first: what is deleted must not be read any more.
        let copies_gone = locations.then(move |location| {
            let copies = Arc::clone(&copies);
            async move {
                let location = location?;
                match copies.delete(&location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(location),
                    Err(error) => Err(error),
                }
            }
        });
        truth.delete_stream(copies_gone.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.truth.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.truth.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.truth.copy_opts(from, to, options).await
    }
}
