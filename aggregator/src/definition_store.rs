//! The definition store: insights as applied, with their text and fingerprint.
//!
//! In: checked definitions. Out: the same. An item's rank counts its versions, so that whoever computes can make "the
//! definition is still this one" a condition of its commit.

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

/// A definition and the rank a condition on it must name.
#[derive(Clone, Debug)]
pub struct Held {
    /// The definition.
    pub applied: Applied,
    /// Its version.
    pub rank: u64,
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

    /// Every insight, by name.
    ///
    /// # Errors
    /// The port's.
    pub async fn list(&self, tenant: &Tenant) -> Result<Vec<Held>, Error> {
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

    /// Replaces what was read as `before`. [`Error::Conflict`] when someone else has.
    ///
    /// # Errors
    /// The port's.
    pub async fn put(&self, tenant: &Tenant, applied: &Applied, before: Option<&Held>) -> Result<(), Error> {
        let condition = before.map_or(Condition::Absent, |held| Condition::RankIs(held.rank));
        let body = serde_json::to_vec(applied).map_err(|why| Error::Invalid(format!("definition: {why}")))?;
        let item = Item { rank: before.map_or(1, |held| held.rank + 1), body: body.into() };
        let key = keys::definition(tenant, &applied.definition.name);
        self.context.items.write(vec![Write { key, condition, effect: Effect::Put(item) }]).await
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

fn held(item: &Item) -> Result<Held, Error> {
    let applied = serde_json::from_slice(&item.body);
    let applied = applied.map_err(|why| Error::Invalid(format!("stored definition unreadable: {why}")))?;
    Ok(Held { applied, rank: item.rank })
}
