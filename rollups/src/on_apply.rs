//! `on_apply`: a definition is put into effect.
//!
//! In: a checked definition and its text. Out: the insight as it is kept. A change of title or refresh is another
//! version of the same lineage. A changed meaning begins a new lineage: where the old one has numbers, it goes on
//! answering, and a backfill computes the same days for the new one. Definition and backfill are written together.

use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::definition_store::{
    Answering, Applied, DEFINITION_FORMAT, DefinitionStore, Held, replacement,
};
use tidemill_ports::{Condition, Context, Effect, Error, Write};
use tidemill_schemas::definition::Definition;
use tidemill_schemas::fingerprint::fingerprint;
use tidemill_schemas::keys::{self, Tenant};

use crate::backfill::Backfill;
use crate::backfill_store;
use crate::on_backfill;
use crate::on_switch::all_days;
use crate::on_wave;
use crate::wave::{BUDGET_DEFAULT, Seen, Wave};

/// What applying a definition changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was no such insight.
    Create,
    /// Its definition is another one.
    Update,
    /// Nothing.
    Unchanged,
}

impl Change {
    /// The word users read.
    pub fn word(&self) -> &'static str {
        match self {
            Change::Create => "create",
            Change::Update => "update",
            Change::Unchanged => "unchanged",
        }
    }
}

/// A definition that was put into effect.
#[derive(Clone, Debug)]
pub struct Effective {
    /// What it changed.
    pub change: Change,
    /// As it is kept.
    pub applied: Applied,
    /// The backfill that computes its history aside, when an older one answers meanwhile.
    pub backfill: Option<String>,
}

/// Puts a definition into effect.
///
/// # Errors
/// The port's; [`Error::Conflict`] when another one was applied at the same time. Applying again is safe.
pub async fn on_apply(
    context: &Context,
    tenant: &Tenant,
    definition: &Definition,
    text: &str,
) -> Result<Effective, Error> {
    let store = DefinitionStore::new(context);
    let before = store.get(tenant, &definition.name).await?;
    let fingerprint = fingerprint(definition);
    let same_meaning = before.as_ref().and_then(|held| held.of(&fingerprint));
    let applied = Applied {
        format: DEFINITION_FORMAT,
        definition: definition.clone(),
        applied_at: same_meaning.as_ref().map_or_else(|| context.clock.now(), |held| held.applied.applied_at),
        fingerprint,
        text: text.to_owned(),
    };
    let change = match &before {
        Some(held) if held.applied == applied => Change::Unchanged,
        Some(_) => Change::Update,
        None => Change::Create,
    };
    if change == Change::Unchanged {
        let backfill = before.and_then(|held| held.answering).map(|answering| answering.backfill);
        return Ok(Effective { change, applied, backfill });
    }
    let answering = match &before {
        Some(held) if held.applied.fingerprint == applied.fingerprint => Kept::as_it_was(held),
        // Back to what answers: there is nothing to catch up with.
        Some(held) if same_meaning.is_some() => Kept { superseded: Kept::as_it_was(held).answering, ..Kept::default() },
        Some(held) => aside(context, tenant, held, &applied).await?,
        None => Kept::default(),
    };
    replace(context, tenant, &applied, &answering, before.as_ref(), same_meaning.is_none()).await?;
    if let Some(Answering { backfill, .. }) = &answering.superseded {
        on_backfill::cancel(context, tenant, backfill).await?;
    }
    let backfill = answering.answering.map(|answering| answering.backfill);
    if let (Some(id), Some(_)) = (&backfill, &answering.begun) {
        // The watch takes the first step if this one does not succeed.
        if let Err(error) = on_wave::step(context, tenant, id, Seen::default()).await {
            tracing::warn!(%error, backfill = id, "the first step will be taken by the watch");
        }
    }
    Ok(Effective { change, applied, backfill })
}

/// What becomes of the lineage that answers.
#[derive(Default)]
struct Kept {
    answering: Option<Answering>,
    /// The backfill to begin with it.
    begun: Option<Backfill>,
    /// What caught up until now and is no longer wanted.
    superseded: Option<Answering>,
}

impl Kept {
    fn as_it_was(held: &Held) -> Kept {
        Kept { answering: held.answering.clone(), ..Kept::default() }
    }
}

/// The new lineage is computed aside, if the old one has numbers that can be computed.
async fn aside(context: &Context, tenant: &Tenant, held: &Held, applied: &Applied) -> Result<Kept, Error> {
    let superseded = held.answering.clone();
    let reading = held.reading();
    let days = all_days(context, tenant, &reading).await?;
    let (Some(first), Some(last)) = (days.keys().next(), days.keys().next_back()) else {
        return Ok(Kept { superseded, ..Kept::default() });
    };
    let begun = on_backfill::of_lineage(context, tenant, applied, (*first, *last), held.rank).await?;
    let answering = Some(Answering { applied: reading.applied, backfill: begun.id.clone() });
    Ok(Kept { answering, begun: Some(begun), superseded })
}

async fn replace(
    context: &Context,
    tenant: &Tenant,
    applied: &Applied,
    kept: &Kept,
    before: Option<&Held>,
    is_new_meaning: bool,
) -> Result<(), Error> {
    let mut writes = replacement(tenant, applied, kept.answering.as_ref(), before)?;
    if is_new_meaning {
        // Totals of a meaning that comes back missed what came while it was away: they count from now on.
        let key = keys::coverage(tenant, &applied.definition.name, &applied.fingerprint);
        writes.push(Write { key, condition: Condition::None, effect: Effect::Delete });
    }
    if let Some(backfill) = &kept.begun {
        let now = context.clock.now();
        writes.extend(backfill_store::beginning(tenant, backfill, &Wave::begin(BUDGET_DEFAULT, now))?);
        // First the watch: a backfill nobody looks after must not be.
        on_wave::watch(context, tenant, &backfill.id, now).await?;
    }
    context.items.write(writes).await?;
    // Where events have come before, their schedules are armed already; a new rate or zone has to join them.
    let activity = ActivityStore::new(context);
    if activity.get(tenant).await?.last.is_some() {
        activity.arm(tenant, &DefinitionStore::new(context).list(tenant).await?).await?;
        activity.fire_now(tenant).await?;
    }
    Ok(())
}
