//! Buckets: Parquet objects on S3, as if they were files here.
//!
//! In: `s3://bucket/prefix/*.parquet`. Out: the objects it names, and their bytes. Where the bucket is and who may read it
//! is told by the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …). Only builds with the feature
//! `s3` read any; the others say so.

use futures::stream::BoxStream;

/// How a bucket's objects are named.
pub const SCHEME: &str = "s3://";

/// An object's bytes, as they come.
pub type Pieces = BoxStream<'static, std::io::Result<bytes::Bytes>>;

#[cfg(feature = "s3")]
pub use reading::{Object, list};
#[cfg(not(feature = "s3"))]
pub use refusing::{Object, list};

#[cfg(not(feature = "s3"))]
mod refusing {
    use super::Pieces;
    use crate::failure::Failure;

    /// There are none.
    #[derive(Clone, Debug)]
    pub enum Object {}

    impl Object {
        /// `s3://bucket/key`.
        pub fn name(&self) -> &str {
            match *self {}
        }

        /// Its length.
        pub fn bytes(&self) -> u64 {
            match *self {}
        }

        /// Its bytes.
        pub fn pieces(&self) -> Pieces {
            match *self {}
        }
    }

    /// Says that this build cannot.
    pub async fn list(pattern: &str) -> Result<Vec<Object>, Failure> {
        Err(Failure::input("TM0926", format!("{pattern}: this build does not read from S3"))
            .help("build it with `cargo install --path cli --features s3`, or copy the files here"))
    }
}

#[cfg(feature = "s3")]
mod reading {
    use std::path::Path as FilePath;
    use std::sync::Arc;

    use futures::{StreamExt, TryStreamExt};
    use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
    use object_store::path::Path;
    use object_store::{Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};

    use super::{Pieces, SCHEME};
    use crate::commands::import::matches;
    use crate::convert;
    use crate::failure::Failure;

    /// Objects one pattern may name.
    const OBJECTS_MAX: usize = 100_000;
    /// Bytes asked for at once: an object is read in ranges, so that none of its requests takes long.
    const READ_BYTES: u64 = 8 * 1024 * 1024;
    /// Ranges asked for ahead.
    const READS_AHEAD: usize = 2;
    /// How often a request is tried again: a mistyped endpoint should be told within seconds.
    const RETRIES: usize = 4;

    const CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (profiles in ~/.aws are not read), or \
                               AWS_SKIP_SIGNATURE=true for a public bucket";
    const PLACE: &str = "check AWS_REGION and, for a service that is not AWS, AWS_ENDPOINT_URL (with AWS_ALLOW_HTTP=true \
                         if it begins with http://)";

    /// An object to import.
    #[derive(Clone, Debug)]
    pub struct Object {
        name: String,
        about: ObjectMeta,
        store: Arc<AmazonS3>,
    }

    impl Object {
        fn of(store: &Arc<AmazonS3>, bucket: &str, about: ObjectMeta) -> Object {
            Object { name: format!("{SCHEME}{bucket}/{}", about.location), about, store: Arc::clone(store) }
        }

        /// `s3://bucket/key`.
        pub fn name(&self) -> &str {
            &self.name
        }

        /// Its length.
        pub fn bytes(&self) -> u64 {
            self.about.size
        }

        /// Its bytes; an error if it changes meanwhile.
        pub fn pieces(&self) -> Pieces {
            let object = self.clone();
            let starts = (0..self.about.size).step_by(READ_BYTES as usize);
            let read = move |start: u64| {
                let object = object.clone();
                async move {
                    let range = GetRange::Bounded(start..object.about.size.min(start + READ_BYTES));
                    let options = GetOptions {
                        range: Some(range),
                        if_match: object.about.e_tag.clone(),
                        ..GetOptions::default()
                    };
                    let got = object.store.get_opts(&object.about.location, options).await;
                    let got = got.map_err(std::io::Error::other)?;
                    got.bytes().await.map_err(std::io::Error::other)
                }
            };
            futures::stream::iter(starts).map(read).buffered(READS_AHEAD).boxed()
        }
    }

