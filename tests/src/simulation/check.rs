//! What a world says, held against the oracle: at the end, and whenever somebody asks meanwhile.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use futures::FutureExt;
use tidemill_aggregator::snapshot_store::{Series, SnapshotStore};
use tidemill_ingest::event_store::EventStore;
use tidemill_ingest::manifest::ChainEntry;
use tidemill_ingest::page_store::PageStore;
use tidemill_ports::{Clock, Query, Schedule, Table, When};
use tidemill_schemas::calendar::{self, Period};
use tidemill_schemas::definition::Definition;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::{self, Tenant};
use tidemill_schemas::time::Timestamp;
use tidemill_schemas::window::Position;
use tower::ServiceExt;

use super::life::Life;
use crate::oracle::{self, Question, answer, compare};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Holds the whole world to its promises; how many events are live.
pub(super) fn finally(life: &Life) -> usize {
    for left in life.left_over() {
        life.hub.breaks(format!("left over: {left}"));
    }
    let entries = life.ports.schedule.list().now_or_never().expect("memory is at once").expect("memory lists");
    for entry in entries.iter().filter(|entry| matches!(entry.when, When::EveryMinutes(_))) {
        life.hub.breaks(format!("{} still fires although nothing has come for days", entry.name));
    }
    check_chains(life);
    let copies = received(life, life.witness.all().into_iter().map(|seen| seen.copy).collect());
    for (at, wanted) in life.script.wanted.iter().enumerate() {
        let definition = &wanted.definition;
        let later = life.script.wanted[at + 1..].iter().zip(at + 1..);
        let is_current = !life.refused.contains(&at)
            && later
                .filter(|(_, at)| !life.refused.contains(at))
                .all(|(later, _)| later.definition.name != definition.name);
        if is_current {
            check_insight(life, definition, &wanted.text, &copies);
        }
    }
    oracle::live(&copies).len()
}

/// Every chain is one: each entry begins where the one before ends, and the head is the end of the last.
fn check_chains(life: &Life) {
    let context = life.ports.context();
    let heads = PageStore::new(&context).heads().now_or_never().expect("memory is at once").expect("readable");
    for (shard, head) in &heads.0 {
        let query = Query { partition: keys::chain_partition(shard), ..Query::default() };
        let slice = life.ports.items.query(&query).now_or_never().expect("memory is at once").expect("readable");
        let mut through = Position::default();
        for (_, item) in slice.items {
            let entry = ChainEntry::decode(&item.body).expect("readable");
            if entry.after != through {
                let found = entry.after.0;
                life.hub.breaks(format!("chain: {shard} has an entry behind {found} and one up to {}", through.0));
            }
            through = entry.through;
        }
        if through != *head {
            life.hub.breaks(format!("chain: {shard} ends at {} and its head at {}", through.0, head.0));
        }
    }
}

/// Every question to an insight.
fn check_insight(life: &Life, definition: &Definition, text: &str, copies: &[Event]) {
    let (first, last) = (life.script.first, life.script.last);
    for every in [None, Some(Period::Day), Some(Period::Week), Some(Period::Month)] {
        for grouped in [false, true] {
            if grouped && definition.by.is_empty() {
                continue;
            }
            let route = if grouped { "breakdown" } else { "series" };
            let mut path = format!("/v1/insights/{}/{route}?from={first}", definition.name);
            path += &format!("&to={}&limit=100000", calendar::next(last));
            path += &every.map_or_else(String::new, |every| format!("&every={}", every.word()));
            path += if grouped { "&by=*" } else { "" };
            let body = get(life, &path);
            let by = if grouped { definition.by.clone() } else { Vec::new() };
            let question = Question { first, last, every, by, top: definition.top as usize };
            let expected = answer(definition, copies, &question).expect("worlds add up");
            let mut told = compare::differences(definition, &expected, &body);
            let given: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            if given["completeness"]["partial"] != false || given["completeness"]["verified"] != true {
                told.push(format!("completeness: {}", given["completeness"]));
                told.extend(unverified(life, definition));
            }
            if !told.is_empty() {
                life.hub.breaks(format!("wrong: {path}\n{text}{}\n{body}", told.join("\n")));
                return;
            }
        }
    }
    let explained = get(life, &format!("/v1/insights/{}/explain", definition.name));
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap_or_default();
    if explained["drift"] != 0 {
        life.hub.breaks(format!("double or lost: totals of {} drifted {} times", definition.name, explained["drift"]));
    }
}

