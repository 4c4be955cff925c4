//! `on_seal`: changes of a feed shard → pages and their manifest entry.
//!
//! In: changes in order, perhaps some already sealed. Out: every one of them in committed pages. Safe to run twice, at
//! once, or to be killed anywhere: the chain lets one writer continue it, and what a dead one left unindexed is
//! indexed by the next.

use std::collections::{BTreeSet, HashMap};

use tidemill_ports::{Change, Context, Error, Outcome};
use tidemill_schemas::calendar::{Date, utc_date};
use tidemill_schemas::keys::{Key, Tenant};
use tidemill_schemas::page::SEAL_CHANGES_MAX;
use tidemill_schemas::value::Type;
use tidemill_schemas::window::Position;

use crate::event_store::{self, ImageChange};
use crate::image::Image;
use crate::manifest::{ChainEntry, MANIFEST_FORMAT, Primaries};
use crate::page::{self, Delivery, Share, StoredChange};
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
        let mut most = SEAL_CHANGES_MAX;
        let (taken, entry) = loop {
            let (taken, entry) = seal(context, shard, after, &left[..most.min(left.len())]).await?;
            if taken == 1 || entry.encode().map_err(Error::Invalid)?.len() <= ENTRY_BYTES_MAX {
                break (taken, entry);
            }
            most = taken / 2;
        };
        store.commit(&entry, head.map(|(_, rank)| rank)).await?;
        store.index(&entry).await?;
        left = &left[taken..];
        after = entry.through;
        head = store.head(shard).await?;
    }
    Ok(())
}

/// Writes the pages of as many of `changes`, from the first, as fit into one entry. Returns how many those are, and
/// the entry that commits them.
async fn seal(
    context: &Context,
    shard: &str,
    after: Position,
    changes: &[&Change],
) -> Result<(usize, ChainEntry), Error> {
    let store = PageStore::new(context);
    let delivery = look_through(changes)?;
    let taken = &changes[..delivery.taken];
    let corrections = corrections(taken);
    let mut pages = Vec::new();
    for (tenant, source, share) in shares(&delivery)? {
        let tenant = &tenant;
        for (name, properties) in &share.names {
            store.learn_seen(tenant, source, name, properties).await?;
        }
        let Primaries(primaries) = store.learn_primaries(tenant, source, &share.properties()).await?;
        // No property holds a time: what is not known bears its type in its column's name.
        let primary = |property: &str| primaries.get(property).copied().unwrap_or(Type::Time);
        for together in share.together() {
            let touching = together.changes.iter().map(|&at| Ok((stored(taken[at], &together.days)?, corrections[at])));
            let touching = touching.collect::<Result<Vec<_>, Error>>()?;
            let mut objects = Vec::with_capacity(together.days.len());
            for (day, records) in page::records(touching, &together.days) {
                let page = page::encode(source, day, &records, &primary)
                    .map_err(|why| Error::Invalid(format!("page of {source} {day}: {why}")))?;
                let (page, bytes) = PageName { tenant, source, day, shard, after }.page(page);
                objects.push((page.object.clone(), bytes));
                pages.push(page);
            }
            store.put_objects(objects).await?;
        }
    }
    let through = taken.last().map_or(after, |change| change.position);
    let sealed_at = context.clock.now();
    let entry = ChainEntry { format: MANIFEST_FORMAT, shard: shard.to_owned(), after, through, sealed_at, pages };
    Ok((delivery.taken, entry))
}

/// Which changes concern which days, up to the first that would open a day too many for an entry.
fn look_through(changes: &[&Change]) -> Result<Delivery, Error> {
    let mut delivery = Delivery::default();
    for change in changes {
        let bytes = [&change.old, &change.new].into_iter().flatten().map(|item| item.body.len()).sum();
        if !delivery.take(event_store::images(change)?.as_ref(), bytes) {
            break;
        }
    }
    Ok(delivery)
}

/// What concerns each source, with its tenant.
fn shares(delivery: &Delivery) -> Result<Vec<(Tenant, &str, &Share)>, Error> {
    let mut all = Vec::new();
    for (tenant, sources) in &delivery.sources {
        let tenant = event_store::tenant_of(tenant)?;
        all.extend(sources.iter().map(|(source, share)| (tenant.clone(), source.as_str(), share)));
    }
    Ok(all)
}

/// What of a change the records of these days are made of: the rest is not copied.
fn stored(change: &Change, days: &BTreeSet<Date>) -> Result<StoredChange, Error> {
    let Some(ImageChange { old, new, .. }) = event_store::images(change)? else {
        return Ok(StoredChange { old: None, new: None });
    };
    let day = |image: &Image<'_>| (!image.deleted).then(|| utc_date(image.time));
    let entered = new.as_ref().and_then(day);
    // What it leaves is withdrawn by its identity alone.
    let old = old.filter(|old| day(old).is_some_and(|day| Some(day) != entered && days.contains(&day)));
    let new = new.map(|new| if entered.is_some_and(|day| days.contains(&day)) { new } else { without_properties(new) });
    let event = |image: Image<'_>| {
        image.event().map_err(|why| Error::Invalid(format!("a stored event holds a number that is none: {why}")))
    };
    let old = old.map(|old| event(without_properties(*old))).transpose()?;
    Ok(StoredChange { old, new: new.map(event).transpose()? })
}

fn without_properties(image: Image<'_>) -> Image<'_> {
    Image { properties: Vec::new(), ..image }
}

/// For each change whether the delivery's first change of its event had an old copy, or brought an imported one back:
/// pages may then hold records of it already.
fn corrections(changes: &[&Change]) -> Vec<bool> {
    let mut firsts: HashMap<&Key, bool, foldhash::fast::FixedState> =
        HashMap::with_capacity_and_hasher(changes.len(), foldhash::fast::FixedState::default());
    let has_records = |change: &Change| change.old.is_some() || event_store::brings_back(change);
    changes.iter().map(|change| *firsts.entry(&change.key).or_insert_with(|| has_records(change))).collect()
}
