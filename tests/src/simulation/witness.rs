//! Who remembers what was acknowledged, and holds every snapshot to what it claims the moment it is published.
//!
//! In: events their producer was told are durable, and the writes that reach the table. Out: broken promises. A snapshot
//! that says everything acknowledged before its watermark is included must include the feed up to there; none takes a
//! day back to less, and none is of a definition that is not in effect.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use tidemill_aggregator::definition_store::DefinitionStore;
use tidemill_ports::{Clock, Context, Effect, Write};
use tidemill_schemas::calendar::Period;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Key, Tenant};
use tidemill_schemas::snapshot::Header;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, ShardId, Through};

use super::hub::Hub;
use crate::memory::{MemoryTable, MemoryWorld, VirtualClock};

/// The witness of a world.
pub(super) struct Witness {
    hub: Arc<Hub>,
    clock: Arc<VirtualClock>,
    events: Arc<MemoryTable>,
    /// The ports, without faults.
    context: Context,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What each day's last snapshot includes, by its key.
    included: BTreeMap<Key, Through>,
    /// When each copy was acknowledged, and where the feed has it.
    acknowledged: Vec<Acknowledged>,
}

/// A copy of an event its producer was told is durable.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    pub copy: Event,
    pub at: Timestamp,
    lane: ShardId,
    position: Position,
}

impl Witness {
    pub(super) fn new(hub: Arc<Hub>, ports: &MemoryWorld) -> Witness {
        let (clock, events) = (Arc::clone(&ports.clock), Arc::clone(&ports.events));
        Witness { hub, clock, events, context: ports.context(), seen: Mutex::default() }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a producer was told these are durable, and checks that they are.
    pub(super) fn acknowledged(&self, copies: &[Event]) {
        let at = self.clock.now();
        for copy in copies {
            let key = keys::event(&Tenant::local(), &copy.source, &copy.id);
            match self.events.first_change(&key, copy.rev) {
                Some((lane, position)) => {
                    let copy = copy.clone();
                    self.held().acknowledged.push(Acknowledged { copy, at, lane, position });
                }
                None => self.hub.breaks(format!("lost: {} {} was acknowledged and is nowhere", copy.source, copy.id)),
            }
        }
    }

    /// Copies acknowledged so far.
    pub(super) fn all(&self) -> Vec<Acknowledged> {
        self.held().acknowledged.clone()
    }

    /// Looks at writes that have just happened.
    pub(super) fn saw(&self, group: &[Write]) {
        let headers = group.iter().filter_map(|write| match &write.effect {
            Effect::Put(item) if write.key.partition.starts_with(b"snapshot\0") => {
                Some((&write.key, serde_json::from_slice::<Header>(&item.body).ok()?))
            }
            _ => None,
        });
        for (key, header) in headers {
            self.hub.count(|stats| stats.published += 1);
            self.hold_to(&header);
            self.never_back(key, &header);
            self.is_wanted(&header);
        }
    }

    /// The newest input wins.
    fn never_back(&self, key: &Key, header: &Header) {
        if header.period != Period::Day {
            return;
        }
        let before = self.held().included.insert(key.clone(), header.through.clone());
        if let Some(before) = before.filter(|before| !header.through.covers(before)) {
            let Header { insight, start, through, .. } = header;
            self.hub.breaks(format!("back: {insight} {start} included {before:?} and is replaced by {through:?}"));
        }
    }

    /// Nothing is published of a definition that is no longer in effect.
    fn is_wanted(&self, header: &Header) {
        let definitions = DefinitionStore::new(&self.context);
        let held = definitions.get(&Tenant::local(), &header.insight).now_or_never().expect("memory is at once");
        if held.expect("readable").is_none_or(|held| held.of(&header.fingerprint).is_none()) {
            let Header { insight, start, fingerprint, .. } = header;
            self.hub
                .breaks(format!("old: {insight} {start} was published under {fingerprint}, which is not in effect"));
        }
    }

    fn hold_to(&self, header: &Header) {
        if header.partial {
            return;
        }
        let before = |seen: &&Acknowledged| seen.at < header.watermark;
        let missing = |seen: &&Acknowledged| header.through.of(&seen.lane) < seen.position;
        let told = self.held().acknowledged.iter().filter(before).find(missing).map(|seen| {
            format!(
                "lie: {} {:?} {} claims all before {}, but not {} at {} in {} (acknowledged {})",
                header.insight,
                header.period,
                header.start,
                header.watermark,
                seen.copy.id,
                seen.position.0,
                seen.lane,
                seen.at
            )
        });
        if let Some(told) = told {
            self.hub.breaks(told);
        }
    }
}
