//! The manifest: which pages there are, as a chain of entries per feed shard and an index by day.
//!
//! An entry's key is its predecessor's last position, put if absent, so two writers can never both continue the chain
//! and no range of the feed can be sealed twice. Order of effects: objects → chain entry and head → day index. A
//! reader takes the index plus what the heads say is not indexed yet; it never lists a bucket.
//!
//! A compaction is one item per source and day: which pages it replaces, told by chain positions, and which take their
//! place. The index keeps the replaced ones: what a set of pages is called does not change with how they are stored.
//!
//! All of it is JSON, versioned by [`MANIFEST_FORMAT`]; chain entries, which may name thousands of pages, are gzipped.

use std::collections::{BTreeMap, BTreeSet};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::value::Type;
use tidemill_schemas::window::{Position, ShardId, Through};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::compaction::Compaction;

/// The version of every manifest item.
pub const MANIFEST_FORMAT: u32 = 1;

/// The chain of a source's imports: a shard of its own, whose positions count the imports committed.
pub fn import_shard(tenant: &Tenant, source: &str) -> ShardId {
    let key = keys::imports(tenant, source);
    format!("import-{:032x}", xxh3_128(&key.partition))
}

/// One page: an immutable Parquet object of one source and one UTC day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// Whose events.
    pub tenant: String,
    /// Their source.
    pub source: String,
    /// The UTC day of their event time.
    pub day: Date,
    /// The object.
    pub object: String,
    /// Its bytes.
    pub bytes: u64,
    /// xxh3-128 of its bytes, in hex.
    pub hash: String,
    /// Rows.
    pub rows: u64,
    /// How many rows, from the first, supersede something sealed earlier.
    pub corrections: u64,
    /// The earliest event time.
    pub min_time: Timestamp,
    /// The latest event time.
    pub max_time: Timestamp,
}

/// An entry of a shard's chain: the changes behind `after` up to `through`, as pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEntry {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The feed shard.
    pub shard: ShardId,
    /// The last position of the entry before.
    pub after: Position,
    /// The last position in this one.
    pub through: Position,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Its pages; empty when every change in it was of no consequence.
    pub pages: Vec<PageRef>,
}

/// A shard's last entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Where the last entry begins; its key.
    pub after: Position,
    /// Where it ends.
    pub through: Position,
}

/// A page in the day index, with the part of the chain it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedPage {
    /// The feed shard.
    pub shard: ShardId,
    /// Where its chain entry begins.
    pub after: Position,
    /// Where its chain entry ends.
    pub through: Position,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// The page.
    pub page: PageRef,
}

impl ChainEntry {
    /// The stored body.
    ///
    /// # Errors
    /// In words; none is known to be reachable.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut body = GzEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut body, self).map_err(|why| why.to_string())?;
        body.finish().map_err(|why| why.to_string())
    }

    /// The entry of a stored body.
    ///
    /// # Errors
    /// In words, when the bytes are not one.
    pub fn decode(body: &[u8]) -> Result<ChainEntry, String> {
        serde_json::from_reader(std::io::BufReader::new(GzDecoder::new(body))).map_err(|why| why.to_string())
    }

    /// Its pages, as the index holds them.
    pub fn indexed(&self) -> impl Iterator<Item = IndexedPage> + '_ {
        self.pages.iter().map(|page| IndexedPage {
            shard: self.shard.clone(),
            after: self.after,
            through: self.through,
            sealed_at: self.sealed_at,
            page: page.clone(),
        })
    }
}

/// What is known of one source's UTC day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageDay {
    /// The last chain position, per shard, that brought a page of this day.
    pub through: Through,
    /// Rows of its pages.
    pub rows: u64,
    /// Pages.
    pub pages: u64,
}

impl PageDay {
    /// Counts the pages in that one chain entry brought to the day; an entry that is in already changes nothing.
    pub fn add(&mut self, pages: &[IndexedPage]) {
        let Some(first) = pages.first() else { return };
        if self.through.of(&first.shard) < first.through {
            self.through.advance(&first.shard, first.through);
            self.rows += pages.iter().map(|page| page.page.rows).sum::<u64>();
            self.pages += pages.len() as u64;
        }
    }
}

/// A day that changed, waiting to be looked at by whoever keeps snapshots of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirtyDay {
    /// The source.
    pub source: String,
    /// The UTC day.
    pub day: Date,
    /// When the change was sealed.
    pub sealed_at: Timestamp,
}

