//! Who remembers what was acknowledged, and holds every snapshot to what it claims the moment it is published.
//!
//! In: events their producer was told are durable, and the writes that reach the table. Out: broken promises. A snapshot
//! that says everything acknowledged before its watermark is included must include the feed up to there.

use std::sync::{Arc, Mutex, PoisonError};

use tidemill_ports::{Clock, Effect, Write};
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::snapshot::Header;
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::{Position, ShardId};

use super::hub::Hub;
use crate::memory::{MemoryTable, VirtualClock};

/// The witness of a world.
pub(super) struct Witness {
    hub: Arc<Hub>,
    clock: Arc<VirtualClock>,
    events: Arc<MemoryTable>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
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
    pub(super) fn new(hub: Arc<Hub>, clock: Arc<VirtualClock>, events: Arc<MemoryTable>) -> Witness {
        Witness { hub, clock, events, seen: Mutex::default() }
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
                serde_json::from_slice::<Header>(&item.body).ok()
            }
            _ => None,
        });
        for header in headers {
            self.hub.count(|stats| stats.published += 1);
            self.hold_to(&header);
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