/// The days of an insight that were not compared, or differed.
fn unverified(life: &Life, definition: &Definition) -> Vec<String> {
    let (context, tenant) = (life.ports.context(), Tenant::local());
    let fingerprint = tidemill_schemas::fingerprint::fingerprint(definition);
    let insight = &definition.name;
    let series = Series { tenant: &tenant, insight, fingerprint: &fingerprint, period: Period::Day };
    let store = SnapshotStore::new(&context);
    let days = store.range(&series, life.script.first, life.script.last).now_or_never().expect("memory is at once");
    let headers = days.expect("readable").into_values().map(|snapshot| snapshot.header);
    let unverified = headers.filter(|header| header.verified != Some(true));
    unverified
        .map(|header| format!("unverified: {} of {:?} {}", header.start, header.input, header.watermark))
        .collect()
}

/// An answer somebody got meanwhile. If it claims to be complete up to after everything that was sent so far was
/// acknowledged, it must be the oracle's.
pub(super) fn meanwhile(life: &Life, wanted: usize, body: &str) {
    let given: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let completeness = &given["completeness"];
    let through = completeness["complete_through"].as_str().and_then(Timestamp::parse);
    let (Some(through), Some(definition)) = (through, current(life, wanted, &given)) else { return };
    let is_whole = completeness["partial"] == false
        && completeness["reasons"].as_array().is_none_or(|all| {
            all.iter()
                .all(|reason| reason.as_str().is_some_and(|reason| reason.starts_with("the range is still running")))
        });
    let seen = life.witness.all();
    if !is_whole || !life.is_all_acknowledged() || seen.iter().any(|seen| seen.at >= through) {
        return;
    }
    let copies = received(life, seen.into_iter().map(|seen| seen.copy).collect());
    let rows = given["rows"].as_array().map_or(0, Vec::len) as i64;
    if rows == 0 {
        return;
    }
    let first = life.script.first;
    let last = calendar::dates(first, life.script.last).nth(rows as usize - 1).unwrap_or(first);
    let question = Question { first, last, every: Some(Period::Day), by: Vec::new(), top: definition.top as usize };
    let expected = answer(&definition, &copies, &question).expect("worlds add up");
    let told = compare::differences(&definition, &expected, body);
    life.hub.count(|stats| stats.published += 1);
    if !told.is_empty() {
        life.hub.breaks(format!("wrong meanwhile at {}: {}\n{body}", life.ports.clock.now(), told.join("\n")));
    }
}

/// The definition an answer is of, by its fingerprint.
fn current(life: &Life, wanted: usize, given: &serde_json::Value) -> Option<Definition> {
    let name = &life.script.wanted[wanted].definition.name;
    let mut of_name = life.script.wanted.iter().filter(|wanted| wanted.definition.name == *name);
    let of_answer = |wanted: &&super::script::Wanted| {
        given["fingerprint"] == tidemill_schemas::fingerprint::fingerprint(&wanted.definition)
    };
    of_name.find(of_answer).map(|wanted| wanted.definition.clone())
}

/// Copies with the time they were really received, as the ledger has it: lateness depends on it and nothing else.
fn received(life: &Life, copies: Vec<Event>) -> Vec<Event> {
    let context = life.ports.context();
    let store = EventStore::new(&context);
    let mut held: BTreeMap<(String, String), Option<Event>> = BTreeMap::new();
    let stored = |copy: &Event| {
        let found = store.get(&Tenant::local(), &copy.source, &copy.id).now_or_never().expect("memory is at once");
        found.expect("readable")
    };
    let with_time = |copy: Event| {
        let key = (copy.source.clone(), copy.id.clone());
        let stored = held.entry(key).or_insert_with(|| stored(&copy));
        match stored {
            Some(stored) if stored.rev == copy.rev => Event { received: stored.received, ..copy },
            _ => copy,
        }
    };
    copies.into_iter().map(with_time).collect()
}

fn get(life: &Life, path: &str) -> String {
    ask(life, Method::GET, path)
}

/// Asks without faults and without being seen.
pub(super) fn ask(life: &Life, method: Method, path: &str) -> String {
    let router = tidemill_api::router(std::sync::Arc::new(life.ports.context()), true);
    let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("checks build requests");
    let asked = async {
        let Ok(response) = router.oneshot(request).await;
        to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.expect("answers end")
    };
    let body = asked.now_or_never().expect("memory is at once");
    String::from_utf8_lossy(&body).into_owned()
}
