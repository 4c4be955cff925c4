//! The page store's compactions: found by source and day, switched over by one conditional write.
//!
//! In: what a day was rewritten to, and the rank it was decided on. Out: the item; [`Error::Conflict`] when somebody
//! else was first. See [`crate::compaction`].

use std::collections::BTreeMap;

use tidemill_ports::{Condition, Effect, Error, Item, Query, Write};
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::keys::{self, Decoder, Tenant};

use crate::compaction::Compaction;
use crate::page_store::PageStore;

impl PageStore<'_> {
    /// The compactions of a source's UTC days from `first` to `last`, each with its rank.
    pub(crate) async fn compactions(
        &self,
        tenant: &Tenant,
        source: &str,
        first: Date,
        last: Date,
    ) -> Result<BTreeMap<Date, (Compaction, u64)>, Error> {
        let mut held = BTreeMap::new();
        let mut query = Query {
            partition: keys::compactions_partition(tenant, source),
            from: Some(keys::compaction(tenant, source, first).sort),
            to: Some(keys::compaction(tenant, source, calendar::next(last)).sort),
            ..Query::default()
        };
        loop {
            let slice = self.context.items.query(&query).await?;
            for (sort, item) in &slice.items {
                let date = Decoder::new(sort).date();
                let date = date.ok_or_else(|| Error::Invalid("compaction key unreadable".to_owned()))?;
                held.insert(date, (decode(item)?, item.rank));
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(held),
            }
        }
    }

    /// The compaction of one day, with its rank.
    pub(crate) async fn compaction(
        &self,
        tenant: &Tenant,
        source: &str,
        day: Date,
    ) -> Result<Option<(Compaction, u64)>, Error> {
        let item = self.context.items.get(&keys::compaction(tenant, source, day)).await?;
        item.map(|item| Ok((decode(&item)?, item.rank))).transpose()
    }

    /// Writes a day's compaction in place of the one of that rank, or of none; its new rank.
    pub(crate) async fn put_compaction(
        &self,
        tenant: &Tenant,
        source: &str,
        day: Date,
        compaction: &Compaction,
        rank: Option<u64>,
    ) -> Result<u64, Error> {
        let body = compaction.encode().map_err(Error::Invalid)?;
        let next = rank.map_or(1, |rank| rank + 1);
        let write = Write {
            key: keys::compaction(tenant, source, day),
            condition: rank.map_or(Condition::Absent, Condition::RankIs),
            effect: Effect::Put(Item { rank: next, body: body.into() }),
        };
        self.context.items.write(vec![write]).await?;
        Ok(next)
    }
}

fn decode(item: &Item) -> Result<Compaction, Error> {
    Compaction::decode(&item.body).map_err(|why| Error::Invalid(format!("compaction unreadable: {why}")))
}
