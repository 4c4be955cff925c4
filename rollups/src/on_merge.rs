//! `on_merge`: requests of every kind, as they come out of the queue. Days go to the engine; longer periods are folded
//! here from their days' snapshots.
//!
//! In: messages. Out: an outcome for each; published periods. Missing or outdated days are asked for through the same
//! queue, and the period looks again later; when that has been tried often enough it is published without them, says
//! so, and is made whole when they come. The fingerprint is checked before the work and by the commit; the commit names
//! the version it replaces, which was read before the days were.

use futures::StreamExt;
use tidemill_aggregator::activity_store::ActivityStore;
use tidemill_aggregator::blob_name::BLOB_PUBLISH_SECONDS_MAX;
use tidemill_aggregator::content::Content;
use tidemill_aggregator::definition_store::{DefinitionStore, Held};
use tidemill_aggregator::dispatch::{self, spans};
use tidemill_aggregator::finish;
use tidemill_aggregator::fold::FoldError;
use tidemill_aggregator::metric::DayCells;
use tidemill_aggregator::on_request::{Failure, end, on_request};
use tidemill_aggregator::periods;
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::request_store::RequestStore;
use tidemill_aggregator::snapshot_store::{Series, Snapshot, SnapshotStore};
use tidemill_aggregator::spill_store::scratch;
use tidemill_aggregator::states::merge::{Merged, merge};
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, DELAY_SECONDS_MAX, Error, Message, Outcome};
use tidemill_schemas::calendar::{self, Date, Period};
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::request::{ComputeSnapshotRequest, REQUEST_DAYS_MAX, Reason};
use tidemill_schemas::snapshot::{BlobRange, Digest, Header};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;

use crate::merge::{self as decide, Next};
use crate::preflight::{Preflight, preflight};
use crate::repair;
use crate::rollup_store::{RollupStore, Shortfall};

/// How often a period starts over when its days or it were published in between.
const COMMIT_ATTEMPTS_MAX: u32 = 8;

/// Days of the periods that one request is at work on at once: storing one period waits for the disk while the next is
/// folded, and what they hold together stays bounded.
const DAYS_AT_ONCE: usize = 124;
/// Periods that one request is at work on at once.
const PERIODS_AT_ONCE: usize = 4;

/// One period of one insight.
struct Job<'a> {
    context: &'a Context,
    tenant: &'a Tenant,
    held: &'a Held,
    plan: &'a Plan,
    request: &'a ComputeSnapshotRequest,
    first: Date,
    last: Date,
}

/// How a period ended.
enum Ended {
    /// It stands.
    Stands,
    /// Its days were asked for; to be kept once the next look is sure to come.
    Waits(Shortfall, Option<u64>),
}

/// Works through a delivery; one outcome per message. `budget`: how often a period asks for its missing days.
pub async fn on_merge(context: &Context, budget: u32, messages: &[Message]) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Done; messages.len()];
    let mut longer = Vec::new();
    let mut days = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        match serde_json::from_slice::<ComputeSnapshotRequest>(&message.body) {
            Ok(request) if !request.period.is_day() => longer.push((at, request)),
            // What cannot be read is the engine's to park.
            _ => days.push(at),
        }
    }
    let of_days: Vec<Message> = days.iter().map(|at| messages[*at].clone()).collect();
    if !of_days.is_empty() {
        for (at, outcome) in days.into_iter().zip(on_request(context, &of_days).await) {
            outcomes[at] = outcome;
        }
    }
    for (at, request) in longer {
        if context.is_over() {
            outcomes[at] = Outcome::RetryFrom(Position::default());
            continue;
        }
        outcomes[at] = match merge_all(context, budget, &request).await {
            Ok(None) => end(context, &request, Ok(())).await,
            Ok(Some(outcome)) => outcome,
            Err(failure) => end(context, &request, Err(failure)).await,
        };
    }
    outcomes
}

