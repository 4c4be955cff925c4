//! The event store: the identity ledger every event lands in exactly once, and the feed of what changed there.
//!
//! In: checked events. Out: what each write did; stored images decoded. One item per (source, id), ranked by revision:
//! a write happens if there is no item or its revision is lower, so a late retry neither resurrects nor overwrites.
//! A source that was never imported is never read before it is written.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidemill_ports::{Change, Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Decoder, Key, Tenant};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, Through};

use crate::gate::{Gate, REQUEST_MICROS_MAX};
use crate::identity::{self, Identity};
use crate::image::Image;
use crate::import_store::{GateError, ImportStore, SeenGate};
use crate::page_store::PageStore;

/// The version of an event's stored body, its first byte.
pub const EVENT_FORMAT: u8 = 1;
/// The version of an imported event's stored body: when it was put beside the others, then the event. As a new image it
/// says nothing, because pages have it already; as an old one it is what the next change replaces.
pub const EVENT_FORMAT_IMPORTED: u8 = 2;

/// Writes of one call that no check stands beside: between calls the clock is looked at.
const PLAIN_WRITES_MAX: usize = 250;
/// How often a batch starts over when imports come between.
const ATTEMPTS_MAX: u32 = 8;

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The event is new, or its revision is the highest so far.
    Accepted,
    /// This revision, or a higher one, was there already.
    Duplicate,
}

/// The gates a batch is written under.
struct Gates {
    seen: BTreeMap<String, SeenGate>,
    /// The clock, as it was before they were read.
    read_from: Timestamp,
    /// Whether the table's checks cost.
    checks_cost: bool,
}

impl Gates {
    /// Whether a source's events are written beside a check that its gate is the one seen.
    fn are_checked(&self, source: &str) -> bool {
        !self.checks_cost || self.seen[source].announced
    }

    /// Whether an import may have announced itself and closed a gate since: what is not checked must not be written.
    fn are_old(&self, now: Timestamp) -> bool {
        now > self.read_from.plus_micros(REQUEST_MICROS_MAX) || now < self.read_from
    }
}

/// The event store of a context.
pub struct EventStore<'a> {
    context: &'a Context,
}

