//! Laws of blobs: what tidemill asks of an [`ObjectStore`].

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

/// The blobs under test.
pub type Subject = Arc<dyn ObjectStore>;

async fn put(blobs: &Subject, path: &str, body: impl Into<PutPayload>) {
    blobs.put(&Path::from(path), body.into()).await.expect("a put");
}

async fn get(blobs: &Subject, path: &str) -> Result<Bytes, Error> {
    blobs.get(&Path::from(path)).await?.bytes().await
}

/// Bytes come back as they went.
pub async fn what_is_put_is_read_back(blobs: &Subject) {
    for (path, body) in [("a", ""), ("src=x%2Fy/dt=2026-01-01/n.parquet", "deep"), ("src=x/dt=2026-01-01/0", "b")] {
        put(blobs, path, body).await;
        assert_eq!(get(blobs, path).await.expect("a get"), body);
    }
    let large: Bytes = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    put(blobs, "large", large.clone()).await;
    assert_eq!(get(blobs, "large").await.expect("a get"), large);
}

/// A Parquet reader asks for the end first, then for pieces.
pub async fn ranges_are_read(blobs: &Subject) {
    put(blobs, "a", "0123456789").await;
    let path = Path::from("a");
    assert_eq!(blobs.get_range(&path, 2..5).await.expect("a range"), "234");
    let pieces = blobs.get_ranges(&path, &[8..10, 0..1]).await.expect("ranges");
    assert_eq!(pieces, [Bytes::from("89"), Bytes::from("0")]);
    assert_eq!(blobs.head(&path).await.expect("a head").size, 10);
}

/// A plain put replaces.
pub async fn putting_again_replaces(blobs: &Subject) {
    put(blobs, "a", "first").await;
    put(blobs, "a", "2").await;
    assert_eq!(get(blobs, "a").await.expect("a get"), "2");
}

/// A put that must create says that something is there, and leaves it.
pub async fn creating_what_exists_is_a_conflict(blobs: &Subject) {
    let create = |body: &'static str| {
        let path = Path::from("dir/a");
        async move { blobs.put_opts(&path, body.into(), PutMode::Create.into()).await }
    };
    create("first").await.expect("a creation");
    let error = create("second").await.expect_err("a conflict");
    assert!(matches!(tidemill_ports::Error::from(error), tidemill_ports::Error::Conflict(_)));
    assert_eq!(get(blobs, "dir/a").await.expect("a get"), "first");
}

/// Creation decides between writers.
pub async fn of_concurrent_creators_exactly_one_wins(blobs: &Subject) {
    let path = Path::from("a");
    let create = |n: usize| blobs.put_opts(&path, n.to_string().into(), PutMode::Create.into());
    let answers = join_all((0..8).map(create)).await;
    let winners: Vec<usize> = (0..8).filter(|&n| answers[n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert_eq!(get(blobs, "a").await.expect("a get"), winners[0].to_string());
}

/// Missing is told apart from failing.
pub async fn reading_what_is_missing_says_so(blobs: &Subject) {
    assert!(matches!(get(blobs, "no/such").await, Err(Error::NotFound { .. })));
    assert!(matches!(blobs.head(&Path::from("no")).await, Err(Error::NotFound { .. })));
}

/// Deleted is missing.
pub async fn a_deleted_object_is_missing(blobs: &Subject) {
    put(blobs, "dir/a", "x").await;
    put(blobs, "dir/b", "y").await;
    blobs.delete(&Path::from("dir/a")).await.expect("a delete");
    assert!(matches!(get(blobs, "dir/a").await, Err(Error::NotFound { .. })));
    assert_eq!(get(blobs, "dir/b").await.expect("a get"), "y");
}

/// Listing finds a prefix's objects, in any order; for tools only.
pub async fn objects_are_listed_under_a_prefix(blobs: &Subject) {
    for path in ["src=a/1", "src=a/dt=1/2", "src=ab/3", "other"] {
        put(blobs, path, "x").await;
    }
    let listed: Vec<_> = blobs.list(Some(&Path::from("src=a"))).try_collect().await.expect("a list");
    let mut found: Vec<String> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
    found.sort();
    assert_eq!(found, ["src=a/1", "src=a/dt=1/2"]);
}

/// Puts into the same new folder do not disturb each other.
pub async fn many_puts_run_at_once(blobs: &Subject) {
    let path = |n: usize| format!("src=s/dt=2026-01-{:02}/{n}", n % 3 + 1);
    join_all((0..60).map(|n| async move { put(blobs, &path(n), n.to_string()).await })).await;
    for n in 0..60 {
        assert_eq!(get(blobs, &path(n)).await.expect("a get"), n.to_string());
    }
}
