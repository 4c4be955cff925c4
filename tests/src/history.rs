//! Product-analytics history from a seed: sessions of recurring actors, batch by batch.
//!
//! Sessions walk a small Markov chain over 30 names; actors recur with a heavy tail, about one per 20 events; weekends
//! are quieter. The same arguments give the same events. [`write()`] makes Parquet of them, one file a UTC day.

mod draw;
mod write;

use std::fmt::Write;
use std::sync::Arc;

use crate::generator::Random;
use arrow::array::{ArrayRef, Float64Builder, Int32Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use draw::{COUNTRIES, DEVICES, NAMES, PLANS, Zipf, exponential, mix, normal, unit};
use tidemill_schemas::calendar::{Date, Zone, dates};
use tidemill_schemas::time::MICROS_PER_DAY;
pub use write::write;

/// Rows of one batch.
const BATCH_ROWS: u64 = 16_384;
/// Paths there are.
const PATHS: u64 = 5_000;
/// Sessions open at once, at least.
const SESSIONS_MIN: usize = 32;

/// One visit.
#[derive(Clone)]
struct Session {
    actor: u32,
    events_left: u32,
    last: Option<usize>,
    device: usize,
    id: u64,
}

/// The generator's state.
pub struct History {
    schema: SchemaRef,
    random: Random,
    names: Zipf,
    countries: Zipf,
    paths: Zipf,
    country_words: Vec<&'static str>,
    path_words: Vec<String>,
    /// The share of a day that is over by each minute.
    clock: Vec<f64>,
    /// The actor of every session so far: who came often comes again.
    visits: Vec<u32>,
    actors: u32,
    recent: u64,
    sessions: Vec<Session>,
    days: Vec<(Date, u64)>,
}

impl History {
    /// `rows` events over `days` UTC days from `from` on.
    pub fn new(rows: u64, days: u32, from: Date, seed: u64) -> History {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            text("id"),
            text("name"),
            text("actor"),
            Field::new("time", time, false),
            text("country"),
            text("plan"),
            text("device"),
            text("path"),
            Field::new("amount", DataType::Float64, true),
            Field::new("duration_ms", DataType::Int32, false),
            text("properties"),
        ]);
        let visits: Vec<u32> = (0..u32::try_from(rows / 20 * 3 / 10).unwrap_or(u32::MAX)).collect();
        History {
            schema: Arc::new(schema),
            random: Random::of(seed),
            names: Zipf::new(NAMES.len(), 1.0),
            countries: Zipf::new(60, 1.1),
            paths: Zipf::new(PATHS as usize, 1.05),
            country_words: COUNTRIES.split(' ').collect(),
            path_words: (0..PATHS).map(path).collect(),
            clock: clock(),
            actors: visits.len() as u32,
            visits,
            recent: (rows / 8 / u64::from(days) * 2).max(64),
            sessions: Vec::new(),
            days: shares(rows, days, from),
        }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The days, and how many events each has.
    pub fn days(&self) -> Vec<(Date, u64)> {
        self.days.clone()
    }

    /// Actors there have been.
    pub fn actors(&self) -> u32 {
        self.actors
    }

    /// Opens a day: enough sessions for its events.
    pub fn open(&mut self, rows: u64) {
        let sessions = ((rows as f64 / 86_400.0 * 40.0) as usize).max(SESSIONS_MIN);
        self.sessions.resize(sessions, Session { actor: 0, events_left: 0, last: None, device: 0, id: 0 });
    }

    /// The batch of a day that begins with its event number `first`; `None` behind the last one.
    pub fn batch(&mut self, date: Date, rows: u64, first: u64) -> Option<RecordBatch> {
        let count = rows.saturating_sub(first).min(BATCH_ROWS);
        if count == 0 {
            return None;
        }
        let midnight = Zone::utc().start_of(date).micros();
        let mut columns = Columns::default();
        for nth in first..first + count {
            let share = (nth as f64 + unit(&mut self.random)) / rows as f64;
            let arrived = self.micros_of(share);
            self.event(&mut columns, midnight, arrived);
        }
        Some(RecordBatch::try_new(self.schema.clone(), columns.end()).expect("the columns are the schema's"))
    }

    fn micros_of(&self, share: f64) -> i64 {
        let minute = self.clock.partition_point(|end| *end <= share).min(1_439);
        let from = if minute == 0 { 0.0 } else { self.clock[minute - 1] };
        let within = ((share - from) / (self.clock[minute] - from)).clamp(0.0, 1.0);
        ((minute as f64 + within) * 60e6) as i64
    }

    fn event(&mut self, out: &mut Columns, midnight: i64, arrived: i64) {
        let random = &mut self.random;
        let late = if random.below(20) == 0 { unit(random) * 60e6 } else { exponential(random) * 3e5 } as i64;
        let time = midnight + (arrived - late).clamp(0, MICROS_PER_DAY - 1);
        let at = random.below(self.sessions.len() as u64) as usize;
        if self.sessions[at].events_left == 0 {
            self.sessions[at] = self.visit();
        }
        let name = self.next_name(self.sessions[at].last);
        let session = &mut self.sessions[at];
        session.last = Some(name);
        session.events_left -= 1;
        let (actor, device, session) = (session.actor, session.device, session.id);
        let random = &mut self.random;
        let person = mix(u64::from(actor) ^ 0xAC70_0000_0000);
        out.text(0, format_args!("{:012x}{:020x}", (midnight + arrived) / 1_000, u128::from(random.bits())));
        out.texts[1].append_value(NAMES[name]);
        out.text(2, format_args!("u_{:012x}", person >> 16));
        out.time.append_value(time);
        out.texts[3].append_value(self.country_words[self.countries.at(mix(person))]);
        let plan = match mix(person ^ 7) % 100 {
            0..70 => 0,
            70..88 => 1,
            88..97 => 2,
            _ => 3,
        };
        out.texts[4].append_value(PLANS[plan]);
        out.texts[5].append_value(DEVICES[device]);
        out.texts[6].append_value(&self.path_words[self.paths.at(random.bits())]);
        let cents = |random: &mut Random| ((3.5 + 0.8 * normal(random)).exp() * 100.0).round() / 100.0;
        out.amount.append_option((NAMES[name] == "purchase").then(|| cents(random)));
        out.duration.append_value((7.2 + 1.1 * normal(random)).exp().min(3.6e6) as i32);
        let referrer = ["google", "direct", "email", "twitter", "bing", "partner", "ads_fb", "ads_gg"];
        let version = ["3.12.0", "3.11.4", "3.11.2", "3.10.9", "3.9.1", "2.8.7"];
        out.text(
            7,
            format_args!(
                "{{\"sid\":\"{session:010x}\",\"ref\":\"{}\",\"v\":\"{}\",\"ab\":{},\"q\":{}}}",
                referrer[(session % 8) as usize],
                version[(mix(session) % 6) as usize],
                session / 8 % 16,
                random.below(10_000),
            ),
        );
    }

    /// A new session: a third of them by new actors, the others by those who came before, half of these lately.
    fn visit(&mut self) -> Session {
        let random = &mut self.random;
        let seen = self.visits.len() as u64;
        let actor = if seen == 0 || random.below(100) < 34 {
            self.actors += 1;
            self.actors - 1
        } else {
            let from = if random.chance(50) { seen.saturating_sub(self.recent) } else { 0 };
            self.visits[(from + random.below(seen - from)) as usize]
        };
        self.visits.push(actor);
        let usual = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4][(mix(u64::from(actor) ^ 0xD0D0) % 12) as usize];
        let short = random.below(10) < 4;
        Session {
            actor,
            events_left: 1 + if short { random.below(2) as u32 } else { (exponential(random) * 11.0) as u32 },
            last: None,
            device: if random.chance(85) { usual } else { random.below(5) as usize },
            id: random.bits() & 0xFF_FFFF_FFFF,
        }
    }

    fn next_name(&mut self, last: Option<usize>) -> usize {
        let chance = self.random.below(100);
        match last {
            None if chance < 60 => 0,
            None if chance < 70 => 18,
            Some(0) if chance < 25 => 1,
            Some(1) if chance < 18 => 4,
            Some(4) if chance < 30 => 7,
            Some(4) if chance < 40 => 10,
            Some(7) if chance < 55 => 9,
            _ => self.names.at(self.random.bits()),
        }
    }
}

