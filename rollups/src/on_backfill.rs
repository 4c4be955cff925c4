//! `on_backfill`: history asked for → a kept backfill and its first wave; and how far it has come.
//!
//! In: insights and a span of months. Out: a plan in units, begun, resumed, cancelled, looked at, or only estimated.
//! What is current already is skipped by the engine, so asking again costs little.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_aggregator::definition_store::{Applied, DefinitionStore};
use tidemill_aggregator::dispatch;
use tidemill_aggregator::on_rehearse::on_rehearse;
use tidemill_aggregator::request_store::{RequestOutcome, RequestStore};
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::{Date, Zone};
use tidemill_schemas::keys::Tenant;

use crate::backfill::{
    BACKFILL_FORMAT, BACKFILL_INSIGHTS_MAX, Backfill, Load, MonthLoad, Part, UNIT_INSIGHTS_MAX, Unit,
};
use crate::backfill_store::{self, BackfillStore};
use crate::estimate::{self, Estimate, Rehearsed};
use crate::on_wave;
use crate::progress::{self, FAILURES_LISTED_MAX, Progress};
use crate::wave::{Seen, Wave};

/// Attempts of a change that others come before.
const CHANGE_ATTEMPTS_MAX: u32 = 16;

/// What history to compute.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Of which insights; `None`: all.
    pub insights: Option<Vec<String>>,
    /// From which local day; `None`: the first there are events of.
    pub from: Option<Date>,
    /// To which local day, included; `None`: the last there are events of.
    pub to: Option<Date>,
}

/// Why a backfill was not begun.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// There is no such insight.
    #[error("no insight is named `{0}`")]
    NoInsight(String),
    /// There is nothing to compute.
    #[error("{0}")]
    Nothing(String),
    /// It is more than one backfill may be.
    #[error("{0}")]
    TooMuch(String),
    /// A store did not take it.
    #[error(transparent)]
    Port(#[from] Error),
}

/// What a backfill would do, decided and not begun, with the definitions it is for.
///
/// # Errors
/// See [`BackfillError`].
pub async fn plan(context: &Context, tenant: &Tenant, ask: &Ask) -> Result<(Backfill, Vec<Applied>), BackfillError> {
    let definitions = wanted(context, tenant, ask).await?;
    if definitions.len() > BACKFILL_INSIGHTS_MAX {
        let found = definitions.len();
        let message =
            format!("{found} insights in one backfill, at most {BACKFILL_INSIGHTS_MAX} can be; name some of them");
        return Err(BackfillError::TooMuch(message));
    }
    let mut parts = Vec::new();
    for applied in &definitions {
        if let Some((first, last)) = span(context, tenant, applied).await? {
            let cut = (ask.from.is_some_and(|from| from > first), ask.to.is_some_and(|to| to < last));
            let (first, last) = (ask.from.unwrap_or(first).max(first), ask.to.unwrap_or(last).min(last));
            if first <= last {
                parts.push(Part::of(applied, first, last, closed(context, applied), cut));
            }
        }
    }
    if parts.is_empty() {
        return Err(BackfillError::Nothing(
            "there are no events in that span; send or import some, or widen --from and --to".to_owned(),
        ));
    }
    Ok((of_parts(context, tenant, parts, None).await?, definitions))
}

/// The backfill that computes an edited definition aside, over the days the answering one has. `rank`: the version of
/// the insight it is begun for; tells one edit from the next.
///
/// # Errors
/// The port's.
pub async fn of_lineage(
    context: &Context,
    tenant: &Tenant,
    applied: &Applied,
    (first, last): (Date, Date),
    rank: u64,
) -> Result<Backfill, Error> {
    let part = Part::of(applied, first, last, closed(context, applied), (false, false));
    of_parts(context, tenant, vec![part], Some(rank)).await
}

fn closed(context: &Context, applied: &Applied) -> Date {
    dispatch::last_closed(&applied.definition.timezone, context.clock.now())
}

