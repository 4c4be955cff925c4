//! The definition store: insights as applied, with their text and fingerprint.
//!
//! In: checked definitions. Out: the same. An item's rank counts its versions, so that whoever computes can make "the
//! definition is still this one" a condition of its commit. While an edited definition catches up, the item holds the
//! one that answers too: a lineage each, and both are kept current.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::definition::Definition;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::time::Timestamp;

/// The version of a stored definition.
pub const DEFINITION_FORMAT: u32 = 1;
/// Insights of one tenant.
pub const INSIGHTS_MAX: usize = 10_000;

/// A definition as applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// [`DEFINITION_FORMAT`].
    pub format: u32,
    /// Its meaning.
    pub definition: Definition,
    /// What its meaning hashes to.
    pub fingerprint: String,
    /// Its text.
    pub text: String,
    /// When this meaning was first applied; a change of title or refresh keeps it.
    pub applied_at: Timestamp,
}

/// The definition that answers reads while an edited one is computed aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answering {
    /// The definition.
    pub applied: Applied,
    /// The backfill that computes the edited one's history.
    pub backfill: String,
}

/// An insight as it is kept: what is applied and, while that catches up, what answers.
#[derive(Clone, Debug)]
pub struct Held {
    /// The definition applied last; of a lineage taken alone, that lineage's.
    pub applied: Applied,
    /// Its version.
    pub rank: u64,
    /// What answers while `applied` catches up.
    pub answering: Option<Answering>,
}

impl Held {
    /// Every lineage that is kept current, each on its own.
    pub fn lineages(&self) -> impl Iterator<Item = Held> + '_ {
        let alone = |applied: &Applied| Held { applied: applied.clone(), rank: self.rank, answering: None };
        std::iter::once(&self.applied).chain(self.answering.iter().map(|answering| &answering.applied)).map(alone)
    }

    /// The lineage of a fingerprint, if it is kept current.
    pub fn of(&self, fingerprint: &str) -> Option<Held> {
        self.lineages().find(|lineage| lineage.applied.fingerprint == fingerprint)
    }

    /// The lineage that answers.
    pub fn reading(&self) -> Held {
        let applied = self.answering.as_ref().map_or(&self.applied, |answering| &answering.applied);
        Held { applied: applied.clone(), rank: self.rank, answering: None }
    }
}

/// An item's body as it is written. Items of before there were lineages have no `answering`.
#[derive(Serialize)]
struct Written<'w> {
    format: u32,
    definition: &'w Definition,
    fingerprint: &'w str,
    text: &'w str,
    applied_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    answering: Option<&'w Answering>,
}

/// What an item's body holds beside [`Applied`].
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    answering: Option<Answering>,
}

/// The definition store of a context.
#[derive(Clone, Copy)]
pub struct DefinitionStore<'a> {
    context: &'a Context,
}

