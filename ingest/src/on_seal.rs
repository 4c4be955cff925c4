//! `on_seal`: changes of a feed shard → pages and their manifest entry.
//!
//! In: changes in order, perhaps some already sealed. Out: every one of them in committed pages. Safe to run twice, at
//! once, or to be killed anywhere: the chain lets one writer continue it, and what a dead one left unindexed is
//! indexed by the next.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_ports::{Change, Context, Error, Outcome};
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::page::{SEAL_CHANGES_MAX, SEAL_DAYS_MAX};
use tidemill_schemas::value::Type;
use tidemill_schemas::window::Position;

use crate::event_store::{self, EventChange};
use crate::manifest::{ChainEntry, MANIFEST_FORMAT};
use crate::page::{self, Record, StoredChange};
use crate::page_file_store::PageName;
use crate::page_store::{ENTRY_BYTES_MAX, PageStore};

/// How often a seal starts over when another one came first, before the delivery is asked for again.
const SEAL_ATTEMPTS_MAX: u32 = 8;

/// Seals a delivery.
pub async fn on_seal(context: &Context, shard: &str, changes: &[Change]) -> Outcome {
    let Some(first) = changes.first().map(|change| change.position) else { return Outcome::Done };
    for _ in 0..SEAL_ATTEMPTS_MAX {
        match seal_all(context, shard, changes).await {
            Ok(()) => return Outcome::Done,
            Err(Error::Conflict(_)) => {}
            Err(Error::Invalid(why)) => return Outcome::Park(why),
            Err(error) => {
                tracing::warn!(shard, %error, "sealing will be tried again");
                break;
            }
        }
    }
    Outcome::RetryFrom(first)
}

async fn seal_all(context: &Context, shard: &str, changes: &[Change]) -> Result<(), Error> {
    let store = PageStore::new(context);
    let mut head = store.head_indexed(shard).await?;
    let mut after = head.as_ref().map(|(head, _)| head.through).unwrap_or_default();
    let fresh: Vec<&Change> = changes.iter().filter(|change| change.position > after).collect();
    let mut left = fresh.as_slice();
    while !left.is_empty() {
        let decoded = decode(left)?;
        let mut taken = fitting(&decoded);
        let entry = loop {
            let through = left[taken - 1].position;
            let entry = seal(context, shard, after, through, &decoded[..taken]).await?;
            if taken == 1 || entry.encode().map_err(Error::Invalid)?.len() <= ENTRY_BYTES_MAX {
                break entry;
            }
            taken /= 2;
        };
        store.commit(&entry, head.map(|(_, rank)| rank)).await?;
        store.index(&entry).await?;
        left = &left[taken..];
        after = entry.through;
        head = store.head(shard).await?;
    }
    Ok(())
}

fn decode(changes: &[&Change]) -> Result<Vec<Option<EventChange>>, Error> {
    changes.iter().take(SEAL_CHANGES_MAX).map(|change| event_store::change(change)).collect()
}

/// How many changes, from the first, fit into one entry: until the next one would open a day too many. At least one.
fn fitting(changes: &[Option<EventChange>]) -> usize {
    let mut days: BTreeSet<(&Tenant, &str, Date)> = BTreeSet::new();
    for (at, change) in changes.iter().enumerate() {
        let Some(change) = change else { continue };
        let images = [&change.images.old, &change.images.new].into_iter().flatten();
        days.extend(images.filter(|event| !event.deleted).map(|event| day_of(&change.tenant, event)));
        // One change opens two days at most, and the limit is far from two.
        if days.len() > SEAL_DAYS_MAX {
            return at.max(1);
        }
    }
    changes.len()
}

fn day_of<'e>(tenant: &'e Tenant, event: &'e Event) -> (&'e Tenant, &'e str, Date) {
    (tenant, &event.source, calendar::utc_date(event.time))
}

/// Writes the pages of `changes` and returns the entry that commits them.
async fn seal(
    context: &Context,
    shard: &str,
    after: Position,
    through: Position,
    changes: &[Option<EventChange>],
) -> Result<ChainEntry, Error> {
    let store = PageStore::new(context);
    let mut by_tenant: BTreeMap<&Tenant, Vec<StoredChange>> = BTreeMap::new();
    for change in changes.iter().flatten() {
        by_tenant.entry(&change.tenant).or_default().push(change.images.clone());
    }
    let mut pages = Vec::new();
    for (tenant, changes) in by_tenant {
        let mut by_source: BTreeMap<String, BTreeMap<Date, Vec<Record>>> = BTreeMap::new();
        for ((source, day), records) in page::records(changes) {
            by_source.entry(source).or_default().insert(day, records);
        }
        for (source, days) in by_source {
            let primaries = learn(&store, tenant, &source, days.values().flatten()).await?;
            let mut objects = Vec::with_capacity(days.len());
            for (day, records) in &days {
                // No property holds a time: what is not known bears its type in its column's name.
                let primary = |property: &str| primaries.get(property).copied().unwrap_or(Type::Time);
                let page = page::encode(&source, *day, records, &primary)
                    .map_err(|why| Error::Invalid(format!("page of {source} {day}: {why}")))?;
                let name = PageName { tenant, source: &source, day: *day, shard, after };
                let (page, bytes) = name.page(page);
                objects.push((page.object.clone(), bytes));
                pages.push(page);
            }
            store.put_objects(objects).await?;
        }
    }
    let sealed_at = context.clock.now();
    Ok(ChainEntry { format: MANIFEST_FORMAT, shard: shard.to_owned(), after, through, sealed_at, pages })
}

/// Records what a source's events hold, and returns the type each property's bare column has.
async fn learn(
    store: &PageStore<'_>,
    tenant: &Tenant,
    source: &str,
    records: impl Iterator<Item = &Record>,
) -> Result<BTreeMap<String, Type>, Error> {
    let mut all: BTreeMap<String, BTreeSet<Type>> = BTreeMap::new();
    let mut by_name: BTreeMap<&str, BTreeMap<String, BTreeSet<Type>>> = BTreeMap::new();
    for Record { event, .. } in records.filter(|record| !record.event.deleted) {
        let of_name = by_name.entry(&event.name).or_default();
        for (property, at) in event.properties.iter().filter_map(|(key, value)| Some((key, value.type_of()?))) {
            if of_name.get(property).is_none_or(|types| !types.contains(&at)) {
                of_name.entry(property.clone()).or_default().insert(at);
                all.entry(property.clone()).or_default().insert(at);
            }
        }
    }
    for (name, properties) in &by_name {
        store.learn_seen(tenant, source, name, properties).await?;
    }
    Ok(store.learn_primaries(tenant, source, &all).await?.0)
}
