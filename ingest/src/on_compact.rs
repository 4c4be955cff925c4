//! `on_compact`: the pages of UTC days that are over → their live rows, sorted, in few pages.
//!
//! In: a tenant, or one source's day. Out: new pages and one item that switches readers over to them; replaced objects
//! gone a day later. Nothing that is computed changes: a set of pages is known by what was sealed, and the same rows
//! stand. Safe to run twice, at once, or to be killed anywhere: what was written before the switch is left over and
//! goes with what it was to replace. A day is read twice, slice by slice; memory holds one slice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use serde::Serialize;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;
use tidemill_schemas::window::{Position, Through};

use crate::compaction::{
    self, COMPACT_SETTLED_SECONDS, COMPACTED, COMPACTION_FORMAT, Compaction, REPLACED_KEEP_SECONDS, Replaced, Slice,
};
use crate::manifest::{IndexedPage, PageRef, Primaries};
use crate::page::sorted::{Census, Gathering, Standing, Uncounted};
use crate::page_file_store::PageName;
use crate::page_store::{ENTRY_BYTES_MAX, PageStore};

/// Rows of one compacted page: four row groups. Readers hold several pages at once.
pub const COMPACT_SLICE_ROWS_MAX: u64 = 491_520;
/// Bytes of a slice's columns, decompressed; what sorts and writes them takes about three times as much.
pub const COMPACT_SLICE_BYTES_MAX: u64 = 96 * 1024 * 1024;
/// Bytes of pages' objects in memory at once; a larger one is there alone.
pub const COMPACT_OBJECTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Columns of properties a compacted page may have.
pub const COMPACT_COLUMNS_MAX: usize = 1_024;
/// Days one pass rewrites; the rest waits for the next.
pub const COMPACT_DAYS_MAX: usize = 256;

/// What a compaction did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// The source.
    pub source: String,
    /// The UTC day.
    pub day: Date,
    /// Rows that were read.
    pub rows_before: u64,
    /// Live rows.
    pub rows: u64,
    /// Pages that were read.
    pub pages_before: u64,
    /// Pages that were written.
    pub pages: u64,
    /// Bytes that were read.
    pub bytes_before: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// What became of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was rewritten.
    Done(Compacted),
    /// It was left as it is, for good or for now, and why.
    Left(&'static str, String),
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The days that were rewritten.
    pub compacted: Vec<Compacted>,
    /// Objects that were removed.
    pub removed: u64,
    /// Whether there will be something to do later even if nothing comes any more.
    pub left: bool,
}

/// Compacts every day that is worth it, newest first, and removes what was replaced long ago.
///
/// # Errors
/// The port's; what is left is done the next time.
pub async fn on_compact(context: &Context, tenant: &Tenant) -> Result<Pass, Error> {
    let store = PageStore::new(context);
    let mut pass = Pass::default();
    for source in store.sources(tenant).await? {
        let Some((first, last)) = store.span(tenant, &source).await? else { continue };
        let held = store.compactions(tenant, &source, first, last).await?;
        let days = store.page_days(tenant, &source, first, last).await?;
        for (day, counted) in days.iter().rev() {
            let compaction = held.get(day).map(|(compaction, _)| compaction);
            if !compaction::is_worth_it(counted, compaction) {
                continue;
            }
            let now = context.clock.now();
            if pass.compacted.len() == COMPACT_DAYS_MAX || !compaction::is_closed(*day, now) {
                pass.left = true;
                continue;
            }
            match rewrite(context, tenant, &source, *day, COMPACT_SETTLED_SECONDS).await {
                Ok(Verdict::Done(compacted)) => pass.compacted.push(compacted),
                Ok(Verdict::Left("TM0151", _)) => pass.left = true,
                Ok(Verdict::Left(_, why)) => tracing::info!(source, %day, why, "a day was not compacted"),
                // One damaged page holds up no other day.
                Err(Error::Invalid(why)) => tracing::warn!(source, %day, why, "a day was not compacted"),
                Err(other) => return Err(other),
            }
        }
    }
    let cleaned = remove_replaced(context, tenant, REPLACED_KEEP_SECONDS).await?;
    pass.removed = cleaned.removed;
    pass.left |= cleaned.left;
    Ok(pass)
}

