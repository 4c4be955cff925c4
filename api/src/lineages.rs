//! Which definition of an insight answers, and how far another one is behind it.

use serde_json::{Value, json};
use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_rollups::backfill_store::BackfillStore;
use tidemill_rollups::on_backfill;
use tidemill_rollups::progress::Progress;
use tidemill_schemas::keys::Tenant;

use crate::Api;
use crate::insights::find;
use crate::problem::Problem;

/// The lineage a read is answered from.
pub struct Reading {
    /// The lineage.
    pub held: Held,
    /// What a reader should know of it.
    pub reason: Option<String>,
}

/// The lineage that answers, or the one of a fingerprint.
pub async fn reading(api: &Api, tenant: &Tenant, name: &str, fingerprint: Option<&str>) -> Result<Reading, Problem> {
    let held = find(api, tenant, name).await?;
    match fingerprint.filter(|wanted| *wanted != held.reading().applied.fingerprint) {
        Some(wanted) => {
            let applied = DefinitionStore::new(&api.context).lineage(tenant, name, wanted).await?;
            let Some(applied) = applied else { return Err(Problem::no_lineage(name, wanted)) };
            let is_kept = held.of(wanted).is_some();
            let reason = if is_kept {
                "the definition applied last, which is catching up and does not answer yet"
            } else {
                "an earlier definition, which is no longer kept current"
            };
            Ok(Reading { held: Held { applied, rank: held.rank, answering: None }, reason: Some(reason.to_owned()) })
        }
        None => {
            let reason = catching_up(api, tenant, &held).await?.map(|progress| told(&progress));
            Ok(Reading { held: held.reading(), reason })
        }
    }
}

/// The backfill an edited definition catches up by.
pub async fn catching_up(api: &Api, tenant: &Tenant, held: &Held) -> Result<Option<Progress>, Problem> {
    let Some(answering) = &held.answering else { return Ok(None) };
    let Some(backfill) = BackfillStore::new(&api.context).get(tenant, &answering.backfill).await? else {
        return Ok(None);
    };
    Ok(Some(on_backfill::progress(&api.context, tenant, &backfill).await?))
}

fn told(progress: &Progress) -> String {
    let Progress { id, days_done, days_total, state, .. } = progress;
    match *state {
        "failed" | "cancelled" => format!(
            "a new definition does not answer yet: its backfill is {state} at {days_done} of {days_total} days; go on \
             with `tidemill backfill resume {id}`"
        ),
        _ => format!("a new definition is catching up: {days_done} of {days_total} days"),
    }
}

/// What lists and looks at an insight say of it.
pub async fn shown(api: &Api, tenant: &Tenant, held: &Held) -> Result<Value, Problem> {
    let (Some(answering), Some(progress)) = (&held.answering, catching_up(api, tenant, held).await?) else {
        return Ok(Value::Null);
    };
    Ok(json!({
        "answering_fingerprint": answering.applied.fingerprint,
        "backfill": progress.id,
        "state": progress.state,
        "days_done": progress.days_done,
        "days_total": progress.days_total,
        "eta_seconds": progress.eta_seconds,
    }))
}