/// Every period of a request. `Some`: it has not ended, this is its delivery's outcome.
async fn merge_all(
    context: &Context,
    budget: u32,
    request: &ComputeSnapshotRequest,
) -> Result<Option<Outcome>, Failure> {
    let tenant = Tenant(request.tenant.clone());
    let held = DefinitionStore::new(context).of(&tenant, &request.insight, &request.fingerprint).await?;
    let Some(held) = held else {
        return Err(Failure::Stale);
    };
    let plan = Plan::new(&held.applied.definition);
    let (first, last) = (request.first, request.last);
    let is_short = dispatch::apart(first, last) < i32::try_from(REQUEST_DAYS_MAX).unwrap_or(i32::MAX);
    let periods = periods::whole(request.period, plan.week_start, first, last).filter(|_| is_short);
    let Some(periods) = periods else {
        let kind = request.period.word();
        return Ok(Some(Outcome::Park(format!(
            "a request for each {kind} spans whole ones and at most {REQUEST_DAYS_MAX} days, not {first} to {last}"
        ))));
    };
    let at_once = periods
        .iter()
        .map(|(first, last)| dispatch::apart(*first, *last))
        .max()
        .map_or(1, |days| DAYS_AT_ONCE / usize::try_from(days).unwrap_or(0).saturating_add(1));
    let (tenant, held, plan) = (&tenant, &held, &plan);
    let jobs = periods.into_iter().map(|(first, last)| async move {
        Job { context, tenant, held, plan, request, first, last }.run(budget).await
    });
    // Each to its end, whatever becomes of the others.
    let ended: Vec<_> = futures::stream::iter(jobs).buffered(at_once.clamp(1, PERIODS_AT_ONCE)).collect().await;
    let mut waiting = Vec::new();
    for ended in ended {
        if let Ended::Waits(shortfall, before) = ended? {
            waiting.push((shortfall, before));
        }
    }
    let Some(attempts) = waiting.iter().map(|(shortfall, _)| shortfall.attempts).max() else { return Ok(None) };
    again(context, tenant, request, decide::retry_seconds(attempts - 1)).await?;
    // Only now, so that an attempt is never counted that nobody will look at.
    for (shortfall, before) in &waiting {
        RollupStore::new(context).keep(tenant, shortfall, *before).await?;
    }
    Ok(Some(Outcome::Done))
}

/// Has a request looked at again later, and what its days bring to other periods soon after.
async fn again(
    context: &Context,
    tenant: &Tenant,
    request: &ComputeSnapshotRequest,
    seconds: u32,
) -> Result<(), Error> {
    let activity = ActivityStore::new(context);
    let at = context.clock.now().plus_seconds(i64::from(seconds));
    activity.put(dispatch::repair_at(tenant, at.plus_seconds(60))).await?;
    if seconds <= DELAY_SECONDS_MAX {
        return RequestStore::new(context).send_later(std::slice::from_ref(request), seconds).await;
    }
    activity.put(dispatch::again_at(tenant, request, at)).await
}

