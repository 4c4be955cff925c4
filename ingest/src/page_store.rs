//! The page store: committing pages to the manifest, and finding them.
//!
//! In: encoded pages and the part of the feed they cover. Out: immutable page sets. See
//! [`crate::manifest`] for the protocol, [`crate::page_file_store`] for the pages themselves. This store never lists a bucket, and never overwrites an object or a chain
//! entry.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_ports::{Condition, Context, Effect, Error, ITEM_BYTES_MAX, Item, Query, Write};
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::keys::{self, Decoder, Key, Tenant};
use tidemill_schemas::value::Type;
use tidemill_schemas::window::{Position, ShardId, Through};
use xxhash_rust::xxh3::xxh3_64;

use crate::manifest::{ChainEntry, ChainHead, DirtyDay, IndexedPage, PageDay, PageSet, Primaries, Seen};

/// Bytes of one chain entry: an item, with room for its key.
pub(crate) const ENTRY_BYTES_MAX: usize = ITEM_BYTES_MAX - 16 * 1024;

/// The page store of a context.
#[derive(Clone, Copy)]
pub struct PageStore<'a> {
    pub(crate) context: &'a Context,
}

/// A dirty mark and how to remove it.
#[derive(Clone, Debug)]
pub struct DirtyMark {
    /// The day.
    pub dirty: DirtyDay,
    key: Key,
    rank: u64,
}