async fn of_parts(
    context: &Context,
    tenant: &Tenant,
    parts: Vec<Part>,
    lineage: Option<u64>,
) -> Result<Backfill, Error> {
    let requested_at = context.clock.now();
    let loads = loads(context, tenant, &parts).await?;
    // Ids ascend with time, so that the latest are found first, and two of one moment differ by what they are for.
    let subject: Vec<u8> = parts.iter().flat_map(|part| part.fingerprint.bytes().chain(part.insight.bytes())).collect();
    let subject = xxhash_rust::xxh3::xxh3_64_with_seed(&subject, lineage.unwrap_or(0)) >> 48;
    let id = format!("{:014x}{subject:04x}", requested_at.micros());
    Ok(Backfill { format: BACKFILL_FORMAT, id, parts, requested_at, loads, is_lineage: lineage.is_some() })
}

/// Begins a backfill; whoever works the queue goes on with it. The backfill as it is kept: of two that are asked for at
/// the same moment one gets another id.
///
/// # Errors
/// The port's.
pub async fn begin(context: &Context, tenant: &Tenant, backfill: &Backfill, budget: u32) -> Result<Backfill, Error> {
    let now = context.clock.now();
    for attempt in 0..CHANGE_ATTEMPTS_MAX {
        let id = if attempt == 0 { backfill.id.clone() } else { format!("{}-{attempt}", backfill.id) };
        let backfill = Backfill { id, ..backfill.clone() };
        // First the watch: a backfill nobody looks after must not be.
        on_wave::watch(context, tenant, &backfill.id, now).await?;
        match context.items.write(backfill_store::beginning(tenant, &backfill, &Wave::begin(budget, now))?).await {
            Ok(()) => {}
            Err(Error::Conflict(_)) => continue,
            Err(other) => return Err(other),
        }
        first_step(context, tenant, &backfill.id).await;
        return Ok(backfill);
    }
    Err(Error::Conflict("others kept beginning the same backfill".to_owned()))
}

/// Runs what failed once more, and goes on with what was cancelled.
///
/// # Errors
/// The port's.
pub async fn resume(context: &Context, tenant: &Tenant, id: &str, budget: Option<u32>) -> Result<(), Error> {
    on_wave::watch(context, tenant, id, context.clock.now()).await?;
    change(context, tenant, id, |wave| {
        wave.map_or_else(
            || Wave::begin(budget.unwrap_or(crate::wave::BUDGET_DEFAULT), context.clock.now()),
            |wave| wave.resumed(budget),
        )
    })
    .await?;
    first_step(context, tenant, id).await;
    Ok(())
}

/// Leases nothing new from here on; what is in flight may end.
///
/// # Errors
/// The port's.
pub async fn cancel(context: &Context, tenant: &Tenant, id: &str) -> Result<(), Error> {
    let cancelled = |wave: Option<Wave>| {
        wave.map_or_else(|| Wave::begin(1, context.clock.now()).cancelled(), |wave| wave.cancelled())
    };
    change(context, tenant, id, cancelled).await
}

/// The watch takes the first step if this one does not succeed.
async fn first_step(context: &Context, tenant: &Tenant, id: &str) {
    if let Err(error) = on_wave::step(context, tenant, id, Seen::default()).await {
        tracing::warn!(%error, backfill = id, "the step will be taken by the watch");
    }
}

async fn change(
    context: &Context,
    tenant: &Tenant,
    id: &str,
    change: impl Fn(Option<Wave>) -> Wave,
) -> Result<(), Error> {
    let store = BackfillStore::new(context);
    for _ in 0..CHANGE_ATTEMPTS_MAX {
        let (wave, rank) = store.wave(tenant, id).await?.unzip();
        let changed = change(wave.clone());
        if wave.as_ref() == Some(&changed) {
            return Ok(());
        }
        match store.put_wave(tenant, id, &changed, rank).await {
            Err(Error::Conflict(_)) => {}
            other => return other,
        }
    }
    Err(Error::Conflict(format!("others kept changing the backfill {id}")))
}