fn path(nth: u64) -> String {
    match mix(nth) % 4 {
        0 => format!("/p/{}/item-{nth}", mix(nth) / 7 % 40),
        1 => format!("/category/{}/page/{}", mix(nth) / 7 % 200, nth % 50),
        2 => format!("/blog/2026/{:02}/post-{nth}", 1 + nth % 12),
        _ => format!("/help/article/{nth}"),
    }
}

/// Busy at noon, quiet at night.
fn clock() -> Vec<f64> {
    let density = |minute: i32| 1.0 + 0.65 * ((f64::from(minute) / 1440.0 - 0.35) * std::f64::consts::TAU).sin();
    let total: f64 = (0..1440).map(density).sum();
    let mut sum = 0.0;
    (0..1440)
        .map(|minute| {
            sum += density(minute) / total;
            sum
        })
        .collect()
}

/// Events of each day, three quarters on weekends; together exactly `rows`.
fn shares(rows: u64, days: u32, from: Date) -> Vec<(Date, u64)> {
    let dates: Vec<Date> = dates(from, Date::MAX).take(days as usize).collect();
    let weight = |date: &Date| if date.weekday().to_monday_zero_offset() >= 5 { 3 } else { 4 };
    let total: u64 = dates.iter().map(weight).sum();
    let (mut sum, mut done) = (0, 0);
    dates
        .into_iter()
        .map(|date| {
            sum += weight(&date);
            let until = (u128::from(rows) * u128::from(sum) / u128::from(total)) as u64;
            let share = until - done;
            done = until;
            (date, share)
        })
        .collect()
}

#[derive(Default)]
struct Columns {
    texts: [StringBuilder; 8],
    time: TimestampMicrosecondBuilder,
    amount: Float64Builder,
    duration: Int32Builder,
}

impl Columns {
    fn text(&mut self, at: usize, text: std::fmt::Arguments<'_>) {
        self.texts[at].write_fmt(text).expect("a builder takes every write");
        self.texts[at].append_value("");
    }

    fn end(mut self) -> Vec<ArrayRef> {
        let [id, name, actor, country, plan, device, path, properties] =
            self.texts.each_mut().map(|text| Arc::new(text.finish()) as ArrayRef);
        let time = Arc::new(self.time.finish().with_timezone("UTC"));
        let (amount, duration) = (Arc::new(self.amount.finish()), Arc::new(self.duration.finish()));
        vec![id, name, actor, time, country, plan, device, path, amount, duration, properties]
    }
}
