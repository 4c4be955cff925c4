//! `on_clean`: blobs that no snapshot refers to any more → gone.
//!
//! In: a tenant. Out: what was removed. Replaced snapshots, and engines that died or lost a race before they
//! published, leave details and states behind. A blob goes when it is [`BLOB_KEEP_SECONDS`] old, no current snapshot of
//! its series refers to it, and none of its days was published anew within that time either: then whoever read the
//! snapshot it belonged to is long done. May be killed anywhere, run twice or at once: removing is the only thing it
//! does. This is the one place that lists objects, and nothing but its own removals depends on what it finds.
//!
//! [`BLOB_KEEP_SECONDS`]: crate::blob_name::BLOB_KEEP_SECONDS

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use serde::Serialize;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;

use crate::blob_name::{BlobName, folder};
use crate::snapshot_store::{Series, Snapshot, SnapshotStore};

/// What a clean-up did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleaned {
    /// Blobs removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Blobs that stay.
    pub kept: u64,
}

/// A blob there is.
struct Found {
    path: Path,
    name: BlobName,
    bytes: u64,
}

/// Removes what nobody needs.
///
/// # Errors
/// The port's; what is left is removed the next time.
pub async fn on_clean(context: &Context, tenant: &Tenant) -> Result<Cleaned, Error> {
    let now = context.clock.now();
    let mut cleaned = Cleaned::default();
    for ((insight, fingerprint, period), found) in listed(context, tenant).await? {
        let old: Vec<&BlobName> =
            found.iter().map(|found| &found.name).filter(|name| name.is_kept_enough([], now)).collect();
        let span = old.iter().map(|name| name.first).min().zip(old.iter().map(|name| name.last).max());
        let series = Series { tenant, insight: &insight, fingerprint: &fingerprint, period };
        let snapshots = match span {
            Some((first, last)) => SnapshotStore::new(context).range(&series, first, last).await?,
            None => BTreeMap::new(),
        };
        let (needless, kept) = divide(found, &snapshots, now);
        cleaned.kept += kept.len() as u64;
        for Found { path, bytes, .. } in needless {
            match context.blobs.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            cleaned.removed += 1;
            cleaned.removed_bytes += bytes;
        }
    }
    Ok(cleaned)
}

/// Every blob whose name tells its series, by series. What earlier builds named otherwise is left alone.
async fn listed(context: &Context, tenant: &Tenant) -> Result<BTreeMap<(String, String, Period), Vec<Found>>, Error> {
    let mut all: BTreeMap<_, Vec<Found>> = BTreeMap::new();
    for kind in ["detail", "states"] {
        let prefix = Path::from(folder(kind, tenant));
        let mut objects = context.blobs.list(Some(&prefix));
        while let Some(object) = objects.try_next().await? {
            if let Some(name) = BlobName::parse(object.location.as_ref(), tenant) {
                let series = (name.insight.clone(), name.fingerprint.clone(), name.period);
                all.entry(series).or_default().push(Found { path: object.location, name, bytes: object.size });
            }
        }
    }
    Ok(all)
}

/// What may go, and what stays.
fn divide(found: Vec<Found>, snapshots: &BTreeMap<Date, Snapshot>, now: Timestamp) -> (Vec<Found>, Vec<Found>) {
    let ranges = snapshots.values().flat_map(|snapshot| [&snapshot.header.detail, &snapshot.header.states]);
    let needed: BTreeSet<Path> = ranges.flatten().map(|range| Path::from(range.object.as_str())).collect();
    found.into_iter().partition(|found| {
        let published = snapshots.range(found.name.first..=found.name.last);
        let published = published.map(|(_, snapshot)| snapshot.header.computed_at);
        !needed.contains(&found.path) && found.name.is_kept_enough(published, now)
    })
}
