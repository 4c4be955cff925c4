//! The engine's last step: computed days become published snapshots.
//!
//! In: computed days of one insight. Out: blobs first, then header and digest in one conditional group with the check
//! that the definition is still the one they were computed for, and marks on the closed periods that hold a day that
//! changed. A stored snapshot that includes more stays.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidemill_ports::{Context, Error, GROUP_WRITES_MAX, Write};
use tidemill_schemas::calendar::{Date, Period, Zone, tzdb_version};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::Reason;
use tidemill_schemas::snapshot::{BlobRange, Digest, Header, Input, SNAPSHOT_FORMAT};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Through;

use crate::blob_name::{BLOB_PUBLISH_SECONDS_MAX, BlobName};
use crate::content::{Content, Place};
use crate::definition_store::DefinitionStore;
use crate::dirty_period_store;
use crate::finish;
use crate::metric::DayCells;
use crate::on_request::{Failure, Work};
use crate::periods;
use crate::snapshot_store::{COMMIT_SNAPSHOTS_MAX, Series, Snapshot, SnapshotStore};
use crate::spill_store::scratch;
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
    pub detail: Content,
    /// The mergeable states.
    pub states: Content,
    /// What it was computed from.
    pub input: Input,
    /// Hash of the page set; empty for totals.
    pub pages: String,
    /// See [`Header::verified`].
    pub verified: Option<bool>,
    /// The last position, per shard, that brought a page of the day; empty for totals.
    pub changed: Through,
}

impl Computed {
    /// Finishes a day's cells.
    pub fn of(work: &Work, date: Date, cells: &DayCells) -> Result<Computed, Failure> {
        let never = |why: &dyn std::fmt::Display| Failure::Never(why.to_string());
        let spill = scratch();
        let states = states::to_content(cells, spill.clone()).map_err(|why| Failure::Again(why.to_string()))?;
        let digest = finish::digest(&work.plan, cells).map_err(|why| never(&why))?;
        let detail = if work.plan.by.is_empty() || work.plan.follows_actors() {
            Vec::new()
        } else {
            let detail = finish::detail_of(&work.plan, &states, &spill).map_err(|why| never(&why))?;
            serde_json::to_vec(&detail).map_err(|why| never(&why))?
        };
        let (detail, input, verified) = (Content::of(detail.into()), Input::Totals, None);
        let (pages, changed) = (String::new(), Through::default());
        Ok(Computed { date, digest, detail, states, input, pages, verified, changed })
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.detail.memory_bytes() + self.states.memory_bytes()
    }

    /// Whether publishing this over `stored` can change a period that folds the day.
    fn changes(&self, stored: Option<&Snapshot>, zone: &Zone) -> bool {
        stored.is_none_or(|Snapshot { header, .. }| {
            header.content != Some(self.states.hash())
                || !periods::is_final(header, zone)
                || !header.through.covers(&self.changed)
        })
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
    let mut left = computed.as_slice();
    while !left.is_empty() {
        let (part, rest) = left.split_at(fitting(work, left));
        publish_part(context, work, part, through, watermark).await?;
        left = rest;
    }
    Ok(())
}

/// How many of these days one group of writes can hold, at least one: two writes a day, one per period around them and
/// the check of the definition.
fn fitting(work: &Work, days: &[Computed]) -> usize {
    let dates = |count: usize| days[..count].iter().map(|day| day.date);
    let writes = |count| 1 + 2 * count + periods::around(dates(count), work.plan.week_start).len();
    (1..=days.len().min(COMMIT_SNAPSHOTS_MAX)).rev().find(|count| writes(*count) <= GROUP_WRITES_MAX).unwrap_or(1)
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
    let at = context.clock.now();
    let mut stored = store.range(&series, first.date, last.date).await?;
    let packer = Packer { store, series: &series, at, stored: &stored };
    let detail = packer.pack("detail", computed, |day| &day.detail, |header| &header.detail).await?;
    let states = packer.pack("states", computed, |day| &day.states, |header| &header.states).await?;
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        if context.clock.now() > at.plus_seconds(BLOB_PUBLISH_SECONDS_MAX) {
            return Err(Failure::Again("what was written is too old to be published".to_owned()));
        }
        let mut snapshots = Vec::with_capacity(computed.len());
        let mut changed = Vec::new();
        for ((day, detail), states) in computed.iter().zip(&detail).zip(&states) {
            let mut header = header(context, work, day, through, watermark);
            (header.detail, header.states) = (detail.clone(), states.clone());
            let before = stored.get(&day.date);
            match supersedes(&header, before) {
                Supersedes::No => {}
                Supersedes::Unknown => return Err(Failure::Again("another engine saw other shards".to_owned())),
                Supersedes::Yes(version) => {
                    header.version = version;
                    if day.changes(before, &work.plan.zone) {
                        changed.push(day);
                    }
                    snapshots.push(Snapshot { header, digest: day.digest.clone() });
                }
            }
        }
        if snapshots.is_empty() {
            return Ok(());
        }
        let marks = marks(context, work, &series, &changed).await?;
        match store.commit(&series, &work.held, &snapshots, marks).await {
            Ok(()) => return Ok(()),
            Err(Error::Conflict(_)) => still_wanted(context, work, &tenant).await?,
            Err(other) => return Err(other.into()),
        }
        stored = store.range(&series, first.date, last.date).await?;
    }
    Err(Failure::Again("others kept publishing the same days".to_owned()))
}