impl<'a> EventStore<'a> {
    /// The store over `context`'s event table.
    pub fn new(context: &'a Context) -> EventStore<'a> {
        EventStore { context }
    }

    /// Writes events in order and says what each write did, once all of them are durable. No import ends between looking
    /// an id up and writing it: every write is conditional on its source's gate, or, where that costs, done before an
    /// import that is not announced yet can close it.
    ///
    /// # Errors
    /// The first write that failed for another reason than being a duplicate, or [`GateError::Importing`]. Others may
    /// have happened: writing all of them again is safe.
    pub async fn write(&self, tenant: &Tenant, events: &[Event]) -> Result<Vec<Written>, GateError> {
        let mut written: Vec<Option<Written>> = vec![None; events.len()];
        for _ in 0..ATTEMPTS_MAX {
            let open: Vec<usize> = (0..events.len()).filter(|at| written[*at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let sources: BTreeSet<&str> = open.iter().map(|at| events[*at].source.as_str()).collect();
            let read_from = self.context.clock.now();
            let seen = ImportStore::new(self.context).gates(tenant, &sources).await?;
            let gates = Gates { seen, read_from, checks_cost: self.context.events.checks_cost() };
            let left = self.settle_imported(tenant, events, &open, &gates, &mut written).await?;
            self.write_under(tenant, events, &left, &gates, &mut written).await?;
        }
        written
            .into_iter()
            .map(|written| {
                written.ok_or_else(|| {
                    Error::Unavailable("imports keep coming between, or it takes too long".to_owned()).into()
                })
            })
            .collect()
    }

    /// Answers what an import brought already, and puts the imported image of what is to be corrected into the ledger;
    /// the events left to write.
    async fn settle_imported(
        &self,
        tenant: &Tenant,
        events: &[Event],
        open: &[usize],
        gates: &Gates,
        written: &mut [Option<Written>],
    ) -> Result<Vec<usize>, Error> {
        let mut corrections: BTreeMap<(&str, i32), Vec<(&Event, Identity)>> = BTreeMap::new();
        for (source, gate) in gates.seen.iter().filter(|(_, gate)| !gate.runs.is_empty()) {
            let of_source: Vec<usize> = open.iter().copied().filter(|at| events[*at].source == *source).collect();
            let hashes: Vec<u128> = of_source.iter().map(|at| identity::hash_of(&events[*at].id)).collect();
            let found = ImportStore::new(self.context).find(&gate.runs, &hashes).await?;
            for (at, identity) in of_source.into_iter().zip(found) {
                match identity {
                    Some(identity) if events[at].rev <= identity.rev => written[at] = Some(Written::Duplicate),
                    Some(identity) => {
                        corrections.entry((source, identity.day)).or_default().push((&events[at], identity));
                    }
                    None => {}
                }
            }
        }
        for ((source, day), corrected) in corrections {
            let day = calendar::utc_date_of_day(day.into());
            self.bring_back(tenant, source, day, &corrected, gates).await?;
        }
        Ok(open.iter().copied().filter(|at| written[*at].is_none()).collect())
    }

    /// Puts imported events of one day into the ledger, those that are not there yet.
    async fn bring_back(
        &self,
        tenant: &Tenant,
        source: &str,
        day: Date,
        corrected: &[(&Event, Identity)],
        gates: &Gates,
    ) -> Result<(), Error> {
        let keys: Vec<Key> = corrected.iter().map(|(event, _)| keys::event(tenant, source, &event.id)).collect();
        let held = self.context.events.get_each(&keys).await?;
        let absent = corrected.iter().zip(held).filter(|(_, held)| held.is_none());
        let absent: BTreeMap<&str, u64> =
            absent.map(|((event, identity), _)| (event.id.as_str(), identity.rev)).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let images = PageStore::new(self.context).imported(tenant, source, day, &absent).await?;
        if images.len() < absent.len() {
            let missing = absent.len() - images.len();
            return Err(Error::Invalid(format!(
                "{missing} imported events of {source} {day} are in none of its pages"
            )));
        }
        let now = self.context.clock.now();
        let puts = images.iter().map(|image| {
            Ok(Write {
                key: keys::event(tenant, source, &image.id),
                condition: Condition::Absent,
                effect: Effect::Put(Item { rank: image.rev, body: encode_imported(image, now)? }),
            })
        });
        let puts = puts.collect::<Result<Vec<_>, Error>>()?;
        // Whoever put it first put the same; a gate that moved is noticed by the write that follows.
        let outcomes = if gates.are_checked(source) {
            let check = ImportStore::check(tenant, source, &gates.seen[source]);
            self.context.events.write_groups(puts.into_iter().map(|put| vec![check.clone(), put]).collect()).await
        } else {
            self.write_plain(puts, gates).await
        };
        outcomes.into_iter().filter(|outcome| !matches!(outcome, Err(Error::Conflict(_)))).collect()
    }

    /// Writes events while their gates are the ones seen; what could not be decided stays open.
    async fn write_under(
        &self,
        tenant: &Tenant,
        events: &[Event],
        open: &[usize],
        gates: &Gates,
        written: &mut [Option<Written>],
    ) -> Result<(), GateError> {
        let (checked, plain): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|at| gates.are_checked(&events[**at].source));
        let puts = plain.iter().map(|at| write_of(tenant, &events[*at])).collect::<Result<Vec<_>, Error>>()?;
        for (at, outcome) in plain.iter().zip(self.write_plain(puts, gates).await) {
            written[*at] = Some(match outcome {
                Ok(()) => Written::Accepted,
                Err(Error::Conflict(_)) => Written::Duplicate,
                Err(other) => return Err(other.into()),
            });
        }
        self.write_checked(tenant, events, &checked, gates, written).await
    }

    /// Writes no check stands beside, a part at a time; ends early when the gates are old.
    async fn write_plain(&self, writes: Vec<Write>, gates: &Gates) -> Vec<Result<(), Error>> {
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut left = writes.into_iter();
        while left.len() > 0 && !gates.are_old(self.context.clock.now()) {
            let part = left.by_ref().take(PLAIN_WRITES_MAX).collect();
            outcomes.extend(self.context.events.write_each(part).await);
        }
        outcomes
    }

    /// Writes each event in a group with a check of its gate.
    async fn write_checked(
        &self,
        tenant: &Tenant,
        events: &[Event],
        open: &[usize],
        gates: &Gates,
        written: &mut [Option<Written>],
    ) -> Result<(), GateError> {
        if open.is_empty() {
            return Ok(());
        }
        let group = |at: &usize| {
            let event = &events[*at];
            let check = ImportStore::check(tenant, &event.source, &gates.seen[&event.source]);
            Ok(vec![check, write_of(tenant, event)?])
        };
        let groups = open.iter().map(group).collect::<Result<Vec<_>, Error>>()?;
        let outcomes = self.context.events.write_groups(groups).await;
        let mut conflicted = Vec::new();
        for (at, outcome) in open.iter().zip(outcomes) {
            match outcome {
                Ok(()) => written[*at] = Some(Written::Accepted),
                Err(Error::Conflict(_)) => conflicted.push(*at),
                Err(other) => return Err(other.into()),
            }
        }
        // A gate's rank only grows: if it is still the one seen, the conflict was the event's own.
        let sources: BTreeSet<&str> = conflicted.iter().map(|at| events[*at].source.as_str()).collect();
        let now = if sources.is_empty() {
            BTreeMap::new()
        } else {
            ImportStore::new(self.context).gates(tenant, &sources).await?
        };
        for at in conflicted {
            let source = &events[at].source;
            if now[source].rank == gates.seen[source].rank {
                written[at] = Some(Written::Duplicate);
            }
        }
        Ok(())
    }

    /// The stored copy of an event, a tombstone included.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when the stored bytes are not an event.
    pub async fn get(&self, tenant: &Tenant, source: &str, id: &str) -> Result<Option<Event>, Error> {
        let key = keys::event(tenant, source, id);
        self.context.events.get(&key).await?.map(|item| decode(&item)).transpose()
    }

    /// The ids and revisions of one bucket of a source's ledger, from behind `after`; and where to go on.
    ///
    /// # Errors
    /// The port's.
    pub(crate) async fn ledger(
        &self,
        tenant: &Tenant,
        source: &str,
        bucket: u16,
        after: Option<Vec<u8>>,
    ) -> Result<(Vec<(String, u64)>, Option<Vec<u8>>), Error> {
        let partition = keys::event_partition(tenant, source, bucket);
        let slice = self.context.events.query(&Query { partition, after, ..Query::default() }).await?;
        let id = |(sort, item): (Vec<u8>, Item)| {
            let id = Decoder::new(&sort).text().ok_or_else(|| Error::Invalid("event key unreadable".to_owned()))?;
            Ok((id, item.rank))
        };
        Ok((slice.items.into_iter().map(id).collect::<Result<_, Error>>()?, slice.next))
    }

    /// The instant before which every acknowledged event has a feed position within `through`. `now` is the clock as
    /// read before `through` was.
    ///
    /// # Errors
    /// The port's.
    pub async fn watermark(&self, now: Timestamp, through: &Through) -> Result<Timestamp, Error> {
        let mut watermark = now;
        for shard in self.context.events.shards().await? {
            if let Some(change) = self.context.events.changes(&shard, through.of(&shard), 1).await?.first() {
                let written = written_at(change)?.unwrap_or(now);
                watermark = watermark.min(written.plus_micros(-REQUEST_MICROS_MAX));
            }
        }
        Ok(watermark)
    }
}

/// The clock as read by the request that made a change: what comes behind it in the feed was read no more than
/// [`REQUEST_MICROS_MAX`] before.
fn written_at(change: &Change) -> Result<Option<Timestamp>, Error> {
    let Some(item) = change.new.as_ref().or(change.old.as_ref()) else { return Ok(None) };
    if encoded_tenant(&change.key).is_none() {
        let gate: Gate = serde_json::from_slice(&item.body)
            .map_err(|why| Error::Invalid(format!("an item beside the events is no gate: {why}")))?;
        return Ok(Some(gate.at));
    }
    if let Some((&EVENT_FORMAT_IMPORTED, body)) = item.body.split_first() {
        let (at, _) = body.split_first_chunk::<8>().ok_or_else(|| cut_off(EVENT_FORMAT_IMPORTED))?;
        return Ok(Some(Timestamp::from_micros(i64::from_le_bytes(*at))));
    }
    image(item).map(|image| Some(image.received))
}

fn cut_off(version: u8) -> Error {
    Error::Invalid(format!("stored event of version {version} is cut off"))
}

fn write_of(tenant: &Tenant, event: &Event) -> Result<Write, Error> {
    Ok(Write {
        key: keys::event(tenant, &event.source, &event.id),
        condition: Condition::AbsentOrRankBelow(event.rev),
        effect: Effect::Put(Item { rank: event.rev, body: encode(event)? }),
    })
}

/// The stored body of an event.
///
/// # Errors
/// [`Error::Invalid`] when the event cannot be encoded; a checked event always can.
pub fn encode(event: &Event) -> Result<Bytes, Error> {
    let properties = event.properties.iter().map(|(key, value)| 24 + key.len() + value.text_bytes()).sum::<usize>();
    let mut out = Vec::with_capacity(128 + event.id.len() + event.source.len() + event.name.len() + properties);
    out.push(EVENT_FORMAT);
    let body = postcard::to_extend(event, out);
    body.map(Bytes::from).map_err(|why| Error::Invalid(format!("event not encodable: {why}")))
}

/// The stored body of an imported event that is put beside the others at `now`.
///
/// # Errors
/// [`Error::Invalid`] when the event cannot be encoded; a checked event always can.
pub fn encode_imported(event: &Event, now: Timestamp) -> Result<Bytes, Error> {
    let mut out = vec![EVENT_FORMAT_IMPORTED];
    out.extend_from_slice(&now.micros().to_le_bytes());
    let body = postcard::to_extend(event, out);
    body.map(Bytes::from).map_err(|why| Error::Invalid(format!("event not encodable: {why}")))
}

/// The event of a stored item.
///
/// # Errors
/// [`Error::Invalid`] when the bytes are of an unknown version or not an event.
pub fn decode(item: &Item) -> Result<Event, Error> {
    let body = body_of(&item.body)?;
    postcard::from_bytes(body).map_err(|why| Error::Invalid(format!("stored event unreadable: {why}")))
}

/// A change of the feed as images, borrowed from it.
#[derive(Clone, Debug)]
pub struct ImageChange<'a> {
    /// Its place in the feed shard.
    pub position: Position,
    /// Whose event it is, as keys have it; [`tenant_of`] reads it.
    pub tenant: &'a [u8],
    /// The copy before; `None`: there was none, or pages have both already.
    pub old: Option<Box<Image<'a>>>,
    /// The copy after; `None`: its time in the store was over, or pages have both already.
    pub new: Option<Image<'a>>,
}

/// Reads a change; `None` for what is not an event.
///
/// # Errors
/// [`Error::Invalid`] when an image is unreadable.
pub fn images(change: &Change) -> Result<Option<ImageChange<'_>>, Error> {
    let Some(tenant) = encoded_tenant(&change.key) else { return Ok(None) };
    let position = change.position;
    if brings_back(change) {
        return Ok(Some(ImageChange { position, tenant, old: None, new: None }));
    }
    // Few changes replace anything, and many changes are held at once.
    let old = change.old.as_ref().map(|item| image(item).map(Box::new)).transpose()?;
    let new = change.new.as_ref().map(image).transpose()?;
    Ok(Some(ImageChange { position, tenant, old, new }))
}

