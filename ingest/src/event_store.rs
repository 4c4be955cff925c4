//! The event store: the identity ledger every event lands in exactly once, and the feed of what changed there.
//!
//! In: checked events. Out: what each write did; stored images decoded. One item per (source, id), ranked by revision:
//! a write happens if there is no item or its revision is lower, so a late retry neither resurrects nor overwrites.
//! This store never reads before it writes.

use bytes::Bytes;
use tidemill_ports::{Change, Condition, Context, Effect, Error, Item, Write};
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Decoder, Key, Tenant};
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_schemas::window::{Position, Through};

use crate::page::StoredChange;

/// The version of an event's stored body, its first byte.
pub const EVENT_FORMAT: u8 = 1;

/// How long a request may take from reading the clock to being durable, in microseconds. Watermarks rely on it.
pub const REQUEST_MICROS_MAX: i64 = 60 * MICROS_PER_SECOND;

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The event is new, or its revision is the highest so far.
    Accepted,
    /// This revision, or a higher one, was there already.
    Duplicate,
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

    /// Writes events in order and says what each write did, once all of them are durable.
    ///
    /// # Errors
    /// The first write that failed for another reason than being a duplicate. Others may have happened: writing all of
    /// them again is safe.
    pub async fn write(&self, tenant: &Tenant, events: &[Event]) -> Result<Vec<Written>, Error> {
        let writes = events.iter().map(|event| write_of(tenant, event)).collect::<Result<Vec<_>, _>>()?;
        let outcomes = self.context.events.write_each(writes).await;
        outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Ok(()) => Ok(Written::Accepted),
                Err(Error::Conflict(_)) => Ok(Written::Duplicate),
                Err(other) => Err(other),
            })
            .collect()
    }

    /// The stored copy of an event, a tombstone included.
    ///
    /// # Errors
    /// The port's; [`Error::Invalid`] when the stored bytes are not an event.
    pub async fn get(&self, tenant: &Tenant, source: &str, id: &str) -> Result<Option<Event>, Error> {
        let key = keys::event(tenant, source, id);
        self.context.events.get(&key).await?.map(|item| decode(&item)).transpose()
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
                let image = change.new.as_ref().or(change.old.as_ref()).map(decode).transpose()?;
                let received = image.map_or(now, |event| event.received);
                watermark = watermark.min(received.plus_micros(-REQUEST_MICROS_MAX));
            }
        }
        Ok(watermark)
    }
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
    let body = postcard::to_extend(event, vec![EVENT_FORMAT]);
    body.map(Bytes::from).map_err(|why| Error::Invalid(format!("event not encodable: {why}")))
}

/// The event of a stored item.
///
/// # Errors
/// [`Error::Invalid`] when the bytes are of an unknown version or not an event.
pub fn decode(item: &Item) -> Result<Event, Error> {
    match item.body.split_first() {
        Some((&EVENT_FORMAT, body)) => {
            postcard::from_bytes(body).map_err(|why| Error::Invalid(format!("stored event unreadable: {why}")))
        }
        Some((version, _)) => Err(Error::Invalid(format!("stored event of unknown version {version}"))),
        None => Err(Error::Invalid("stored event is empty".to_owned())),
    }
}

/// A change of the feed as events.
#[derive(Clone, Debug)]
pub struct EventChange {
    /// Its place in the feed shard.
    pub position: Position,
    /// Whose event it is.
    pub tenant: Tenant,
    /// The images before and after.
    pub images: StoredChange,
}

/// Decodes a change; `None` for what is not an event.
///
/// # Errors
/// [`Error::Invalid`] when an image is unreadable.
pub fn change(change: &Change) -> Result<Option<EventChange>, Error> {
    let Some(tenant) = tenant_of(&change.key) else { return Ok(None) };
    let old = change.old.as_ref().map(decode).transpose()?;
    let new = change.new.as_ref().map(decode).transpose()?;
    Ok(Some(EventChange { position: change.position, tenant, images: StoredChange { old, new } }))
}

fn tenant_of(key: &Key) -> Option<Tenant> {
    let mut decoder = Decoder::new(&key.partition);
    (decoder.text()? == "event").then_some(())?;
    decoder.text().map(Tenant)
}
