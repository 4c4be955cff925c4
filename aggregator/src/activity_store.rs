//! The activity store: schedules are armed by the first event after silence and disarmed by a quiet spell, so an idle
//! month makes no call at all.
//!
//! In: notes that events came, or that a tick found nothing new. Out: schedules put and removed. Order matters: a
//! schedule is put before it is noted as armed; one that goes is noted as going, removed, and looked at once more, so
//! that events that came meanwhile have it put again. A crash in between leaves at worst a tick too many.

use tidemill_ports::{Condition, Context, Effect, Entry, Error, Item, When, Write};
use tidemill_schemas::definition::Definition;
use tidemill_schemas::keys::{self, Tenant};

use crate::definition_store::{DefinitionStore, Held};
use crate::dispatch::{self, Activity, Fires, Planned};

/// The activity store of a context.
#[derive(Clone, Copy)]
pub struct ActivityStore<'a> {
    context: &'a Context,
}

impl<'a> ActivityStore<'a> {
    /// The store over `context`.
    pub fn new(context: &'a Context) -> ActivityStore<'a> {
        ActivityStore { context }
    }

    /// The tenant's activity.
    ///
    /// # Errors
    /// The port's.
    pub async fn get(&self, tenant: &Tenant) -> Result<Activity, Error> {
        Ok(self.load(tenant).await?.0)
    }

    /// Notes that events came, and arms what is not armed.
    ///
    /// # Errors
    /// The port's.
    pub async fn touch(&self, tenant: &Tenant, definitions: &[Held]) -> Result<(), Error> {
        let (activity, _) = self.load(tenant).await?;
        if activity.is_fresh(self.context.clock.now()) {
            return Ok(());
        }
        self.arm(tenant, definitions).await
    }

    /// Arms every schedule these definitions need, and fires once at once if something was not armed.
    ///
    /// # Errors
    /// The port's.
    pub async fn arm(&self, tenant: &Tenant, definitions: &[Held]) -> Result<(), Error> {
        let definitions: Vec<&Definition> = definitions.iter().map(|held| &held.applied.definition).collect();
        loop {
            let now = self.context.clock.now();
            let (mut activity, rank) = self.load(tenant).await?;
            let silent = activity.is_quiet(now);
            for mut entry in dispatch::schedules(tenant, &definitions, now) {
                if let Fires::At(at) = &mut entry.fires {
                    // One that is past may be under way, and would take an entry of its own time with it when it ends.
                    *at = (*activity.due.entry(entry.name.clone()).or_insert(*at)).max(now);
                }
                // After a silence nothing is trusted to be still there.
                let is_going = activity.disarming.contains(&entry.name);
                if activity.armed.insert(entry.name.clone()) || is_going || silent {
                    self.put(entry).await?;
                }
            }
            if silent && !definitions.is_empty() {
                self.fire_now(tenant).await?;
            }
            activity.last = Some(now);
            match self.save(tenant, &activity, rank).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
    }

    /// Has the dispatcher and the repair run once, now.
    ///
    /// # Errors
    /// The port's.
    pub async fn fire_now(&self, tenant: &Tenant) -> Result<(), Error> {
        for entry in dispatch::first_firings(tenant, self.context.clock.now()) {
            self.put(entry).await?;
        }
        Ok(())
    }

    /// Has the repair run once, now.
    ///
    /// # Errors
    /// The port's.
    pub async fn repair_now(&self, tenant: &Tenant) -> Result<(), Error> {
        let [_, repair] = dispatch::first_firings(tenant, self.context.clock.now());
        self.put(repair).await
    }

    /// Puts the next firing of a rollup that has come through.
    ///
    /// # Errors
    /// The port's.
    pub async fn put_next(&self, tenant: &Tenant, planned: Planned) -> Result<(), Error> {
        let Fires::At(at) = planned.fires else { return self.put(planned).await };
        let name = planned.name.clone();
        self.put(planned).await?;
        loop {
            let (mut activity, rank) = self.load(tenant).await?;
            if activity.due.insert(name.clone(), at) == Some(at) {
                return Ok(());
            }
            match self.save(tenant, &activity, rank).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
    }

    /// Puts a schedule.
    ///
    /// # Errors
    /// The port's.
    pub async fn put(&self, planned: Planned) -> Result<(), Error> {
        let payload = serde_json::to_vec(&planned.firing).map_err(|why| Error::Invalid(format!("firing: {why}")))?;
        let when = match planned.fires {
            Fires::At(at) => When::At(at),
            Fires::EveryMinutes(minutes) => When::EveryMinutes(minutes),
        };
        self.context.schedule.put(Entry { name: planned.name, when, payload: payload.into() }).await
    }

    /// Disarms the schedule `name` if the tenant is quiet.
    ///
    /// # Errors
    /// The port's; asking again goes on where it ended.
    pub async fn disarm_if_quiet(&self, tenant: &Tenant, name: &str) -> Result<(), Error> {
        loop {
            let (mut activity, rank) = self.load(tenant).await?;
            if activity.disarming.contains(name) {
                break;
            }
            if !activity.is_quiet(self.context.clock.now()) {
                return Ok(());
            }
            activity.armed.remove(name);
            activity.due.remove(name);
            activity.disarming.insert(name.to_owned());
            match self.save(tenant, &activity, rank).await {
                Ok(()) => break,
                Err(Error::Conflict(_)) => {}
                Err(other) => return Err(other),
            }
        }
        self.context.schedule.remove(name).await?;
        loop {
            let (mut activity, mut rank) = self.load(tenant).await?;
            if activity.armed.contains(name) {
                // Events came meanwhile, and what they scheduled may just have been removed.
                self.arm(tenant, &DefinitionStore::new(self.context).list(tenant).await?).await?;
                (activity, rank) = self.load(tenant).await?;
            }
            if !activity.disarming.remove(name) {
                return Ok(());
            }
            match self.save(tenant, &activity, rank).await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
    }

    async fn load(&self, tenant: &Tenant) -> Result<(Activity, Option<u64>), Error> {
        match self.context.items.get(&keys::activity(tenant)).await? {
            Some(item) => {
                let activity = serde_json::from_slice(&item.body);
                Ok((activity.map_err(|why| Error::Invalid(format!("activity unreadable: {why}")))?, Some(item.rank)))
            }
            None => Ok((Activity::default(), None)),
        }
    }

    async fn save(&self, tenant: &Tenant, activity: &Activity, rank: Option<u64>) -> Result<(), Error> {
        let body = serde_json::to_vec(activity).map_err(|why| Error::Invalid(format!("activity: {why}")))?;
        let condition = rank.map_or(Condition::Absent, Condition::RankIs);
        let item = Item { rank: rank.map_or(1, |rank| rank + 1), body: body.into() };
        self.context
            .items
            .write(vec![Write { key: keys::activity(tenant), condition, effect: Effect::Put(item) }])
            .await
    }
}
