//! Correlations of daily series: the days that are whole, and what they come to.

use tidemill_aggregator::actors::Answer;
use tidemill_aggregator::definition_store::Held;
use tidemill_aggregator::relations;
use tidemill_ports::Context;
use tidemill_schemas::calendar::Period;
use tidemill_schemas::definition::relations::Correlation;
use tidemill_schemas::keys::Tenant;
use tidemill_schemas::snapshot::Completeness;

use super::ask::Ask;
use super::days::Days;
use crate::problem::Problem;

/// The coefficients of a range, and how complete it is. Days that are not whole are left out.
pub async fn answer(
    context: &Context,
    tenant: &Tenant,
    held: &Held,
    ask: &Ask,
    correlation: &Correlation,
) -> Result<(Answer, Completeness), Problem> {
    let daily = Ask { every: Some(Period::Day), ..ask.clone() };
    let Days { rows, completeness } = Days::load(context, tenant, held, &daily).await?;
    let zone = &held.applied.definition.timezone;
    // Only the newest day can be running: what is in reaches up to its middle.
    let through = completeness.as_of.unwrap_or(ask.window.start);
    let whole =
        rows.into_iter().filter(|row| !completeness.missing.contains(&row.start) && zone.day(row.start).end <= through);
    let days: Vec<_> = whole.map(|row| (row.start, row.total.values)).collect();
    Ok((relations::correlate(correlation, &days), completeness))
}
