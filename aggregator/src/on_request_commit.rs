//! The engine's last step: computed days become published snapshots.
//!
//! In: computed days of one insight. Out: blobs first, then header and digest in one conditional group with the check
//! that the definition is still the one they were computed for. A stored snapshot that includes more stays.

use bytes::Bytes;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{Date, Period, tzdb_version};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::snapshot::{BlobRange, Digest, Header, Input, SNAPSHOT_FORMAT};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Through;

use crate::definition_store::DefinitionStore;
use crate::finish;
use crate::metric::DayCells;
use crate::on_request::{Failure, Work};
use crate::snapshot_store::{COMMIT_SNAPSHOTS_MAX, Series, Snapshot, SnapshotStore};
use crate::states;

/// Bytes of computed days held before they are published.
pub const COMPUTED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often a commit starts over when someone else published in between.
const COMMIT_ATTEMPTS_MAX: u32 = 8;

/// A computed day, ready to be published.
#[derive(Clone, Debug)]
pub(crate) struct Computed {
    /// The local day.
    pub date: Date,
    /// The headline.
    pub digest: Digest,
    /// The groups, as JSON; empty without a breakdown.
    pub detail: Vec<u8>,
    /// The mergeable states.
    pub states: Vec<u8>,
    /// What it was computed from.
    pub input: Input,
    /// Hash of the page set; empty for totals.
    pub pages: String,
    /// See [`Header::verified`].
    pub verified: Option<bool>,
}

impl Computed {
    /// Finishes a day's cells.
    pub fn of(work: &Work, date: Date, cells: &DayCells) -> Result<Computed, Failure> {
        let never = |why: &dyn std::fmt::Display| Failure::Never(why.to_string());
        let encoded = states::to_bytes(cells).map_err(|why| Failure::Again(why.to_string()))?;
        let digest = finish::digest(&work.plan, cells).map_err(|why| never(&why))?;
        let detail = if work.held.applied.definition.by.is_empty() {
            Vec::new()
        } else {
            let detail = finish::detail(&work.plan, cells).map_err(|why| never(&why))?;
            serde_json::to_vec(&detail).map_err(|why| never(&why))?
        };
        let (input, pages, verified) = (Input::Totals, String::new(), None);
        Ok(Computed { date, digest, detail, states: encoded, input, pages, verified })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.detail.len() + self.states.len()
    }
}

/// Publishes computed days that include every change up to `through`.
pub(crate) async fn publish(
    context: &Context,
    work: &Work,
    computed: Vec<Computed>,
    through: &Through,
    watermark: Timestamp,
) -> Result<(), Failure> {
    for part in computed.chunks(COMMIT_SNAPSHOTS_MAX) {
        publish_part(context, work, part, through, watermark).await?;
    }
    Ok(())
}

async fn publish_part(
    context: &Context,
    work: &Work,
    computed: &[Computed],
    through: &Through,
    watermark: Timestamp,
) -> Result<(), Failure> {
    let (Some(first), Some(last)) = (computed.first(), computed.last()) else { return Ok(()) };
    let tenant = work.tenant();
    let series = series(work, &tenant);
    let store = SnapshotStore::new(context);
    let detail = pack(&store, &tenant, "detail", computed, |day| &day.detail).await?;
    let states = pack(&store, &tenant, "states", computed, |day| &day.states).await?;
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let stored = store.range(&series, first.date, last.date).await?;
        let mut snapshots = Vec::with_capacity(computed.len());
        for ((day, detail), states) in computed.iter().zip(&detail).zip(&states) {
            let mut header = header(context, work, day, through, watermark);
            (header.detail, header.states) = (detail.clone(), states.clone());
            match supersedes(&header, stored.get(&day.date)) {
                Supersedes::No => {}
                Supersedes::Unknown => return Err(Failure::Again("another engine saw other shards".to_owned())),
                Supersedes::Yes(version) => {
                    header.version = version;
                    snapshots.push(Snapshot { header, digest: day.digest.clone() });
                }
            }
        }
        if snapshots.is_empty() {
            return Ok(());
        }
        match store.commit(&series, &work.held, &snapshots).await {
            Ok(()) => return Ok(()),
            Err(Error::Conflict(_)) => still_wanted(context, work, &tenant).await?,
            Err(other) => return Err(other.into()),
        }
    }
    Err(Failure::Again("others kept publishing the same days".to_owned()))
}

fn series<'w>(work: &'w Work, tenant: &'w Tenant) -> Series<'w> {
    Series { tenant, insight: &work.request.insight, fingerprint: &work.request.fingerprint, period: Period::Day }
}

/// Whether the definition is still the one the work was loaded with. An edit that keeps the meaning is a new version
/// with the same fingerprint: the work is done again for it.
async fn still_wanted(context: &Context, work: &Work, tenant: &Tenant) -> Result<(), Failure> {
    match DefinitionStore::new(context).of(tenant, &work.request.insight, &work.request.fingerprint).await? {
        Some(held) if held.rank == work.held.rank => Ok(()),
        Some(_) => Err(Failure::Again("the definition was applied again meanwhile".to_owned())),
        None => Err(Failure::Stale),
    }
}

fn header(context: &Context, work: &Work, day: &Computed, through: &Through, watermark: Timestamp) -> Header {
    let definition = &work.held.applied.definition;
    Header {
        format: SNAPSHOT_FORMAT,
        insight: definition.name.clone(),
        fingerprint: work.held.applied.fingerprint.clone(),
        period: Period::Day,
        start: day.date,
        window: definition.timezone.day(day.date),
        tzdb: tzdb_version().to_owned(),
        input: day.input,
        through: through.clone(),
        watermark,
        pages: day.pages.clone(),
        computed_at: context.clock.now(),
        verified: day.verified,
        version: 1,
        detail: None,
        states: None,
    }
}

/// Whether a snapshot may replace the stored one.
enum Supersedes {
    /// Yes, as this version.
    Yes(u64),
    /// No: what is stored includes as much or more.
    No,
    /// Each includes something the other does not.
    Unknown,
}

fn supersedes(mine: &Header, stored: Option<&Snapshot>) -> Supersedes {
    let Some(Snapshot { header: stored, .. }) = stored else { return Supersedes::Yes(1) };
    match (mine.through.covers(&stored.through), stored.through.covers(&mine.through)) {
        // Of equal positions, pages beat totals.
        (true, true) if stored.input == Input::Pages && mine.input == Input::Totals => Supersedes::No,
        (true, _) => Supersedes::Yes(stored.version + 1),
        (false, true) => Supersedes::No,
        (false, false) => Supersedes::Unknown,
    }
}

/// Writes one part of several days as one blob; where each day's lies.
async fn pack(
    store: &SnapshotStore<'_>,
    tenant: &Tenant,
    kind: &str,
    days: &[Computed],
    part: impl Fn(&Computed) -> &Vec<u8>,
) -> Result<Vec<Option<BlobRange>>, Failure> {
    let content: Vec<u8> = days.iter().flat_map(|day| part(day).iter().copied()).collect();
    if content.is_empty() {
        return Ok(vec![None; days.len()]);
    }
    let object = store.put_blob(tenant, kind, Bytes::from(content)).await?;
    let mut offset = 0;
    let mut ranges = Vec::with_capacity(days.len());
    for day in days {
        let bytes = part(day).len() as u64;
        ranges.push((bytes > 0).then(|| BlobRange { object: object.clone(), offset, bytes }));
        offset += bytes;
    }
    Ok(ranges)
}