impl<'a> PageStore<'a> {
    /// The store over `context`.
    pub fn new(context: &'a Context) -> PageStore<'a> {
        PageStore { context }
    }

    // Sealing

    /// The head of a shard's chain, with the rank its next write must name; `None` before the first entry.
    pub(crate) async fn head(&self, shard: &str) -> Result<Option<(ChainHead, u64)>, Error> {
        let item = self.context.items.get(&keys::chain_head(shard)).await?;
        item.map(|item| Ok((read(&item)?, item.rank))).transpose()
    }

    /// The same, once its entry is in the day index: whoever committed it may have died before.
    pub(crate) async fn head_indexed(&self, shard: &str) -> Result<Option<(ChainHead, u64)>, Error> {
        let head = self.head(shard).await?;
        if let Some((head, _)) = &head
            && let Some(entry) = self.entry(shard, head.after).await?
        {
            self.index(&entry).await?;
        }
        Ok(head)
    }

    /// Continues the chain with `entry`. [`Error::Conflict`] when someone else has.
    pub(crate) async fn commit(&self, entry: &ChainEntry, head_rank: Option<u64>) -> Result<(), Error> {
        self.context.items.write(PageStore::continuing(entry, head_rank)?).await
    }

    /// The writes that continue a chain, to be done in one group.
    pub(crate) fn continuing(entry: &ChainEntry, head_rank: Option<u64>) -> Result<Vec<Write>, Error> {
        let head = ChainHead { format: entry.format, after: entry.after, through: entry.through };
        let condition = head_rank.map_or(Condition::Absent, Condition::RankIs);
        let mut group = vec![
            Write {
                key: keys::chain_entry(&entry.shard, entry.after),
                condition: Condition::Absent,
                effect: Effect::Put(Item { rank: 0, body: entry.encode().map_err(Error::Invalid)?.into() }),
            },
            put(keys::chain_head(&entry.shard), condition, head_rank.map_or(1, |rank| rank + 1), &head)?,
        ];
        if head_rank.is_none() {
            group.push(put(keys::shard(&entry.shard), Condition::None, 0, &entry.shard)?);
        }
        Ok(group)
    }

    /// The entry of a shard's chain that begins behind `after`.
    pub(crate) async fn entry(&self, shard: &str, after: Position) -> Result<Option<ChainEntry>, Error> {
        let item = self.context.items.get(&keys::chain_entry(shard, after)).await?;
        let decode = |item: Item| ChainEntry::decode(&item.body);
        item.map(decode).transpose().map_err(|why| Error::Invalid(format!("chain entry unreadable: {why}")))
    }

    /// Enters an entry's pages into the day index and marks their days dirty. Doing so again changes nothing.
    pub(crate) async fn index(&self, entry: &ChainEntry) -> Result<(), Error> {
        let mut writes = Vec::new();
        for pages in by_day(entry).values() {
            for (nth, page) in pages.iter().enumerate() {
                let (tenant, source, day) = (Tenant(page.page.tenant.clone()), &page.page.source, page.page.day);
                let key = match nth as u64 {
                    0 => keys::day_pages(&tenant, source, day, &page.shard, page.after),
                    nth => keys::day_pages_further(&tenant, source, day, &page.shard, page.after, nth),
                };
                writes.push(put(key, Condition::None, 0, page)?);
            }
        }
        all(self.context.items.write_each(writes).await)?;
        self.count_days(entry).await?;
        self.mark_dirty(entry).await
    }

    /// Counts an entry's pages into their days.
    async fn count_days(&self, entry: &ChainEntry) -> Result<(), Error> {
        let mut left: Vec<Vec<IndexedPage>> = by_day(entry).into_values().collect();
        while !left.is_empty() {
            let day_keys: Vec<Key> = left.iter().map(|pages| page_day_key(&pages[0])).collect();
            let stored = self.context.items.get_each(&day_keys).await?;
            let mut writes = Vec::with_capacity(left.len());
            for ((pages, key), item) in left.iter().zip(day_keys).zip(stored) {
                let (mut day, condition, rank) = match &item {
                    Some(item) => (read::<PageDay>(item)?, Condition::RankIs(item.rank), item.rank + 1),
                    None => (PageDay::default(), Condition::Absent, 1),
                };
                day.add(pages);
                writes.push(put(key, condition, rank, &day)?);
            }
            let outcomes = self.context.items.write_each(writes).await;
            let mut conflicted = Vec::new();
            for (pages, outcome) in left.into_iter().zip(outcomes) {
                match outcome {
                    Ok(()) => {}
                    Err(Error::Conflict(_)) => conflicted.push(pages),
                    Err(other) => return Err(other),
                }
            }
            left = conflicted;
        }
        Ok(())
    }

    async fn mark_dirty(&self, entry: &ChainEntry) -> Result<(), Error> {
        // The rank tells one mark from the next, so that clearing an old one never clears a new one.
        let rank = xxh3_64(&[entry.shard.as_bytes(), &entry.through.0.to_le_bytes()].concat());
        let mut writes = Vec::with_capacity(entry.pages.len());
        for page in &entry.pages {
            let dirty = DirtyDay { source: page.source.clone(), day: page.day, sealed_at: entry.sealed_at };
            let key = keys::dirty_day(&Tenant(page.tenant.clone()), &page.source, page.day);
            writes.push(put(key, Condition::None, rank, &dirty)?);
        }
        all(self.context.items.write_each(writes).await)
    }

    /// The column types of a source's properties, with those of `properties` that were not known yet added for good.
    pub(crate) async fn learn_primaries(
        &self,
        tenant: &Tenant,
        source: &str,
        properties: &BTreeMap<String, BTreeSet<Type>>,
    ) -> Result<Primaries, Error> {
        // An event's name is never empty, so the empty one is free for the source as a whole.
        let key = keys::catalogue(tenant, source, "");
        self.change(key, |primaries: &mut Primaries| primaries.learn(properties)).await
    }

    /// Adds what a batch showed of an event name.
    pub(crate) async fn learn_seen(
        &self,
        tenant: &Tenant,
        source: &str,
        name: &str,
        properties: &BTreeMap<String, BTreeSet<Type>>,
    ) -> Result<(), Error> {
        let add = |seen: &mut Seen| {
            let mut changed = seen.properties.is_empty();
            for (property, types) in properties {
                let held = seen.properties.entry(property.clone()).or_default();
                let before = held.len();
                held.extend(types.iter().copied());
                changed |= held.len() > before;
            }
            changed
        };
        self.change(keys::catalogue(tenant, source, name), add).await.map(drop)
    }

    /// Loads, changes and writes an item until nobody came between; writes only if `change` says it changed.
    async fn change<T>(&self, key: Key, change: impl Fn(&mut T) -> bool) -> Result<T, Error>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        loop {
            let item = self.context.items.get(&key).await?;
            let (mut value, condition, rank) = match &item {
                Some(item) => (read::<T>(item)?, Condition::RankIs(item.rank), item.rank + 1),
                None => (T::default(), Condition::Absent, 1),
            };
            if !change(&mut value) {
                return Ok(value);
            }
            match self.context.items.write(vec![put(key.clone(), condition, rank, &value)?]).await {
                Err(Error::Conflict(_)) => {}
                Err(other) => return Err(other),
                Ok(()) => return Ok(value),
            }
        }
    }

    // Finding

    /// Every feed shard that ever sealed a page.
    async fn shards(&self) -> Result<Vec<ShardId>, Error> {
        self.all_items(keys::shards_partition(), None).await
    }