impl<'a> DefinitionStore<'a> {
    /// The store over `context`'s items.
    pub fn new(context: &'a Context) -> DefinitionStore<'a> {
        DefinitionStore { context }
    }

    /// One insight.
    ///
    /// # Errors
    /// The port's.
    pub async fn get(&self, tenant: &Tenant, insight: &str) -> Result<Option<Held>, Error> {
        let item = self.context.items.get(&keys::definition(tenant, insight)).await?;
        item.as_ref().map(held).transpose()
    }

    /// The lineage of a fingerprint, if it is kept current.
    ///
    /// # Errors
    /// The port's.
    pub async fn of(&self, tenant: &Tenant, insight: &str, fingerprint: &str) -> Result<Option<Held>, Error> {
        Ok(self.get(tenant, insight).await?.and_then(|held| held.of(fingerprint)))
    }

    /// Every insight, by name.
    ///
    /// # Errors
    /// The port's.
    pub async fn insights(&self, tenant: &Tenant) -> Result<Vec<Held>, Error> {
        let mut query = Query { partition: keys::definitions_partition(tenant), ..Query::default() };
        let mut all = Vec::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (_, item) in &slice.items {
                all.push(held(item)?);
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Every lineage that is kept current, by the insight's name: of an insight that catches up, both. Whoever computes
    /// goes by this; an insight that reads other insights' numbers is not among them.
    ///
    /// # Errors
    /// The port's.
    pub async fn list(&self, tenant: &Tenant) -> Result<Vec<Held>, Error> {
        let lineages = self.insights(tenant).await?;
        let lineages = lineages.iter().flat_map(Held::lineages);
        Ok(lineages.filter(|held| held.applied.definition.reads_events()).collect())
    }

    /// A definition the insight has or once had, by its fingerprint.
    ///
    /// # Errors
    /// The port's.
    pub async fn lineage(&self, tenant: &Tenant, insight: &str, fingerprint: &str) -> Result<Option<Applied>, Error> {
        if let Some(held) = self.of(tenant, insight, fingerprint).await? {
            return Ok(Some(held.applied));
        }
        let item = self.context.items.get(&keys::lineage(tenant, insight, fingerprint)).await?;
        item.as_ref().map(applied).transpose()
    }

    /// Replaces what was read as `before`. [`Error::Conflict`] when someone else has.
    ///
    /// # Errors
    /// The port's.
    pub async fn put(
        &self,
        tenant: &Tenant,
        applied: &Applied,
        answering: Option<&Answering>,
        before: Option<&Held>,
    ) -> Result<(), Error> {
        self.context.items.write(replacement(tenant, applied, answering, before)?).await
    }

    /// Removes an insight. Its snapshots stay, under their fingerprint.
    ///
    /// # Errors
    /// The port's.
    pub async fn remove(&self, tenant: &Tenant, insight: &str) -> Result<(), Error> {
        let key = keys::definition(tenant, insight);
        self.context.items.write(vec![Write { key, condition: Condition::None, effect: Effect::Delete }]).await
    }
}

/// "The definition is still this one", for a group of writes.
pub fn unchanged(tenant: &Tenant, held: &Held) -> Write {
    Write {
        key: keys::definition(tenant, &held.applied.definition.name),
        condition: Condition::RankIs(held.rank),
        effect: Effect::Check,
    }
}

/// What replaces the insight read as `before`, for a group of writes: the insight itself, and its definition under its
/// fingerprint, where it stays.
///
/// # Errors
/// [`Error::Invalid`] when it cannot be encoded.
pub fn replacement(
    tenant: &Tenant,
    applied: &Applied,
    answering: Option<&Answering>,
    before: Option<&Held>,
) -> Result<Vec<Write>, Error> {
    let name = &applied.definition.name;
    let written = |applied: &Applied, answering: Option<&Answering>| {
        let Applied { format, definition, fingerprint, text, applied_at } = applied;
        let body = Written { format: *format, definition, fingerprint, text, applied_at: *applied_at, answering };
        serde_json::to_vec(&body).map_err(|why| Error::Invalid(format!("definition: {why}")))
    };
    let condition = before.map_or(Condition::Absent, |held| Condition::RankIs(held.rank));
    let item = Item { rank: before.map_or(1, |held| held.rank + 1), body: written(applied, answering)?.into() };
    let mut writes = vec![Write { key: keys::definition(tenant, name), condition, effect: Effect::Put(item) }];
    // One that was applied before there were lineages is not kept by its fingerprint yet.
    let previous = before.iter().flat_map(|held| held.lineages()).map(|held| held.applied);
    let mut kept: BTreeMap<String, Applied> = previous.map(|applied| (applied.fingerprint.clone(), applied)).collect();
    kept.insert(applied.fingerprint.clone(), applied.clone());
    for (fingerprint, applied) in &kept {
        let effect = Effect::Put(Item { rank: 0, body: written(applied, None)?.into() });
        writes.push(Write { key: keys::lineage(tenant, name, fingerprint), condition: Condition::None, effect });
    }
    Ok(writes)
}

fn held(item: &Item) -> Result<Held, Error> {
    let beside: Beside = read(item)?;
    Ok(Held { applied: applied(item)?, rank: item.rank, answering: beside.answering })
}

fn applied(item: &Item) -> Result<Applied, Error> {
    read(item)
}

fn read<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("stored definition unreadable: {why}")))
}
