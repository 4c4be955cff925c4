//! The backfill store: backfills as asked for, and how far each has come, by id.
//!
//! In and out: [`Backfill`]s, which never change, and [`Wave`]s, each with the rank its next write must name. What
//! became of a backfill's requests is kept by the engine.

use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::keys::{self, Tenant};

use crate::backfill::Backfill;
use crate::wave::Wave;

/// The backfill store of a context.
#[derive(Clone, Copy)]
pub struct BackfillStore<'a> {
    context: &'a Context,
}

impl<'a> BackfillStore<'a> {
    /// The store over `context`'s items.
    pub fn new(context: &'a Context) -> BackfillStore<'a> {
        BackfillStore { context }
    }

    /// A backfill.
    ///
    /// # Errors
    /// The port's.
    pub async fn get(&self, tenant: &Tenant, id: &str) -> Result<Option<Backfill>, Error> {
        self.context.items.get(&keys::backfill(tenant, id)).await?.map(|item| read(&item)).transpose()
    }

    /// The latest backfills, newest first, at most `limit`. Ids ascend with time.
    ///
    /// # Errors
    /// The port's.
    pub async fn latest(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Backfill>, Error> {
        let partition = keys::backfills_partition(tenant);
        let query = Query { partition, backwards: true, limit, ..Query::default() };
        let slice = self.context.items.query(&query).await?;
        slice.items.iter().map(|(_, item)| read(item)).collect()
    }

    /// How far a backfill has come, with its rank; `None` for one of before there were waves.
    ///
    /// # Errors
    /// The port's.
    pub async fn wave(&self, tenant: &Tenant, id: &str) -> Result<Option<(Wave, u64)>, Error> {
        let item = self.context.items.get(&keys::wave(tenant, id)).await?;
        item.map(|item| Ok((read(&item)?, item.rank))).transpose()
    }

    /// Replaces the wave read at `rank`. [`Error::Conflict`] when someone else has.
    ///
    /// # Errors
    /// The port's.
    pub async fn put_wave(&self, tenant: &Tenant, id: &str, wave: &Wave, rank: Option<u64>) -> Result<(), Error> {
        self.context.items.write(vec![put_wave(tenant, id, wave, rank)?]).await
    }
}

/// A new backfill and its wave, for a group of writes.
///
/// # Errors
/// [`Error::Invalid`] when it cannot be encoded.
pub fn beginning(tenant: &Tenant, backfill: &Backfill, wave: &Wave) -> Result<Vec<Write>, Error> {
    let effect = Effect::Put(Item { rank: 0, body: body(backfill)?.into() });
    let plan = Write { key: keys::backfill(tenant, &backfill.id), condition: Condition::Absent, effect };
    Ok(vec![plan, put_wave(tenant, &backfill.id, wave, None)?])
}

fn put_wave(tenant: &Tenant, id: &str, wave: &Wave, rank: Option<u64>) -> Result<Write, Error> {
    let condition = rank.map_or(Condition::Absent, Condition::RankIs);
    let effect = Effect::Put(Item { rank: rank.map_or(1, |rank| rank + 1), body: body(wave)?.into() });
    Ok(Write { key: keys::wave(tenant, id), condition, effect })
}

fn body(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|why| Error::Invalid(format!("backfill: {why}")))
}

fn read<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("backfill unreadable: {why}")))
}