/// How far a backfill has come.
///
/// # Errors
/// The port's.
pub async fn progress(context: &Context, tenant: &Tenant, backfill: &Backfill) -> Result<Progress, Error> {
    let wave = BackfillStore::new(context).wave(tenant, &backfill.id).await?.map(|(wave, _)| wave);
    let units = backfill.units();
    let failures = failures(context, tenant, backfill, &units, wave.as_ref()).await?;
    Ok(progress::progress(backfill, &units, wave.as_ref(), failures))
}

async fn failures(
    context: &Context,
    tenant: &Tenant,
    backfill: &Backfill,
    units: &[Unit],
    wave: Option<&Wave>,
) -> Result<Vec<RequestOutcome>, Error> {
    let mut failures = Vec::new();
    for failed in wave.iter().flat_map(|wave| &wave.failed) {
        if failures.len() >= FAILURES_LISTED_MAX {
            break;
        }
        if let (Some(why), Some(unit)) = (&failed.why, units.get(failed.unit as usize)) {
            let of = |&(at, first, last): &(usize, Date, Date)| RequestOutcome {
                insight: backfill.parts[at].insight.clone(),
                first,
                last,
                period: unit.period,
                failure: Some(why.clone()),
            };
            failures.extend(unit.members.iter().map(of));
            continue;
        }
        let reports = RequestStore::new(context).reports(tenant, &backfill.id, failed.unit).await?;
        let reports = reports.into_iter().filter(|(epoch, _)| *epoch == failed.epoch).map(|(_, outcome)| outcome);
        failures.extend(reports.filter(|outcome| outcome.failure.is_some()));
    }
    failures.truncate(FAILURES_LISTED_MAX);
    Ok(failures)
}

/// What a backfill would take: one day of it is really computed, and nothing of that kept.
///
/// # Errors
/// The port's; [`Error::Invalid`] with a definition's own trouble.
pub async fn estimate(
    context: &Context,
    tenant: &Tenant,
    backfill: &Backfill,
    definitions: &[Applied],
    budget: u32,
) -> Result<Estimate, Error> {
    let part = |applied: &&Applied| backfill.parts.iter().find(|part| part.fingerprint == applied.fingerprint);
    let first = definitions.iter().find(|applied| part(applied).is_some());
    let mut rehearsed = None;
    if let Some(leader) = first {
        let source = &leader.definition.source;
        let group: Vec<Applied> = definitions
            .iter()
            .filter(|applied| part(applied).is_some() && applied.definition.source == *source)
            .take(UNIT_INSIGHTS_MAX)
            .cloned()
            .collect();
        if let Some((day, rows)) = typical_day(context, tenant, part(&leader), leader).await? {
            // Once to warm up, once to measure, and once where there is nothing.
            on_rehearse(context, tenant, &group, day).await?;
            let micros = on_rehearse(context, tenant, &group, day).await?;
            let empty_micros = on_rehearse(context, tenant, &group, Date::constant(1, 1, 2)).await?;
            rehearsed = Some(Rehearsed { day, rows, insights: group.len(), micros, empty_micros });
        }
    }
    Ok(estimate::estimate(&backfill.units(), rehearsed, budget))
}

/// The day with pages that has the median of rows.
async fn typical_day(
    context: &Context,
    tenant: &Tenant,
    part: Option<&Part>,
    applied: &Applied,
) -> Result<Option<(Date, u64)>, Error> {
    let Some(part) = part else { return Ok(None) };
    let mut rows: BTreeMap<Date, u64> = BTreeMap::new();
    let pages = PageStore::new(context);
    for source in pages.sources_of(tenant, applied.definition.source.as_deref()).await? {
        for (day, held) in pages.page_days(tenant, &source, part.first, part.last).await? {
            *rows.entry(day).or_default() += held.rows;
        }
    }
    let mut days: Vec<(u64, Date)> = rows.into_iter().map(|(day, rows)| (rows, day)).collect();
    days.sort_unstable();
    Ok(days.get(days.len() / 2).map(|&(rows, day)| (day, rows)))
}