/// Compacts one day of a source now, only if it is over; `all`: also if it gains little.
///
/// # Errors
/// The port's; [`Error::Invalid`] when a page is unreadable.
pub async fn compact_day(
    context: &Context,
    tenant: &Tenant,
    source: &str,
    day: Date,
    all: bool,
) -> Result<Verdict, Error> {
    if context.clock.now() < compaction::ends(day) {
        return Ok(Verdict::Left("TM0150", format!("{day} is not over: it ends at {}", compaction::ends(day))));
    }
    let store = PageStore::new(context);
    let counted = store.page_days(tenant, source, day, day).await?.remove(&day).unwrap_or_default();
    let held = store.compaction(tenant, source, day).await?;
    if !all && !compaction::is_worth_it(&counted, held.as_ref().map(|(compaction, _)| compaction)) {
        return Ok(Verdict::Left("TM0154", "it gains little".to_owned()));
    }
    rewrite(context, tenant, source, day, 0).await
}

/// A day that is being rewritten.
struct Rewrite<'a> {
    store: PageStore<'a>,
    tenant: &'a Tenant,
    source: &'a str,
    day: Date,
    pages: Vec<IndexedPage>,
    standing: Arc<Standing>,
    began: Timestamp,
}

/// Rewrites a day that has not changed for `settled_seconds`.
///
/// # Errors
/// The port's; [`Error::Invalid`] when a page is unreadable.
pub async fn rewrite(
    context: &Context,
    tenant: &Tenant,
    source: &str,
    day: Date,
    settled_seconds: i64,
) -> Result<Verdict, Error> {
    let store = PageStore::new(context);
    // Its rank first: whoever switches readers over from here on, or begins to remove, makes this one's switch fail.
    let rank = store.compaction(tenant, source, day).await?.map(|(_, rank)| rank);
    let began = context.clock.now();
    let set = store.pages(tenant, &[source.to_owned()], day, day).await?;
    let sealed = set.days.get(&day).map(Vec::as_slice).unwrap_or_default();
    let pages = set.readable(day);
    let left = |code: &'static str, why: String| Ok(Verdict::Left(code, why));
    if pages.iter().all(|page| page.shard == COMPACTED) {
        return left("TM0152", "nothing has come since it was compacted".to_owned());
    }
    if sealed.iter().any(|page| page.sealed_at.plus_seconds(settled_seconds) > began) {
        return left("TM0151", "it changed a moment ago".to_owned());
    }
    let mut through = Through::default();
    sealed.iter().for_each(|page| through.advance(&page.shard, page.through));
    let standing = Arc::new(Standing(store.corrected(&pages).await?));
    let rewriting = Rewrite { store, tenant, source, day, pages, standing, began };
    let census = match rewriting.census().await? {
        Ok(census) if census.columns.count() <= COMPACT_COLUMNS_MAX => census,
        Ok(census) => return left("TM0153", format!("it has {} columns", census.columns.count())),
        Err(property) => {
            return left("TM0153", format!("the numbers of `{property}` fit into no column of 38 digits together"));
        }
    };
    let pages = rewriting.write(&census).await?;
    let compaction = Compaction {
        format: COMPACTION_FORMAT,
        compacted_at: context.clock.now(),
        through,
        replaced_pages: sealed.len() as u64,
        replaced_rows: sealed.iter().map(|page| page.page.rows).sum(),
        replaced: Replaced::Kept,
        pages,
    };
    if compaction.encode().map_err(Error::Invalid)?.len() > ENTRY_BYTES_MAX {
        return left("TM0153", format!("{} pages are too many for one item", compaction.pages.len()));
    }
    match store.put_compaction(tenant, source, day, &compaction, rank).await {
        Ok(_) => Ok(Verdict::Done(rewriting.told(&compaction))),
        Err(Error::Conflict(_)) => left("TM0151", "another compaction was first".to_owned()),
        // Nobody said whether it happened: the item does.
        Err(error) => match store.compaction(tenant, source, day).await {
            Ok(Some((held, _))) if held == compaction => Ok(Verdict::Done(rewriting.told(&compaction))),
            _ => Err(error),
        },
    }
}