/// Events of one name as seen so far: property → the types it held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Property → types.
    pub properties: BTreeMap<String, BTreeSet<Type>>,
}

/// The type whose column bears a property's bare name, per property of one source: the first one seen. Once set, a
/// property's never changes, so that every file of a source names its columns alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Primaries(pub BTreeMap<String, Type>);

/// Properties [`Primaries`] keeps of one source; beyond it, columns bear their type in their name.
pub const PRIMARIES_MAX: usize = 4_096;

impl Primaries {
    /// Adds the properties of a batch of pages; whether any was new.
    pub fn learn(&mut self, properties: &BTreeMap<String, BTreeSet<Type>>) -> bool {
        let before = self.0.len();
        for (property, types) in properties {
            if self.0.len() >= PRIMARIES_MAX {
                break;
            }
            if let (Some(first), false) = (types.first(), self.0.contains_key(property)) {
                self.0.insert(property.clone(), *first);
            }
        }
        self.0.len() > before
    }
}

/// An immutable set of pages: what a recompute reads.
#[derive(Clone, Debug, Default)]
pub struct PageSet {
    /// The chain positions it stands at, per shard.
    pub through: Through,
    /// Pages by UTC day, then in a fixed order, as they were sealed: what snapshots stand on. Their objects may be gone
    /// where the day was compacted: whoever wants rows takes [`PageSet::readable`].
    pub days: BTreeMap<Date, Vec<IndexedPage>>,
    /// What sources' days were rewritten to.
    pub compactions: BTreeMap<(Date, String), Compaction>,
}

impl PageSet {
    /// The pages of some sources.
    #[must_use]
    pub fn of_sources(&self, sources: &[String]) -> PageSet {
        let of = |pages: &Vec<IndexedPage>| -> Vec<IndexedPage> {
            pages.iter().filter(|page| sources.contains(&page.page.source)).cloned().collect()
        };
        let days = self.days.iter().map(|(day, pages)| (*day, of(pages)));
        let compactions = self.compactions.iter().filter(|((_, source), _)| sources.contains(source));
        PageSet {
            through: self.through.clone(),
            days: days.filter(|(_, pages)| !pages.is_empty()).collect(),
            compactions: compactions.map(|(key, held)| (key.clone(), held.clone())).collect(),
        }
    }

    /// Hash of the pages of the UTC days from `first` to `last`: equal sets of pages have equal hashes. Hex.
    pub fn hash(&self, first: Date, last: Date) -> String {
        self.hash_where(first, last, |_| true)
    }

    /// The same of some of the pages.
    pub fn hash_where(&self, first: Date, last: Date, is_wanted: impl Fn(&IndexedPage) -> bool) -> String {
        let mut hasher = Xxh3::new();
        for page in self.days.range(first..=last).flat_map(|(_, pages)| pages).filter(|page| is_wanted(page)) {
            hasher.update(page.page.object.as_bytes());
            hasher.update(&[0]);
        }
        format!("{:032x}", hasher.digest128())
    }

    /// The pages that hold the rows of a UTC day: sealed ones, except where others took their place. Source by source.
    pub fn readable(&self, day: Date) -> Vec<IndexedPage> {
        let sealed = self.days.get(&day).into_iter().flatten();
        let of_source = |source: &str| self.compactions.get(&(day, source.to_owned()));
        let replaced = |page: &IndexedPage| of_source(&page.page.source).is_some_and(|held| held.replaces(page));
        let mut pages: Vec<IndexedPage> = sealed.filter(|page| !replaced(page)).cloned().collect();
        let compactions = self.compactions.range((day, String::new())..).take_while(|((of, _), _)| *of == day);
        pages.extend(compactions.flat_map(|(_, compaction)| compaction.indexed()));
        pages.sort_by(|a, b| (&a.page.source, &a.page.object).cmp(&(&b.page.source, &b.page.object)));
        pages
    }

    /// The last chain position, per shard, among the pages of the UTC days from `first` to `last`.
    pub fn through_of(&self, first: Date, last: Date) -> Through {
        let mut through = Through::default();
        for page in self.days.range(first..=last).flat_map(|(_, pages)| pages) {
            through.advance(&page.shard, page.through);
        }
        through
    }
}