/// What the pages of the parts' sources hold, month by month.
async fn loads(context: &Context, tenant: &Tenant, parts: &[Part]) -> Result<Vec<Load>, Error> {
    let (Some(first), Some(last)) =
        (parts.iter().map(|part| part.first).min(), parts.iter().map(|part| part.last).max())
    else {
        return Ok(Vec::new());
    };
    let pages = PageStore::new(context);
    let wanted: BTreeSet<&Option<String>> = parts.iter().map(|part| &part.source).collect();
    let mut loads = Vec::new();
    for source in wanted {
        let mut months: BTreeMap<Date, (u64, BTreeSet<Date>)> = BTreeMap::new();
        for named in pages.sources_of(tenant, source.as_deref()).await? {
            for (day, held) in pages.page_days(tenant, &named, first, last).await? {
                let (rows, days) = months.entry(day.first_of_month()).or_default();
                *rows += held.rows;
                days.insert(day);
            }
        }
        let of = |(month, (rows, days)): (Date, (u64, BTreeSet<Date>))| MonthLoad {
            month,
            rows,
            days: u32::try_from(days.len()).unwrap_or(u32::MAX),
        };
        loads.push(Load { source: source.clone(), months: months.into_iter().map(of).collect() });
    }
    Ok(loads)
}

async fn wanted(context: &Context, tenant: &Tenant, ask: &Ask) -> Result<Vec<Applied>, BackfillError> {
    let all = DefinitionStore::new(context).insights(tenant).await?;
    let all: Vec<Applied> =
        all.into_iter().map(|held| held.applied).filter(|applied| applied.definition.reads_events()).collect();
    let Some(names) = &ask.insights else {
        return if all.is_empty() {
            Err(BackfillError::Nothing("no insight is applied yet; write one and run `tidemill apply`".to_owned()))
        } else {
            Ok(all)
        };
    };
    let known: BTreeSet<&str> = all.iter().map(|applied| applied.definition.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name.as_str())) {
        return Err(BackfillError::NoInsight(unknown.clone()));
    }
    Ok(all.into_iter().filter(|applied| names.contains(&applied.definition.name)).collect())
}

/// The local days of an insight from its first event to its last.
async fn span(context: &Context, tenant: &Tenant, applied: &Applied) -> Result<Option<(Date, Date)>, Error> {
    let pages = PageStore::new(context);
    let definition = &applied.definition;
    let sources = pages.sources_of(tenant, definition.source.as_deref()).await?;
    let mut all: Option<(Date, Date)> = None;
    for source in sources {
        if let Some((first, last)) = pages.span(tenant, &source).await? {
            let (first, last) = (Zone::utc().day(first).start, Zone::utc().day(last).end.plus_micros(-1));
            let (first, last) = (definition.timezone.date_of(first), definition.timezone.date_of(last));
            all = Some(all.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
        }
    }
    Ok(all)
}

/// What applying an edited definition would make stale and cost: days, periods, and the estimate of computing them.
///
/// # Errors
/// The port's.
pub async fn of_edit(
    context: &Context,
    tenant: &Tenant,
    edited: &Applied,
    days: &BTreeMap<Date, tidemill_aggregator::snapshot_store::Snapshot>,
) -> Result<Option<(Backfill, Estimate)>, Error> {
    let (Some(first), Some(last)) = (days.keys().next(), days.keys().next_back()) else { return Ok(None) };
    let backfill = of_lineage(context, tenant, edited, (*first, *last), 0).await?;
    let estimate =
        estimate(context, tenant, &backfill, std::slice::from_ref(edited), crate::wave::BUDGET_DEFAULT).await?;
    Ok(Some((backfill, estimate)))
}

/// The longer periods a backfill computes.
pub fn periods(backfill: &Backfill) -> u64 {
    backfill.units().iter().filter(|unit| !unit.period.is_day()).map(|unit| unit.count).sum()
}