/// Tells the closed periods around changed days. A backfill, which goes through all of history and rolls it up itself,
/// tells only those that were rolled up before, and makes sure of the others that they still are not.
async fn marks(
    context: &Context,
    work: &Work,
    series: &Series<'_>,
    changed: &[&Computed],
) -> Result<Vec<Write>, Failure> {
    let (zone, week_start, now) = (&work.plan.zone, work.plan.week_start, context.clock.now());
    let mut around = periods::around(changed.iter().map(|day| day.date), week_start);
    around.retain(|(period, first)| periods::is_closed(zone, *period, *first, week_start, now));
    let cause: Vec<u8> = changed
        .iter()
        .flat_map(|day| format!("{} {} {} {now}\n", day.date, day.states.hash(), day.pages).into_bytes())
        .collect();
    let is_backfill = matches!(work.request.reason, Reason::Backfill(_));
    let mut writes = Vec::with_capacity(around.len());
    for (period, first) in around {
        let of_period = Series { period, ..series.clone() };
        let is_new = is_backfill && SnapshotStore::new(context).get(&of_period, first).await?.is_none();
        writes.push(if is_new {
            dirty_period_store::not_rolled_up(series, period, first)
        } else {
            dirty_period_store::mark(series, period, first, &cause)?
        });
    }
    Ok(writes)
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
        content: Some(day.states.hash()),
        partial: false,
        missing: Vec::new(),
        merge_millis: None,
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

/// Writes parts of days into blobs.
struct Packer<'p> {
    store: SnapshotStore<'p>,
    series: &'p Series<'p>,
    at: Timestamp,
    /// What is published now.
    stored: &'p BTreeMap<Date, Snapshot>,
}

impl Packer<'_> {
    /// Writes one part of several days as one blob, what is long as one of its own; where each day's lies.
    async fn pack(
        &self,
        kind: &str,
        days: &[Computed],
        part: impl Fn(&Computed) -> &Content,
        held: impl Fn(&Header) -> &Option<BlobRange>,
    ) -> Result<Vec<Option<BlobRange>>, Failure> {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(Vec::new()) };
        let mut packed: Vec<u8> = Vec::new();
        let mut ranges: Vec<Option<BlobRange>> = Vec::new();
        for day in days {
            let (part, bytes) = (part(day), part(day).bytes());
            ranges.push(match part.place() {
                Place::Memory(held) if held.is_empty() => None,
                Place::Memory(held) => {
                    let offset = packed.len() as u64;
                    packed.extend_from_slice(held);
                    // Its object is named below, when all of it is known.
                    Some(BlobRange { object: String::new(), offset, bytes })
                }
                Place::Spilled(_) => {
                    let object = self.put(kind, (day.date, day.date), part, &held).await?;
                    Some(BlobRange { object, offset: 0, bytes })
                }
            });
        }
        if !packed.is_empty() {
            let packed = Content::of(Bytes::from(packed));
            let object = self.put(kind, (first.date, last.date), &packed, &held).await?;
            ranges.iter_mut().flatten().filter(|range| range.object.is_empty()).for_each(|range| {
                range.object.clone_from(&object);
            });
        }
        Ok(ranges)
    }

    /// Writes a blob of these days and returns its name. If a published snapshot of them refers to one of the same
    /// days and content, that one's is told again and nothing is written.
    async fn put(
        &self,
        kind: &str,
        (first, last): (Date, Date),
        content: &Content,
        held: &impl Fn(&Header) -> &Option<BlobRange>,
    ) -> Result<String, Failure> {
        let name = self.series.blob(kind, (first, last), self.at, content);
        let published = self.stored.range(first..=last).filter_map(|(_, stored)| held(&stored.header).as_ref());
        let same = |object: &str| {
            let parsed = BlobName::parse(object, self.series.tenant);
            parsed.is_some_and(|parsed| BlobName { at: name.at, ..parsed } == name)
        };
        match published.map(|range| &range.object).find(|object| same(object)) {
            Some(object) => Ok(object.clone()),
            None => Ok(self.store.put_blob(self.series.tenant, &name, content).await?),
        }
    }
}
