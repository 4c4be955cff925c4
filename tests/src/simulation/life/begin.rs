//! Beginning what is due: steps of the script, deliveries, requests, firings.

use std::sync::Arc;

use axum::http::Method;
use futures::FutureExt;
use tidemill_ports::{Condition, Effect, Item, Queue, Table, When, Write};
use tidemill_schemas::calendar;
use tidemill_schemas::event::Event;
use tidemill_schemas::keys::Key;
use tidemill_schemas::time::MICROS_PER_DAY;

use super::super::ports::Broken;
use super::super::script::Act;
use super::super::start::{self, Consumer, Flight};
use super::Life;
use crate::pump::{Answer, TableShards};

/// Seconds a received message is hidden for.
const HIDE_SECONDS: u32 = 180;
/// Deliveries of the queue under way at once.
const QUEUE_DELIVERIES_MAX: usize = 2;
/// Seconds after which whoever sends a request gives it up and sends it again.
const REQUEST_SECONDS: i64 = 60;
/// Seconds a firing may be late.
const LATE_SECONDS_MAX: i64 = 60;

impl Life {
    pub(super) fn begin_steps(&mut self) {
        let now = self.now();
        let late =
            |flight: &Flight| matches!(flight, Flight::Step { began, .. } if began.plus_seconds(REQUEST_SECONDS) < now);
        let given_up: Vec<u64> = self.flights.iter().filter(|(_, flight)| late(flight)).map(|(id, _)| *id).collect();
        for id in given_up {
            // Whoever sent it waits no longer; it goes on all the same.
            self.flights.insert(id, Flight::Orphan);
            self.hub.count(|stats| stats.zombies += 1);
        }
        let due: Vec<usize> = self.open_steps().filter(|(_, at)| *at <= now).map(|(at, _)| at).collect();
        for at in due {
            let act = self.script.steps[at].act.clone();
            let (method, path, body, copies) = match act {
                Act::Put(copies) => {
                    self.put_record(&copies);
                    self.open.remove(&at);
                    continue;
                }
                Act::Send(copies) => (Method::POST, "/v1/events".to_owned(), start::ndjson(&copies), copies),
                Act::Apply(wanted) => {
                    let wanted = &self.script.wanted[wanted];
                    let path = format!("/v1/insights/{}", wanted.definition.name);
                    (Method::PUT, path, wanted.text.clone(), Vec::new())
                }
                Act::Backfill => (Method::POST, "/v1/backfills".to_owned(), "{}".to_owned(), Vec::new()),
                Act::Ask(wanted) => {
                    let name = &self.script.wanted[wanted].definition.name;
                    let to = calendar::utc_date(now.plus_micros(2 * MICROS_PER_DAY));
                    let path = format!("/v1/insights/{name}/series?from={}&to={to}&every=day", self.script.first);
                    (Method::GET, path, String::new(), Vec::new())
                }
            };
            let (router, witness) = (self.router.clone(), Arc::clone(&self.witness));
            let name = format!("{method} {path}");
            let future = start::request(router, witness, method, path, body, copies);
            self.fly(Flight::Step { at, began: now }, || name, future);
        }
    }

    /// A record of the stream; a producer that was not answered puts it twice.
    fn put_record(&mut self, copies: &[Event]) {
        let body = start::ndjson(copies);
        let times = if self.random.chance(self.chaos.send_twice) { 2 } else { 1 };
        self.hub.count(|stats| stats.repeats += times - 1);
        for _ in 0..times {
            let number = self.records.len() as u64;
            self.records.push(copies.to_vec());
            let key = Key { partition: number.to_be_bytes().to_vec(), sort: Vec::from(*b"record") };
            let item = Item { rank: number, body: body.clone().into() };
            let put = Write { key, condition: Condition::None, effect: Effect::Put(item) };
            self.log.write(vec![put]).now_or_never().expect("memory is at once").expect("a record");
        }
    }

    pub(super) fn begin_deliveries(&mut self, at: usize) {
        let now = self.now();
        let (consumer, mapping) = &mut self.mappings[at];
        let consumer = *consumer;
        let table = if consumer == Consumer::Records { &self.log } else { &self.ports.events };
        let source = TableShards(Arc::clone(table));
        let due = mapping.due(&source, now, &mut self.random).now_or_never().expect("memory is at once");
        for mut delivery in due.expect("memory reads") {
            let (range, count) = (delivery.range.clone(), delivery.records.len());
            let name = format!("{consumer:?} {}..{}", range.first.0, range.last.0);
            let flight = Flight::Feed { mapping: at, range: range.clone(), count };
            let context = Arc::clone(&self.context);
            match (consumer, self.broken) {
                (Consumer::Records, _) => {
                    let with_copies = |record: tidemill_ports::Change| {
                        let number = record.new.as_ref().map_or(0, |item| item.rank);
                        (record, self.records[number as usize].clone())
                    };
                    let copies = delivery.records.drain(..).map(with_copies).collect();
                    self.fly(flight, || name, start::records(context, Arc::clone(&self.witness), copies));
                }
                (Consumer::Changes, Some(Broken::TotalsForget)) => {
                    let delivery = start::renumbered(delivery, &mut self.renumbered);
                    self.fly(flight, || name, start::feed(context, consumer, delivery));
                }
                (_, Some(Broken::RetriesSkipped)) if start::is_repeated(&mut self.begun, at, &range) => {
                    self.mappings[at].1.ended(&range, count, Answer::Done, now, &mut self.random);
                }
                _ => self.fly(flight, || name, start::feed(context, consumer, delivery)),
            }
        }
    }

    pub(super) fn begin_requests(&mut self) {
        let out = self.flights.values().filter(|flight| matches!(flight, Flight::Queue(_))).count();
        for _ in out..QUEUE_DELIVERIES_MAX {
            let limit = 1 + self.random.below(10) as usize;
            let received = self.ports.requests.receive(limit, HIDE_SECONDS).now_or_never();
            let messages = received.expect("memory is at once").expect("memory receives");
            if messages.is_empty() {
                return;
            }
            let context = Arc::clone(&self.context);
            let name = format!("requests {}", messages.len());
            self.fly(Flight::Queue(messages.clone()), || name, start::queue(context, messages));
        }
    }

    pub(super) fn begin_firings(&mut self) {
        let now = self.now();
        let due = self.ports.schedule.due(now);
        self.due.retain(|(name, scheduled), _| due.iter().any(|(entry, at)| entry.name == *name && at == scheduled));
        for (entry, scheduled) in due {
            let key = (entry.name.clone(), scheduled);
            let repeats = matches!(entry.when, When::EveryMinutes(_));
            if !self.due.contains_key(&key) {
                if repeats && self.random.chance(self.chaos.tick_lost) {
                    self.hub.count(|stats| stats.repeats += 1);
                    self.hub.note("tick lost", || entry.name.clone());
                    self.ports.schedule.done(&entry.name, scheduled);
                    continue;
                }
                let late = if self.is_calm { 0 } else { self.random.between(0, LATE_SECONDS_MAX) };
                self.due.insert(key.clone(), scheduled.plus_seconds(late).max(now));
            }
            if self.due[&key] > now || self.is_firing(&entry.name) {
                continue;
            }
            let context = Arc::clone(&self.context);
            let flight = Flight::Firing { name: entry.name.clone(), scheduled };
            self.fly(
                flight,
                || entry.name.clone(),
                start::firing(context, entry.name.clone(), entry.payload.clone(), scheduled),
            );
        }
    }
}
