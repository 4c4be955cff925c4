//! A sample of an import: whether most of it is new, before all of it is read.
//!
//! In: opened files. Out: what is known of the sources met, and the likelier way to write; where an import has to be
//! announced, its sources hear of it. Only speed depends on it: whatever it says, the same rows count in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_ports::{Context, Error};
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::page::{ID, SOURCE};

use crate::identity::hash_of;
use crate::import::convert::Converted;
use crate::import::survey::text;
use crate::import_store::{GateError, ImportStore};
use crate::on_import::{ImportFailure, blocking};
use crate::on_import_read::{Opened, pieces};
use crate::on_import_survey::IMPORT_SOURCES_MAX;
use crate::on_import_write::Primaries;
use crate::page_store::PageStore;

/// Places looked at.
const PIECES_MAX: usize = 8;
/// Ids taken of each.
const IDS_MAX: usize = 32;

/// What a sample tells.
#[derive(Clone, Debug)]
pub(crate) struct Foreseen {
    pub(crate) primaries: Arc<Primaries>,
    /// Whether rows are to be written while they are read.
    pub(crate) mostly_new: bool,
    /// The sources of the rows looked at.
    pub(crate) sources: Vec<String>,
}

/// Ids by source.
type Sample = BTreeMap<String, Vec<String>>;

/// Looks at some rows, and at what is known of them.
pub(crate) async fn foresee(
    context: &Context,
    tenant: &Tenant,
    opened: Vec<Opened>,
) -> Result<(Vec<Opened>, Foreseen), ImportFailure> {
    let (opened, sample) = blocking(move || {
        let sample = sample(&opened)?;
        Ok((opened, sample))
    })
    .await?;
    let (mut primaries, mut asked, mut found) = (Primaries::new(), 0, 0);
    for (source, ids) in sample.iter().take(IMPORT_SOURCES_MAX) {
        primaries.insert(source.clone(), PageStore::new(context).primaries(tenant, source).await?.0);
        asked += ids.len();
        found += known(context, tenant, source, ids).await?;
    }
    let (primaries, sources) = (Arc::new(primaries), sample.into_keys().collect());
    Ok((opened, Foreseen { primaries, mostly_new: found * 2 <= asked, sources }))
}

/// Announces the import to sources, to all of them before it waits for any. Asks nothing where nobody waits.
pub(crate) async fn announce(
    context: &Context,
    tenant: &Tenant,
    sources: impl Iterator<Item = &String>,
) -> Result<(), ImportFailure> {
    let mut longest = None;
    for source in sources.take(IMPORT_SOURCES_MAX) {
        match ImportStore::new(context).announce(tenant, source).await {
            Err(GateError::Announced { source_name, seconds }) => {
                longest = longest.max(Some((seconds, source_name)));
            }
            other => other?,
        }
    }
    match longest {
        Some((seconds, source_name)) => Err(GateError::Announced { source_name, seconds }.into()),
        None => Ok(()),
    }
}

/// How many of a source's ids are there already.
async fn known(context: &Context, tenant: &Tenant, source: &str, ids: &[String]) -> Result<usize, Error> {
    let store = ImportStore::new(context);
    let (imports, _) = store.imports(tenant, source).await?;
    let hashes: Vec<u128> = ids.iter().map(|id| hash_of(id)).collect();
    let imported = store.find(&imports.runs, &hashes).await?;
    let keys: Vec<keys::Key> = ids.iter().map(|id| keys::event(tenant, source, id)).collect();
    let sent = context.events.get_each(&keys).await?;
    Ok(imported.iter().zip(&sent).filter(|(imported, sent)| imported.is_some() || sent.is_some()).count())
}

/// The first rows of some pieces. What cannot be read is told later, by whoever reads all of it.
fn sample(opened: &[Opened]) -> Result<Sample, ImportFailure> {
    let pieces = pieces(opened);
    let mut sample = Sample::new();
    for piece in pieces.iter().step_by(pieces.len().div_ceil(PIECES_MAX).max(1)) {
        let mut taken = Ok(());
        let mut on = |converted: Converted, _: u64, _: u64| {
            taken = take(&converted, &mut sample);
            // One batch says enough.
            Err(ImportFailure::Broke)
        };
        drop(opened[piece.file].read(piece, &|_, _| true, &mut on));
        taken?;
    }
    Ok(sample)
}

fn take(converted: &Converted, sample: &mut Sample) -> Result<(), ImportFailure> {
    for part in &converted.parts {
        let (ids, sources) = (text(&part.batch, ID)?, text(&part.batch, SOURCE)?);
        let step = part.rows.len().div_ceil(IDS_MAX).max(1);
        for row in (0..part.rows.len()).step_by(step) {
            sample.entry(sources.value(row).to_owned()).or_default().push(ids.value(row).to_owned());
        }
    }
    Ok(())
}