    /// Every source that has pages, by name.
    ///
    /// # Errors
    /// The port's.
    pub async fn sources(&self, tenant: &Tenant) -> Result<Vec<String>, Error> {
        let seen = self.seen(tenant).await?;
        Ok(seen.into_keys().map(|(source, _)| source).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The sources an insight reads: the one it names, or all.
    ///
    /// # Errors
    /// The port's.
    pub async fn sources_of(&self, tenant: &Tenant, named: Option<&str>) -> Result<Vec<String>, Error> {
        match named {
            Some(source) => Ok(vec![source.to_owned()]),
            None => self.sources(tenant).await,
        }
    }

    /// What was seen of each (source, event name).
    ///
    /// # Errors
    /// The port's.
    pub async fn seen(&self, tenant: &Tenant) -> Result<BTreeMap<(String, String), Seen>, Error> {
        let mut seen = BTreeMap::new();
        let mut query = Query { partition: keys::catalogue_partition(tenant), ..Query::default() };
        loop {
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in &slice.items {
                let mut decoder = Decoder::new(sort);
                if let (Some(source), Some(name)) = (decoder.text(), decoder.text())
                    && !name.is_empty()
                {
                    seen.insert((source, name), read::<Seen>(item)?);
                }
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(seen),
            }
        }
    }

    /// The types whose columns bear the properties' own names in a source's pages.
    ///
    /// # Errors
    /// The port's.
    pub async fn primaries(&self, tenant: &Tenant, source: &str) -> Result<Primaries, Error> {
        let item = self.context.items.get(&keys::catalogue(tenant, source, "")).await?;
        item.map(|item| read(&item)).transpose().map(Option::unwrap_or_default)
    }

    /// The UTC days of a source that have pages, from `first` to `last`.
    ///
    /// # Errors
    /// The port's.
    pub async fn page_days(
        &self,
        tenant: &Tenant,
        source: &str,
        first: Date,
        last: Date,
    ) -> Result<BTreeMap<Date, PageDay>, Error> {
        let mut days = BTreeMap::new();
        let mut query = Query {
            partition: keys::page_days_partition(tenant, source),
            from: Some(keys::page_day(tenant, source, first).sort),
            to: Some(keys::page_day(tenant, source, calendar::next(last)).sort),
            ..Query::default()
        };
        loop {
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in &slice.items {
                let date = Decoder::new(sort).date();
                days.insert(date.ok_or_else(|| Error::Invalid("page day key unreadable".to_owned()))?, read(item)?);
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(days),
            }
        }
    }

    /// The last change, per shard, of every UTC day from `first` to `last` that has pages: of one source, or of all.
    ///
    /// # Errors
    /// The port's.
    pub async fn changes(
        &self,
        tenant: &Tenant,
        source: Option<&str>,
        first: Date,
        last: Date,
    ) -> Result<BTreeMap<Date, Through>, Error> {
        let mut changed: BTreeMap<Date, Through> = BTreeMap::new();
        for source in self.sources_of(tenant, source).await? {
            for (day, PageDay { through, .. }) in self.page_days(tenant, &source, first, last).await? {
                let held = changed.entry(day).or_default();
                through.0.iter().for_each(|(shard, position)| held.advance(shard, *position));
            }
        }
        Ok(changed)
    }

    /// The first and last UTC day of a source that have pages.
    ///
    /// # Errors
    /// The port's.
    pub async fn span(&self, tenant: &Tenant, source: &str) -> Result<Option<(Date, Date)>, Error> {
        let mut ends = [None, None];
        for (end, backwards) in ends.iter_mut().zip([false, true]) {
            let partition = keys::page_days_partition(tenant, source);
            let query = Query { partition, backwards, limit: 1, ..Query::default() };
            let slice = self.context.items.query(&query).await?;
            *end = slice.items.first().and_then(|(sort, _)| Decoder::new(sort).date());
        }
        Ok(ends[0].zip(ends[1]))
    }

    /// The chain positions committed pages stand at, per shard.
    ///
    /// # Errors
    /// The port's.
    pub async fn heads(&self) -> Result<Through, Error> {
        let mut through = Through::default();
        for shard in self.shards().await? {
            if let Some((head, _)) = self.head(&shard).await? {
                through.advance(&shard, head.through);
            }
        }
        Ok(through)
    }

    /// The committed pages of `sources` over the UTC days from `first` to `last`, as they stand now.
    ///
    /// # Errors
    /// The port's.
    pub async fn pages(&self, tenant: &Tenant, sources: &[String], first: Date, last: Date) -> Result<PageSet, Error> {
        let mut set = PageSet::default();
        // First, so that whatever they replace is among the pages found afterwards.
        for source in sources {
            for (day, (compaction, _)) in self.compactions(tenant, source, first, last).await? {
                set.compactions.insert((day, source.clone()), compaction);
            }
        }
        let mut days: BTreeMap<Date, BTreeMap<String, IndexedPage>> = BTreeMap::new();
        let mut add = |page: IndexedPage| {
            days.entry(page.page.day).or_default().insert(page.page.object.clone(), page);
        };
        for shard in self.shards().await? {
            let Some((head, _)) = self.head(&shard).await? else { continue };
            set.through.advance(&shard, head.through);
            let entry = self.entry(&shard, head.after).await?;
            let wanted = |page: &IndexedPage| {
                page.page.tenant == tenant.0
                    && (first..=last).contains(&page.page.day)
                    && sources.contains(&page.page.source)
            };
            entry.iter().flat_map(ChainEntry::indexed).filter(wanted).for_each(&mut add);
        }
        for source in sources {
            for day in self.page_days(tenant, source, first, last).await?.into_keys() {
                let pages = self.all_items(keys::day_pages_partition(tenant, source, day), None).await?;
                // What was sealed after the heads were read is not in this set.
                let seen = |page: &IndexedPage| page.through <= set.through.of(&page.shard);
                pages.into_iter().filter(seen).for_each(&mut add);
            }
        }
        set.days = days.into_iter().map(|(day, pages)| (day, pages.into_values().collect())).collect();
        for ((day, source), compaction) in &set.compactions {
            let pages = set.days.get(day).into_iter().flatten();
            let replaced = pages.filter(|page| page.page.source == *source && compaction.replaces(page)).count();
            if replaced as u64 != compaction.replaced_pages {
                let found = format!("{replaced} of {} pages that were replaced", compaction.replaced_pages);
                return Err(Error::Unavailable(format!("the manifest shows {found} of {source} {day}")));
            }
        }
        Ok(set)
    }

    // Dirty days

    /// Days that changed since someone last cleared their marks, at most `limit`.
    ///
    /// # Errors
    /// The port's.
    pub async fn dirty(&self, tenant: &Tenant, limit: usize) -> Result<Vec<DirtyMark>, Error> {
        let mut marks = Vec::new();
        let mut query = Query { partition: keys::dirty_partition(tenant), ..Query::default() };
        loop {
            query.limit = limit - marks.len();
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in slice.items {
                let key = Key { partition: query.partition.clone(), sort };
                marks.push(DirtyMark { dirty: read(&item)?, key, rank: item.rank });
            }
            match slice.next {
                Some(next) if marks.len() < limit => query.after = Some(next),
                _ => return Ok(marks),
            }
        }
    }

    /// Clears marks; one that was set anew in the meantime stays.
    ///
    /// # Errors
    /// The port's.
    pub async fn clear_dirty(&self, marks: Vec<DirtyMark>) -> Result<(), Error> {
        let clear =
            |mark: DirtyMark| Write { key: mark.key, condition: Condition::RankIs(mark.rank), effect: Effect::Delete };
        let outcomes = self.context.items.write_each(marks.into_iter().map(clear).collect()).await;
        outcomes.into_iter().filter(|outcome| !matches!(outcome, Err(Error::Conflict(_)))).collect()
    }

    async fn all_items<T: DeserializeOwned>(
        &self,
        partition: Vec<u8>,
        after: Option<Vec<u8>>,
    ) -> Result<Vec<T>, Error> {
        let mut query = Query { partition, after, ..Query::default() };
        let mut items = Vec::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (_, item) in &slice.items {
                items.push(read(item)?);
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(items),
            }
        }
    }
}

/// The pages of a chain entry by source and day, in its order.
fn by_day(entry: &ChainEntry) -> BTreeMap<(String, String, Date), Vec<IndexedPage>> {
    let mut days: BTreeMap<_, Vec<IndexedPage>> = BTreeMap::new();
    for page in entry.indexed() {
        days.entry((page.page.tenant.clone(), page.page.source.clone(), page.page.day)).or_default().push(page);
    }
    days
}

fn page_day_key(page: &IndexedPage) -> Key {
    keys::page_day(&Tenant(page.page.tenant.clone()), &page.page.source, page.page.day)
}

fn all(outcomes: Vec<Result<(), Error>>) -> Result<(), Error> {
    outcomes.into_iter().collect()
}

fn read<T: DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("manifest item unreadable: {why}")))
}

fn put(key: Key, condition: Condition, rank: u64, value: &impl Serialize) -> Result<Write, Error> {
    let body = serde_json::to_vec(value).map_err(|why| Error::Invalid(format!("manifest item: {why}")))?;
    Ok(Write { key, condition, effect: Effect::Put(Item { rank, body: body.into() }) })
}
