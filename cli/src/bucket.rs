//! Buckets: Parquet objects on S3, as if they were files here.
//!
//! In: `s3://bucket/prefix`. Out: the objects below it, and their bytes. Who may read them is told by the usual variables
//! (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …). Only in builds with the feature `s3`.

use futures::stream::BoxStream;

use crate::failure::Failure;

/// How a bucket's objects are named.
pub const SCHEME: &str = "s3://";

/// An object to import.
#[derive(Clone)]
pub struct Object {
    /// `s3://bucket/key`.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    #[cfg(feature = "s3")]
    at: (std::sync::Arc<dyn object_store::ObjectStore>, object_store::path::Path),
}

/// Its bytes, as they come.
pub type Pieces = BoxStream<'static, std::io::Result<bytes::Bytes>>;

#[cfg(not(feature = "s3"))]
mod kind {
    use super::{Failure, Object, Pieces};

    /// Says that this build cannot.
    pub async fn list(_url: &str) -> Result<Vec<Object>, Failure> {
        Err(Failure::input("TM0926", "this build does not read from S3")
            .help("build it with `cargo install --path cli --features s3`, or copy the files here"))
    }

    impl Object {
        /// Never called: there are no objects.
        pub async fn pieces(&self) -> Result<Pieces, Failure> {
            Err(Failure::failed("TM0926", "this build does not read from S3"))
        }
    }
}

#[cfg(feature = "s3")]
mod kind {
    use std::sync::Arc;

    use futures::{StreamExt, TryStreamExt};
    use object_store::aws::AmazonS3Builder;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::{Failure, Object, Pieces, SCHEME};

    /// Objects one import may name.
    const OBJECTS_MAX: usize = 100_000;

    fn failed(url: &str, error: &object_store::Error) -> Failure {
        Failure::failed("TM0926", format!("{url}: {error}"))
            .help("check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL")
    }

    /// The Parquet objects below a prefix, by name; or the one object of that very name.
    pub async fn list(url: &str) -> Result<Vec<Object>, Failure> {
        let (bucket, prefix) = url[SCHEME.len()..].split_once('/').unwrap_or((&url[SCHEME.len()..], ""));
        let store =
            AmazonS3Builder::from_env().with_bucket_name(bucket).build().map_err(|error| failed(url, &error))?;
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        let of = |at: Path, bytes: u64| Object {
            name: format!("{SCHEME}{bucket}/{at}"),
            bytes,
            at: (Arc::clone(&store), at),
        };
        let path = Path::parse(prefix.trim_end_matches('/'));
        let path = path.map_err(|why| Failure::input("TM0926", format!("{url}: {why}")))?;
        if path.as_ref().ends_with(".parquet") {
            let meta = store.head(&path).await.map_err(|error| failed(url, &error))?;
            return Ok(vec![of(meta.location, meta.size)]);
        }
        let mut objects = Vec::new();
        let mut listed = store.list(Some(&path));
        while let Some(meta) = listed.try_next().await.map_err(|error| failed(url, &error))? {
            if meta.location.as_ref().to_lowercase().ends_with(".parquet") {
                objects.push(of(meta.location, meta.size));
            }
            if objects.len() > OBJECTS_MAX {
                return Err(Failure::input("TM0926", format!("{url}: more than {OBJECTS_MAX} objects")));
            }
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        if objects.is_empty() {
            return Err(Failure::input("TM0926", format!("{url}: no object there is called *.parquet")));
        }
        Ok(objects)
    }

    impl Object {
        /// Its bytes.
        pub async fn pieces(&self) -> Result<Pieces, Failure> {
            let (store, path) = &self.at;
            let got = store.get(path).await.map_err(|error| failed(&self.name, &error))?;
            Ok(got.into_stream().map_err(std::io::Error::other).boxed())
        }
    }
}

pub use kind::list;
