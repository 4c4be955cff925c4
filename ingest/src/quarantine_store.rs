//! The quarantine: what broke a rule, as it came, with the reason. Nothing that was sent is dropped in silence.
//!
//! In: refused bodies. Out: a list of them, oldest first. Bodies too large for an item lie in a blob under their
//! content hash. This store never interprets a body.

use bytes::Bytes;
use object_store::{ObjectStoreExt, path::Path};
use serde::{Deserialize, Serialize};
use tidemill_ports::{Condition, Context, Effect, Error, Item, Query, Write};
use tidemill_schemas::event::Rejection;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::time::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a body kept in the item itself.
pub const QUARANTINE_INLINE_BYTES_MAX: usize = 64 * 1024;

/// A refused event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When it came.
    pub received: Timestamp,
    /// The event's id, when it could be read.
    pub id: Option<String>,
    /// Why it was refused.
    pub rejection: Rejection,
    /// Bytes it has.
    pub bytes: usize,
    /// The body as text; what is not UTF-8 is replaced. Empty when it lies in `object`.
    pub body: String,
    /// Where the exact body lies, if it was too large or not text.
    pub object: Option<String>,
}

/// A refused event on its way into quarantine.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The event's id, when it could be read.
    pub id: Option<String>,
    /// Why it was refused.
    pub rejection: Rejection,
    /// The body as it came.
    pub body: Bytes,
}

/// The quarantine of a context.
pub struct QuarantineStore<'a> {
    context: &'a Context,
}

impl<'a> QuarantineStore<'a> {
    /// The store over `context`'s items and blobs.
    pub fn new(context: &'a Context) -> QuarantineStore<'a> {
        QuarantineStore { context }
    }

    /// Keeps refused bodies. The same body refused at the same instant for the same reason is kept once.
    ///
    /// # Errors
    /// The port's; adding again is safe.
    pub async fn add(&self, tenant: &Tenant, received: Timestamp, refusals: &[Refusal]) -> Result<(), Error> {
        let mut writes = Vec::with_capacity(refusals.len());
        for refusal in refusals {
            writes.push(self.write_of(tenant, received, refusal).await?);
        }
        self.context.items.write_each(writes).await.into_iter().collect()
    }

    async fn write_of(&self, tenant: &Tenant, received: Timestamp, refusal: &Refusal) -> Result<Write, Error> {
        let hash = xxh3_128(&refusal.body);
        let text = std::str::from_utf8(&refusal.body).ok();
        let inline = text.filter(|text| text.len() <= QUARANTINE_INLINE_BYTES_MAX);
        let object = match inline {
            Some(_) => None,
            None => {
                let path = Path::from_iter(["quarantine", tenant.0.as_str(), &format!("{hash:032x}")]);
                self.context.blobs.put(&path, refusal.body.clone().into()).await?;
                Some(path.to_string())
            }
        };
        let item = Quarantined {
            received,
            id: refusal.id.clone(),
            rejection: refusal.rejection.clone(),
            bytes: refusal.body.len(),
            body: inline.unwrap_or_default().to_owned(),
            object,
        };
        let digest = xxh3_128(&[&hash.to_le_bytes(), refusal.rejection.code.as_bytes()].concat());
        let body = serde_json::to_vec(&item).map_err(|why| Error::Invalid(why.to_string()))?;
        Ok(Write {
            key: keys::quarantine(tenant, received.micros(), digest),
            condition: Condition::None,
            effect: Effect::Put(Item { rank: 0, body: body.into() }),
        })
    }

    /// Refused events, oldest first, from behind `after`; and where to go on.
    ///
    /// # Errors
    /// The port's.
    pub async fn list(
        &self,
        tenant: &Tenant,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<(Vec<Quarantined>, Option<Vec<u8>>), Error> {
        let query = Query { partition: keys::quarantine_partition(tenant), after, limit, ..Query::default() };
        let slice = self.context.items.query(&query).await?;
        let items = slice.items.iter().map(|(_, item)| serde_json::from_slice(&item.body));
        let items = items.collect::<Result<_, _>>();
        Ok((items.map_err(|why| Error::Invalid(format!("quarantine item unreadable: {why}")))?, slice.next))
    }
}