    /// The objects a pattern names, in order: a key, a pattern with `*`, `?` and `**`, or all Parquet below a prefix.
    pub async fn list(pattern: &str) -> Result<Vec<Object>, Failure> {
        let rest = pattern.strip_prefix(SCHEME).unwrap_or(pattern);
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['*', '?']) {
            return Err(Failure::input("TM0926", format!("{pattern}: this names no bucket"))
                .help("write s3://bucket/prefix/*.parquet; the bucket itself cannot be a pattern"));
        }
        let parts = parts(key);
        let store = Arc::new(open(pattern, bucket).await?);
        let failed = |error: Error| failed(pattern, bucket, &error);
        let fixed = parts.iter().take_while(|part| !part.contains(['*', '?'])).count();
        let path = Path::parse(parts[..fixed].join("/"));
        let path = path.map_err(|why| Failure::input("TM0926", format!("{pattern}: not a valid key: {why}")))?;
        if fixed == parts.len() {
            return Ok(vec![Object::of(&store, bucket, store.head(&path).await.map_err(failed)?)]);
        }
        let mut objects = Vec::new();
        let mut listed = store.list(Some(&path));
        while let Some(about) = listed.try_next().await.map_err(failed)? {
            let names: Vec<&str> = about.location.as_ref().split('/').collect();
            if !fits(&parts, &names) {
                continue;
            }
            if !convert::is_parquet(FilePath::new(about.location.as_ref())) {
                return Err(Failure::input("TM0926", format!("{SCHEME}{bucket}/{} is not Parquet", about.location))
                    .help("only *.parquet is read from S3: narrow the pattern, or copy other files here"));
            }
            objects.push(Object::of(&store, bucket, about));
            if objects.len() > OBJECTS_MAX {
                return Err(Failure::input("TM0926", format!("{pattern}: more than {OBJECTS_MAX} objects match"))
                    .help("import a narrower prefix at a time"));
            }
        }
        if objects.is_empty() {
            return Err(Failure::input("TM0902", format!("no object matches {pattern}")));
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// The store of a bucket, once it has credentials.
    async fn open(pattern: &str, bucket: &str) -> Result<AmazonS3, Failure> {
        let retry = RetryConfig { max_retries: RETRIES, ..RetryConfig::default() };
        let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
        let unsigned = builder.get_config_value(&AmazonS3ConfigKey::SkipSignature);
        let unsigned = unsigned.is_some_and(|value| value != "false");
        let none = |error: Error| {
            let mut failure = Failure::input("TM0926", format!("{pattern}: no credentials for S3")).help(CREDENTIALS);
            failure.detail.push(line(&error));
            failure
        };
        let store = builder.build().map_err(none)?;
        if !unsigned {
            store.credentials().get_credential().await.map_err(none)?;
        }
        Ok(store)
    }

    /// What a key's parts have to look like.
    fn parts(key: &str) -> Vec<&str> {
        let mut parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
        if !key.contains(['*', '?']) && !convert::is_parquet(FilePath::new(key)) {
            parts.extend(["**", "*.parquet"]);
        }
        parts
    }

    /// Whether a key's names fit a pattern's parts.
    fn fits(parts: &[&str], names: &[&str]) -> bool {
        match parts.split_first() {
            None => names.is_empty(),
            Some((&"**", rest)) => (0..=names.len()).any(|from| fits(rest, &names[from..])),
            Some((part, rest)) => names.split_first().is_some_and(|(name, below)| {
                matches(part.as_bytes(), name.as_bytes()) && !name.starts_with('.') && fits(rest, below)
            }),
        }
    }

    fn failed(pattern: &str, bucket: &str, error: &Error) -> Failure {
        let text = line(error);
        match error {
            // A listing tells it as any other error, a read as one of what is not there.
            _ if text.contains("<Code>NoSuchBucket</Code>") => {
                Failure::input("TM0926", format!("{pattern}: there is no bucket `{bucket}`"))
                    .help(format!("check its name; {PLACE}"))
            }
            Error::NotFound { .. } => Failure::input("TM0902", format!("there is no object {pattern}")),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                let mut failure = Failure::failed("TM0926", format!("{pattern}: no permission to read it"));
                failure.detail.push(text);
                failure.help("the credentials need s3:ListBucket on the bucket and s3:GetObject on its objects")
            }
            _ => Failure::failed("TM0926", format!("{pattern}: {text}")).help(PLACE),
        }
    }

    /// An error on one line.
    fn line(error: &Error) -> String {
        error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn keys_fit_patterns() {
            for (pattern, key, is_fit) in [
                ("a/*.parquet", "a/x.parquet", true),
                ("a/*.parquet", "a/b/x.parquet", false),
                ("a/**/*.parquet", "a/x.parquet", true),
                ("a/**/*.parquet", "a/b/c/x.parquet", true),
                ("a", "a/b/x.parquet", true),
                ("a/", "a/b/x.csv", false),
                ("", "x.parquet", true),
                ("a/x.parquet", "a/x.parquet", true),
                ("a/*/.x.parquet", "a/b/.x.parquet", false),
            ] {
                let names: Vec<&str> = key.split('/').collect();
                assert_eq!(fits(&parts(pattern), &names), is_fit, "{pattern} {key}");
            }
        }
    }
}