/// The image of a stored item, read where it lies.
///
/// # Errors
/// [`Error::Invalid`] when the bytes are of an unknown version or not an event.
pub fn image(item: &Item) -> Result<Image<'_>, Error> {
    let body = body_of(&item.body)?;
    postcard::from_bytes(body).map_err(|why| Error::Invalid(format!("stored event unreadable: {why}")))
}

/// The encoded event in a stored body.
fn body_of(stored: &[u8]) -> Result<&[u8], Error> {
    match stored.split_first() {
        Some((&EVENT_FORMAT, body)) => Ok(body),
        Some((&EVENT_FORMAT_IMPORTED, body)) => {
            body.split_at_checked(8).map(|(_, body)| body).ok_or_else(|| cut_off(EVENT_FORMAT_IMPORTED))
        }
        Some((version, _)) => Err(Error::Invalid(format!("stored event of unknown version {version}"))),
        None => Err(Error::Invalid("stored event is empty".to_owned())),
    }
}

/// The tenant [`ImageChange::tenant`] stands for.
///
/// # Errors
/// [`Error::Invalid`] when it is none.
pub fn tenant_of(encoded: &[u8]) -> Result<Tenant, Error> {
    let tenant = Decoder::new(encoded).text().map(Tenant);
    tenant.ok_or_else(|| Error::Invalid("an event's key is unreadable".to_owned()))
}

/// Whether a change puts an imported event beside the others: pages hold it already.
pub fn brings_back(change: &Change) -> bool {
    change.new.as_ref().is_some_and(|item| item.body.first() == Some(&EVENT_FORMAT_IMPORTED))
}

/// The tenant's part of an event's key, `None` of any other key: text ends with `00 01`, and holds no `00` that is
/// not followed by `FF`.
fn encoded_tenant(key: &Key) -> Option<&[u8]> {
    let rest = key.partition.strip_prefix(b"event\0\x01")?;
    let end = rest.windows(2).position(|pair| pair == [0, 1])?;
    rest.get(..end + 2)
}
