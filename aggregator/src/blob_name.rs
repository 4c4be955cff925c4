//! Names of snapshots' blobs: whose they are, which days they hold and when they were made, so that what nobody refers
//! to any more can be told from what somebody is about to.
//!
//! In: a series, days, our clock and a content's hash. Out: a name, and the same back from it. A name is never given
//! twice to different work: the time is part of it, so a clean-up can never take away what was written later.
//!
//! `states/main/revenue/<fingerprint>/day/2026-08-01_2026-08-09-<µs>-<hash>`

use tidemill_schemas::calendar::{Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};

/// How long a blob stays after nothing refers to it any more: longer than any read, and than any engine takes to
/// publish what it wrote.
pub const BLOB_KEEP_SECONDS: i64 = 24 * 60 * 60;
/// How old a blob may be when it is published.
pub const BLOB_PUBLISH_SECONDS_MAX: i64 = 60 * 60;

/// What a blob's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobName {
    /// `detail` or `states`.
    pub kind: String,
    /// The insight.
    pub insight: String,
    /// Its definition's fingerprint.
    pub fingerprint: String,
    /// The kind of period.
    pub period: Period,
    /// The first period's first day.
    pub first: Date,
    /// The last period's first day.
    pub last: Date,
    /// When it was made.
    pub at: Timestamp,
    /// xxh3-128 of its content, in hex.
    pub hash: String,
}

impl BlobName {
    /// The object's name.
    pub fn object(&self, tenant: &Tenant) -> String {
        let BlobName { insight, fingerprint, period, first, last, at, hash, .. } = self;
        let folder = folder(&self.kind, tenant);
        format!("{folder}/{insight}/{fingerprint}/{}/{first}_{last}-{}-{hash}", period.word(), at.micros())
    }

    /// What a name of this tenant's says; `None` when it is another's, or none of ours.
    pub fn parse(object: &str, tenant: &Tenant) -> Option<BlobName> {
        let (kind, _) = object.split_once('/')?;
        let mut parts = object.strip_prefix(&folder(kind, tenant))?.strip_prefix('/')?.split('/');
        let mut next = || parts.next().map(str::to_owned);
        let (insight, fingerprint, period, file) = (next()?, next()?, next()?, next()?);
        if next().is_some() {
            return None;
        }
        let (days, rest) = file.split_at_checked(21)?;
        let (first, last) = days.split_once('_')?;
        let (at, hash) = rest.strip_prefix('-')?.split_once('-')?;
        Some(BlobName {
            kind: kind.to_owned(),
            insight,
            fingerprint,
            period: [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year]
                .into_iter()
                .find(|known| known.word() == period)?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            at: Timestamp::from_micros(at.parse().ok()?),
            hash: hash.to_owned(),
        })
    }

    /// Whether it has been kept long enough, given when each of the current snapshots of its days was published:
    /// whatever replaced it was published then or earlier.
    pub fn is_kept_enough(&self, published: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> bool {
        let kept = |since: Timestamp| since.plus_micros(BLOB_KEEP_SECONDS * MICROS_PER_SECOND) < now;
        kept(self.at) && published.into_iter().all(kept)
    }
}

/// The folder of a tenant's blobs of a kind.
pub fn folder(kind: &str, tenant: &Tenant) -> String {
    let Tenant(tenant) = tenant;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if tenant.bytes().all(plain) {
        return format!("{kind}/{tenant}");
    }
    // `_` is in no plain name, so no two tenants share a folder.
    let hex: String = tenant.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}/_{hex}")
}

#[cfg(test)]
mod tests;
