//! The rollup store: how far the rollups of a zone have come, and which periods lack days.
//!
//! In and out: dates and [`Shortfall`]s. A shortfall is kept from the first time days of a period were found missing
//! until the period is whole, so that what waits and what was published without them can be told without a search.

use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::calendar::{Date, Period, WeekStart};
use tidemill_schemas::keys::{self, Key, Tenant};
use tidemill_schemas::time::Timestamp;

/// A period that lacks days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// The insight.
    pub insight: String,
    /// Its definition's fingerprint.
    pub fingerprint: String,
    /// The kind of period.
    pub period: Period,
    /// Its first day.
    pub first: Date,
    /// How often its days were asked for.
    pub attempts: u32,
    /// The days that were missing or out of date.
    pub missing: Vec<Date>,
    /// Whether it was published without them.
    pub partial: bool,
    /// Since when.
    pub since: Timestamp,
}

/// Where a shortfall stands, and the rank its next write must name.
pub type Ranked<T> = Option<(T, u64)>;

/// The rollup store of a context.
#[derive(Clone, Copy)]
pub struct RollupStore<'a> {
    context: &'a Context,
}

impl<'a> RollupStore<'a> {
    /// The store over `context`'s items.
    pub fn new(context: &'a Context) -> RollupStore<'a> {
        RollupStore { context }
    }

    /// The last day of the last period of a zone that was asked for.
    ///
    /// # Errors
    /// The port's.
    pub async fn done(
        &self,
        tenant: &Tenant,
        zone: &str,
        period: Period,
        week_start: WeekStart,
    ) -> Result<Ranked<Date>, Error> {
        let item = self.context.items.get(&progress_key(tenant, zone, period, week_start)).await?;
        item.map(|item| Ok((read(&item)?, item.rank))).transpose()
    }

    /// Notes that periods up to `last` were asked for. Someone else may have done so at the same time.
    ///
    /// # Errors
    /// The port's.
    pub async fn advance(
        &self,
        tenant: &Tenant,
        zone: &str,
        period: Period,
        week_start: WeekStart,
        (last, before): (Date, Option<u64>),
    ) -> Result<(), Error> {
        match self.put(progress_key(tenant, zone, period, week_start), before, &last).await {
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// What a period lacks, if it was found to lack something.
    ///
    /// # Errors
    /// The port's.
    pub async fn shortfall(
        &self,
        tenant: &Tenant,
        insight: &str,
        fingerprint: &str,
        period: Period,
        first: Date,
    ) -> Result<Ranked<Shortfall>, Error> {
        let key = keys::shortfall(tenant, insight, fingerprint, period, first);
        let item = self.context.items.get(&key).await?;
        item.map(|item| Ok((read(&item)?, item.rank))).transpose()
    }

    /// Keeps what a period lacks. Someone else may have done so at the same time: theirs stays.
    ///
    /// # Errors
    /// The port's.
    pub async fn keep(&self, tenant: &Tenant, shortfall: &Shortfall, before: Option<u64>) -> Result<(), Error> {
        match self.put(shortfall_key(tenant, shortfall), before, shortfall).await {
            Err(Error::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// Forgets it: the period is whole.
    ///
    /// # Errors
    /// The port's.
    pub async fn forget(&self, tenant: &Tenant, shortfall: &Shortfall) -> Result<(), Error> {
        let key = shortfall_key(tenant, shortfall);
        self.context.items.write(vec![Write { key, condition: Condition::None, effect: Effect::Delete }]).await
    }

    /// Every period that lacks days, by insight, kind and date.
    ///
    /// # Errors
    /// The port's.
    pub async fn shortfalls(&self, tenant: &Tenant) -> Result<Vec<Shortfall>, Error> {
        let mut query = Query { partition: keys::shortfalls_partition(tenant), ..Query::default() };
        let mut all = Vec::new();
        loop {
            let slice = self.context.items.query(&query).await?;
            for (_, item) in &slice.items {
                all.push(read(item)?);
            }
            match slice.next {
                Some(next) => query.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn put(&self, key: Key, before: Option<u64>, value: &impl Serialize) -> Result<(), Error> {
        let body = serde_json::to_vec(value).map_err(|why| Error::Invalid(format!("rollup item: {why}")))?;
        let condition = before.map_or(Condition::Absent, Condition::RankIs);
        let item = Item { rank: before.map_or(1, |rank| rank + 1), body: body.into() };
        self.context.items.write(vec![Write { key, condition, effect: Effect::Put(item) }]).await
    }
}

fn shortfall_key(tenant: &Tenant, shortfall: &Shortfall) -> Key {
    keys::shortfall(tenant, &shortfall.insight, &shortfall.fingerprint, shortfall.period, shortfall.first)
}

fn progress_key(tenant: &Tenant, zone: &str, period: Period, week_start: WeekStart) -> Key {
    if period.is_day() {
        return keys::rolled_up(tenant, zone);
    }
    keys::rolled_up_periods(tenant, zone, period, week_start)
}

fn read<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, Error> {
    serde_json::from_slice(&item.body).map_err(|why| Error::Invalid(format!("rollup item unreadable: {why}")))
}
