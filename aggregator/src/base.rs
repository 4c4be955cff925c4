//! What a refresh starts from: a day's stored snapshot, where all that came since are pages of new events.
//!
//! Pages are immutable and a snapshot says up to where it includes them, so the states it holds are those of its
//! pages, kept. A refresh folds the pages that are new and merges: its cost follows what came, not what there is. A
//! page with corrections, or one that only some of its days include, sends the days concerned back to the long way,
//! which gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_ingest::manifest::{IndexedPage, PageSet};
use tidemill_schemas::calendar::{self, Date, Zone, tzdb_version};
use tidemill_schemas::snapshot::{Header, Input};
use tidemill_schemas::time::Timestamp;

use crate::on_request_scan::utc_span;

/// Where an insight's days start from, and the pages that are in already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bases {
    /// The stored snapshots, by local day.
    pub days: BTreeMap<Date, Header>,
    /// Objects of pages that are included wherever they would count.
    pub included: BTreeSet<String>,
}

/// Decides what the days `wanted` can start from. `stored` are their snapshots of the same definition.
pub(crate) fn bases(
    zone: &Zone,
    set: &PageSet,
    wanted: &BTreeSet<Date>,
    stored: impl IntoIterator<Item = Header>,
    now: Timestamp,
) -> Bases {
    let fits = |header: &Header| wanted.contains(&header.start) && is_base(header, zone, set, now);
    let mut days: BTreeMap<Date, Header> =
        stored.into_iter().filter(fits).map(|header| (header.start, header)).collect();
    if days.is_empty() {
        return Bases::default();
    }
    let pages: Vec<(&IndexedPage, Vec<Date>)> =
        set.days.values().flatten().map(|page| (page, touched(zone, page, wanted))).collect();
    loop {
        // A page is read for all of its days or for none: one that some include goes to all of them anew.
        let mut given_up = BTreeSet::new();
        for (page, dates) in &pages {
            let including = || dates.iter().filter(|date| days.get(date).is_some_and(|base| includes(base, page)));
            let count = including().count();
            if count > 0 && count < dates.len() {
                given_up.extend(including().copied());
            }
        }
        if given_up.is_empty() {
            break;
        }
        days.retain(|date, _| !given_up.contains(date));
    }
    let is_included = |(page, dates): &&(&IndexedPage, Vec<Date>)| {
        !dates.is_empty() && dates.iter().all(|date| days.get(date).is_some_and(|base| includes(base, page)))
    };
    let included = pages.iter().filter(is_included).map(|(page, _)| page.page.object.clone()).collect();
    Bases { days, included }
}

/// The wanted days a page can have events of.
fn touched(zone: &Zone, page: &IndexedPage, wanted: &BTreeSet<Date>) -> Vec<Date> {
    let (first, last) = (zone.date_of(page.page.min_time), zone.date_of(page.page.max_time));
    // Where clocks go back across midnight an instant's date may be the neighbour of its day.
    let around = calendar::dates(first.yesterday().unwrap_or(first), calendar::next(last));
    let window_holds = |date: &Date| {
        let window = zone.day(*date);
        window.start <= page.page.max_time && page.page.min_time < window.end
    };
    around.filter(|date| wanted.contains(date)).filter(window_holds).collect()
}

fn includes(base: &Header, page: &IndexedPage) -> bool {
    page.through <= base.through.of(&page.shard)
}

/// Whether a snapshot's states are those of the pages it says it includes, and the others hold new events only.
fn is_base(header: &Header, zone: &Zone, set: &PageSet, now: Timestamp) -> bool {
    let (first, last) = utc_span(zone, header.start, header.start);
    let sound = header.input == Input::Pages
        && header.states.is_some()
        && header.content.is_some()
        && header.tzdb == tzdb_version()
        && header.window == zone.day(header.start)
        // A day that is over counts as verified only when all of it was scanned.
        && (header.verified == Some(true) || header.window.end > now && header.verified.is_none());
    let pages = || set.days.range(first..=last).flat_map(|(_, pages)| pages);
    // What a day was rewritten to holds what the snapshot includes and what it does not.
    let compacted = set.compactions.keys().any(|(day, _)| (first..=last).contains(day));
    sound
        && !compacted
        && pages().all(|page| includes(header, page) || page.page.corrections == 0)
        && set.hash_where(first, last, |page| includes(header, page)) == header.pages
}

#[cfg(test)]
mod tests;