impl Rewrite<'_> {
    fn told(&self, compaction: &Compaction) -> Compacted {
        let sum = |of: &dyn Fn(&PageRef) -> u64, pages: &[PageRef]| pages.iter().map(of).sum();
        let read: Vec<PageRef> = self.pages.iter().map(|page| page.page.clone()).collect();
        Compacted {
            source: self.source.to_owned(),
            day: self.day,
            rows_before: sum(&|page| page.rows, &read),
            rows: sum(&|page| page.rows, &compaction.pages),
            pages_before: read.len() as u64,
            pages: compaction.pages.len() as u64,
            bytes_before: sum(&|page| page.bytes, &read),
            bytes: sum(&|page| page.bytes, &compaction.pages),
        }
    }

    /// Looks through the day; the property whose numbers don't fit into one column, if there is one.
    async fn census(&self) -> Result<Result<Census, String>, Error> {
        let mut census = Census::default();
        for pages in together(self.pages.iter()) {
            let objects: Vec<_> = self.store.fetch(pages).try_collect().await?;
            for (page, bytes) in objects {
                let standing = self.standing.clone();
                let mut counting = census;
                let (counted, outcome) = blocking(move || {
                    let outcome = counting.add(bytes, &standing);
                    (counting, outcome)
                })
                .await?;
                census = counted;
                match outcome {
                    Ok(()) => {}
                    Err(Uncounted::Numbers(property)) => return Ok(Err(property)),
                    Err(Uncounted::Page(why)) => return Err(unreadable(&page.object, &why)),
                }
            }
        }
        Ok(Ok(census))
    }

    /// Writes the day's pages.
    async fn write(&self, census: &Census) -> Result<Vec<PageRef>, Error> {
        let row_bytes = (census.bytes / census.rows.max(1)).max(1);
        let rows_max = (COMPACT_SLICE_BYTES_MAX / row_bytes).clamp(1, COMPACT_SLICE_ROWS_MAX);
        let Primaries(primaries) = self.store.primaries(self.tenant, self.source).await?;
        let primaries = Arc::new(primaries);
        let mut written = Vec::new();
        for slice in census.seconds.slices(rows_max) {
            let mut gathering = Gathering::new(slice, &census.columns);
            for pages in together(self.pages.iter().filter(|page| may_hold(&page.page, &slice))) {
                let objects: Vec<_> = self.store.fetch(pages).try_collect().await?;
                for (page, bytes) in objects {
                    let standing = self.standing.clone();
                    let (gathered, outcome) = blocking(move || {
                        let outcome = gathering.add(bytes, &standing);
                        (gathering, outcome)
                    })
                    .await?;
                    gathering = gathered;
                    outcome.map_err(|why| unreadable(&page.object, &why))?;
                }
            }
            let (source, day, primaries) = (self.source.to_owned(), self.day, primaries.clone());
            let page = blocking(move || {
                // No property holds a time: what is not known bears its type in its column's name.
                let primary = |property: &str| primaries.get(property).copied().unwrap_or(Type::Time);
                gathering.page(&source, day, &primary)
            });
            let page = page.await?.map_err(|why| Error::Invalid(format!("a page of {} {day}: {why}", self.source)))?;
            let after = Position(u128::from(self.began.micros().unsigned_abs()));
            let name = PageName { tenant: self.tenant, source: self.source, day, shard: COMPACTED, after };
            let (page, bytes) = name.page(page);
            self.store.put_objects(vec![(page.object.clone(), bytes)]).await?;
            written.push(page);
        }
        Ok(written)
    }
}

/// Whether a page may hold rows of a slice.
fn may_hold(page: &PageRef, slice: &Slice) -> bool {
    let second = |time: Timestamp| compaction::second_of(time.micros());
    second(page.min_time) < slice.to && slice.from <= second(page.max_time)
}

/// Pages in order, so many at a time that their objects take a bounded amount of memory.
fn together<'p>(pages: impl Iterator<Item = &'p IndexedPage>) -> Vec<Vec<&'p PageRef>> {
    let mut all: Vec<Vec<&PageRef>> = Vec::new();
    let mut bytes = 0;
    for IndexedPage { page, .. } in pages {
        bytes += page.bytes;
        match all.last_mut() {
            Some(held) if bytes <= COMPACT_OBJECTS_BYTES_MAX => held.push(page),
            _ => {
                bytes = page.bytes;
                all.push(vec![page]);
            }
        }
    }
    all
}