impl Job<'_> {
    fn series(&self, period: Period) -> Series<'_> {
        let applied = &self.held.applied;
        Series { tenant: self.tenant, insight: &applied.definition.name, fingerprint: &applied.fingerprint, period }
    }

    async fn run(&self, budget: u32) -> Result<Ended, Failure> {
        let (store, rollups) = (SnapshotStore::new(self.context), RollupStore::new(self.context));
        let (series, window) = (self.series(self.request.period), self.plan.zone.days(self.first, self.last));
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            // What stands before its days: a commit over it stands on days at least as new.
            let stored = store.get(&series, self.first).await?;
            let kept =
                rollups.shortfall(self.tenant, series.insight, series.fingerprint, series.period, self.first).await?;
            // The clock before the chain heads, both before what they are compared with.
            let now = self.context.clock.now();
            let pages = PageStore::new(self.context);
            let sealed = EventStore::new(self.context).watermark(now, &pages.heads().await?).await?;
            let (from, to) = (calendar::utc_date(window.start), calendar::utc_date(window.end.plus_micros(-1)));
            let changes = pages.changes(self.tenant, self.plan.source.as_deref(), from, to).await?;
            let days = store.range(&self.series(Period::Day), self.first, self.last).await?;
            let found = preflight(&self.plan.zone, (self.first, self.last), &days, &changes, sealed);
            let attempts = kept.as_ref().map_or(0, |(shortfall, _)| shortfall.attempts);
            match decide::next(stored.as_ref(), window, &found, &self.request.reason, attempts, budget) {
                Next::Ask => {
                    self.ask(&found.wanting, now).await?;
                    let (shortfall, before) = self.shortfall(kept, found.wanting, now);
                    return Ok(Ended::Waits(Shortfall { attempts: attempts + 1, ..shortfall }, before));
                }
                Next::Leave => {
                    let partial = stored.is_some_and(|stored| stored.header.partial);
                    self.note(kept, found.wanting, partial, now).await?;
                    return Ok(Ended::Stands);
                }
                Next::Fold => match self.publish(&store, stored.as_ref(), &found, sealed).await {
                    Ok(()) => {
                        self.note(kept, found.wanting, true, now).await?;
                        return Ok(Ended::Stands);
                    }
                    Err(Published::Conflict) => self.still_wanted().await?,
                    Err(Published::Failed(failure)) => return Err(failure),
                },
            }
        }
        Err(Failure::Again("others kept publishing the same period".to_owned()))
    }

    /// Asks for exactly these days, as everybody asks for days.
    async fn ask(&self, days: &[Date], now: Timestamp) -> Result<(), Error> {
        let spans = spans(&days.iter().copied().collect(), 1, REQUEST_DAYS_MAX);
        let requests = repair::requests(self.tenant, self.held, &spans, &Reason::Repair, now);
        tracing::info!(
            insight = self.request.insight,
            period = self.request.period.word(),
            first = %self.first,
            days = days.len(),
            "days of a period are missing or out of date; asked for"
        );
        RequestStore::new(self.context).send(&requests).await
    }

    fn shortfall(
        &self,
        kept: Option<(Shortfall, u64)>,
        missing: Vec<Date>,
        now: Timestamp,
    ) -> (Shortfall, Option<u64>) {
        match kept {
            Some((shortfall, rank)) => (Shortfall { missing, ..shortfall }, Some(rank)),
            None => {
                let shortfall = Shortfall {
                    insight: self.request.insight.clone(),
                    fingerprint: self.request.fingerprint.clone(),
                    period: self.request.period,
                    first: self.first,
                    attempts: 0,
                    missing,
                    partial: false,
                    since: now,
                };
                (shortfall, None)
            }
        }
    }

    /// Keeps what the period that stands lacks, or forgets that it lacked something.
    async fn note(
        &self,
        kept: Option<(Shortfall, u64)>,
        missing: Vec<Date>,
        partial: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let rollups = RollupStore::new(self.context);
        match kept {
            Some((shortfall, _)) if missing.is_empty() => rollups.forget(self.tenant, &shortfall).await,
            None if missing.is_empty() || !partial => Ok(()),
            kept => {
                let before = kept.clone();
                let (shortfall, rank) = self.shortfall(kept, missing, now);
                let shortfall = Shortfall { partial, ..shortfall };
                if before.is_some_and(|(before, _)| before == shortfall) {
                    return Ok(());
                }
                rollups.keep(self.tenant, &shortfall, rank).await
            }
        }
    }

    async fn publish(
        &self,
        store: &SnapshotStore<'_>,
        stored: Option<&Snapshot>,
        found: &Preflight<'_>,
        sealed: Timestamp,
    ) -> Result<(), Published> {
        let started = self.context.clock.now();
        let (period, window) = (self.request.period, self.plan.zone.days(self.first, self.last));
        let (digest, detail, states) = self.fold(store, found).await?;
        let mut header = decide::header(self.held, period, (self.first, window), found, sealed, started);
        header.version = stored.map_or(1, |stored| stored.header.version + 1);
        header.content = Some(states.hash());
        header.states = self.put(store, "states", started, &states).await?;
        header.detail = self.put(store, "detail", started, &detail).await?;
        let millis = (self.context.clock.now().micros() - started.micros()) / 1_000;
        header.merge_millis = u64::try_from(millis).ok();
        self.tell(&header);
        if self.context.clock.now() > started.plus_seconds(BLOB_PUBLISH_SECONDS_MAX) {
            return Err(Failure::Again("what was written is too old to be published".to_owned()).into());
        }
        let snapshot = Snapshot { header, digest };
        match store.commit(&self.series(period), self.held, &[snapshot], Vec::new()).await {
            Ok(()) => Ok(()),
            Err(Error::Conflict(_)) => Err(Published::Conflict),
            Err(other) => Err(other.into()),
        }
    }

    /// Digest, detail and states of the days there are.
    async fn fold(
        &self,
        store: &SnapshotStore<'_>,
        found: &Preflight<'_>,
    ) -> Result<(Digest, Content, Content), Published> {
        if !self.plan.keeps_period_states() {
            return Ok((decide::sum_of(found.days), Content::of(Vec::new().into()), Content::of(Vec::new().into())));
        }
        let spill = scratch();
        let headers: Vec<&Header> = decide::with_events(found.days).map(|(_, snapshot)| &snapshot.header).collect();
        let ranges: Vec<BlobRange> = headers.iter().filter_map(|header| header.states.clone()).collect();
        let contents = store.contents(&ranges, &spill).await?;
        for (header, content) in headers.iter().zip(&contents) {
            if header.content.as_ref().is_some_and(|hash| *hash != content.hash()) {
                let why = format!("the stored states of {} are damaged; recompute the day", header.start);
                return Err(Failure::Never(why).into());
            }
        }
        let Merged { content, total, .. } = merge(self.plan, &contents, &spill).map_err(FoldError::from)?;
        let digest = finish::digest(self.plan, &DayCells { total, groups: Default::default() })?;
        let detail = if self.plan.by.is_empty() || self.plan.follows_actors() {
            Vec::new()
        } else {
            let detail = finish::detail_of(self.plan, &content, &spill)?;
            serde_json::to_vec(&detail).map_err(|why| Failure::Never(why.to_string()))?
        };
        Ok((digest, Content::of(detail.into()), content))
    }

    async fn put(
        &self,
        store: &SnapshotStore<'_>,
        kind: &str,
        at: Timestamp,
        content: &Content,
    ) -> Result<Option<BlobRange>, Error> {
        if content.bytes() == 0 {
            return Ok(None);
        }
        let name = self.series(self.request.period).blob(kind, (self.first, self.first), at, content);
        let object = store.put_blob(self.tenant, &name, content).await?;
        Ok(Some(BlobRange { object, offset: 0, bytes: content.bytes() }))
    }

    fn tell(&self, header: &Header) {
        let (insight, period, first) = (&header.insight, header.period.word(), self.first);
        let states_bytes = header.states.as_ref().map_or(0, |states| states.bytes);
        let (version, merge_millis) = (header.version, header.merge_millis);
        tracing::info!(insight, period, %first, version, states_bytes, merge_millis, "rolled up");
        if header.partial {
            let missing: Vec<String> = header.missing.iter().map(ToString::to_string).collect();
            tracing::warn!(insight, period, %first, missing = missing.join(" "), "published without some of its days");
        }
    }

    /// Whether the definition is still the one the work was loaded with.
    async fn still_wanted(&self) -> Result<(), Failure> {
        let store = DefinitionStore::new(self.context);
        match store.of(self.tenant, &self.request.insight, &self.request.fingerprint).await? {
            Some(held) if held.rank == self.held.rank => Ok(()),
            Some(_) => Err(Failure::Again("the definition was applied again meanwhile".to_owned())),
            None => Err(Failure::Stale),
        }
    }
}

/// Why a period was not published.
enum Published {
    /// Someone published it, or changed the definition, in between.
    Conflict,
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for Published {
    fn from(failure: Failure) -> Published {
        Published::Failed(failure)
    }
}

impl From<Error> for Published {
    fn from(error: Error) -> Published {
        Published::Failed(error.into())
    }
}

impl From<FoldError> for Published {
    fn from(why: FoldError) -> Published {
        Published::Failed(match &why {
            FoldError::Spill(error) if error.kind() != std::io::ErrorKind::InvalidData => {
                Failure::Again(why.to_string())
            }
            _ => Failure::Never(why.to_string()),
        })
    }
}
