//! The live events themselves, as the committed pages hold them.

use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use tidemill_ingest::manifest::IndexedPage;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Context, Error};
use tidemill_schemas::calendar::Date;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Tenant;

use crate::problem::Problem;

/// Days whose pages are looked up together: each look-up reads the last entry of every shard's chain.
const DAYS_AT_ONCE_MAX: usize = 256;

/// The live events of one source, or of all, over UTC days; by source, day, time and id.
pub async fn events(
    context: Arc<Context>,
    tenant: Tenant,
    source: Option<String>,
    from: Option<String>,
    to: Option<String>,
) -> Result<impl Stream<Item = Result<Event, Error>> + Send + use<>, Problem> {
    let first = from.as_deref().map_or(Ok(Date::constant(1, 1, 1)), |text| day("from", text))?;
    let last = to.as_deref().map_or(Ok(Date::constant(9999, 12, 30)), |text| day("to", text))?;
    let pages = PageStore::new(&context);
    let sources = match source {
        Some(source) => vec![source],
        None => pages.sources(&tenant).await?,
    };
    let mut spans = Vec::new();
    for source in sources {
        let dates: Vec<Date> = pages.page_days(&tenant, &source, first, last).await?.into_keys().collect();
        for dates in dates.chunks(DAYS_AT_ONCE_MAX) {
            spans.extend(dates.first().zip(dates.last()).map(|(first, last)| (source.clone(), *first, *last)));
        }
    }
    let found = context.clone();
    let pages_of = move |(source, first, last): (String, Date, Date)| {
        let (context, tenant) = (found.clone(), tenant.clone());
        async move {
            let set = PageStore::new(&context).pages(&tenant, &[source], first, last).await?;
            let days: Vec<_> = set.days.keys().map(|day| Ok(set.readable(*day))).collect();
            Ok::<_, Error>(stream::iter(days))
        }
    };
    let events_of = move |pages: Vec<IndexedPage>| {
        let context = context.clone();
        async move {
            let events = PageStore::new(&context).events_of_day(&pages).await?;
            Ok::<_, Error>(stream::iter(events.into_iter().map(Ok)))
        }
    };
    Ok(stream::iter(spans).then(pages_of).try_flatten().and_then(events_of).try_flatten())
}

/// A UTC day of a request.
pub fn day(field: &str, text: &str) -> Result<Date, Problem> {
    let wrong = |_| Problem::parameter(format!("`{field}` must be a UTC day: 2026-08-01"));
    text.parse::<Date>().map_err(wrong).map(|date| date.clamp(Date::constant(1, 1, 1), Date::constant(9999, 12, 30)))
}
