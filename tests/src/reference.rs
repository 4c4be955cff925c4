//! References: what insights over actors mean, in a few dull lines each, by trying everything.
//!
//! In: live events and a definition's body. Out: numbers. They import nothing of ours but `tidemill_schemas`, share no
//! code with the engine, and are far too slow for more than a handful of events per actor.

pub mod cohort;
pub mod funnel;
pub mod paths;
pub mod pattern;

use std::collections::BTreeMap;

use tidemill_schemas::definition::actors::{Actors, Selection};
use tidemill_schemas::definition::{Body, From};
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::{Column, Read};
use tidemill_schemas::value::Value;

use crate::oracle::evaluate::{is_true, read};

/// An event as an insight sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Did {
    /// Microseconds.
    pub time: i64,
    /// The selections it belongs to, a bit for each.
    pub mask: u32,
    /// The breakdown.
    pub group: Vec<Value>,
    /// Of paths: the station.
    pub station: Value,
}

/// Whether an event is among the selected.
pub fn is_of(selection: &Selection, event: &Event) -> bool {
    let named = match &selection.from {
        From::All => true,
        From::Names(names) => names.contains(&event.name),
    };
    named && selection.filter.as_ref().is_none_or(|filter| is_true(filter, event).expect("no numbers out of range"))
}

/// What each actor did that is not outside the base, in the order of (time, mask, station, group).
pub fn by_actor(body: &Body, by: &[Column], events: &[&Event]) -> BTreeMap<Value, Vec<Did>> {
    let Actors { actor, base } = body.actors().expect("it is over actors");
    let any = |column: &Column, event: &Event| read(&Read { column: column.clone(), at: None }, event);
    let (station, ignore) = match body {
        Body::Paths(paths) => (Some(&paths.node), paths.ignore.as_slice()),
        _ => (None, &[][..]),
    };
    let mut found: BTreeMap<Value, Vec<Did>> = BTreeMap::new();
    for event in events.iter().filter(|event| is_of(base, event) && !ignore.contains(&event.name)) {
        let bits = body.selections().into_iter().enumerate().filter(|(_, selection)| is_of(selection, event));
        let did = Did {
            time: event.time.micros(),
            mask: bits.fold(0, |mask, (bit, _)| mask | 1 << bit),
            group: by.iter().map(|column| any(column, event)).collect(),
            station: station.map_or(Value::Null, |column| any(column, event)),
        };
        let who = any(actor, event);
        if who != Value::Null && (body.reads_all() || did.mask != 0) {
            found.entry(who).or_default().push(did);
        }
    }
    found.values_mut().for_each(|did| {
        did.sort_by_key(|did| (did.time, did.mask, did.station.clone(), did.group.clone()));
    });
    found
}
