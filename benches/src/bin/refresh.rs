//! `refresh`: what it costs to keep a recomputed insight fresh, minute by minute, while its day grows.
//!
//! In: how many events the day ends with. They go in by the HTTP router in portions, by default one for each minute of a
//! driven clock; after each, the change feed is sealed into pages, and the day is requested again, as the schedule
//! would. Out: CPU seconds of a refresh at a tenth, at half and at the end of the day, and of the way in.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use clap::Parser;
use tidemill_benches::cell::{Started, Usage, peak_kilobytes};
use tidemill_benches::engine::runtime;
use tidemill_benches::events::ndjson;
use tidemill_benches::wired::{Wired, ask, compute};
use tidemill_local::{Runner, Store};
use tidemill_schemas::calendar::{Date, Zone};
use tidemill_schemas::request::Reason;
use tidemill_schemas::time::{MICROS_PER_SECOND, Timestamp};
use tidemill_tests::history::History;
use tidemill_tests::memory::VirtualClock;

/// The day that grows.
const DAY: Date = Date::constant(2025, 10, 1);
/// Seconds of it.
const DAY_SECONDS: u64 = 86_400;
/// Refreshes looked at together.
const LOOKED_AT: usize = 15;
/// Events of one request.
const REQUEST_LINES_MAX: usize = 1_000;

const INSIGHT: &str = "insight: actors
type: standard
from: '*'
metrics:
  actors: count(distinct actor)
  typical: avg(duration_ms)
by: [device]
refresh: 1m
";

/// The cost of a refresh while a day grows.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of the day.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Portions they come in, each followed by a refresh; 1,440 is one a minute.
    #[arg(long, default_value_t = 1_440, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    portions: u64,
    /// The seed they are generated from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the project is made; by default a folder that goes when it is done.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = arguments
        .folder
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("tidemill-refresh-{}", std::process::id())));
    let done = runtime(1).and_then(|runtime| runtime.block_on(run(&arguments, &folder)));
    if arguments.folder.is_none() {
        // What is left behind by a failure is in nobody's way.
        let _ = std::fs::remove_dir_all(&folder);
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("refresh: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, folder: &std::path::Path) -> Result<(), String> {
    let midnight = Zone::utc().start_of(DAY);
    let clock = Arc::new(VirtualClock::at(midnight));
    let store = Arc::new(Store::open(&folder.join(".tidemill"), clock.clone()).map_err(|why| why.to_string())?);
    let context = Arc::new(store.context());
    let router = tidemill_api::router(context.clone(), true);
    let runner = Runner::new(store, Arc::new(Wired(context.clone()))).map_err(|why| why.to_string())?;
    let applied = ask(&router, Method::PUT, "/v1/insights/actors", "application/yaml", Body::from(INSIGHT)).await?;
    let fingerprint = applied["fingerprint"].as_str().ok_or("the definition has no fingerprint")?.to_owned();

    let mut lines = Lines::new(arguments);
    let (mut refreshes, mut sent, mut way_in) = (Vec::new(), 0, 0.0);
    println!(
        "{:>7}{:>12}{:>8}{:>16}{:>16}{:>10}",
        "of day", "events", "nth", "refresh CPU ms", "refresh wall ms", "peak MB"
    );
    for portion in 1..=arguments.portions {
        let now = midnight.plus_seconds((DAY_SECONDS * portion / arguments.portions) as i64);
        clock.set(now);
        let started = Started::now();
        let until = arguments.rows * portion / arguments.portions;
        while sent < until {
            let part = lines.take(((until - sent) as usize).min(REQUEST_LINES_MAX), now)?;
            sent += part.lines().count() as u64;
            ask(&router, Method::POST, "/v1/events", "application/x-ndjson", Body::from(part)).await?;
        }
        runner.drain_feed().await.map_err(|failures| format!("{failures:?}"))?;
        way_in += started.usage().cpu;
        refreshes.push(compute(&context, "actors", &fingerprint, DAY, Reason::Refresh).await?);
        if [10, 50, 100].map(|percent| arguments.portions * percent / 100).contains(&portion) {
            tell(portion * 100 / arguments.portions, sent, &refreshes);
        }
    }
    let answer =
        ask(&router, Method::GET, "/v1/insights/actors/digest?from=2025-10-01&to=2025-10-02", "", Body::empty());
    println!("{}", answer.await?);
    println!("the way in, parsed, kept, counted and sealed: {:.2} µs of CPU an event", way_in / sent as f64 * 1e6);
    Ok(())
}

fn tell(percent: u64, sent: u64, refreshes: &[Usage]) {
    let last = &refreshes[refreshes.len().saturating_sub(LOOKED_AT)..];
    let median = |of: fn(&Usage) -> f64| {
        let mut values: Vec<f64> = last.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2] * 1e3
    };
    println!(
        "{:>6}%{sent:>12}{:>8}{:>16.2}{:>16.2}{:>10}",
        percent,
        refreshes.len(),
        median(|usage| usage.cpu),
        median(|usage| usage.wall),
        peak_kilobytes().map_or_else(|| "?".to_owned(), |peak| (peak / 1024).to_string()),
    );
}

/// Generated events, portion by portion.
struct Lines {
    history: History,
    rows: u64,
    made: u64,
    waiting: std::collections::VecDeque<String>,
}

impl Lines {
    fn new(arguments: &Arguments) -> Lines {
        let mut history = History::new(arguments.rows, 1, DAY, arguments.seed);
        history.open(arguments.rows);
        Lines { history, rows: arguments.rows, made: 0, waiting: std::collections::VecDeque::new() }
    }

    /// The next ones; none happens after `now`.
    fn take(&mut self, count: usize, now: Timestamp) -> Result<String, String> {
        while self.waiting.len() < count {
            let batch = self.history.batch(DAY, self.rows, self.made).ok_or("there are no more events")?;
            self.made += batch.num_rows() as u64;
            // The generator's busy hours do not matter here: every minute has its share.
            let earlier = now.plus_micros(-MICROS_PER_SECOND);
            self.waiting.extend(ndjson(&batch, |time| time.min(earlier)).lines().map(str::to_owned));
        }
        let mut lines: Vec<String> = self.waiting.drain(..count).collect();
        lines.push(String::new());
        Ok(lines.join("\n"))
    }
}
