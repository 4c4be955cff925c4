//! Buckets, as far as a stack needs them: archives go in, and everything comes out before a bucket is removed.

use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, RetryConfig};

use super::{Archive, Cloud, Trouble};

/// Attempts of one call after the first.
const RETRIES: usize = 4;

/// Opens a bucket with the same credentials, region and endpoint.
async fn open(cloud: &Cloud, bucket: &str) -> Result<AmazonS3, Trouble> {
    let credentials = cloud.credentials().await?;
    let retry = RetryConfig { max_retries: RETRIES, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&cloud.region)
        .with_access_key_id(credentials.access_key_id())
        .with_secret_access_key(credentials.secret_access_key())
        .with_s3_express(bucket.ends_with("--x-s3"))
        .with_retry(retry);
    if let Some(token) = credentials.session_token() {
        builder = builder.with_token(token);
    }
    if let Some(endpoint) = cloud.endpoint() {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    builder.build().map_err(|error| trouble(bucket, &error))
}

/// Uploads an archive, unless it is there; whether it was uploaded.
///
/// # Errors
/// What S3 says.
pub async fn upload(cloud: &Cloud, bucket: &str, archive: &Archive) -> Result<bool, Trouble> {
    let store = open(cloud, bucket).await?;
    let key = Path::from(archive.key.as_str());
    match store.head(&key).await {
        Ok(there) if there.size == archive.bytes.len() as u64 => return Ok(false),
        Ok(_) | Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(trouble(bucket, &error)),
    }
    store.put(&key, archive.bytes.clone().into()).await.map_err(|error| trouble(bucket, &error))?;
    Ok(true)
}

/// Removes every object of a bucket; how many there were. A bucket that is not there is empty.
///
/// # Errors
/// What S3 says.
pub async fn empty(cloud: &Cloud, bucket: &str) -> Result<u64, Trouble> {
    let store = open(cloud, bucket).await?;
    let objects = store.list(None).map_ok(|object| object.location).boxed();
    let removed = store.delete_stream(objects).try_fold(0, async |count, _| Ok(count + 1)).await;
    match removed {
        Err(error) if is_absent(&error) => Ok(0),
        other => other.map_err(|error| trouble(bucket, &error)),
    }
}

/// Whether the bucket itself is not there. A listing tells it as any other error, a read as one of what is not there.
fn is_absent(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) || error.to_string().contains("NoSuchBucket")
}

fn trouble(bucket: &str, error: &Error) -> Trouble {
    let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Trouble::Denied { action: format!("s3 on bucket {bucket}"), why }
        }
        _ => Trouble::Bucket { bucket: bucket.to_owned(), why },
    }
}