/// Runs what takes long off the async threads.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let ended = tokio::task::spawn_blocking(run).await;
    ended.map_err(|_| Error::Invalid("compacting a page broke off; see the log".to_owned()))
}

fn unreadable(object: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("page {object} is unreadable: {why}"))
}

/// What a removal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Objects removed.
    pub removed: u64,
    /// Whether there is more that is not old enough.
    pub left: bool,
}

/// Removes the objects that compactions replaced more than `keep_seconds` ago, and what compactions that did not come
/// through left behind in those days.
///
/// # Errors
/// The port's; what is left is removed the next time.
pub async fn remove_replaced(context: &Context, tenant: &Tenant, keep_seconds: i64) -> Result<Cleaned, Error> {
    let store = PageStore::new(context);
    let mut cleaned = Cleaned::default();
    for source in store.sources(tenant).await? {
        let Some((first, last)) = store.span(tenant, &source).await? else { continue };
        for (day, (compaction, rank)) in store.compactions(tenant, &source, first, last).await? {
            if compaction.replaced == Replaced::Removed {
                continue;
            }
            let before = context.clock.now().plus_seconds(-keep_seconds);
            if compaction.compacted_at >= before {
                cleaned.left = true;
                continue;
            }
            let removal = Removal { context, store, tenant, source: &source, day, before };
            match removal.run(compaction, rank).await {
                Ok(removed) => cleaned.removed += removed,
                // It was compacted anew: later.
                Err(Error::Conflict(_)) => cleaned.left = true,
                Err(other) => return Err(other),
            }
        }
    }
    Ok(cleaned)
}

/// The removal of what one day's compaction replaced.
struct Removal<'a> {
    context: &'a Context,
    store: PageStore<'a>,
    tenant: &'a Tenant,
    source: &'a str,
    day: Date,
    before: Timestamp,
}

impl Removal<'_> {
    async fn run(&self, mut compaction: Compaction, rank: u64) -> Result<u64, Error> {
        let Removal { store, tenant, source, day, .. } = self;
        // From here on no compaction that began before can be committed: what it wrote is left over.
        compaction.replaced = Replaced::Removing;
        let rank = store.put_compaction(tenant, source, *day, &compaction, Some(rank)).await?;
        let set = store.pages(tenant, &[(*source).to_owned()], *day, *day).await?;
        let sealed = set.days.get(day).into_iter().flatten().filter(|page| compaction.replaces(page));
        let age = |page: &IndexedPage| (page.page.corrections > 0, page.through);
        let replaced: BTreeMap<Path, _> =
            sealed.map(|page| (Path::from(page.page.object.as_str()), age(page))).collect();
        let kept: BTreeSet<Path> = compaction.pages.iter().map(|page| Path::from(page.object.as_str())).collect();
        let is_left_over = |path: &Path| began(path).is_some_and(|began| began < self.before) && !kept.contains(path);
        let listed = self.listed().await?;
        let mut gone: Vec<_> = listed
            .into_iter()
            .filter(|path| is_left_over(path) || replaced.contains_key(path))
            .map(|path| (replaced.get(&path).copied(), path))
            .collect();
        // Whoever reads the folder as it stands finds what superseded a row until the row itself is gone.
        gone.sort();
        for (_, path) in &gone {
            match self.context.blobs.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        compaction.replaced = Replaced::Removed;
        store.put_compaction(tenant, source, *day, &compaction, Some(rank)).await?;
        Ok(gone.len() as u64)
    }

    /// The objects in the day's folder.
    async fn listed(&self) -> Result<Vec<Path>, Error> {
        let folder = PageName {
            tenant: self.tenant,
            source: self.source,
            day: self.day,
            shard: COMPACTED,
            after: Position::default(),
        };
        let prefix = Path::from(folder.folder().to_string());
        let objects = self.context.blobs.list(Some(&prefix));
        Ok(objects.map_ok(|object| object.location).try_collect().await?)
    }
}

/// When the compaction began that wrote an object, by its name.
fn began(path: &Path) -> Option<Timestamp> {
    let (micros, _) = path.filename()?.strip_prefix(COMPACTED)?.strip_prefix('-')?.split_once('-')?;
    micros.parse().ok().map(Timestamp::from_micros)
}
