//! `GET /v1/sql`: views that DuckDB runs over the committed pages as they are.
//!
//! In: the manifest, the catalogue, the definitions. Out: SQL text: per source a view of its live events, per insight a
//! view of its days. Pages are named one by one, as the manifest has them: nothing is found by listing a folder. The
//! word `{root}` stands before every object's name; whoever prints the text puts the folder or bucket there.

mod expression;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tidemill_aggregator::definition_store::DefinitionStore;
use tidemill_ingest::page_file_store::place_of;
use tidemill_ingest::page_store::PageStore;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::definition::Body;
use tidemill_schemas::value::Type;

use crate::Api;
use crate::access::{Caller, Right};
use crate::problem::Problem;

/// What is known of a source.
pub(crate) struct Source {
    pub(crate) name: String,
    /// The types of each property.
    pub(crate) properties: BTreeMap<String, BTreeSet<Type>>,
    /// Properties that differ from another one in letter case alone: DuckDB cannot tell their columns apart.
    pub(crate) hidden: Vec<String>,
    /// The type that bears each property's own name.
    pub(crate) primaries: BTreeMap<String, Type>,
    /// Its pages.
    pub(crate) objects: Vec<String>,
}

/// `GET /v1/sql`.
pub async fn sql(State(api): State<Api>, caller: Caller) -> Result<Json<Value>, Problem> {
    let caller = caller.may(Right::Read)?;
    let pages = PageStore::new(&api.context);
    let seen = pages.seen(&caller.tenant).await?;
    let mut sources = Vec::new();
    for name in pages.sources(&caller.tenant).await? {
        let mut properties: BTreeMap<String, BTreeSet<Type>> = BTreeMap::new();
        for ((source, _), seen) in &seen {
            for (property, types) in seen.properties.iter().filter(|_| *source == name) {
                properties.entry(property.clone()).or_default().extend(types);
            }
        }
        let hidden = hide_alike(&mut properties);
        let (first, last) = (Date::constant(1, 1, 1), Date::constant(9999, 12, 30));
        let set = pages.pages(&caller.tenant, std::slice::from_ref(&name), first, last).await?;
        let objects = set.days.keys().flat_map(|day| set.readable(*day)).map(|page| place_of(&page.page)).collect();
        let primaries = pages.primaries(&caller.tenant, &name).await?.0;
        sources.push(Source { name, properties, hidden, primaries, objects });
    }
    sources.retain(|source| !source.objects.is_empty());
    let definitions = DefinitionStore::new(&api.context).list(&caller.tenant).await?;
    let definitions: Vec<_> = definitions.iter().map(|held| &held.applied.definition).collect();
    // The others are no sums over events, which is what a view can say.
    let definitions: Vec<_> =
        definitions.into_iter().filter(|definition| matches!(definition.body, Body::Standard(_))).collect();
    Ok(Json(json!({ "sql": views::views(&sources, &definitions) })))
}

/// Takes out the properties whose names differ in letter case alone.
fn hide_alike(properties: &mut BTreeMap<String, BTreeSet<Type>>) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for property in properties.keys() {
        alike.entry(property.to_lowercase()).or_default().push(property.clone());
    }
    let hidden: Vec<String> = alike.into_values().filter(|names| names.len() > 1).flatten().collect();
    for name in &hidden {
        properties.remove(name);
    }
    hidden
}
