//! Compaction at any moment: of any day, over or not, worth it or not, while everything fails now and then.

use tidemill_ingest::on_compact::{Verdict, remove_replaced, rewrite};
use tidemill_ingest::page_store::PageStore;
use tidemill_schemas::calendar::Date;
use tidemill_schemas::keys::Tenant;

use super::World;
use crate::generator::Random;

impl World {
    /// Compacts a few days, and may remove what was replaced without waiting: nobody is reading. Whatever does not come
    /// through is left as a killed process leaves it.
    ///
    /// # Panics
    /// When a page cannot be read.
    pub async fn compact_some(&mut self, random: &mut Random) {
        let ports = self.ports.context();
        let (store, tenant) = (PageStore::new(&ports), Tenant::local());
        for source in store.sources(&tenant).await.expect("memory reads") {
            let Some((first, last)) = store.span(&tenant, &source).await.expect("memory reads") else { continue };
            let days = store.page_days(&tenant, &source, first, last).await.expect("memory reads");
            for day in days.into_keys().collect::<Vec<Date>>() {
                if !random.chance(30) {
                    continue;
                }
                match rewrite(&self.context, &tenant, &source, day, 0).await {
                    Ok(Verdict::Done(_)) => self.compacted.0 += 1,
                    Ok(Verdict::Left(..)) => {}
                    Err(tidemill_ports::Error::Invalid(why)) => panic!("{source} {day}: {why}"),
                    Err(_) => {}
                }
            }
        }
        if random.chance(40) {
            // A moment later, so that what was left over by then is old.
            self.ports.clock.set(self.now().plus_micros(1));
            if let Ok(cleaned) = remove_replaced(&self.context, &tenant, 0).await {
                self.compacted.1 += cleaned.removed;
            }
        }
    }
}
