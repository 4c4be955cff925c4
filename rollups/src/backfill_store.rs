//! The backfill store: backfills as asked for, by id. In and out: [`Backfill`]s. What became of their requests is kept
//! by the engine.

use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::keys::{self, Tenant};

use crate::backfill::Backfill;

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

    /// Keeps a backfill, replacing an earlier state of it.
    ///
    /// # Errors
    /// The port's.
    pub async fn put(&self, tenant: &Tenant, backfill: &Backfill) -> Result<(), Error> {
        let body = serde_json::to_vec(backfill).map_err(|why| Error::Invalid(format!("backfill: {why}")))?;
        let effect = Effect::Put(Item { rank: 0, body: body.into() });
        let key = keys::backfill(tenant, &backfill.id);
        self.context.items.write(vec![Write { key, condition: Condition::None, effect }]).await
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
}

fn read(item: &Item) -> Result<Backfill, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("backfill unreadable: {why}")))
}
