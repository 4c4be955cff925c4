//! Comparisons: another insight's numbers over two spans, or of two segments.

use std::collections::BTreeSet;

use tidemill_aggregator::actors::Answer;
use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::plan::Plan;
use tidemill_aggregator::range::segments;
use tidemill_aggregator::relations::{COMPARISON_COLUMNS, Span, compared, spans};
use tidemill_aggregator::snapshot_store::SnapshotStore;
use tidemill_aggregator::spill_store::scratch;
use tidemill_schemas::calendar::{self, Date};
use tidemill_schemas::definition::relations::{Comparative, Compare};
use tidemill_schemas::definition::{Body, Definition};
use tidemill_schemas::expression::Expr;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::snapshot::{BlobRange, Completeness};
use tidemill_schemas::value::Value;

use super::ask::Ask;
use super::days::{Days, series};
use crate::Api;
use crate::lineages;
use crate::problem::Problem;

/// Both sides of every comparison, and how complete they are.
pub async fn answer(
    api: &Api,
    tenant: &Tenant,
    held: &Held,
    ask: &Ask,
    comparative: &Comparative,
) -> Result<(Answer, Completeness), Problem> {
    let of = lineages::reading(api, tenant, &comparative.of, None).await?;
    let metrics = metrics(&of.held.applied.definition, comparative).map_err(Problem::parameter)?;
    let sides = Sides { api, tenant, of: &of.held, ask };
    let newest = sides.newest_whole().await?;
    let week_start = held.applied.definition.week_start;
    let mut completeness = Completeness { verified: true, ..Completeness::default() };
    completeness.reasons.extend(of.reason);
    let mut answer = Answer {
        time: "",
        columns: COMPARISON_COLUMNS.map(str::to_owned).to_vec(),
        rows: Vec::new(),
        notes: Vec::new(),
    };
    for compare in &comparative.compare {
        let (spans, values) = match (spans(compare, newest, week_start), compare) {
            (Some(spans), _) => {
                let a = sides.values(spans.0, &mut completeness).await?;
                let b = sides.values(spans.1, &mut completeness).await?;
                (spans, [a, b])
            }
            (None, Compare::Segments { a, b }) => {
                let span = (ask.first, ask.last.min(newest).max(ask.first));
                let found = sides.segments(span, [&a.1, &b.1], &mut completeness).await?;
                ((span, span), found)
            }
            (None, _) => continue,
        };
        let [a, b] = values;
        for (at, name) in &metrics {
            let side = |values: &[Value]| values.get(*at).cloned().unwrap_or(Value::Null);
            answer.rows.push(compared(name, compare, (side(&a), side(&b)), spans));
        }
    }
    Ok((answer, completeness))
}

/// The compared metrics: their places in the other insight, and names.
///
/// # Errors
/// What is wrong with them.
pub fn metrics(of: &Definition, comparative: &Comparative) -> Result<Vec<(usize, String)>, String> {
    let name = &comparative.of;
    let Body::Standard(_) = &of.body else {
        return Err(format!("`{name}` is of type {}; only standard insights are compared", of.type_word()));
    };
    let known = of.metrics();
    for wanted in &comparative.metrics {
        if !known.iter().any(|metric| metric.name == *wanted) {
            let known: Vec<&str> = known.iter().map(|metric| metric.name.as_str()).collect();
            return Err(format!("`{name}` has no metric `{wanted}`; it has {}", known.join(", ")));
        }
    }
    for compare in &comparative.compare {
        if let Compare::Segments { a, b } = compare {
            for (segment, condition) in [a, b] {
                let mut strange = BTreeSet::new();
                condition.reads(&mut |read| {
                    if !of.by.contains(&read.column) {
                        strange.insert(read.column.name().to_owned());
                    }
                });
                if let Some(column) = strange.first() {
                    return Err(format!(
                        "the segment `{segment}` reads `{column}`, and `{name}` is not broken down by it; add it to the `by` of `{name}`"
                    ));
                }
            }
        }
    }
    let is_wanted = |name: &String| comparative.metrics.is_empty() || comparative.metrics.contains(name);
    let named = known.iter().enumerate().map(|(at, metric)| (at, metric.name.clone()));
    Ok(named.filter(|(_, name)| is_wanted(name)).collect())
}

/// Where both sides come from.
struct Sides<'a> {
    api: &'a Api,
    tenant: &'a Tenant,
    of: &'a Held,
    ask: &'a Ask,
}

impl Sides<'_> {
    fn asked(&self, (first, last): Span) -> Ask {
        let window = self.of.applied.definition.timezone.days(first, last);
        Ask { first, last, window, every: None, by: Vec::new(), ..self.ask.clone() }
    }

    /// The last day of the range that is over.
    async fn newest_whole(&self) -> Result<Date, Problem> {
        let last = self.ask.last;
        let day = Days::load(&self.api.context, self.tenant, self.of, &self.asked((last, last))).await?;
        let is_over = day.completeness.as_of >= Some(self.of.applied.definition.timezone.day(last).end);
        Ok(if is_over { last } else { calendar::plus_days(last, -1) })
    }

    async fn values(&self, span: Span, completeness: &mut Completeness) -> Result<Vec<Value>, Problem> {
        let days = Days::load(&self.api.context, self.tenant, self.of, &self.asked(span)).await?;
        take_in(completeness, days.completeness);
        Ok(days.rows.into_iter().next().map(|row| row.total.values).unwrap_or_default())
    }

    /// The values of two segments: their groups' states, merged.
    async fn segments(
        &self,
        (first, last): Span,
        conditions: [&Expr; 2],
        completeness: &mut Completeness,
    ) -> Result<[Vec<Value>; 2], Problem> {
        self.values((first, last), completeness).await?;
        let (store, spill) = (SnapshotStore::new(&self.api.context), scratch());
        let days = store.range(&series(self.tenant, self.of), first, last).await?;
        let with_events = days.values().filter(|snapshot| snapshot.digest.events > 0);
        let ranges: Vec<BlobRange> = with_events.filter_map(|snapshot| snapshot.header.states.clone()).collect();
        let contents = store.contents(&ranges, &spill).await?;
        let plan = Plan::new(&self.of.applied.definition);
        let found =
            segments(&plan, &contents, &conditions, &spill).map_err(|why| Problem::parameter(why.to_string()))?;
        let mut found = found.into_iter();
        Ok([found.next().unwrap_or_default(), found.next().unwrap_or_default()])
    }
}

/// One side's completeness into that of all.
fn take_in(all: &mut Completeness, one: Completeness) {
    all.as_of = all.as_of.max(one.as_of);
    all.complete_through = match (all.complete_through, one.complete_through) {
        (Some(held), Some(more)) => Some(held.max(more)),
        (held, more) => held.or(more),
    };
    all.partial |= one.partial;
    all.verified &= one.verified;
    all.late += one.late;
    for reason in one.reasons {
        if !all.reasons.contains(&reason) {
            all.reasons.push(reason);
        }
    }
    all.missing.extend(one.missing);
    all.missing.sort_unstable();
    all.missing.dedup();
    for (metric, rows) in one.skipped {
        *all.skipped.entry(metric).or_default() += rows;
    }
}
